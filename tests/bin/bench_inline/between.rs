//! What stands between the two ports: nothing but the kernel's bridge, Sluice, or Suricata.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::daemon::{Config, Daemon};
use lab::network::{GATEWAY, Network};
use lab::process::{Running, wait_until};

use crate::suricata::Suricata;

/// How many blocks stand in the row that has some: as many as there may be by default.
pub const BLOCKS: u32 = 10_000;
/// The database with these blocks.
const BLOCKED_STATE: &str = "blocked";
/// The 64-byte packets are a flood, which Sluice would stop; with this rule, in the place of the default ones, all of them pass.
const EXCUSE: &str =
    "[[rules]]\nname = \"the sender of this benchmark\"\nwhen = [\"is_udp = 1\"]\nclass = \"benign\"\n";
/// How long it may take until packets pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The kernel's bridge alone.
    Bridge,
    /// Sluice, as it is by default in mode `enforce` but for [`EXCUSE`].
    Sluice,
    /// The same with [`BLOCKS`].
    SluiceWithBlocks,
    /// The same with `on_failure = "closed"`.
    SluiceClosed,
    /// Suricata, which copies from port to port by itself.
    Suricata,
}

impl Between {
    /// For the table.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bridge => "bridge of the kernel alone",
            Self::Sluice => "Sluice, enforce",
            Self::SluiceWithBlocks => "Sluice, 10,000 blocks stand",
            Self::SluiceClosed => "Sluice, on_failure = \"closed\"",
            Self::Suricata => "Suricata, AF_PACKET IPS, no rules",
        }
    }

    fn config(self) -> Option<Config> {
        let config = Config { selftest_at_start: false, rules: EXCUSE.to_owned(), ..Config::default() };
        match self {
            Self::Sluice => Some(config),
            Self::SluiceWithBlocks => Some(Config { state: BLOCKED_STATE, ..config }),
            Self::SluiceClosed => Some(Config { on_failure: "closed", ..config }),
            Self::Bridge | Self::Suricata => None,
        }
    }

    /// Puts it there, and waits until packets pass.
    ///
    /// # Errors
    /// It does not start, or nothing passes.
    pub fn put<'a>(self, network: &'a Network, suricata: Option<&Suricata>) -> Result<Standing<'a>> {
        let mut standing = Standing { network, daemon: None, suricata: None };
        match self.config() {
            Some(config) => standing.daemon = Some(Daemon::start(network, &config)?),
            None if self == Self::Bridge => network.bridge()?,
            None => standing.suricata = Some(suricata.context("no Suricata")?.start(network)?),
        }
        wait_until("packets pass", PATIENCE, || network.lan.run(["ping", "-c1", "-W1", GATEWAY]).is_ok())
            .map_err(|error| standing.complaint(&error.to_string()))?;
        Ok(standing)
    }
}

/// What stands there now; taken away with the bridge when dropped.
pub struct Standing<'a> {
    network: &'a Network,
    /// Where it is Sluice.
    pub daemon: Option<Daemon<'a>>,
    suricata: Option<Running>,
}

impl Standing<'_> {
    /// The process that takes part, where there is one.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().and_then(Daemon::pid).or_else(|| self.suricata.as_ref().map(Running::pid))
    }

    fn complaint(&self, problem: &str) -> anyhow::Error {
        match &self.suricata {
            Some(suricata) => suricata.complaint(problem),
            None => anyhow::anyhow!("{problem}"),
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.stop();
        }
        self.suricata = None;
        // Suricata has none.
        let _ = self.network.r#box.ip("link del br0");
    }
}

/// Has the blocks made once, for the row that starts with them.
///
/// # Errors
/// The daemon does not make them.
pub fn prepare_blocks(network: &Network) -> Result<()> {
    let config = Between::SluiceWithBlocks.config().context("no configuration")?;
    let standing = Standing { network, daemon: Some(Daemon::start(network, &config)?), suricata: None };
    standing.daemon.as_ref().context("no daemon")?.block_many(BLOCKS, "for the bench")
}

/// Forgets what a daemon of this configuration has written down.
pub fn forget_state(daemon: &Daemon<'_>, config: &Config) {
    let folder = daemon.config_file().parent().map_or_else(Default::default, Path::to_owned);
    let _ = fs::remove_dir_all(folder.join(config.state));
}
