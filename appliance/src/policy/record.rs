//! What is remembered and shown of a decision: the rows behind "nothing is blocked without a row that says why".

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::{Action, Grounds, Subject, Target};

/// What is only said is decided on again after this time, if it goes on.
const SAID_PAUSE: Duration = Duration::from_secs(10);

/// An alert: a verdict, or several of them, that a person should see.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its number, counted from 1: people name it so.
    pub number: u64,
    /// When.
    pub time: Timestamp,
    /// What it looks like.
    pub class: ThreatClass,
    /// Who.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// To which port; `None` for protocols without ports.
    pub port: Option<u16>,
    /// Confidence of the verdict, 0 to 1.
    pub confidence: f32,
    /// Why, in words.
    pub because: String,
    /// What it was decided from; missing where a version before this one wrote it down. Shared by the copies of the alert.
    pub grounds: Option<Arc<Grounds>>,
    /// What a person says that it was. Shared as well.
    pub label: Option<Arc<Label>>,
}

impl Alert {
    /// Whom something would be done about: the device, where that is known, or else the source.
    #[must_use]
    pub fn offender(&self) -> Subject {
        self.grounds.as_ref().map_or_else(|| Subject::of(self.source), |grounds| grounds.offender)
    }

    /// Whom or what a block could be about because of it: the offender, its address, the service, and all of its host's.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> {
        let offender = self.grounds.as_ref().map(|grounds| grounds.offender);
        let source = Some(Subject::of(self.source)).filter(|source| offender != Some(*source));
        let protocol = self.grounds.as_ref().map(|grounds| grounds.protocol);
        let service = protocol.and_then(|protocol| Target::of(self.destination, protocol, self.port));
        let host = protocol.and_then(|protocol| Target::of_host(self.destination, protocol));
        let host = host.filter(|host| service != Some(*host));
        [offender, source, service.map(Subject::from), host.map(Subject::from)].into_iter().flatten()
    }

    /// It is one about that subject.
    #[must_use]
    pub fn concerns(&self, subject: Subject) -> bool {
        self.subjects().any(|own| own == subject)
    }
}

/// What a person says that an alert was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What; harmless where the alert was wrong.
    pub class: ThreatClass,
    /// When it was said.
    pub time: Timestamp,
    /// By whom.
    pub actor: String,
}

/// How far a block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// It would be made in another mode; nothing is done.
    Observed,
    /// A person is asked; nothing is done until then.
    Proposed,
    /// It is done.
    Enforced,
}

impl BlockState {
    /// The name on the page and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Proposed => "proposed",
            Self::Enforced => "enforced",
        }
    }
}

/// A block with its reason and its end. The texts are shared by its copies: each snapshot for the page holds all blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRecord {
    /// About whom or what.
    pub subject: Subject,
    /// What is done.
    pub action: Action,
    /// How far it has come.
    pub state: BlockState,
    /// For what; `None` for a block made by hand.
    pub class: Option<ThreatClass>,
    /// Which offence of late it is, counted from 1: its step of the ladder. A block by hand and a limit add none.
    pub offence: u32,
    /// Since when.
    pub since: Timestamp,
    /// Until when; of a proposal, until when a person may approve it.
    pub until: Timestamp,
    /// Why, in words.
    pub because: Arc<str>,
    /// Who decided: `sluice`, `local` for the command line, or the name of a user of the page.
    pub actor: Arc<str>,
}

impl BlockRecord {
    /// What is remembered of it once it has ended.
    #[must_use]
    pub const fn ended(&self, ended: Timestamp) -> PastBlock {
        PastBlock { subject: self.subject, offence: self.offence, ended, exempt_until: None }
    }

    /// Until when a decision to do that much need not be made again: as long as so much is done. What is only said, or is
    /// milder, settles nothing for long, because the next decision may be for a class whose mode is stricter; only limits are all
    /// for one class.
    #[must_use]
    pub fn settles_until(&self, wanted: Action, now: Timestamp) -> Timestamp {
        let is_settled = self.is_enforced() && self.action >= wanted || self.action == Action::Limit;
        if is_settled { self.until } else { self.until.min(now.plus(SAID_PAUSE)) }
    }

    /// Something is done.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.state == BlockState::Enforced
    }
}

/// What is remembered of a block that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastBlock {
    /// Whose.
    pub subject: Subject,
    /// The offences that count against it from here on.
    pub offence: u32,
    /// When it ended.
    pub ended: Timestamp,
    /// Where a person ended it: until when the subject is left alone.
    pub exempt_until: Option<Timestamp>,
}
