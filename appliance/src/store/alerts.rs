//! Rows of alerts: what they say, what they were decided from, and what people say that they were.
//!
//! A typical alert takes 680 bytes, 240 of them its features, and all that are kept 68 MB. The commit of a single alert
//! writes two pages of 4 KiB, and as many again when the log is merged into the file: 600 alerts that come one by one are the
//! 10 MB that may be written on an ordinary day, of alerts that come together some 7,000. *(`store/alert_tests.rs` measures both:
//! `cargo test -p sluice an_alert_takes -- --nocapture`)*

use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::rows::{from_sql_time, odd, parsed, sensible, to_sql_time};
use crate::policy::{Accuser, Alert, Grounds, Label, Vector};

/// In the order in which [`read`] takes them.
const COLUMNS: &str = "id, time, class, source, destination, port, confidence, because, offender, protocol, proven, \
     flow_packets, accuser, accuser_name, accuser_detail, schema, features, label, labelled, labelled_by";

/// What a row is called where it is told of.
const ALERT: &str = "alert";

/// What stands in `accuser_detail` where whoever is on a list began the flow.
const BEGAN: &str = "began";

/// Writes an alert. One of that number is replaced: a number that somebody else put there must not keep all others of the
/// batch out.
pub(super) fn insert(connection: &Connection, alert: &Alert) -> rusqlite::Result<()> {
    let grounds = alert.grounds.as_deref();
    let (accuser, name, detail) = grounds.map(|grounds| accuser_columns(&grounds.accuser)).unwrap_or_default();
    let (schema, features) = grounds.and_then(|grounds| grounds.vector.to_bytes()).unzip();
    connection.execute(
        "INSERT OR REPLACE INTO alerts (id, time, class, source, destination, port, confidence, because, offender, \
         protocol, proven, flow_packets, accuser, accuser_name, accuser_detail, schema, features) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            to_sql_number(alert.number),
            to_sql_time(alert.time),
            alert.class.name(),
            alert.source.to_string(),
            alert.destination.to_string(),
            alert.port,
            // SQL knows no "not a number", and would refuse the row with all others of its batch.
            if alert.confidence.is_nan() { 0.0 } else { alert.confidence },
            alert.because,
            grounds.map(|grounds| grounds.offender.to_string()),
            grounds.map(|grounds| grounds.protocol),
            grounds.map(|grounds| grounds.proven),
            grounds.map(|grounds| to_sql_number(grounds.flow_packets)),
            accuser,
            name,
            detail,
            schema.map(u64::cast_signed),
            features,
        ],
    )?;
    Ok(())
}

/// Writes down what a person says that an alert was, or that nobody says anything any more; false where there is no such alert.
pub(super) fn label(connection: &Connection, number: u64, label: Option<&Label>) -> rusqlite::Result<bool> {
    let changed = connection.execute(
        "UPDATE alerts SET label = ?2, labelled = ?3, labelled_by = ?4 WHERE id = ?1",
        params![
            to_sql_number(number),
            label.map(|label| label.class.name()),
            label.map(|label| to_sql_time(label.time)),
            label.map(|label| &label.actor),
        ],
    )?;
    Ok(changed > 0)
}

/// Takes away what is more than `keep`, the oldest first, and at most so many at once. What people labelled they will want to
/// learn from, so it stays as long as it is not more than `keep_labelled`.
pub(super) fn prune(connection: &Connection, keep: u32, keep_labelled: u32, at_once: u32) -> rusqlite::Result<()> {
    // Numbers have hardly any gaps, so counting the rows is not needed.
    connection.execute(
        "DELETE FROM alerts WHERE label IS NULL AND id <= (SELECT max(id) FROM alerts) - ?1 \
         AND id < (SELECT id FROM alerts WHERE label IS NULL ORDER BY id LIMIT 1) + ?2",
        [keep, at_once],
    )?;
    connection.execute(
        "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE label IS NOT NULL ORDER BY id DESC LIMIT ?2 OFFSET ?1)",
        [keep_labelled, at_once],
    )?;
    Ok(())
}

/// The number that the next alert gets: none is given twice, whatever was pruned.
pub(super) fn next_number(connection: &Connection) -> rusqlite::Result<u64> {
    let last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'alerts'";
    let last: i64 = connection.query_row(last, [], |row| row.get(0))?;
    Ok(from_sql_number(last).saturating_add(1))
}

/// The newest alerts, the newest first.
pub(super) fn newest(connection: &Connection, count: u32) -> rusqlite::Result<Vec<Alert>> {
    let mut query = connection.prepare(&format!("SELECT {COLUMNS} FROM alerts ORDER BY id DESC LIMIT ?1"))?;
    sensible(&mut query, [count], ALERT, read)
}

