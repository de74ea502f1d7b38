//! The configuration: one TOML file, every key with a default that is safe.
//!
//! A mistake in it is refused with the file, the line, the key, and what was probably meant. The keys are explained in
//! `overlay/etc/sluice/sluice.toml`.

mod bridge;
mod changes;
mod hardware;
mod lists;
mod memory;
mod mistake;
mod rules;
mod web;

use core::time::Duration;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use crate::capture::Port;
use crate::enforce::OnFailure;
use crate::hardware::panel::Hardware;
use crate::policy::{Allowed, Bounds, LONGEST_STEP_S, Ladder, MOST_STEPS, Mode, Profile, Tuning};
use crate::registry::ModelConfig;
use crate::store::BLOCK_ROWS;
use crate::verdict::lists::ListConfig;
use crate::verdict::rules::Rule;
use crate::web::DEFAULT_SOCKET;

pub use changes::Changes;
pub use memory::{Memory, MemoryProfile};

/// Where the file is unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/sluice/sluice.toml";

/// The largest `policy.limit_per_s`: more is no limit for a board.
const MOST_LIMIT_PER_S: u32 = 100_000;

/// The value of `bridge.internet_port` that leaves it to the box.
const FOUND_OUT: &str = "auto";

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is done with decisions.
    pub mode: Mode,
    /// What becomes of the traffic when the daemon dies or hangs.
    pub on_failure: OnFailure,
    /// The self-test runs whenever the daemon starts.
    pub selftest_at_start: bool,
    /// Folder of the database.
    pub state_dir: PathBuf,
    /// The bridge.
    pub bridge: Bridge,
    /// How decisions are made.
    pub policy: Policy,
    /// What is judged beside the model: the rules that are switched on.
    #[serde(deserialize_with = "rules::rules")]
    pub rules: Vec<Rule>,
    /// Which models judge.
    pub model: ModelConfig,
    /// Lists of addresses and domains that are looked up beside the model.
    #[serde(deserialize_with = "lists::lists")]
    pub lists: Vec<ListConfig>,
    /// The page.
    pub web: Web,
    /// Capacities.
    pub memory: Memory,
    /// Lights, button, relay and watchdog of the board.
    pub hardware: Hardware,
}

/// `[bridge]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bridge {
    /// Its name; made where there is none.
    pub name: String,
    /// Its two ports.
    #[serde(deserialize_with = "bridge::two_names")]
    pub ports: [String; 2],
    /// The port that faces the internet, or [`FOUND_OUT`].
    pub internet_port: String,
    /// Its addresses, each with the length of its prefix; the page is at the first one, or else at one that the bridge is given.
    #[serde(deserialize_with = "bridge::own_addresses")]
    pub addresses: Vec<IpNet>,
    /// Routers by which the box itself reaches the internet: one of IPv4 and one of IPv6 at most.
    #[serde(deserialize_with = "bridge::addresses")]
    pub gateway: Vec<IpAddr>,
    /// Who the box asks for names; for the scripts of an image, which keep its `resolv.conf`.
    #[serde(deserialize_with = "bridge::addresses")]
    pub name_servers: Vec<IpAddr>,
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How much evidence it takes.
    pub profile: Profile,
    /// Addresses, networks, devices and names of hosts that are never blocked.
    #[serde(deserialize_with = "allowed")]
    pub allow: Vec<Allowed>,
    /// Networks of the household; where nothing is given, those of the bridge's addresses.
    #[serde(deserialize_with = "networks")]
    pub lan: Vec<IpNet>,
    /// How long a block lasts, in seconds: for the first offence, the second, and so on.
    pub ladder_s: Vec<u32>,
    /// How long an address is left alone after its block was ended by a person, in seconds.
    pub unblock_grace_s: u32,
    /// Most blocks at once.
    pub max_blocks: u32,
    /// Most new blocks in a minute.
    pub max_blocks_per_minute: u32,
    /// Largest share of the household's devices that may be blocked at once, 0 to 1.
    pub max_share_of_lan: f32,
    /// How long a block waits for approval in the mode `approve`, in seconds.
    pub approval_s: u32,
    /// New connections a second that a flooded service may get from everybody together.
    pub limit_per_s: u32,
}

/// `[web]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Port of the page; 0 for no page.
    #[serde(deserialize_with = "web::port")]
    pub listen_port: u16,
    /// Names under which the page may be asked for, besides the address.
    #[serde(deserialize_with = "web::host_names")]
    pub host_names: Vec<String>,
    /// The socket of the commands.
    pub socket: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            on_failure: OnFailure::Open,
            selftest_at_start: true,
            state_dir: PathBuf::from("/var/lib/sluice"),
            bridge: Bridge::default(),
            policy: Policy::default(),
            rules: rules::default_rules(),
            model: ModelConfig::default(),
            lists: Vec::new(),
            web: Web::default(),
            memory: Memory::default(),
            hardware: Hardware::default(),
        }
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            name: String::from("br0"),
            ports: [String::from("eth0"), String::from("eth1")],
            internet_port: String::from(FOUND_OUT),
            addresses: Vec::new(),
            gateway: Vec::new(),
            name_servers: Vec::new(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            profile: Profile::Balanced,
            allow: Vec::new(),
            lan: Vec::new(),
            ladder_s: vec![600, 3_600, 86_400, 604_800],
            unblock_grace_s: 600,
            max_blocks: 10_000,
            max_blocks_per_minute: 60,
            max_share_of_lan: 0.34,
            approval_s: 3_600,
            limit_per_s: 100,
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self { listen_port: 8080, host_names: Vec::new(), socket: PathBuf::from(DEFAULT_SOCKET) }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {cause}; {}", path.display(), remedy(cause.kind()))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Mistake {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What, with the key and the remedy.
        what: String,
    },
}

