//! `sluice bridge`: the bridge alone, so that traffic flows before the daemon runs, and whether it can run or not.

use super::Failure;
use crate::config::Config;
use crate::daemon;
use crate::enforce::OnFailure;

/// Makes the bridge as the daemon would. With `on_failure = "closed"` it is left to the daemon: nothing shall pass before it.
///
/// # Errors
/// There is no bridge; the text says what to do.
pub(super) fn bridge(config: &Config) -> Result<(), Failure> {
    if config.on_failure == OnFailure::Closed {
        println!("left to the daemon, because on_failure is \"closed\"");
        return Ok(());
    }
    let bridge = daemon::bridge(config)?;
    let [first, second] = &config.bridge.ports;
    let how = if bridge.was_made { "made" } else { "stands" };
    println!("bridge {} of {first} and {second}: {how}", config.bridge.name);
    bridge.faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(())
}
