//! The capture that all read: a million packets of ordinary programs, or the captures of the project over and over.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::frames::{Frame, read_pcap, write_pcap};
use lab::process::run_within;

/// How long unpacking and mixing may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What stands in where the labelled captures are missing: 822 frames, so often, an hour apart.
const STAND_IN: [&str; 3] = ["benign-mix", "benign-pages", "ipv6"];
const REPEATS: u64 = 1_000;
const APART_US: u64 = 3_600_000_000;

/// Writes it.
///
/// # Errors
/// It cannot be written, or the labelled captures are there but cannot be unpacked or mixed.
pub fn make(shared: &Path, labelled: &Path, file: &Path) -> Result<()> {
    let mix = shared.join("peers/mix-capture");
    if !mix.is_file() {
        println!("There is no {}: the captures of the project stand in for the mixed one.", mix.display());
        return write_pcap(file, &stand_in()?);
    }
    if !labelled.join(".complete").exists() {
        let folder = labelled.parent().context("LABELLED is a folder's name")?;
        run_within(Command::new(shared.join("data/unpack")).arg(folder), LIMIT)?;
    }
    run_within(Command::new(mix).arg(labelled).arg(file), LIMIT)?;
    Ok(())
}

fn stand_in() -> Result<Vec<Frame>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut round = Vec::new();
    for case in STAND_IN {
        round.extend(read_pcap(&folder.join(case).join("input.pcap"))?);
    }
    // The recordings are of one afternoon, one after the other.
    round.sort_by_key(|frame| frame.time_us);
    let later = |frame: &Frame, repeat| Frame { time_us: frame.time_us + repeat * APART_US, ..frame.clone() };
    Ok((0..REPEATS).flat_map(|repeat| round.iter().map(move |frame| later(frame, repeat))).collect())
}
