//! The path cut short after each of its steps; each run is a process of its own.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Result, bail};
use traffic::capture_file::CaptureFile;
use traffic::decode::{Decoded, Frame, decode};
use traffic::extractor::Extractor;
use traffic::flow::{Flow, FlowTable};
use traffic::limits::Limits;
use traffic::time::Timestamp;

/// Key of the hash tables: fixed, as in a replay.
const SEED: [u64; 2] = [0, 0];

/// A cut through the path.
pub struct Stage {
    /// The word on the command line.
    pub name: &'static str,
    /// The row of the table.
    pub title: &'static str,
}

/// From the shortest to the longest.
pub const ALL: [Stage; 4] = [
    Stage { name: "read", title: "a  reading the file alone" },
    Stage { name: "decode", title: "b  a + decode" },
    Stage { name: "flow", title: "c  b + flow table" },
    Stage { name: "features", title: "d  c + windows, features" },
];

/// Takes the capture through the path up to that stage, and prints how many packets there were.
///
/// # Errors
/// There is no such stage, or the capture cannot be read.
pub fn run(name: &str, file: &Path) -> Result<()> {
    let packets = match name {
        "read" => read(file, &mut |_, frame| _ = black_box(frame)),
        "decode" => read(file, &mut |_, frame| _ = black_box(decode(frame))),
        "flow" => track_flows(file),
        "features" => extract_features(file),
        _ => bail!("there is no stage {name:?}"),
    };
    println!("{}", packets?);
    Ok(())
}

fn read(file: &Path, sink: &mut dyn FnMut(Timestamp, &Frame<'_>)) -> Result<u64> {
    let mut capture = CaptureFile::new(File::open(file)?)?;
    while capture.next_frame(sink)? {}
    Ok(capture.frames())
}

fn track_flows(file: &Path) -> Result<u64> {
    let mut flows = FlowTable::new(Limits::default().flows, SEED);
    let mut now = Timestamp::EPOCH;
    read(file, &mut |time, frame| {
        if let Ok(Decoded::Ip(packet)) = decode(frame) {
            now = now.advanced(time);
            let mut ended = |flow: &Flow, _| _ = black_box(flow);
            flows.expire(now, &mut ended);
            black_box(flows.take(&packet, time, &mut ended));
        }
    })
}

fn extract_features(file: &Path) -> Result<u64> {
    let mut extractor = Extractor::new(&Limits::default(), SEED);
    let packets = read(file, &mut |time, frame| _ = extractor.frame(frame, time, &mut |seen| _ = black_box(seen)));
    extractor.finish(&mut |seen| _ = black_box(seen));
    packets
}
