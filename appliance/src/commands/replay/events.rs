//! The file of events of a replay: one JSON object a line, told apart by `event`: `flow`, `alert`, `block`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ReplayError;
use super::report::{AlertLine, BlockLine};
use crate::pipeline::EndedFlow;

/// An open file of events. The first failure to write is kept and told at the end.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    out: BufWriter<File>,
    failure: Option<io::Error>,
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    event: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// A flow that ended; `t` is when, in seconds from the first packet.
#[derive(Serialize)]
struct FlowLine {
    t: f64,
    flow: u64,
    source: IpAddr,
    source_port: Option<u16>,
    destination: IpAddr,
    destination_port: Option<u16>,
    protocol: u8,
    vlan: Option<u16>,
    packets: u64,
    class: &'static str,
    confidence: f32,
}

impl EventFile {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), out: BufWriter::new(File::create(path)?), failure: None })
    }

    pub fn flow(&mut self, t: f64, ended: &EndedFlow<'_>) {
        let seen = ended.observation;
        self.write(
            "flow",
            &FlowLine {
                t,
                flow: seen.flow,
                source: seen.initiator,
                source_port: seen.initiator_port,
                destination: seen.responder,
                destination_port: seen.responder_port,
                protocol: seen.protocol,
                vlan: seen.vlan,
                packets: seen.packets,
                class: ended.verdict.class.name(),
                confidence: ended.verdict.confidence,
            },
        );
    }

    pub fn alert(&mut self, alert: &AlertLine) {
        self.write("alert", alert);
    }

    pub fn block(&mut self, block: &BlockLine) {
        self.write("block", block);
    }

    pub fn close(mut self) -> Result<(), ReplayError> {
        let flushed = self.out.flush();
        let cause = self.failure.take().map_or(flushed, Err);
        cause.map_err(|cause| ReplayError::Events { path: self.path, cause })
    }

    fn write(&mut self, event: &'static str, body: &impl Serialize) {
        if self.failure.is_none() {
            let written = serde_json::to_writer(&mut self.out, &Line { event, body });
            self.failure = written.map_err(io::Error::from).and_then(|()| self.out.write_all(b"\n")).err();
        }
    }
}
