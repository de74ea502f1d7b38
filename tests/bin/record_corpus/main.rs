//! `record-corpus OUT_DIR [--quick | --cases | PART]`: records labelled traffic of real tools in the laboratory, for the trainer.
//!
//! No Sluice runs: the box is a plain bridge, and tcpdump records on its LAN port. `--quick` makes one capture of each class, `--cases` the small captures of `tests/captures/`; `PART` only captures with that in their names.

mod benign_traffic;
mod brute_force;
mod cases;
mod floods;
mod mixtures;
mod scans;
mod stage;

use std::path::Path;

use anyhow::{Result, bail};
use lab::cleanup::remove_work_folder;

use stage::Stage;

fn main() -> Result<()> {
    let recorded = record();
    remove_work_folder();
    recorded
}

fn record() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (folder, what) = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder] if !folder.starts_with('-') => (folder.to_owned(), ""),
        [folder, what]
            if !folder.starts_with('-') && (["--quick", "--cases"].contains(&what) || !what.starts_with('-')) =>
        {
            (folder.to_owned(), what)
        }
        _ => bail!("usage: record-corpus OUT_DIR [--quick | --cases | PART]"),
    };
    let mut stage = Stage::new(Path::new(&folder))?;
    match what {
        "--cases" => return cases::record(&stage, Path::new(&folder)),
        "--quick" => record_quickly(&mut stage),
        part => {
            stage.only(part);
            record_everything(&mut stage);
        }
    }
    let (captures, failed) = stage.close();
    println!("{captures} captures in {folder}");
    if failed.is_empty() { Ok(()) } else { bail!("{} were not recorded: {}", failed.len(), failed.join(", ")) }
}

/// One capture of each class.
fn record_quickly(stage: &mut Stage) {
    scans::record_one(stage);
    floods::record_one(stage);
    brute_force::record_one(stage);
    benign_traffic::record_one(stage);
}

fn record_everything(stage: &mut Stage) {
    benign_traffic::record(stage);
    scans::record(stage);
    floods::record(stage);
    brute_force::record(stage);
    mixtures::record(stage);
}
