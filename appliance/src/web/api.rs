//! The shapes of the JSON, for the page, `GET /api/state` and the commands; those of `GET /api/alerts/…` are in
//! [`super::explanation`]. Core types are not serializable: what others
//! rely on is written down here, and changes only on purpose.

use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use traffic::features::ThreatClass;
use traffic::time::Timestamp;

pub use super::model_state::{DisagreementRow, DriftRow, DriftState, ModelState, StoredRow};
use super::words;
use crate::control::Snapshot;
use crate::hardware::lights::Light;
use crate::policy::{Alert, Allowance, BlockRecord, BlockState, Mode, Modes, Subject};
use crate::store::ObservedBlock;
use crate::store::date::iso;
use crate::surroundings::Placement;

/// Blocks of each state that are listed; the rest are counted. `nft list table netdev sluice`, or bridge in place of netdev, lists
/// all.
pub const BLOCKS_LISTED: usize = 200;

/// Addresses of a device that a person is shown.
const ADDRESSES_SHOWN: usize = 3;

/// How long it is told who would have been blocked.
pub const OBSERVED_SHOWN: Duration = Duration::from_secs(7 * 86_400);

/// How many of them are listed.
pub const OBSERVED_LISTED: u32 = 50;

/// In the order in which they matter to a person.
const BLOCK_STATES: [BlockState; 3] = [BlockState::Proposed, BlockState::Enforced, BlockState::Observed];

/// The state of the box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When this was true, in UTC.
    pub time: String,
    /// `observe`, `approve` or `enforce`: for what is done by hand, and for classes that have no mode of their own.
    pub mode: String,
    /// The modes of classes that have their own.
    pub class_modes: BTreeMap<String, String>,
    /// The state in one plain sentence.
    pub summary: String,
    /// What the light of the box says: `starting`, `cannot enforce`, `attack now`, `fault`, `observing` or `protecting`.
    pub light: String,
    /// Enforcement pauses, for so long yet; missing where it does not.
    pub paused_left_s: Option<u64>,
    /// What a person should see to, each with its remedy.
    pub faults: Vec<String>,
    /// How long the daemon has run.
    pub uptime_s: u64,
    /// Name of the model that decides; where it came from a file, with its version.
    pub model: String,
    /// Name of the bridge.
    pub bridge: String,
    /// Names of its two ports.
    pub ports: [String; 2],
    /// The one of them that faces the internet; missing where it is not known yet.
    pub internet_port: Option<String>,
    /// Where the box stands, in plain words.
    pub placement: String,
    /// Where the page can be opened from the network; missing where it cannot.
    pub page: Option<String>,
    /// Frames captured.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that came too fast to be read.
    pub ring_drops: u64,
    /// About how many frames were passed over unread because too many came: long ones of running connections.
    pub passed_over: u64,
    /// Frames that could not be decoded.
    pub undecodable: u64,
    /// Flows in the table.
    pub flows: u64,
    /// Packets stopped by blocks.
    pub dropped_packets: u64,
    /// What only administrators see; missing for anybody else.
    #[serde(flatten)]
    pub events: Option<Events>,
}

/// Alerts and blocks, which name addresses, and how the models take the traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// The newest first.
    pub alerts: Vec<AlertRow>,
    /// What waits for an approval first, then what is done, then what would be done; of each the newest first and at most
    /// [`BLOCKS_LISTED`].
    pub blocks: Vec<BlockRow>,
    /// How many are done, listed or not.
    pub blocks_standing: u64,
    /// How many wait for an approval, listed or not.
    pub blocks_proposed: u64,
    /// How many would be done in another mode, listed or not.
    pub blocks_observed: u64,
    /// Who would have been blocked in the last 7 days, had the mode been another: each once, the last first and at most
    /// [`OBSERVED_LISTED`].
    pub observed: Vec<ObservedRow>,
    /// Who is allowed for a while.
    pub allowances: Vec<AllowanceRow>,
    /// Which models are chosen, and what is said of them.
    pub models: ModelState,
    /// As long as no password of the page is set: the code with which the page lets somebody set the first one.
    #[serde(default)]
    pub setup_code: Option<String>,
}

