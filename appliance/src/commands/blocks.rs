//! `sluice block`, `unblock`, `approve`, `allow`, `disallow` and `mode`: what changes something while the daemon runs.

use std::path::Path;

use super::Failure;
use crate::control::Request;
use crate::web::Client;

/// Asks the daemon, and prints what was done.
pub(super) fn ask(socket: &Path, request: &Request) -> Result<(), Failure> {
    let done = Client::new(socket).ask_for(request)?;
    println!("{}", done.said);
    Ok(())
}
