//! The audit log: a row for each change with its actor, chained by hashes so that a row changed or removed later shows.
//!
//! The chain is proof against a careless or a clumsy hand, not against somebody who may write the file and recomputes
//! every hash after the place that he changed; for that, copy the newest hash to another machine now and then.

use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};
use traffic::time::Timestamp;

use super::AUDIT_ROWS;
use super::rows::{from_sql_time, to_sql_time};
use crate::hexadecimal::hexadecimal;

/// 32 bytes, unless somebody meddled: then the chain is broken, which is an answer, not an error of reading.
type Hash = Vec<u8>;

/// What the very first row carries as the hash of the row before.
const BEGINNING: [u8; 32] = [0; 32];

/// One row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number, counted from 1 without gaps.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub what: String,
}

/// What became of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditCheck {
    /// Every row fits the one before.
    Whole {
        /// How many rows there are.
        rows: u64,
        /// The newest row's hash in hexadecimal; empty where there is no row.
        newest_hash: String,
    },
    /// The first row that does not fit.
    Broken {
        /// Its number.
        row: i64,
        /// What is wrong with it.
        why: &'static str,
    },
}

struct ChainedRow {
    row: AuditRow,
    previous: Hash,
    hash: Hash,
}

/// Appends a row in a transaction of its own.
pub(super) fn note(connection: &mut Connection, time: Timestamp, actor: &str, what: &str) -> rusqlite::Result<()> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    append(&change, time, actor, what)?;
    change.commit()
}

/// Appends a row. To be called within an immediate transaction: between reading the last hash and writing the next one
/// nobody else may write, and commands write beside the daemon.
pub(super) fn append(connection: &Connection, time: Timestamp, actor: &str, what: &str) -> rusqlite::Result<()> {
    let last = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1";
    let (id, previous) = match connection.query_row(last, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))) {
        Ok((id, hash)) => (id.saturating_add(1), hash),
        Err(rusqlite::Error::QueryReturnedNoRows) => (1, BEGINNING.to_vec()),
        Err(error) => return Err(error),
    };
    // Through SQL's form of the time, so that what is hashed is what will be read.
    let time = from_sql_time(to_sql_time(time));
    let row = AuditRow { id, time, actor: actor.to_owned(), what: what.to_owned() };
    let hash = hash_of(&row, &previous);
    connection.execute(
        "INSERT INTO audit (id, time, actor, what, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![row.id, to_sql_time(row.time), row.actor, row.what, previous, hash],
    )?;
    Ok(())
}

pub(super) fn newest(connection: &Connection, count: u32) -> rusqlite::Result<Vec<AuditRow>> {
    let mut query = connection.prepare("SELECT id, time, actor, what FROM audit ORDER BY id DESC LIMIT ?1")?;
    query.query_map([count], read_row)?.collect()
}

pub(super) fn verify(connection: &Connection) -> rusqlite::Result<AuditCheck> {
    // One transaction, so that a row written meanwhile is either in both answers or in none.
    let reading = connection.unchecked_transaction()?;
    let mut query = reading.prepare("SELECT id, time, actor, what, previous, hash FROM audit ORDER BY id")?;
    let mut cursor = query.query([])?;
    let (mut before, mut first_id, mut count) = (None::<(i64, Hash)>, 1, 0_u64);
    while let Some(sql_row) = cursor.next()? {
        let chained = read_chained(sql_row)?;
        if let Some(why) = misfit(&chained, before.as_ref()) {
            return Ok(AuditCheck::Broken { row: chained.row.id, why });
        }
        if before.is_none() {
            first_id = chained.row.id;
        }
        before = Some((chained.row.id, chained.hash));
        count += 1;
    }
    drop(cursor);
    drop(query);
    Ok(missing_at_the_ends(&reading, first_id, before.as_ref(), count)?.unwrap_or_else(|| AuditCheck::Whole {
        rows: count,
        newest_hash: before.map_or_else(String::new, |(_, hash)| hexadecimal(&hash)),
    }))
}

fn misfit(chained: &ChainedRow, before: Option<&(i64, Hash)>) -> Option<&'static str> {
    let (expected_id, expected_previous) = match before {
        Some((id, hash)) => (id.saturating_add(1), hash.as_slice()),
        None if chained.row.id == 1 => (1, BEGINNING.as_slice()),
        // Older rows were dropped to keep the size: the chain begins here.
        None => (chained.row.id, chained.previous.as_slice()),
    };
    if chained.row.id != expected_id {
        Some("the rows before it are missing")
    } else if chained.previous != expected_previous {
        Some("it does not follow from the row before")
    } else if chained.hash != hash_of(&chained.row, &chained.previous) {
        Some("its content was changed")
    } else {
        None
    }
}

/// Rows missing at the old end without need, or at the new end.
fn missing_at_the_ends(
    connection: &Connection,
    first_id: i64,
    last: Option<&(i64, Hash)>,
    count: u64,
) -> rusqlite::Result<Option<AuditCheck>> {
    if first_id > 1 && count < u64::from(AUDIT_ROWS) {
        return Ok(Some(AuditCheck::Broken { row: first_id, why: "the rows before it are missing" }));
    }
    let last_id = last.map_or(0, |(id, _)| *id);
    let sequence = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'";
    let written: i64 = connection.query_row(sequence, [], |row| row.get(0))?;
    let missing = AuditCheck::Broken { row: last_id.saturating_add(1), why: "it and the rows after it are missing" };
    Ok((written > last_id).then_some(missing))
}

/// Lengths stand before texts, so that no two different rows are hashed from the same bytes.
fn hash_of(row: &AuditRow, previous: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"sluice audit 1");
    hash.update(previous);
    hash.update(row.id.to_be_bytes());
    hash.update(row.time.as_nanos().to_be_bytes());
    for text in [&row.actor, &row.what] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().to_vec()
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow { id: row.get(0)?, time: from_sql_time(row.get(1)?), actor: row.get(2)?, what: row.get(3)? })
}

fn read_chained(row: &rusqlite::Row<'_>) -> rusqlite::Result<ChainedRow> {
    Ok(ChainedRow { row: read_row(row)?, previous: row.get(4)?, hash: row.get(5)? })
}
