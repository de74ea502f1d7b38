//! A pause of enforcement: nothing is stopped for a while, as if the box were a wire. What stands goes on standing in the list,
//! and is put into the kernel again at the end. A restart ends a pause too, so that none is forgotten.

use core::time::Duration;

use log::info;
use traffic::time::Timestamp;

use super::keeper::{Keeper, State};
use super::{ControlError, Reply};
use crate::clock::Stopwatch;

/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// A pause that was begun. No change of the wall clock makes it longer.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    since: Stopwatch,
    ttl: Duration,
}

impl Pause {
    /// For how long yet; `None` where it is over.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.ttl.checked_sub(self.since.elapsed()).filter(|left| *left > Duration::ZERO)
    }
}

impl Keeper {
    /// Begins a pause, or another one in its place; what it is called.
    pub(super) fn begin_pause(&mut self, ttl: Duration, actor: &str, now: Timestamp, state: &mut State) -> Reply {
        if !self.blocklist.modes().may_block() {
            return Err(ControlError::Observing);
        }
        let what = format!("pauses enforcement for {} s", ttl.as_secs());
        info!("{actor} {what}");
        self.audit_by(actor, now, what.clone());
        self.pause = Some(Pause { since: Stopwatch::start(), ttl });
        state.is_stale = true;
        Ok(what)
    }

    /// Ends it before its time; what that is called.
    pub(super) fn end_pause(&mut self, actor: &str, now: Timestamp, state: &mut State) -> Reply {
        self.pause.take().ok_or(ControlError::NotPaused)?;
        let what = String::from("ends the pause of enforcement");
        info!("{actor} {what}");
        self.audit_by(actor, now, what.clone());
        state.is_stale = true;
        Ok(what)
    }

    /// Ends it when its time is over.
    pub(super) fn follow_pause(&mut self, now: Timestamp, state: &mut State) {
        if self.pause.is_some_and(|pause| pause.left().is_none()) {
            // There is one to end.
            let _ = self.end_pause("sluice", now, state);
        }
    }

    /// Says that somebody knows of the attacks until now; what that is called.
    pub(super) fn acknowledge(&mut self, actor: &str, now: Timestamp, state: &mut State) -> String {
        let what = String::from("acknowledged the alerts and blocks until now");
        info!("{actor} {what}");
        self.audit_by(actor, now, what.clone());
        state.acknowledged = Some(now);
        what
    }
}