/// One alert. `GET /api/alerts/NUMBER` explains it: see [`super::explanation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Its number.
    pub number: u64,
    /// When, in UTC.
    pub time: String,
    /// The same in seconds since 1970.
    pub time_s: f64,
    /// How long ago.
    pub age_s: u64,
    /// What it looks like.
    pub class: String,
    /// The same in plain words.
    pub deed: String,
    /// Who.
    pub source: String,
    /// The device of the household that it is, by its network card; missing where that is not known.
    pub device: Option<String>,
    /// To whom.
    pub destination: String,
    /// To which port.
    pub port: Option<u16>,
    /// 0 to 1.
    pub confidence: f32,
    /// Why.
    pub because: String,
    /// What a person says that it was: a class, `benign` where the alert was wrong.
    pub label: Option<String>,
    /// Who says so.
    pub labelled_by: Option<String>,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockRow {
    /// Who: an address, an IPv6 /64, a device, or a service or all of a host's that is limited. `POST /api/unblock` and `/api/approve` take it as
    /// it stands here.
    pub address: String,
    /// Of a device its last known addresses, the one that was seen last first.
    pub addresses: Vec<String>,
    /// `enforced`, `proposed` (a person is asked) or `observed` (it would be done in another mode).
    pub state: String,
    /// `deny`, `deny_new`, `quarantine` or `limit`.
    pub action: String,
    /// The same in plain words.
    pub measure: String,
    /// For what; missing for a block made by hand.
    pub class: Option<String>,
    /// The same in plain words.
    pub deed: String,
    /// Since when, in UTC.
    pub since: String,
    /// The same in seconds since 1970.
    pub since_s: f64,
    /// For how long already.
    pub age_s: u64,
    /// Until when, in UTC.
    pub until: String,
    /// The same in seconds since 1970.
    pub until_s: f64,
    /// How long yet.
    pub left_s: u64,
    /// Why.
    pub because: String,
    /// Who decided.
    pub actor: String,
    /// The newest of the listed alerts that could be its reason; missing where none is.
    pub alert: Option<u64>,
}

/// Somebody who would have been blocked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedRow {
    /// The last block that would have been made.
    #[serde(flatten)]
    pub block: BlockRow,
    /// How many would have been made in the time that is told of.
    pub times: u32,
}

/// Who is allowed for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowanceRow {
    /// An address, a network, a device, or the name of a host. `POST /api/disallow` takes it as it stands here.
    pub who: String,
    /// Until when, in UTC; missing where it has no end.
    pub until: Option<String>,
    /// For how long yet.
    pub left_s: Option<u64>,
    /// Who said so.
    pub actor: String,
}

/// The body of `POST /api/block`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// Whom.
    pub address: String,
    /// For how long.
    pub ttl_s: u64,
    /// Why.
    pub because: String,
}

/// The body of `POST /api/unblock` and `POST /api/approve`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectRequest {
    /// Whom.
    pub address: String,
}

/// The body of `POST /api/allow`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowRequest {
    /// Whom: an address, a network, a device, or the name of a host.
    pub who: String,
    /// For how long; missing for good.
    pub ttl_s: Option<u64>,
}

/// The body of `POST /api/disallow`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisallowRequest {
    /// Whom.
    pub who: String,
}

/// The body of `POST /api/label`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRequest {
    /// The alert's number.
    pub alert: u64,
    /// What it was: a class, `benign` where the alert was wrong, or `none` to take back what was said.
    pub label: String,
}

/// The body of `POST /api/mode`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// `observe`, `approve` or `enforce`.
    pub mode: String,
    /// For which class of attacks; missing for all.
    pub class: Option<String>,
}

/// The body of `POST /api/pause`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For how long.
    pub ttl_s: u64,
}

/// The body of `POST /api/resume` and `POST /api/acknowledge`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NothingElse {}

