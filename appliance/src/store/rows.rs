//! Rows of blocks, from the path's types to SQL and back; what each event writes, and how many rows of each table are kept.

use core::fmt::Display;
use core::str::FromStr;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Params, Row, Statement, params};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::{AUDIT_ROWS, BLOCK_ROWS, Event, KnownBlock, alerts, audit, date, observed, settings};
use crate::policy::{Action, BlockRecord, BlockState, Label, PastBlock, Subject};

/// Rows of one table that one pruning takes away: so many more than are written between two prunings that a lowered
/// limit is reached soon, and so few that a commit stays short.
const PRUNED_AT_ONCE: u32 = 5_000;

/// What a row is called where it is told of.
pub(super) const BLOCK: &str = "block";

/// How many rows of each table are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Alerts; the oldest go.
    pub alerts: u32,
    /// Alerts that are kept because somebody labelled them, however old; of these the oldest go too.
    pub labelled: u32,
    /// Offenders whose last block is kept; those whose block ended first go.
    pub blocks: u32,
    /// Blocks that would have been made in another mode; the oldest go.
    pub observed: u32,
    /// Rows of the audit log, the same in every profile: [`AUDIT_ROWS`].
    pub audit: u32,
}

impl Keep {
    /// What a database of 100 MB at the most holds: an alert takes some 700 bytes.
    pub const MANY: Self =
        Self { alerts: 100_000, labelled: 10_000, blocks: BLOCK_ROWS, observed: 5_000, audit: AUDIT_ROWS };
    /// For a database that may be in memory itself, as on OpenWrt.
    pub const FEW: Self = Self { alerts: 10_000, labelled: 1_000, blocks: 2_000, observed: 500, audit: AUDIT_ROWS };
}

/// Writes the rows of one event; to be called within an immediate transaction.
pub(super) fn write(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    match event {
        Event::Alert(alert) => alerts::insert(connection, alert),
        Event::Labelled { number, time, class, actor } => {
            let label = class.map(|class| Label { class, time: *time, actor: actor.clone() });
            if !alerts::label(connection, *number, label.as_ref())? {
                log::warn!("alert {number} is not labelled: it was lost, or taken away for newer ones");
                return Ok(());
            }
            let what = class.map_or_else(
                || format!("took the label of alert {number} back"),
                |class| format!("labelled alert {number} {}", class.name()),
            );
            audit::append(connection, *time, actor, &what)
        }
        Event::Blocked(block) => {
            put_block(connection, "blocks", block)?;
            audit::append(connection, block.since, &block.actor, &format!("blocked {}", words_of(block)))
        }
        Event::Observed(block) => {
            put_block(connection, "observed", block)?;
            let what = format!("observed, and would have blocked {}", words_of(block));
            audit::append(connection, block.since, &block.actor, &what)
        }
        Event::Unblocked { past, actor } => {
            end_block(connection, past, actor)?;
            audit::append(connection, past.ended, actor, &format!("unblocked {}", past.subject))
        }
        Event::ModeSet { time, class, mode, configured, actor } => {
            settings::set_mode(connection, *class, *mode, *configured)?;
            let of = class.map_or_else(|| String::from("all attacks"), |class| class.name().to_owned());
            audit::append(connection, *time, actor, &format!("set the mode for {of} to {}", mode.name()))
        }
        Event::ModelsChosen { time, choices, configured, actor, what } => {
            settings::set_models(connection, choices, configured)?;
            audit::append(connection, *time, actor, what)
        }
        Event::Allowed { time, allowance } => {
            settings::allow(connection, allowance)?;
            let until =
                allowance.until.map_or_else(|| String::from("for good"), |until| format!("until {}", date::iso(until)));
            audit::append(connection, *time, &allowance.actor, &format!("allowed {} {until}", allowance.allowed))
        }
        Event::Disallowed { time, allowed, actor } => {
            settings::disallow(connection, allowed)?;
            audit::append(connection, *time, actor, &format!("no longer allows {allowed}"))
        }
        Event::Resolved { name, addresses } => settings::resolve(connection, name, addresses),
        Event::Audit { time, actor, what } => audit::append(connection, *time, actor, what),
    }
}

fn words_of(block: &BlockRecord) -> String {
    let class = block.class.map_or("by hand", ThreatClass::name);
    let (action, until) = (block.action.name(), date::iso(block.until));
    format!("{} ({action}, {class}) until {until}: {}", block.subject, block.because)
}

