//! `sluice audit`: what was changed, when, and by whom; and whether anybody has meddled with that.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{Failure, store};
use crate::config::{Config, DEFAULT_PATH};
use crate::store::date::iso;
use crate::store::{AuditCheck, Store};

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// How many rows, the newest last
    #[arg(long, value_name = "N", default_value_t = 50)]
    rows: u32,
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Recomputes the chain of hashes and names the first broken row
    Verify,
}

pub(super) fn audit(args: &AuditArgs) -> Result<(), Failure> {
    let store = store(&Config::load(&args.config)?)?;
    match args.command {
        None => list(&store, args.rows),
        Some(AuditCommand::Verify) => verify(&store),
    }
}

fn list(store: &Store, rows: u32) -> Result<(), Failure> {
    for row in store.audit_rows(rows)?.iter().rev() {
        println!("{} {} {}: {}", row.id, iso(row.time), row.actor, row.what);
    }
    Ok(())
}

fn verify(store: &Store) -> Result<(), Failure> {
    match store.verify_audit()? {
        AuditCheck::Whole { rows, newest_hash } => {
            println!("{rows} rows, all in order; the newest hash is {newest_hash}");
            Ok(())
        }
        AuditCheck::Broken { row, why } => Err(anyhow!("the audit log is broken at row {row}: {why}").into()),
    }
}