/// The body of `POST /api/model`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelChange {
    /// `load`, `shadow`, `pin`, `rollback` or `remove`. A file is loaded through the unix socket only.
    pub action: String,
    /// Which model, `NAME@VERSION`; for `pin` also `built-in`, for `shadow` also `off`; for `load` the path of a file; for
    /// `rollback` missing.
    #[serde(default)]
    pub model: String,
}

/// The answer to all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Whom or what it was about, after all: for an IPv6 address its /64.
    pub address: String,
    /// What was done, in a sentence.
    pub said: String,
}

/// The answer to `POST /api/reload` and `POST /api/restart`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDone {
    /// Keys of the configuration that say something else than before, and hold.
    pub changed: Vec<String>,
    /// Keys that say something else and hold from the next start on.
    pub at_next_start: Vec<String>,
    /// Why the page cannot be opened now.
    pub page_fault: Option<String>,
}

/// The answer to whatever went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What, in words.
    pub error: String,
}

impl State {
    /// What a visitor may see of the snapshot.
    pub(super) fn of(snapshot: &Snapshot, now: Timestamp, may_see_events: bool) -> Self {
        let faults = faults_of(snapshot, now);
        Self {
            time: iso(snapshot.time),
            mode: snapshot.modes.general.name().to_owned(),
            class_modes: snapshot.modes.own().map(|(class, mode)| (class.name().into(), mode.name().into())).collect(),
            summary: match snapshot.paused_left {
                Some(_) => pausing(&snapshot.modes).to_owned(),
                None => summary(&snapshot.modes, faults.is_empty()).to_owned(),
            },
            light: Light::of(snapshot, now).name().to_owned(),
            paused_left_s: snapshot.paused_left.map(|left| left.as_secs()),
            faults,
            uptime_s: now.since(snapshot.started).as_secs(),
            model: snapshot.models.in_force.active.name.to_owned(),
            bridge: snapshot.bridge.clone(),
            ports: snapshot.ports.clone(),
            internet_port: snapshot.internet_port.clone(),
            page: snapshot.page.map(|at| format!("http://{at}/")),
            placement: snapshot.placement.words().to_owned(),
            packets: snapshot.packets,
            bytes: snapshot.bytes,
            ring_drops: snapshot.ring_drops,
            passed_over: snapshot.passed_over,
            undecodable: snapshot.undecodable,
            flows: snapshot.flows,
            dropped_packets: snapshot.dropped_packets,
            events: may_see_events.then(|| Events::of(snapshot, now)),
        }
    }

    /// Which port faces the internet, and where the box stands, in words.
    pub(crate) fn orientation(&self) -> String {
        let stands = format!("the box stands {}", self.placement);
        match &self.internet_port {
            Some(port) if self.placement == Placement::Unknown.words() => format!("the internet is behind {port}"),
            Some(port) => format!("the internet is behind {port}; {stands}"),
            None => String::from("it is not known yet which port faces the internet"),
        }
    }
}

impl Events {
    fn of(snapshot: &Snapshot, now: Timestamp) -> Self {
        let of = |state| snapshot.blocks.iter().filter(move |block| block.state == state);
        let count = |state| of(state).count() as u64;
        let row = |block| BlockRow::of(block, snapshot, now);
        Self {
            alerts: snapshot.alerts.iter().map(|alert| AlertRow::of(alert, now)).collect(),
            blocks: BLOCK_STATES.into_iter().flat_map(|state| of(state).take(BLOCKS_LISTED)).map(row).collect(),
            blocks_standing: count(BlockState::Enforced),
            blocks_proposed: count(BlockState::Proposed),
            blocks_observed: count(BlockState::Observed),
            observed: Vec::new(),
            allowances: snapshot.allowances.iter().map(|allowance| AllowanceRow::of(allowance, now)).collect(),
            models: ModelState::of(&snapshot.models),
            setup_code: None,
        }
    }
}

impl AllowanceRow {
    fn of(allowance: &Allowance, now: Timestamp) -> Self {
        Self {
            who: allowance.allowed.to_string(),
            until: allowance.until.map(iso),
            left_s: allowance.until.map(|until| until.since(now).as_secs()),
            actor: allowance.actor.clone(),
        }
    }
}

