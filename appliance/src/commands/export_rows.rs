//! `sluice export-rows`: the features of labelled alerts as a table, for `model-compiler retrain`.
//!
//! No address is in it: offenders are numbered in the order of their first alert. The columns are those of
//! `model-compiler/src/rows.rs`: `capture` is the alert, `source` the offender (`offender-0`), `label` the class, `initiator`
//! the offender's number again, `flow` the alert's, `packets` how many packets the flow had.

use std::collections::HashMap;
use std::path::Path;

use anyhow::anyhow;
use traffic::features::ThreatClass;

use super::output::replaced;
use super::rows_file::{Leading, RowsFile};
use super::{Failure, store};
use crate::config::Config;
use crate::draft::Draft;
use crate::policy::{Alert, Subject, Vector};

/// What became of the labelled alerts.
#[derive(Debug, Default)]
struct Exported {
    rows: usize,
    of_other_schema: usize,
    without_features: usize,
}

pub(super) fn export_rows(config: &Config, file: &Path) -> Result<(), Failure> {
    let alerts = store(config)?.labelled_alerts()?;
    if alerts.is_empty() {
        return Err(anyhow!("no alert is labelled yet; say what alerts were with `sluice label ALERT LABEL`").into());
    }
    let Exported { rows, of_other_schema, without_features } = export(file, &alerts)?;
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

fn export(file: &Path, alerts: &[Alert]) -> Result<Exported, Failure> {
    replaced(file, Draft::of, |place| write_rows(alerts, place))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use traffic::features::FEATURE_COUNT;
    use traffic::time::Timestamp;

    use super::*;
    use crate::policy::{Accuser, Grounds, Label};
    use crate::store::small_disk::on_a_small_disk;
    use crate::web::fixture::snapshot;

    /// So many alerts, all labelled.
    fn labelled(count: u64) -> Vec<Alert> {
        let alert = snapshot(Timestamp::from_secs(1_800_000_000)).alerts.remove(0);
        let label = Label { class: ThreatClass::Benign, time: alert.time, actor: "anna".to_owned() };
        let grounds = Grounds {
            offender: Subject::of(alert.source),
            protocol: 6,
            proven: true,
            flow_packets: 4,
            accuser: Accuser::Model(String::from("forest")),
            vector: Vector::Features(Box::new([0.123; FEATURE_COUNT])),
        };
        let (label, grounds) = (Some(Arc::new(label)), Some(Arc::new(grounds)));
        (0..count)
            .map(|number| Alert { number, label: label.clone(), grounds: grounds.clone(), ..alert.clone() })
            .collect()
    }

    #[test]
    fn a_full_disk_takes_no_table_away_that_was_exported_before() {
        on_a_small_disk(
            "commands::export_rows::tests::a_full_disk_takes_no_table_away_that_was_exported_before",
            64,
            |disk| {
                let file = disk.join("rows.csv");
                assert_eq!(export(&file, &labelled(2)).unwrap().rows, 2);
                let before = fs::read_to_string(&file).unwrap();
                assert_eq!(before.lines().count(), 4, "{before}");
                let full = export(&file, &labelled(1_000)).unwrap_err();
                assert!(format!("{full:?}").contains("No space left"), "{full:?}");
                assert_eq!(fs::read_to_string(&file).unwrap(), before);
                assert_eq!(fs::read_dir(disk).unwrap().count(), 1, "the draft is gone");
            },
        );
    }
}
