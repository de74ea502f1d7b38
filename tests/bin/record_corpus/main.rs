//! `record-corpus DIR`: records labelled traffic of real tools in the laboratory, for the trainer.
//!
//! No Sluice runs: the box is a plain bridge, and tcpdump records on its LAN port. A [`scenario`] is what happens; [`plan`] records
//! each over several emulated lines. To add one, put it into the file of its family, or make a new family and name it in
//! `scenarios` below.

mod beacons;
mod brute_force;
mod cases;
mod chatter;
mod evening;
mod floods;
mod household;
mod logins;
mod mixtures;
mod pages;
mod peers;
mod plan;
mod scans;
mod scenario;
mod servers;
mod slow_http;
mod stage;
mod transfers;
mod tunnels;
mod unseen;
mod worms;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;
use lab::cleanup::{prepare, remove_work_folder};
use lab::recording::Corpus;

use plan::Manner;
use scenario::Scenario;

/// Records labelled traffic of real tools in network namespaces. What is complete in the folder is not made again.
#[derive(Parser)]
struct Arguments {
    /// Where the corpus is, or will be: labels.csv and pcap/.
    folder: PathBuf,
    /// Only scenarios, kinds or classes whose names begin so.
    #[arg(long, default_value = "")]
    only: String,
    /// Makes also those that are there.
    #[arg(long)]
    again: bool,
    /// What the draws are made from: lines, losses, pauses, sizes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many are made at a time: most of their time they wait. Of floods and the like it is a fifth.
    #[arg(long, default_value_t = 15)]
    parallel: usize,
    /// One capture of each of the main classes.
    #[arg(long)]
    quick: bool,
    /// What no model learns from instead, to see how a model takes what it has never met: other tools, a browser, an evening of an hour.
    #[arg(long, conflicts_with_all = ["quick", "cases"])]
    unseen: bool,
    /// The small captures of tests/captures/ instead.
    #[arg(long)]
    cases: bool,
    /// Says what there is, and makes nothing.
    #[arg(long)]
    list: bool,
}

/// What `--quick` records.
const QUICK: [&str; 4] = ["syn_100_ports", "syn_open_1000_per_second", "ssh_hydra_4", "pages_6_connections"];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    prepare();
    let recorded = if arguments.cases { cases::record(&arguments.folder) } else { record(&arguments) };
    remove_work_folder();
    recorded
}

/// All families; those that take longest come first, so that nothing has to wait for them at the end.
fn scenarios() -> Vec<Scenario> {
    let families = [
        evening::scenarios,
        beacons::scenarios,
        chatter::scenarios,
        logins::scenarios,
        peers::scenarios,
        servers::scenarios,
        tunnels::scenarios,
        worms::scenarios,
        slow_http::scenarios,
        scans::scenarios,
        brute_force::scenarios,
        mixtures::scenarios,
        pages::scenarios,
        transfers::scenarios,
        floods::scenarios,
    ];
    families.into_iter().flat_map(|family| family()).collect()
}

fn record(arguments: &Arguments) -> Result<()> {
    let mut chosen = if arguments.unseen { unseen::scenarios() } else { scenarios() };
    if arguments.quick {
        chosen.retain(|one| QUICK.contains(&one.label.name.as_str()));
        chosen = chosen.into_iter().map(Scenario::over_lan_only).collect();
    }
    let begins = |text: &str| text.starts_with(&arguments.only);
    chosen.retain(|one| begins(&one.label.name) || begins(one.label.kind) || begins(one.label.class));
    if arguments.list {
        for one in &chosen {
            let lines: Vec<&str> = one.lines(arguments.seed).into_iter().map(|line| line.name).collect();
            println!("{:12} {:18} {:32} {}", one.label.class, one.label.kind, one.label.name, lines.join(" "));
        }
        return Ok(());
    }
    if chosen.is_empty() {
        bail!("nothing is called {}…", arguments.only);
    }
    let corpus = Corpus::open(&arguments.folder)?;
    let &Arguments { seed, again, parallel, .. } = arguments;
    let outcome = plan::record(&corpus, &chosen, Manner { seed, again, parallel });
    corpus.write_labels()?;
    print!("{}", plan::table(&corpus)?);
    println!("{} captures recorded, {} were there", outcome.recorded, outcome.skipped);
    let failed = outcome.failed;
    if failed.is_empty() { Ok(()) } else { bail!("{} were not recorded: {}", failed.len(), failed.join(", ")) }
}