/// What to do about a file that cannot be read.
const fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "run as root",
        ErrorKind::IsADirectory => "name a file in it with --config",
        _ => "name another file with --config",
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
        match core::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, path),
            Err(error) => {
                let (line, what) = mistake::not_utf8(&bytes, error.valid_up_to());
                Err(ConfigError::Mistake { path: path.to_owned(), line, what })
            }
        }
    }

    /// The socket that a file names, whatever else is wrong with it; `None` where it cannot be told.
    #[must_use]
    pub fn socket_in(path: &Path) -> Option<PathBuf> {
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            web: WebPart,
        }
        #[derive(Default, Deserialize)]
        struct WebPart {
            socket: Option<PathBuf>,
        }
        let part: Part = toml::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        Some(part.web.socket.unwrap_or_else(|| Web::default().socket))
    }

    /// Checks the text of a file; `path` is for errors.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mistake = |line, what| ConfigError::Mistake { path: path.to_owned(), line, what };
        let config: Self = toml::from_str(text).map_err(|error| {
            let (line, what) = mistake::describe(text, &error);
            mistake(line, what)
        })?;
        match config.contradiction() {
            Some((key, what)) => Err(mistake(mistake::line_of_key(text, key), format!("{key}: {what}"))),
            None => Ok(config),
        }
    }

    /// What no single value shows to be wrong: the key and what to do.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        let Self { bridge, policy, model, memory, hardware, state_dir, web, .. } = self;
        if let Some(found) = bridge::contradiction(bridge) {
            return Some(found);
        }
        for (key, path) in [("state_dir", state_dir), ("web.socket", &web.socket)] {
            if !path.is_absolute() {
                let what = format!("`{}` is no whole path; give one that begins with /", path.display());
                return Some((key, what));
            }
        }
        if !is_ladder(&policy.ladder_s) {
            let what = format!(
                "give 1 to {MOST_STEPS} lengths, none shorter than the one before, from 1 to {LONGEST_STEP_S} seconds"
            );
            return Some(("policy.ladder_s", what));
        }
        if !(1..=BLOCK_ROWS).contains(&policy.max_blocks) {
            return Some(("policy.max_blocks", format!("give a number from 1 to {BLOCK_ROWS}")));
        }
        if policy.max_blocks_per_minute == 0 {
            return Some(("policy.max_blocks_per_minute", String::from("give a number from 1")));
        }
        if !(0.0..=1.0).contains(&policy.max_share_of_lan) {
            return Some(("policy.max_share_of_lan", String::from("give a share from 0 to 1")));
        }
        if !(60..=LONGEST_STEP_S).contains(&policy.approval_s) {
            return Some(("policy.approval_s", format!("give a number from 60 to {LONGEST_STEP_S} seconds")));
        }
        if !(1..=MOST_LIMIT_PER_S).contains(&policy.limit_per_s) {
            return Some(("policy.limit_per_s", format!("give a number from 1 to {MOST_LIMIT_PER_S}")));
        }
        if model.drift_alarm.is_nan() || model.drift_alarm <= 0.0 {
            return Some(("model.drift_alarm", String::from("give a number above 0")));
        }
        if model.active.stored().is_some_and(|id| model.shadow.as_ref() == Some(id)) {
            return Some(("model.shadow", String::from("name another model than model.active, or none")));
        }
        memory.contradiction().or_else(|| hardware::contradiction(hardware))
    }

    /// Most blocks at once, as far as there is memory for them.
    #[must_use]
    pub fn max_blocks(&self) -> u32 {
        self.policy.max_blocks.min(self.memory.most_blocks())
    }

    /// How long a block lasts for a first offence.
    #[must_use]
    pub fn block_ttl(&self) -> Duration {
        self.bounds().ladder.length(1)
    }

    /// How much may be blocked, and for how long.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds {
            ladder: Ladder::new(&self.policy.ladder_s),
            max_blocks: self.max_blocks(),
            max_blocks_per_minute: self.policy.max_blocks_per_minute,
            max_share_of_lan: self.policy.max_share_of_lan,
            unblock_grace: Duration::from_secs(self.policy.unblock_grace_s.into()),
            approval: Duration::from_secs(self.policy.approval_s.into()),
        }
    }

    /// How decisions are made in the packet thread.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        let Policy { profile, limit_per_s, .. } = self.policy;
        Tuning { thresholds: profile.thresholds(), block_ttl: self.block_ttl(), limit_per_s }
    }

    /// The port that faces the internet; none where it is to be found out.
    #[must_use]
    pub fn internet_port(&self) -> Option<Port> {
        Port::BOTH.into_iter().find(|port| *port.of(&self.bridge.ports) == self.bridge.internet_port)
    }

    /// Networks of the household.
    #[must_use]
    pub fn lan(&self) -> Vec<IpNet> {
        if !self.policy.lan.is_empty() {
            return self.policy.lan.clone();
        }
        self.bridge.addresses.iter().map(IpNet::trunc).collect()
    }
}

/// Lengths of blocks that rise, or stay the same.
fn is_ladder(steps_s: &[u32]) -> bool {
    (1..=MOST_STEPS).contains(&steps_s.len())
        && steps_s.is_sorted()
        && steps_s.iter().all(|seconds| (1..=LONGEST_STEP_S).contains(seconds))
}

/// Whom the allowlist means.
fn allowed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Allowed>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

/// Networks, or single addresses.
fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| network(text).map_err(serde::de::Error::custom)).collect()
}

/// A network, or a single address.
///
/// # Errors
/// It is neither; the text says what is taken.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse::<IpNet>().map(|network| network.trunc()))
        .map_err(|_| format!("`{text}` is neither an address (198.51.100.7) nor a network (198.51.100.0/24)"))
}
