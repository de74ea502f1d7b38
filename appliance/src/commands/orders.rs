//! `sluice reload` and `restart`: what is ordered of the daemon as a whole.

use core::time::Duration;
use std::path::Path;

use super::{DaemonArgs, Failure};
use crate::clock::Stopwatch;
use crate::control::Order;
use crate::web::Client;

/// How long the new program may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often it is asked.
const START_INTERVAL: Duration = Duration::from_millis(200);

/// Has the configuration read again, and prints what became of it.
pub(super) fn reload(daemon: &DaemonArgs) -> Result<(), Failure> {
    let done = Client::new(&daemon.socket()?).order(Order::Reload)?;
    match done.changed.join(", ") {
        changed if changed.is_empty() => println!("The configuration was read again; nothing has changed."),
        changed => println!("The configuration was read again; what has changed holds: {changed}."),
    }
    if !done.at_next_start.is_empty() {
        println!("Not before the next start (`sluice restart`): {}.", done.at_next_start.join(", "));
    }
    if let Some(fault) = done.page_fault {
        println!("But {fault}.");
    }
    Ok(())
}

/// Has the program run anew, and waits until it answers.
pub(super) fn restart(socket: &Path) -> Result<(), Failure> {
    let client = Client::new(socket);
    let since = Stopwatch::start();
    client.order(Order::Restart)?;
    while since.elapsed() < START_LIMIT {
        std::thread::sleep(START_INTERVAL);
        // The old program has run for longer than it was asked ago.
        if client.state().is_ok_and(|state| state.uptime_s < since.elapsed().as_secs()) {
            println!("Sluice runs anew; no block was lifted.");
            return Ok(());
        }
    }
    Err(anyhow::anyhow!("the new program does not answer; see its log").into())
}
