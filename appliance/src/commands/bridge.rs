//! `sluice bridge`: the bridge alone, so that traffic flows before the daemon runs, and whether it can run or not. Who wants nothing
//! to pass unwatched (`on_failure = "closed"`) gets one that only the box is reached by until then.

use super::Failure;
use crate::config::Config;
use crate::daemon;

/// Makes the bridge as the daemon would.
///
/// # Errors
/// There is no bridge; the text says what to do.
pub(super) fn bridge(config: &Config) -> Result<(), Failure> {
    let bridge = daemon::bridge(config)?;
    let [first, second] = &config.bridge.ports;
    let how = if bridge.was_made { "made" } else { "stands" };
    println!("bridge {} of {first} and {second}: {how}", config.bridge.name);
    bridge.faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(())
}
