//! The steps of the path one by one, and the whole of it for each shape of traffic: how many a second.
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark may stop at the first surprise")]

mod shapes;

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use shapes::{Shape, arrival};
use sluice::config::Config;
use sluice::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use sluice::policy::Decision;
use sluice::verdict::BUILT_IN;
use traffic::capture_file::CaptureFile;
use traffic::decode::{Decoded, Frame, LinkType, Packet, decode};
use traffic::extractor::Extractor;
use traffic::features::{self, FeatureVector};
use traffic::flow::{Flow, FlowKey, FlowTable, Impression};
use traffic::limits::Limits;
use traffic::time::Timestamp;
use traffic::windows::Surroundings;

/// Packets of an iteration.
const PACKETS: u64 = 20_000;

const SEED: [u64; 2] = [1, 2];

/// Takes everything and does nothing.
struct Deaf;

impl Listener for Deaf {
    fn decision(&mut self, _: Decision) -> bool {
        true
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}

fn main() {
    divan::Divan::from_args().max_time(Duration::from_secs(1)).main();
}

/// The mixed shape as (time, captured bytes, length on the wire).
fn mixed_frames() -> Vec<(Timestamp, Vec<u8>, u32)> {
    let mut frames = Vec::new();
    Shape::named("mixed").play(PACKETS, &mut |time, frame| {
        frames.push((time, frame.bytes.to_vec(), frame.wire_len_bytes));
    });
    frames
}

fn ethernet((_, bytes, wire_len_bytes): &(Timestamp, Vec<u8>, u32)) -> Frame<'_> {
    Frame { link: LinkType::Ethernet, bytes, wire_len_bytes: *wire_len_bytes, vlan_tag: None }
}

fn mixed_packets() -> Vec<(Timestamp, Packet)> {
    let packet = |stored: &(Timestamp, Vec<u8>, u32)| match decode(&ethernet(stored)) {
        Ok(Decoded::Ip(packet)) => Some((stored.0, packet)),
        _ => None,
    };
    mixed_frames().iter().filter_map(packet).collect()
}

/// The mixed shape as a pcap file with nanoseconds.
fn mixed_capture() -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xA1B2_3C4D, 0x0004_0002, 0, 0, 0xFFFF, 1]);
    for (time, bytes, wire_len_bytes) in mixed_frames() {
        let nanos = (time.as_nanos() % 1_000_000_000) as u32;
        file.extend(words(&[time.as_secs() as u32, nanos, bytes.len() as u32, wire_len_bytes]));
        file.extend(bytes);
    }
    file
}

#[divan::bench]
fn a_read_capture(bencher: Bencher<'_, '_>) {
    let file = mixed_capture();
    bencher.counter(ItemsCount::new(PACKETS)).with_inputs(|| Cursor::new(file.clone())).bench_values(|input| {
        let mut capture = CaptureFile::new(input).expect("a capture");
        while capture.next_frame(&mut |time, frame| _ = black_box((time, frame.bytes))).expect("frames") {}
    });
}

#[divan::bench]
fn b_decode(bencher: Bencher<'_, '_>) {
    let frames = mixed_frames();
    bencher.counter(ItemsCount::new(frames.len())).bench_local(|| {
        for frame in &frames {
            _ = black_box(decode(black_box(&ethernet(frame))));
        }
    });
}

#[divan::bench]
fn c_flow(bencher: Bencher<'_, '_>) {
    let packets = mixed_packets();
    let new_table = || FlowTable::new(Limits::default().flows, SEED);
    bencher.counter(ItemsCount::new(packets.len())).with_inputs(new_table).bench_local_refs(|table| {
        for (time, packet) in &packets {
            black_box(table.take(packet, *time, &mut |_, _| {}));
        }
    });
}

#[divan::bench]
fn d_feature_vector(bencher: Bencher<'_, '_>) {
    let packets = mixed_packets();
    let (time, packet) = packets.first().expect("packets");
    let (key, direction) = FlowKey::of(packet);
    let mut flow = Flow::new(0, key, direction, packet, *time, Impression::of(packet, false));
    for (time, packet) in &packets[..8] {
        flow.add(direction, packet, *time);
    }
    let surroundings = Surroundings::default();
    bencher.counter(ItemsCount::new(1_u8)).bench_local(|| features::vector(black_box(&flow), black_box(&surroundings)));
}

#[divan::bench]
fn e_verdict(bencher: Bencher<'_, '_>) {
    let mut vectors: Vec<FeatureVector> = Vec::new();
    let mut extractor = Extractor::new(&Limits::default(), SEED);
    for (time, packet) in mixed_packets() {
        extractor.packet(&packet, time, &mut |seen| vectors.push(*seen.features));
    }
    bencher.counter(ItemsCount::new(vectors.len())).bench_local(|| {
        for vector in &vectors {
            black_box(BUILT_IN.judge(black_box(vector)));
        }
    });
}

#[divan::bench(args = shapes::NAMES)]
fn f_whole_path(bencher: Bencher<'_, '_>, name: &str) {
    let mut pipeline = Pipeline::new(&PipelineConfig {
        limits: Limits::default(),
        tuning: Config::default().tuning(),
        models: Default::default(),
        rules: Arc::default(),
        around: Arc::default(),
        seed: SEED,
    });
    let mut shape = Shape::named(name);
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        shape.play(PACKETS, &mut |time, frame| pipeline.frame(&arrival(time, frame), &mut Deaf));
    });
}
