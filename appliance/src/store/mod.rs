//! What is kept across restarts, in one SQLite file: alerts, blocks, users, and an audit row for each change.

use traffic::time::Timestamp;

use crate::policy::{Alert, BlockRecord, Offender};

/// One thing to be written; handed to the writer thread over a bounded queue.
#[derive(Clone, Debug)]
pub enum Event {
    /// An alert was raised.
    Alert(Alert),
    /// A block was made, or one that stands was prolonged or made stricter.
    Blocked(BlockRecord),
    /// A block was ended before its time.
    Unblocked {
        /// When.
        time: Timestamp,
        /// Whose block.
        offender: Offender,
        /// Who ended it.
        actor: String,
    },
    /// Any other change worth an audit row: start, stop, log in, refused log in.
    Audit {
        /// When.
        time: Timestamp,
        /// Who.
        actor: String,
        /// What was done, in the words of the log.
        what: String,
    },
}
