//! Blocks that would have been made in another mode: what is told of the days in which the box only observed. Nothing of this is
//! ever restored.

use rusqlite::{Connection, Row, params};
use traffic::time::Timestamp;

use super::KnownBlock;
use super::rows::{BLOCK, read_block, sensible, to_sql_time};
use crate::policy::{BlockRecord, BlockState, Subject};

/// Somebody who would have been blocked in another mode.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedBlock {
    /// The last block that would have been made.
    pub record: BlockRecord,
    /// How many would have been made in the time that was asked for.
    pub times: u32,
}

pub(super) fn last_of(
    connection: &Connection,
    subject: Subject,
    by: Timestamp,
) -> rusqlite::Result<Option<KnownBlock>> {
    let mut query = connection.prepare(
        "SELECT subject, action, class, since, until, because, actor, offence FROM observed \
         WHERE subject = ?1 AND since <= ?2 ORDER BY since DESC LIMIT 1",
    )?;
    let last = sensible(&mut query, params![subject.to_string(), to_sql_time(by)], BLOCK, read)?.pop();
    Ok(last.map(|record| KnownBlock { ended_early: Some((record.until, record.actor.to_string())), record }))
}

pub(super) fn newest(connection: &Connection, since: Timestamp, count: u32) -> rusqlite::Result<Vec<ObservedBlock>> {
    // Beside max() SQLite takes the other columns from the row that has it.
    let mut query = connection.prepare(
        "SELECT subject, action, class, max(since) AS last, until, because, actor, offence, count(*) FROM observed \
         WHERE since >= ?1 GROUP BY subject ORDER BY last DESC, subject LIMIT ?2",
    )?;
    sensible(&mut query, params![to_sql_time(since), count], BLOCK, |row| {
        Ok(ObservedBlock { record: read(row)?, times: row.get(8)? })
    })
}

/// Takes away what is more than `keep`, the oldest first.
pub(super) fn prune(connection: &Connection, keep: u32, at_once: u32) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM observed WHERE (subject, since) IN (SELECT subject, since FROM observed ORDER BY since \
         LIMIT min(?2, max(0, (SELECT count(*) FROM observed) - ?1)))",
        [keep, at_once],
    )?;
    Ok(())
}

/// An error for a row that makes no sense: see [`sensible`].
fn read(row: &Row<'_>) -> rusqlite::Result<BlockRecord> {
    Ok(BlockRecord { state: BlockState::Observed, ..read_block(row)? })
}

#[cfg(test)]
mod tests {
    use super::super::rows::write;
    use super::super::test_directory::TestDirectory;
    use super::super::tests::{at, block, open};
    use super::super::{Event, Keep, Store};
    use super::*;

    fn observed(address: &str, since: u64, until: u64) -> BlockRecord {
        BlockRecord { state: BlockState::Observed, ..block(address, since, until) }
    }

    fn told(store: &Store, since: u64) -> Vec<(BlockRecord, u32)> {
        let told = store.observed(at(since), 2).unwrap();
        told.into_iter().map(|observed| (observed.record, observed.times)).collect()
    }

    #[test]
    fn who_would_have_been_blocked_is_told_once_with_the_last_time_and_never_restored() {
        let directory = TestDirectory::new("observed");
        let store = open(&directory);
        let writer = store.writer(Keep::MANY).unwrap();
        let last = observed("203.0.113.1", 700, 1_300);
        let rows = [observed("203.0.113.1", 1, 601), observed("203.0.113.2", 60, 660), last.clone()];
        for block in rows.iter().cloned().chain([observed("203.0.113.3", 2, 602)]) {
            writer.send(Event::Observed(block)).unwrap();
        }
        writer.flush().unwrap();
        let store = Store::join(directory.path()).unwrap();
        assert_eq!(told(&store, 0), [(last.clone(), 2), (rows[1].clone(), 1)], "the oldest of three is left out");
        assert_eq!(told(&store, 61), [(last, 1)]);
        let of = |by| store.observed_of(rows[0].subject, at(by)).unwrap().map(|known| known.record.since);
        assert_eq!([of(0), of(699), of(700)], [None, Some(at(1)), Some(at(700))]);
        assert_eq!((store.standing_blocks(at(10)).unwrap(), store.past_blocks(at(9_000)).unwrap()), (vec![], vec![]));
        let said = &store.audit_rows(1).unwrap()[0].what;
        assert!(
            said.starts_with("observed, and would have blocked 203.0.113.3 (deny_new, brute_force) until "),
            "{said}"
        );
    }

    #[test]
    fn the_oldest_go() {
        let directory = TestDirectory::new("observed-prune");
        let store = open(&directory);
        let connection = store.connection();
        for since in 1..=5 {
            write(&connection, &Event::Observed(observed("203.0.113.1", since, 600))).unwrap();
        }
        prune(&connection, 2, 2).unwrap();
        assert_eq!(newest(&connection, at(0), 9).unwrap()[0].times, 3, "so many at once");
        prune(&connection, 2, 2).unwrap();
        let kept = newest(&connection, at(0), 9).unwrap();
        assert_eq!((kept[0].times, kept[0].record.since), (2, at(5)));
    }
}
