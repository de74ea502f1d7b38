//! `sluice backup` and `restore`: all that a box is, in one file.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::Failure;
use super::output::{OutputError, replaced};
use crate::backup::{self, BackupError, Restored, Written};
use crate::clock;
use crate::draft::Draft;

/// Stands for standard input or output.
const STANDARD: &str = "-";

/// Writes a backup, and says what is in it where that does not disturb.
pub(super) fn backup(config: &Path, file: &Path) -> Result<(), Failure> {
    let written = if file == Path::new(STANDARD) {
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            return Err(anyhow!("standard output is a terminal; give a FILE, or `- >FILE`").into());
        }
        make(config, &mut out)?
    } else {
        replaced(file, Draft::private, |place| write(config, place))?
    };
    let Written { files, has_database, missing } = written;
    let database = if has_database { ", the database" } else { "" };
    eprintln!("{}: the configuration{database} and {files} other files.", file.display());
    for path in missing {
        eprintln!("The list {} is not there, and not in the backup.", path.display());
    }
    Ok(())
}

fn write(config: &Path, file: &Path) -> Result<Written, Failure> {
    let written = File::options().write(true).open(file).map_err(OutputError::of(file));
    make(config, &mut written?)
}

fn make(config: &Path, out: &mut dyn io::Write) -> Result<Written, Failure> {
    let mut out = io::BufWriter::new(out);
    let written = backup::write(config, &mut out).map_err(failure)?;
    out.flush().map_err(|cause| failure(BackupError::Write(cause)))?;
    Ok(written)
}

/// Restores a backup, and says what is to be done now.
pub(super) fn restore(config: &Path, file: &Path) -> Result<(), Failure> {
    let restored = if file == Path::new(STANDARD) {
        backup::restore(&mut io::stdin().lock(), config, clock::now())
    } else {
        let mut file = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        backup::restore(&mut file, config, clock::now())
    };
    let Restored { state_dir, has_state, kept, left_out } = restored.map_err(failure)?;
    println!("The configuration is restored to {}.", config.display());
    for path in kept {
        println!("What was there before is in {}.", path.display());
    }
    for path in left_out {
        println!(
            "The list {} is left out: only lists beside the configuration, or that it named before, are written. `tar` unpacks it.",
            path.display()
        );
    }
    if has_state {
        println!(
            "What Sluice remembers is put in place by its next start; what it remembers now is kept in {}/before-DATE.",
            state_dir.display()
        );
    }
    println!("`sluice restart` makes it hold where the daemon runs.");
    Ok(())
}

/// A mistake in the configuration is told as elsewhere.
fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Config(mistake) => mistake.into(),
        other => other.into(),
    }
}
