//! The file of events of a replay: one JSON object a line, told apart by `event`: `flow`, `alert`, `block`.

use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use super::report::{AlertLine, BlockLine};
use crate::commands::output::{Output, OutputError};
use crate::pipeline::EndedFlow;

/// An open file of events.
#[derive(Debug)]
pub(super) struct EventFile(Output);

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
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        Output::create(path).map(Self)
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

    pub fn close(self) -> Result<(), OutputError> {
        self.0.close()
    }

    fn write(&mut self, event: &'static str, body: &impl Serialize) {
        self.0.line(|out| Ok(serde_json::to_writer(out, &Line { event, body })?));
    }
}
