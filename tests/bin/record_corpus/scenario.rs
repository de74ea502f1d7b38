//! A scenario: what happens, and what it is called. Each is recorded over several lines.

use anyhow::Result;
use lab::line::profile::{LAN, PROFILES, Profile};
use lab::network::{LAN_HOST, LAN_HOST_V6};
use lab::random::Random;
use lab::recording::Label;

use crate::stage::Scene;

/// The first attacker outside.
pub const ATTACKER: &str = "203.0.113.66";
/// The same, IPv6.
pub const ATTACKER_V6: &str = "2001:db8:66::1";
/// The three attackers outside.
pub const ATTACKERS: &str = "203.0.113.66 203.0.113.67 203.0.113.68";
/// The hosts of the LAN, from which an infected device attacks.
pub const INSIDE: &str = LAN_HOST;
/// The same, IPv6.
pub const INSIDE_V6: &str = LAN_HOST_V6;
/// Sources that are forged, or too many to be named.
pub const FORGED: &str = "*spoofed/many*";

/// Bytes kept of each frame where nothing else is said.
const SNAP: u32 = 512;
/// Bytes kept of each frame of bulk transfers: the headers.
const SNAP_OF_HEADERS: u32 = 96;

/// What happens.
pub type Act = Box<dyn Fn(&Scene) -> Result<()> + Send + Sync>;

/// What happens, and what it is called.
pub struct Scenario {
    /// What it shows; the name is the scenario's, without the line.
    pub label: Label,
    /// Bytes kept of each frame.
    pub snap: u32,
    /// It takes so much of the machine that few others may run beside it.
    pub loud: bool,
    /// It says something about time that only a quick line shows, or takes long: it is recorded over the LAN's line only.
    lan_only: bool,
    /// What happens.
    pub act: Act,
}

impl Scenario {
    /// Ordinary traffic.
    pub fn benign(kind: &'static str, name: &str, act: impl Fn(&Scene) -> Result<()> + Send + Sync + 'static) -> Self {
        Self::attack("benign", kind, name, "", "", act)
    }

    /// An attack; all flows that the attacker begins are of it.
    pub fn attack(
        class: &'static str,
        kind: &'static str,
        name: &str,
        attacker: &str,
        victim: &str,
        act: impl Fn(&Scene) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let label = Label {
            class,
            kind,
            name: name.to_owned(),
            attacker: attacker.to_owned(),
            victim: victim.to_owned(),
            granularity: "all",
        };
        Self { label, snap: SNAP, loud: false, lan_only: false, act: Box::new(act) }
    }

    /// Only flows from the attacker to the victim are of the attack; others are ordinary.
    pub fn pair(mut self) -> Self {
        self.label.granularity = "pair";
        self
    }

    /// All flows towards the victim are of the attack.
    pub fn towards(mut self) -> Self {
        self.label.granularity = "dst";
        self
    }

    /// It is below IP, and makes no flows.
    pub fn without_flows(mut self) -> Self {
        self.label.granularity = "none";
        self
    }

    /// Only headers are kept.
    pub fn headers(mut self) -> Self {
        self.snap = SNAP_OF_HEADERS;
        self
    }

    /// It takes much of the machine.
    pub fn loud(mut self) -> Self {
        self.loud = true;
        self
    }

    /// It is recorded over one line only.
    pub fn over_lan_only(mut self) -> Self {
        self.lan_only = true;
        self
    }

    /// The lines that it is recorded over: the LAN's, and others that the seed draws. Ordinary traffic gets more of them, for
    /// it has fewer scenarios than the attacks together.
    pub fn lines(&self, seed: u64) -> Vec<&'static Profile> {
        let mut others: Vec<&Profile> = PROFILES.iter().skip(1).collect();
        let mut random = Random::of(seed, &self.label.name);
        let drawn = match (self.lan_only, self.label.is_benign()) {
            (true, _) => 0,
            (false, true) => 3,
            (false, false) => 1,
        };
        let mut draw = || others.swap_remove(random.below(others.len() as u64) as usize);
        std::iter::once(&LAN).chain((0..drawn).map(|_| draw())).collect()
    }
}
