//! Rows of blocks, from the path's types to SQL and back; what each event writes, and how many rows of each table are kept.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::{Event, KnownBlock, alerts, audit, date, settings};
use crate::policy::{Action, BlockRecord, BlockState, Label, PastBlock, Subject};

/// Rows of one table that one pruning takes away: so many more than are written between two prunings that a lowered
/// limit is reached soon, and so few that a commit stays short.
const PRUNED_AT_ONCE: u32 = 5_000;

/// How many rows of each table are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) alerts: u32,
    /// Of alerts that somebody labelled.
    pub(super) labelled: u32,
    pub(super) blocks: u32,
    pub(super) audit: u32,
}

/// Writes the rows of one event; to be called within an immediate transaction.
pub(super) fn write(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    match event {
        Event::Alert(alert) => alerts::insert(connection, alert),
        Event::Labelled { number, time, class, actor } => {
            let label = class.map(|class| Label { class, time: *time, actor: actor.clone() });
            alerts::label(connection, *number, label.as_ref())?;
            let what = class.map_or_else(
                || format!("took the label of alert {number} back"),
                |class| format!("labelled alert {number} {}", class.name()),
            );
            audit::append(connection, *time, actor, &what)
        }
        Event::Blocked(block) => {
            put_block(connection, block)?;
            audit::append(connection, block.since, &block.actor, &words_of(block))
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
    format!("blocked {} ({action}, {class}) until {until}: {}", block.subject, block.because)
}

fn put_block(connection: &Connection, block: &BlockRecord) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO blocks (subject, action, class, since, until, because, actor, offence) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
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
    Ok(())
}

pub(super) fn standing_blocks(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<BlockRecord>> {
    let mut query = connection.prepare(
        "SELECT subject, action, class, since, until, because, actor, offence FROM blocks \
         WHERE until > ?1 AND ended IS NULL ORDER BY since DESC, subject",
    )?;
    let rows = query.query_map([to_sql_time(now)], read_block)?;
    rows.filter_map(Result::transpose).collect()
}

/// The last block of a subject, whether it stands or has ended.
pub(super) fn block_of(connection: &Connection, subject: Subject) -> rusqlite::Result<Option<KnownBlock>> {
    let mut query = connection.prepare(
        "SELECT subject, action, class, since, until, because, actor, offence, ended, ended_by FROM blocks \
         WHERE subject = ?1",
    )?;
    let known = query.query_row([subject.to_string()], |row| {
        let (ended, by) = (row.get::<_, Option<i64>>(8)?, row.get::<_, Option<String>>(9)?);
        let ended_early = ended.map(|ended| (from_sql_time(ended), by.unwrap_or_default()));
        Ok(read_block(row)?.map(|record| KnownBlock { record, ended_early }))
    });
    Ok(known.optional()?.flatten())
}

/// The blocks that have ended, the last to end first.
pub(super) fn past_blocks(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<PastBlock>> {
    let mut query = connection.prepare(
        "SELECT subject, offence, coalesce(ended, until) AS over, exempt_until FROM blocks \
         WHERE until <= ?1 OR ended IS NOT NULL ORDER BY over DESC, subject",
    )?;
    let rows = query.query_map([to_sql_time(now)], read_past_block)?;
    rows.filter_map(Result::transpose).collect()
}

/// `None` for a row that makes no sense, which somebody must have written by hand: the others are still wanted.
fn read_block(row: &Row<'_>) -> rusqlite::Result<Option<BlockRecord>> {
    let (Some(subject), Some(action)) = (subject(row)?, Action::from_name(&row.get::<_, String>(1)?)) else {
        return Ok(None);
    };
    Ok(Some(BlockRecord {
        subject,
        action,
        // Only those are written.
        state: BlockState::Enforced,
        class: row.get::<_, Option<String>>(2)?.as_deref().and_then(ThreatClass::from_name),
        since: from_sql_time(row.get(3)?),
        until: from_sql_time(row.get(4)?),
        because: row.get(5)?,
        actor: row.get(6)?,
        offence: row.get(7)?,
    }))
}

/// As [`read_block`].
fn read_past_block(row: &Row<'_>) -> rusqlite::Result<Option<PastBlock>> {
    let Some(subject) = subject(row)? else { return Ok(None) };
    Ok(Some(PastBlock {
        subject,
        offence: row.get(1)?,
        ended: from_sql_time(row.get(2)?),
        exempt_until: row.get::<_, Option<i64>>(3)?.map(from_sql_time),
    }))
}

/// It stands in the first column.
fn subject(row: &Row<'_>) -> rusqlite::Result<Option<Subject>> {
    Ok(row.get::<_, String>(0)?.parse().ok())
}

/// SQL's integers are signed; the year 2262 is the last that fits.
pub(super) fn to_sql_time(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn from_sql_time(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}
