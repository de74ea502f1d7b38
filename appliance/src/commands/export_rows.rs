//! `sluice export-rows`: the features of labelled alerts as a table, for `model-compiler retrain`.
//!
//! No address is in it: offenders are numbered in the order of their first alert. The columns are those of
//! `model-compiler/src/rows.rs`: `capture` is the alert, `source` the offender (`offender-0`), `label` the class, `initiator`
//! the offender's number again, `flow` the alert's, `packets` how many packets the flow had.

use std::collections::HashMap;
use std::path::Path;

use anyhow::anyhow;
use traffic::features::ThreatClass;

use super::Failure;
use super::rows_file::{Leading, RowsFile};
use crate::config::Config;
use crate::policy::{Alert, Subject, Vector};
use crate::store::Store;

/// What became of the labelled alerts.
#[derive(Debug, Default)]
struct Exported {
    rows: usize,
    of_other_schema: usize,
    without_features: usize,
}

pub(super) fn export_rows(config: &Config, file: &Path) -> Result<(), Failure> {
    let alerts = Store::join(&config.state_dir)?.labelled_alerts()?;
    if alerts.is_empty() {
        return Err(anyhow!("no alert is labelled yet; say what alerts were with `sluice label ALERT LABEL`").into());
    }
    let Exported { rows, of_other_schema, without_features } = write_rows(&alerts, file)?;
    println!("{rows} rows of labelled alerts are in {}.", file.display());
    if of_other_schema > 0 {
        println!("{of_other_schema} alerts are left out: a version with other features wrote them down.");
    }
    if without_features > 0 {
        println!(
            "{without_features} alerts are left out: they are about names that were asked for, and have no features."
        );
    }
    Ok(())
}

fn write_rows(alerts: &[Alert], file: &Path) -> Result<Exported, Failure> {
    let mut exported = Exported::default();
    let mut offenders: HashMap<Subject, usize> = HashMap::new();
    let mut rows = RowsFile::create(file)?;
    for alert in alerts {
        let Some((grounds, label)) = alert.grounds.as_ref().zip(alert.label.as_ref()) else {
            exported.of_other_schema += 1;
            continue;
        };
        let features = match &grounds.vector {
            Vector::Features(features) => features,
            Vector::OfOtherSchema(_) => {
                exported.of_other_schema += 1;
                continue;
            }
            Vector::Missing => {
                exported.without_features += 1;
                continue;
            }
        };
        let next = offenders.len();
        let initiator = *offenders.entry(grounds.offender).or_insert(next);
        let leading = Leading {
            capture: &format!("alert-{}", alert.number),
            source: &format!("offender-{initiator}"),
            label: ThreatClass::name(label.class),
            initiator,
            flow: alert.number,
            packets: grounds.flow_packets,
        };
        rows.row(&leading, features);
        exported.rows += 1;
    }
    rows.close()?;
    Ok(exported)
}
