//! The packet path allocates nothing once it is made: all captures of the project go through it while the allocator
//! counts.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::alloc::System;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use sluice::policy::{Decision, Profile};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use traffic::capture_file::CaptureFile;
use traffic::decode::{Frame, LinkType};
use traffic::limits::Limits;
use traffic::time::Timestamp;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

struct StoredFrame {
    time: Timestamp,
    link: LinkType,
    wire_len_bytes: u32,
    bytes: Vec<u8>,
}

/// Counts, as the daemon's listener does little more than handing decisions on.
#[derive(Default)]
struct Counting {
    decisions: u64,
    flows: u64,
}

impl Listener for Counting {
    fn decision(&mut self, _: Decision) -> bool {
        self.decisions += 1;
        true
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {
        self.flows += 1;
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    let cases = std::fs::read_dir(folder).expect("tests/captures");
    cases.map(|case| case.expect("readable").path().join("input.pcap")).filter(|path| path.exists()).collect()
}

fn frames(path: &Path) -> Vec<StoredFrame> {
    let mut capture = CaptureFile::new(File::open(path).expect("a capture")).expect("a capture");
    let mut frames = Vec::new();
    let mut store = |time, frame: &Frame<'_>| {
        let (link, wire_len_bytes, bytes) = (frame.link, frame.wire_len_bytes, frame.bytes.to_vec());
        frames.push(StoredFrame { time, link, wire_len_bytes, bytes });
    };
    // A capture that is cut off is among them on purpose.
    while capture.next_frame(&mut store).unwrap_or(false) {}
    frames
}

#[test]
fn the_packet_path_allocates_nothing() {
    let frames: Vec<StoredFrame> = captures().iter().flat_map(|path| frames(path)).collect();
    assert!(frames.len() > 1_000, "only {} frames in tests/captures", frames.len());
    // Small tables, so that eviction is on the way too.
    let limits = Limits { flows: 256, sources: 16, destinations: 16, logins: 16 };
    let config = PipelineConfig { limits, profile: Profile::Strict, block_ttl: Duration::from_secs(1), seed: [3, 4] };
    let mut pipeline = Pipeline::new(&config);
    let mut listener = Counting::default();
    let region = Region::new(ALLOCATOR);
    for stored in &frames {
        let StoredFrame { time, link, wire_len_bytes, bytes } = stored;
        let frame = Frame { link: *link, bytes, wire_len_bytes: *wire_len_bytes, vlan_tag: None };
        pipeline.frame(*time, &frame, &mut listener);
    }
    pipeline.finish(&mut listener);
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations, change.deallocations), (0, 0, 0), "{change:?}");
    assert!(listener.decisions > 0 && listener.flows > 0, "the captures hold attacks");
}
