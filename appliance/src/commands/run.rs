//! `sluice run`: the daemon, with its log on standard error.

use std::path::Path;

use log::LevelFilter;
use simplelog::{ConfigBuilder, WriteLogger};

use super::Failure;
use crate::config::Config;
use crate::daemon;

/// Runs the daemon with this file until it is told to end.
///
/// # Errors
/// It cannot start, or a part of it has failed.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path)?;
    let log_config = ConfigBuilder::new().set_time_level(LevelFilter::Off).set_target_level(LevelFilter::Off).build();
    WriteLogger::init(LevelFilter::Info, log_config, std::io::stderr())?;
    Ok(daemon::run(&config, path)?)
}