impl AlertRow {
    pub(super) fn of(alert: &Alert, now: Timestamp) -> Self {
        Self {
            number: alert.number,
            time: iso(alert.time),
            time_s: seconds(alert.time),
            age_s: now.since(alert.time).as_secs(),
            class: alert.class.name().to_owned(),
            deed: words::deed(Some(alert.class)).to_owned(),
            source: alert.source.to_string(),
            device: Some(alert.offender()).filter(|who| matches!(who, Subject::Device(_))).map(|who| who.to_string()),
            destination: alert.destination.to_string(),
            port: alert.port,
            confidence: alert.confidence,
            because: alert.because.clone(),
            label: alert.label.as_ref().map(|label| label.class.name().to_owned()),
            labelled_by: alert.label.as_ref().map(|label| label.actor.clone()),
        }
    }
}

impl BlockRow {
    pub(super) fn of(block: &BlockRecord, snapshot: &Snapshot, now: Timestamp) -> Self {
        let addresses = snapshot.device_addresses.get(&block.subject).into_iter().flatten();
        Self {
            address: block.subject.to_string(),
            addresses: addresses.map(ToString::to_string).collect(),
            state: block.state.name().to_owned(),
            action: block.action.name().to_owned(),
            measure: words::measure(block.subject, block.action).to_owned(),
            class: block.class.map(ThreatClass::name).map(str::to_owned),
            deed: words::deed(block.class).to_owned(),
            since: iso(block.since),
            since_s: seconds(block.since),
            age_s: now.since(block.since).as_secs(),
            until: iso(block.until),
            until_s: seconds(block.until),
            left_s: block.until.since(now).as_secs(),
            because: block.because.to_string(),
            actor: block.actor.to_string(),
            alert: newest_alert(snapshot, block),
        }
    }

    /// Who, as a person reads it: a device with some of its addresses.
    #[must_use]
    pub fn whom(&self) -> String {
        let addresses: Vec<&str> = self.addresses.iter().take(ADDRESSES_SHOWN).map(String::as_str).collect();
        if addresses.is_empty() { self.address.clone() } else { format!("{} ({})", self.address, addresses.join(", ")) }
    }
}

fn newest_alert(snapshot: &Snapshot, block: &BlockRecord) -> Option<u64> {
    let is_reason = |alert: &&Alert| block.class == Some(alert.class) && alert.concerns(block.subject);
    snapshot.alerts.iter().find(is_reason).map(|alert| alert.number)
}

impl ObservedRow {
    pub(super) fn of(observed: &ObservedBlock, snapshot: &Snapshot, now: Timestamp) -> Self {
        Self { block: BlockRow::of(&observed.record, snapshot, now), times: observed.times }
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_nanos() as f64 / 1e9
}

fn pausing(modes: &Modes) -> &'static str {
    if modes.may_block() {
        "Everything passes: enforcement pauses, and goes on by itself."
    } else {
        "Everything passes: enforcement pauses, and stops nothing afterwards either, because the mode is observe."
    }
}

fn summary(modes: &Modes, well: bool) -> &'static str {
    match (modes.general, well) {
        (Mode::Observe, true) if modes.may_block() => "Everything passes but what the modes of single classes stop.",
        (Mode::Enforce, true) => "Attackers are stopped, and everything else passes.",
        (Mode::Approve, true) => "Everything passes but what you have approved to be stopped.",
        (Mode::Observe, true) => "Everything passes. The box says what it would stop, and stops nothing.",
        (Mode::Enforce, false) => "Something needs you; until then not every attacker may be stopped.",
        (Mode::Approve, false) => "Something needs you; until then not everything that you approved may be stopped.",
        (Mode::Observe, false) => "Everything passes, but something needs you.",
    }
}

fn faults_of(snapshot: &Snapshot, now: Timestamp) -> Vec<String> {
    let mut faults = snapshot.faults.clone();
    if snapshot.is_stale(now) {
        let age = words::duration(now.since(snapshot.time));
        faults.insert(0, format!("These numbers are {age} old: the daemon hangs. Restart it, and see its log."));
    }
    faults
}
