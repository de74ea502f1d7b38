//! The program `sluice`: everything is in the library; see its list of modules for the way of a packet.

use std::process::ExitCode;

use clap::Parser;
use sluice::commands::CommandLine;
use sluice::update::early;

fn main() -> ExitCode {
    if early::is_first() {
        let Err(error) = early::start();
        eprintln!("sluice: {error}");
        return ExitCode::FAILURE;
    }
    match CommandLine::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sluice: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
