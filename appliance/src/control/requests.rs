//! What people ask of the control thread: blocks by hand, their end, approvals, allowances, modes. Pauses are in
//! [`super::pause`].

use core::time::Duration;
use std::sync::Arc;

use log::{info, warn};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::keeper::{Keeper, State};
use super::{ControlError, Reply, Request};
use crate::enforce::EnforceError;
use crate::policy::{Action, Allowance, Allowed, BlockRecord, BlockState, Label, Made, Mode, Refusal, Subject};
use crate::store::Event;

impl Keeper {
    /// Carries a request out.
    pub(super) fn answer(&mut self, request: Request, actor: String, now: Timestamp, state: &mut State) -> Reply {
        match request {
            Request::Block { subject, ttl, because } => self.block_by_hand(subject, ttl, because, actor, now, state),
            Request::Unblock { subject } => self.unblock(subject, actor, now),
            Request::Approve { subject } => self.approve(subject, &actor, now, state),
            Request::Allow { allowed, ttl } => self.allow(&allowed, ttl, actor, now, state),
            Request::Disallow { allowed } => self.disallow(allowed, actor, now, state),
            Request::Label { alert, class } => Ok(self.label(alert, class, actor, now)),
            Request::SetMode { class, mode } => Ok(self.change_mode(class, mode, actor, now, state)),
            Request::Pause { ttl } => self.begin_pause(ttl, &actor, now, state),
            Request::Resume => self.end_pause(&actor, now, state),
            Request::Acknowledge => Ok(self.acknowledge(&actor, now, state)),
        }
    }

    fn block_by_hand(
        &mut self,
        subject: Subject,
        ttl: Duration,
        because: String,
        actor: String,
        now: Timestamp,
        state: &mut State,
    ) -> Reply {
        if self.blocklist.modes().of(None) == Mode::Observe {
            return Err(ControlError::Observing);
        }
        let wanted = BlockRecord {
            subject,
            action: match subject {
                Subject::Source(_) => Action::Deny,
                Subject::Device(_) => Action::Quarantine,
                Subject::Service(_) => Action::Limit,
            },
            state: BlockState::Enforced,
            class: None,
            offence: 0,
            since: now,
            until: now.plus(ttl),
            because: because.into(),
            actor: actor.into(),
        };
        match self.blocklist.block(wanted, now) {
            Ok(made) => self.carry_out_by_hand(made, now, state),
            Err(refusal) => refused(refusal, subject),
        }
    }

    fn approve(&mut self, subject: Subject, actor: &str, now: Timestamp, state: &mut State) -> Reply {
        match self.blocklist.approve(subject, actor, now) {
            Ok(made) => self.carry_out_by_hand(made, now, state),
            Err(refusal) => refused(refusal, subject),
        }
    }

    /// What a person wants is done or refused at once, and not tried again later.
    fn carry_out_by_hand(&mut self, made: Made, now: Timestamp, state: &mut State) -> Reply {
        let subject = made.block.subject;
        if let Err(error) = self.enforce(&made, now) {
            self.blocklist.withdraw(made);
            return Err(error.into());
        }
        self.block_made(made, now, state);
        Ok(subject.to_string())
    }

    fn unblock(&mut self, subject: Subject, actor: String, now: Timestamp) -> Reply {
        let (ended, past) = self.blocklist.unblock(subject, now).ok_or(ControlError::NotBlocked { subject })?;
        info!("{actor} unblocked {subject}");
        self.forgive(subject);
        self.record(Event::Unblocked { past, actor });
        self.take_out(&[ended])?;
        Ok(subject.to_string())
    }

    /// Takes blocks that have ended out of the kernel. What was only said never was in it, and a kernel that cannot enforce is
    /// not asked for nothing; nor is one that holds nothing for a pause.
    fn take_out(&mut self, ended: &[BlockRecord]) -> Result<(), EnforceError> {
        let done = ended.iter().filter(|block| block.is_enforced());
        let subjects: Vec<Subject> = done.map(|block| block.subject).collect();
        if subjects.is_empty() || self.pause.is_some() { Ok(()) } else { self.enforcer.unblock(&subjects) }
    }

    fn allow(
        &mut self,
        allowed: &Allowed,
        ttl: Option<Duration>,
        actor: String,
        now: Timestamp,
        state: &mut State,
    ) -> Reply {
        let allowance = Allowance { allowed: allowed.clone(), until: ttl.map(|ttl| now.plus(ttl)), actor };
        if !self.blocklist.rails.allow.allow(allowance.clone()) {
            return Err(ControlError::TooManyAllowances);
        }
        info!("{} allowed {allowed}", allowance.actor);
        self.record(Event::Allowed { time: now, allowance });
        self.lift_protected(now);
        state.is_stale = true;
        Ok(allowed.to_string())
    }