/// The alert of that number.
pub(super) fn find(connection: &Connection, number: u64) -> rusqlite::Result<Option<Alert>> {
    let mut query = connection.prepare(&format!("SELECT {COLUMNS} FROM alerts WHERE id = ?1"))?;
    Ok(sensible(&mut query, [to_sql_number(number)], ALERT, read)?.pop())
}

/// Some alerts before a number, the newest first, and the number before which the next ones are.
pub(super) struct Piece {
    pub(super) alerts: Vec<Alert>,
    /// None where there are no more.
    pub(super) next: Option<i64>,
}

/// So many rows before a number.
pub(super) fn before(connection: &Connection, number: i64, rows: u32) -> rusqlite::Result<Piece> {
    let mut query =
        connection.prepare(&format!("SELECT {COLUMNS} FROM alerts WHERE id < ?1 ORDER BY id DESC LIMIT ?2"))?;
    let mut next = None;
    let alerts = sensible(&mut query, params![number, rows], ALERT, |row| {
        next = Some(row.get(0)?);
        read(row)
    })?;
    Ok(Piece { alerts, next })
}

/// The alerts that somebody labelled, the oldest first.
pub(super) fn labelled(connection: &Connection) -> rusqlite::Result<Vec<Alert>> {
    let mut query = connection.prepare(&format!("SELECT {COLUMNS} FROM alerts WHERE label IS NOT NULL ORDER BY id"))?;
    sensible(&mut query, [], ALERT, read)
}

/// An error for a row that makes no sense: see [`sensible`].
fn read(row: &Row<'_>) -> rusqlite::Result<Alert> {
    Ok(Alert {
        number: count(row, 0)?,
        time: from_sql_time(row.get(1)?),
        class: class(row, 2)?.ok_or_else(|| odd(2, "no class"))?,
        source: parsed(row, 3)?,
        destination: parsed(row, 4)?,
        port: row.get(5)?,
        confidence: row.get(6)?,
        because: row.get(7)?,
        grounds: read_grounds(row)?.map(Arc::new),
        label: read_label(row)?.map(Arc::new),
    })
}

/// None where a version without them wrote the row.
fn read_grounds(row: &Row<'_>) -> rusqlite::Result<Option<Grounds>> {
    if row.get::<_, Option<String>>(8)?.is_none() {
        return Ok(None);
    }
    let vector = match (row.get::<_, Option<i64>>(15)?, row.get::<_, Option<Vec<u8>>>(16)?) {
        (Some(schema), Some(bytes)) => Vector::from_bytes(schema.cast_unsigned(), &bytes),
        _ => Vector::Missing,
    };
    Ok(Some(Grounds {
        offender: parsed(row, 8)?,
        protocol: row.get(9)?,
        proven: row.get(10)?,
        flow_packets: count(row, 11)?,
        accuser: accuser(&row.get::<_, String>(12)?, row.get(13)?, row.get(14)?)
            .ok_or_else(|| odd(12, "no accuser"))?,
        vector,
    }))
}

fn read_label(row: &Row<'_>) -> rusqlite::Result<Option<Label>> {
    let Some(class) = class(row, 17)? else { return Ok(None) };
    let time = row.get::<_, Option<i64>>(18)?.map_or(Timestamp::EPOCH, from_sql_time);
    Ok(Some(Label { class, time, actor: row.get::<_, Option<String>>(19)?.unwrap_or_default() }))
}

/// Kind, name, and what else is to be kept.
fn accuser_columns(accuser: &Accuser) -> (Option<&'static str>, Option<&str>, Option<&str>) {
    let (kind, name, detail) = match accuser {
        Accuser::Model(name) => ("model", name, None),
        Accuser::Rule { name, conditions } => ("rule", name, Some(conditions.as_str())),
        Accuser::List { name, began } => ("list", name, began.then_some(BEGAN)),
        Accuser::Domain { list, asked } => ("domain", list, Some(asked.as_str())),
    };
    (Some(kind), Some(name), detail)
}

fn accuser(kind: &str, name: Option<String>, detail: Option<String>) -> Option<Accuser> {
    let name = name?;
    Some(match kind {
        "model" => Accuser::Model(name),
        "rule" => Accuser::Rule { name, conditions: detail.unwrap_or_default() },
        "list" => Accuser::List { name, began: detail.as_deref() == Some(BEGAN) },
        "domain" => Accuser::Domain { list: name, asked: detail.unwrap_or_default() },
        _ => return None,
    })
}

fn class(row: &Row<'_>, place: usize) -> rusqlite::Result<Option<ThreatClass>> {
    let name = row.get::<_, Option<String>>(place)?;
    name.map(|name| ThreatClass::from_name(&name).ok_or_else(|| odd(place, "no class"))).transpose()
}

fn count(row: &Row<'_>, place: usize) -> rusqlite::Result<u64> {
    let number = row.get(place)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(place, number))
}

/// SQL's integers are signed. No counter comes this far.
fn to_sql_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn from_sql_number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