/// Writes a block into one of the tables of blocks, which begin with the same columns.
fn put_block(connection: &Connection, table: &'static str, block: &BlockRecord) -> rusqlite::Result<()> {
    connection.execute(
        &format!(
            "INSERT OR REPLACE INTO {table} (subject, action, class, since, until, because, actor, offence) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        ),
        params![
            block.subject.to_string(),
            block.action.name(),
            block.class.map(ThreatClass::name),
            to_sql_time(block.since),
            to_sql_time(block.until),
            block.because,
            block.actor,
            block.offence,
        ],
    )?;
    Ok(())
}

fn end_block(connection: &Connection, past: &PastBlock, actor: &str) -> rusqlite::Result<()> {
    let (subject, ended) = (past.subject.to_string(), to_sql_time(past.ended));
    let exempt_until = past.exempt_until.map(to_sql_time);
    let changed = connection.execute(
        "UPDATE blocks SET ended = ?2, ended_by = ?3, offence = ?4, exempt_until = ?5 \
         WHERE subject = ?1 AND ended IS NULL",
        params![subject, ended, actor, past.offence, exempt_until],
    )?;
    if changed == 0 && exempt_until.is_some() {
        // What was only proposed has no row, but whoever dismissed it is to be heeded after a restart as well.
        connection.execute(
            "INSERT OR REPLACE INTO blocks \
             (subject, action, since, until, because, actor, offence, ended, ended_by, exempt_until) \
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?3, ?5, ?7)",
            params![subject, Action::DenyNew.name(), ended, "dismissed", actor, past.offence, exempt_until],
        )?;
    }
    Ok(())
}

/// Takes away what is more than `keep`, the oldest first.
pub(super) fn prune(connection: &Connection, keep: Keep) -> rusqlite::Result<()> {
    alerts::prune(connection, keep.alerts, keep.labelled, PRUNED_AT_ONCE)?;
    // Numbers have no gaps, so counting the rows is not needed.
    connection.execute(
        "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?1 AND id < (SELECT min(id) FROM audit) + ?2",
        [keep.audit, PRUNED_AT_ONCE],
    )?;
    connection.execute(
        "DELETE FROM blocks WHERE subject IN (SELECT subject FROM blocks ORDER BY until \
         LIMIT min(?2, max(0, (SELECT count(*) FROM blocks) - ?1)))",
        [keep.blocks, PRUNED_AT_ONCE],
    )?;
    observed::prune(connection, keep.observed, PRUNED_AT_ONCE)
}

pub(super) fn standing_blocks(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<BlockRecord>> {
    let mut query = connection.prepare(
        "SELECT subject, action, class, since, until, because, actor, offence FROM blocks \
         WHERE until > ?1 AND ended IS NULL ORDER BY since DESC, subject",
    )?;
    sensible(&mut query, [to_sql_time(now)], BLOCK, read_block)
}

/// The last block of a subject, whether it stands or has ended.
pub(super) fn block_of(connection: &Connection, subject: Subject) -> rusqlite::Result<Option<KnownBlock>> {
    let mut query = connection.prepare(
        "SELECT subject, action, class, since, until, because, actor, offence, ended, ended_by FROM blocks \
         WHERE subject = ?1",
    )?;
    let known = sensible(&mut query, [subject.to_string()], BLOCK, |row| {
        let (ended, by) = (row.get::<_, Option<i64>>(8)?, row.get::<_, Option<String>>(9)?);
        let ended_early = ended.map(|ended| (from_sql_time(ended), by.unwrap_or_default()));
        Ok(KnownBlock { record: read_block(row)?, ended_early })
    });
    Ok(known?.pop())
}

/// The blocks that have ended, the last to end first.
pub(super) fn past_blocks(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<PastBlock>> {
    let mut query = connection.prepare(
        "SELECT subject, offence, coalesce(ended, until) AS over, exempt_until FROM blocks \
         WHERE until <= ?1 OR ended IS NOT NULL ORDER BY over DESC, subject",
    )?;
    sensible(&mut query, [to_sql_time(now)], BLOCK, read_past_block)
}

/// An error for a row that makes no sense: see [`sensible`].
pub(super) fn read_block(row: &Row<'_>) -> rusqlite::Result<BlockRecord> {
    Ok(BlockRecord {
        subject: parsed(row, 0)?,
        action: Action::from_name(&row.get::<_, String>(1)?).ok_or_else(|| odd(1, "no action"))?,
        // Only those are written among the blocks.
        state: BlockState::Enforced,
        class: row.get::<_, Option<String>>(2)?.as_deref().and_then(ThreatClass::from_name),
        since: from_sql_time(row.get(3)?),
        until: from_sql_time(row.get(4)?),
        because: row.get(5)?,
        actor: row.get(6)?,
        offence: row.get(7)?,
    })
}

/// As [`read_block`].
fn read_past_block(row: &Row<'_>) -> rusqlite::Result<PastBlock> {
    Ok(PastBlock {
        subject: parsed(row, 0)?,
        offence: row.get(1)?,
        ended: from_sql_time(row.get(2)?),
        exempt_until: row.get::<_, Option<i64>>(3)?.map(from_sql_time),
    })
}

/// The rows that make sense. Of one that does not, which somebody else must have written, the log tells, and the others are still
/// wanted: nothing that stands in the file may keep the daemon from starting. Whatever tells the rows of a table apart stands in the
/// first column.
pub(super) fn sensible<T>(
    query: &mut Statement<'_>,
    params: impl Params,
    what: &str,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let rows = query
        .query_map(params, |row| Ok(read(row).map_err(|error| log::warn!("{}", left_out(what, row, &error))).ok()))?;
    rows.filter_map(Result::transpose).collect()
}

/// What is told of a row that makes no sense.
fn left_out(what: &str, row: &Row<'_>, why: &rusqlite::Error) -> String {
    let which = match row.get_ref(0) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::from("of no name"),
    };
    format!("the row of {what} {which} is left out, somebody else has changed it: {why}")
}

/// A column that says nothing which is known here.
pub(super) fn odd(place: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(place, Type::Text, why.into())
}

/// What the text of a column says.
pub(super) fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, place: usize) -> rusqlite::Result<T> {
    row.get::<_, String>(place)?.parse().map_err(|error: T::Err| odd(place, &error.to_string()))
}

/// SQL's integers are signed; the year 2262 is the last that fits.
pub(super) fn to_sql_time(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn from_sql_time(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_left_out_is_named() {
        let connection = Connection::open_in_memory().unwrap();
        let told = |select: &str| {
            let told = |row: &Row<'_>| Ok(left_out("alert", row, &row.get::<_, u16>(1).unwrap_err()));
            connection.query_row(select, [], told).unwrap()
        };
        for (select, words) in [
            ("SELECT 7, 65536", ["alert 7 is left out", "65536"]),
            ("SELECT '203.0.113.9', NULL AS port", ["alert 203.0.113.9 is left out", "port"]),
        ] {
            let told = told(select);
            assert!(words.iter().all(|words| told.contains(words)), "{told}");
        }
    }
}