    fn disallow(&mut self, allowed: Allowed, actor: String, now: Timestamp, state: &mut State) -> Reply {
        if !self.blocklist.rails.allow.disallow(&allowed) {
            return Err(ControlError::NotAllowed { allowed });
        }
        info!("{actor} no longer allows {allowed}");
        self.record(Event::Disallowed { time: now, allowed: allowed.clone(), actor });
        state.is_stale = true;
        Ok(allowed.to_string())
    }

    /// Writes down what a person says of an alert; what the alert is called.
    fn label(&mut self, number: u64, class: Option<ThreatClass>, actor: String, now: Timestamp) -> String {
        if let Some(alert) = self.alerts.iter_mut().find(|alert| alert.number == number) {
            alert.label = class.map(|class| Arc::new(Label { class, time: now, actor: actor.clone() }));
        }
        self.record(Event::Labelled { number, time: now, class, actor });
        format!("alert {number}")
    }

    /// Changes the mode of a class of attacks, or that of all; what it is called.
    pub(super) fn change_mode(
        &mut self,
        class: Option<ThreatClass>,
        mode: Mode,
        actor: String,
        now: Timestamp,
        state: &mut State,
    ) -> String {
        let ended = self.blocklist.set_mode(class, mode, now);
        for block in &ended {
            self.forgive(block.subject);
            if block.is_enforced() {
                self.record(Event::Unblocked { past: block.ended(now), actor: actor.clone() });
            }
        }
        let name = class.map_or_else(|| String::from("all attacks"), |class| class.name().to_owned());
        info!("{actor} set the mode for {name} to {}", mode.name());
        self.record(Event::ModeSet { time: now, class, mode, configured: self.settings.mode, actor });
        if let Err(error) = self.take_out(&ended) {
            // The comparison that follows finds what is left; it also makes or removes the whole table.
            warn!("{error}");
        }
        state.is_stale = true;
        name
    }
}

fn refused(refusal: Refusal, subject: Subject) -> Reply {
    match refusal {
        Refusal::Stands(_) => Ok(subject.to_string()),
        Refusal::Protected(why) => Err(ControlError::Protected { subject, why: why.to_owned() }),
        Refusal::NotProposed => Err(ControlError::NotProposed { subject }),
        // Trips are for the program: what a person wants is not counted.
        Refusal::Full | Refusal::Held(_) => Err(ControlError::Full),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use caps::CapSet;

    use super::*;
    use crate::clock;
    use crate::control::fixture::{keeper, record};
    use crate::store::Store;
    use crate::store::test_directory::TestDirectory;

    /// Unblocks a subject whose block has come so far, in a thread that has no right to ask the kernel.
    fn unblock(state: BlockState) -> Reply {
        let unblock = move || {
            caps::clear(None, CapSet::Effective).unwrap();
            let (directory, now) = (TestDirectory::new("unblock"), clock::now());
            let (mut keeper, _outcomes) = keeper(&directory, now);
            let wanted = record(state, now);
            let subject = wanted.subject;
            keeper.blocklist.block(wanted, now).unwrap();
            keeper.answer(Request::Unblock { subject }, String::from("anna"), now, &mut State::default())
        };
        thread::spawn(unblock).join().unwrap()
    }

    #[test]
    fn what_is_only_observed_is_written_down_with_its_reason() {
        let (directory, now) = (TestDirectory::new("observed"), clock::now());
        let (mut keeper, _outcomes) = keeper(&directory, now);
        let wanted = record(BlockState::Observed, now);
        let made = keeper.blocklist.block(wanted.clone(), now).unwrap();
        keeper.block_made(made, now, &mut State::default());
        keeper.writer.flush().unwrap();
        let store = Store::join(directory.path()).unwrap();
        let observed = store.observed(now, 9).unwrap();
        assert_eq!(observed.into_iter().map(|observed| observed.record).collect::<Vec<_>>(), [wanted]);
        let said = &store.audit_rows(1).unwrap()[0].what;
        assert!(said.contains("would have blocked 203.0.113.9 (deny, scan)") && said.ends_with(": a test"), "{said}");
    }

    #[test]
    fn only_the_end_of_what_was_done_is_a_matter_of_the_kernel() {
        for said in [BlockState::Observed, BlockState::Proposed] {
            assert_eq!(unblock(said).unwrap(), "203.0.113.9");
        }
        let refused = unblock(BlockState::Enforced);
        assert!(matches!(refused, Err(ControlError::Enforce(EnforceError::NotPermitted))), "{refused:?}");
    }
}
