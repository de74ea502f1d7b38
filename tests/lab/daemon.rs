//! Sluice itself, running in the box of the laboratory, and its commands.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use sluice::control::Request;
use sluice::policy::Subject;
use sluice::web::Client;

use crate::cleanup::work_folder;
use crate::network::{BOX, GATEWAY, Network};
use crate::process::{Finished, Running, SHORT, run_any, run_within, wait_until};

/// How long the daemon may take to start or to stop.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What the tests vary in `sluice.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// `observe` or `enforce`.
    pub mode: &'static str,
    /// `open` or `closed`.
    pub on_failure: &'static str,
    /// `lenient`, `balanced` or `strict`.
    pub profile: &'static str,
    /// Never blocked.
    pub allow: Vec<String>,
    /// How long each block lasts.
    pub block_ttl_s: u32,
    /// `default` or `small`.
    pub memory: &'static str,
    /// Rules and lists, as they are written.
    pub rules: String,
    /// The box is nothing but a bridge, without an address and without a route.
    pub is_bare: bool,
    /// More lines of `[policy]`.
    pub policy: &'static str,
    /// Name of the folder of the database; those with another start without what the last one left.
    pub state: &'static str,
    /// Whether the daemon tests itself at the start.
    pub selftest_at_start: bool,
    /// Lines of `[hardware]`.
    pub hardware: &'static str,
    /// More variables of its environment.
    pub environment: Vec<(&'static str, String)>,
    /// A folder that it sees in the place of `/sys/class`.
    pub sys_class: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: "enforce",
            on_failure: "open",
            profile: "balanced",
            allow: Vec::new(),
            block_ttl_s: 600,
            memory: "default",
            rules: String::new(),
            is_bare: false,
            policy: "",
            state: "state",
            selftest_at_start: true,
            hardware: "",
            environment: Vec::new(),
            sys_class: None,
        }
    }
}

impl Config {
    /// The text of `sluice.toml`; state and socket are in the folder.
    #[must_use]
    pub fn text(&self, folder: &Path) -> String {
        let Self { mode, on_failure, profile, allow, block_ttl_s, memory, rules, is_bare, policy, state, .. } = self;
        let Self { selftest_at_start, hardware, .. } = self;
        let folder = folder.display();
        let addresses = if *is_bare { Vec::new() } else { vec![format!("{BOX}/24")] };
        format!(
            "mode = \"{mode}\"\non_failure = \"{on_failure}\"\nstate_dir = \"{folder}/{state}\"\n\
             selftest_at_start = {selftest_at_start}\n\n\
             [bridge]\nname = \"br0\"\nports = [\"port0\", \"port1\"]\naddresses = {addresses:?}\n\n\
             [policy]\nprofile = \"{profile}\"\nallow = {allow:?}\nladder_s = [{block_ttl_s}]\nunblock_grace_s = 600\n{policy}\n\
             [web]\nlisten_port = 8080\nsocket = \"{folder}/sluice.sock\"\n\n\
             [memory]\nprofile = \"{memory}\"\n\n[hardware]\n{hardware}\n{rules}"
        )
    }
}

/// The daemon in the box of a laboratory. Killed when dropped.
#[derive(Debug)]
pub struct Daemon<'a> {
    network: &'a Network,
    folder: PathBuf,
    program: PathBuf,
    config: Config,
    running: Option<Running>,
}

impl<'a> Daemon<'a> {
    /// Starts `sluice run`, and waits until it answers.
    ///
    /// # Errors
    /// The program is not built, or it ends with a complaint.
    pub fn start(network: &'a Network, config: &Config) -> Result<Self> {
        Self::start_from(sluice_program()?, network, config)
    }

    /// The same from another file than the one that was built.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_from(program: PathBuf, network: &'a Network, config: &Config) -> Result<Self> {
        let folder = work_folder()?.join(network.r#box.name());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("sluice.toml"), config.text(&folder))?;
        let mut daemon = Self { network, folder, program, config: config.clone(), running: None };
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Starts it once more after [`Self::stop`] or [`Self::kill`], with the same configuration and state.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = match &self.config.sys_class {
            None => self.network.r#box.command(&self.program),
            Some(folder) => {
                let mut command = self.network.r#box.command("sh");
                let line = "mount --bind \"$0\" /sys/class && exec \"$@\"";
                command.arg("-c").arg(line).arg(folder).arg(&self.program);
                command
            }
        };
        command.envs(self.config.environment.iter().map(|(name, value)| (name, value)));
        let mut running = Running::start(command.arg("run").arg("--config").arg(self.config_file()))?;
        let waited = wait_until("the daemon answers", START_LIMIT, || !running.is_alive() || self.status().is_ok());
        if !running.is_alive() {
            return Err(running.complaint("ended at once"));
        }
        waited.map_err(|error| running.complaint(&error.to_string()))?;
        self.running = Some(running);
        if self.config.is_bare {
            return Ok(());
        }
        // An administrator's part: the box finds the rest of the world through the gateway.
        self.network.r#box.ip(&format!("route replace default via {GATEWAY}")).map(|_| ())
    }

    /// Asks it to end (SIGTERM); how it ended.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&mut self) -> Result<Finished> {
        let running = self.running.take().context("the daemon does not run")?;
        Ok(running.stop(Signal::SIGTERM, START_LIMIT))
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            running.signal(signal);
        }
    }

    /// Puts `to` in the place of `from` in its configuration file, which it does not read by itself.
    ///
    /// # Errors
    /// `from` does not stand there.
    pub fn edit(&self, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(self.config_file())?;
        anyhow::ensure!(text.contains(from), "{from:?} is not in {text}");
        Ok(fs::write(self.config_file(), text.replacen(from, to, 1))?)
    }

    /// Its configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("sluice.toml")
    }

    /// What it has written to its log since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.as_ref().map(|running| running.stdout() + &running.stderr()).unwrap_or_default()
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// The number of its thread of that name.
    ///
    /// # Errors
    /// It has none, or does not run.
    pub fn thread(&self, name: &str) -> Result<Pid> {
        let threads = format!("/proc/{}/task", self.pid().context("the daemon does not run")?);
        for thread in fs::read_dir(&threads)? {
            let path = thread?.path();
            if fs::read_to_string(path.join("comm"))?.trim_end() == name {
                let number = path.file_name().and_then(OsStr::to_str).and_then(|number| number.parse().ok());
                return Ok(Pid::from_raw(number.context("a thread has no number")?));
            }
        }
        bail!("no thread in {threads} is called {name}")
    }

    /// Runs `sluice COMMAND --config FILE …` in the box.
    ///
    /// # Errors
    /// The program is not built.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Finished> {
        let mut command = self.network.r#box.command(sluice_program()?);
        let (first, rest) = words.split_first().context("no command")?;
        run_any(command.arg(first).arg("--config").arg(self.config_file()).args(rest), SHORT)
    }

    /// Has so many addresses blocked for an hour, from 198.18.0.0 on, one by one.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub fn block_many(&self, blocks: u32, because: &str) -> Result<()> {
        let client = Client::new(&self.folder.join("sluice.sock"));
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
        for number in 0..blocks {
            let subject = Subject::of(Ipv4Addr::from(first + number).into());
            let (ttl, because) = (Duration::from_secs(3_600), because.to_owned());
            client.ask_for(&Request::Block { subject, ttl, because })?;
        }
        Ok(())
    }

    /// What `sluice status --json` says.
    ///
    /// # Errors
    /// The daemon does not answer, or not in JSON.
    pub fn status(&self) -> Result<Value> {
        let finished = self.command(&["status", "--json"])?;
        if !finished.success() {
            bail!("sluice status: {}", finished.stderr);
        }
        serde_json::from_str(&finished.stdout).with_context(|| format!("sluice status printed {:?}", finished.stdout))
    }

    /// The blocks that stand.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn blocks(&self) -> Result<Vec<Value>> {
        let status = self.status()?;
        status["blocks"].as_array().cloned().context("the status has no list of blocks")
    }

    /// The block of the address, if it stands.
    ///
    /// # Panics
    /// The daemon does not say: what is not told must not pass for what is not there.
    #[must_use]
    pub fn block_of(&self, address: &str) -> Option<Value> {
        self.find_block(address).unwrap_or_else(|error| panic!("{error:#}\nlog: {}", self.log()))
    }

    fn find_block(&self, address: &str) -> Result<Option<Value>> {
        let status = self.status()?;
        let listed = status["blocks"].as_array().context("the status has no list of blocks")?;
        let found = listed.iter().find(|block| block["address"] == address);
        let counts = ["blocks_standing", "blocks_proposed", "blocks_observed"].map(|key| status[key].as_u64());
        let all: u64 = counts.into_iter().flatten().sum();
        if found.is_none() && all != listed.len() as u64 {
            bail!("the status lists {} of {all} blocks, and not {address}", listed.len());
        }
        Ok(found.cloned())
    }

    /// What is being done about the address (`enforced`, `proposed`, `observed`); null where nothing is.
    ///
    /// # Panics
    /// As [`Self::block_of`].
    #[must_use]
    pub fn state_of(&self, address: &str) -> Value {
        self.block_of(address).map_or(Value::Null, |block| block["state"].clone())
    }

    /// Sets the password of `admin` as root does on the box.
    ///
    /// # Errors
    /// It was refused.
    pub fn set_password(&self, password: &str) -> Result<()> {
        let mut passwd = self.network.r#box.command("sh");
        passwd.args(["-c", "echo \"$2\" | \"$0\" passwd --config \"$1\""]).arg(&self.program);
        run_within(passwd.arg(self.config_file()).arg(password), SHORT).map(drop)
    }

    /// Waits until an alert of that class about the source was raised.
    ///
    /// # Errors
    /// There is none within the limit; the error holds the status.
    pub fn wait_for_alert(&self, source: &str, class: &str, limit: Duration) -> Result<()> {
        let is_raised = || {
            let status = self.status().unwrap_or_default();
            let mut alerts = status["alerts"].as_array().into_iter().flatten();
            alerts.any(|alert| alert["source"] == source && alert["class"] == class)
        };
        let waited = wait_until(&format!("{source} is taken for the source of a {class}"), limit, is_raised);
        waited.with_context(|| format!("status: {:#}", self.status().unwrap_or_default()))?;
        Ok(())
    }

    /// The faults that the status shows, as one text.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn faults(&self) -> Result<String> {
        Ok(self.status()?["faults"].to_string())
    }

    /// Waits until the address is blocked; the block as the status shows it.
    ///
    /// # Errors
    /// It is not blocked within the limit; the error holds the status.
    pub fn wait_for_block(&self, address: &str, limit: Duration) -> Result<Value> {
        let mut block = None;
        let waited = wait_until(&format!("{address} is blocked"), limit, || {
            block = self.find_block(address).ok().flatten();
            block.is_some()
        });
        waited.with_context(|| format!("status: {:#}\nlog: {}", self.status().unwrap_or_default(), self.log()))?;
        block.context("the block vanished")
    }

    /// Waits until no block of the address stands, neither in the status nor in the kernel.
    ///
    /// # Errors
    /// It stands still when the limit is up.
    pub fn wait_for_end_of_block(&self, address: &str, limit: Duration) -> Result<Duration> {
        wait_until(&format!("the block of {address} ends"), limit, || {
            self.find_block(address).is_ok_and(|block| block.is_none()) && !self.kernel_blocks(address)
        })
    }

    /// Sluice's table in the kernel as an administrator sees it; empty when there is none.
    ///
    /// # Panics
    /// The kernel does not say.
    #[must_use]
    pub fn kernel_table(&self) -> String {
        for family in ["netdev", "bridge"] {
            match self.network.r#box.run(["nft", "list", "table", family, "sluice"]) {
                Ok(table) => return table,
                Err(error) => assert!(format!("{error:#}").contains("No such file or directory"), "{error:#}"),
            }
        }
        String::new()
    }

    /// Whether the kernel has an element of the address in one of the sets that drop.
    #[must_use]
    pub fn kernel_blocks(&self, address: &str) -> bool {
        kernel_set_of(&self.kernel_table(), address).is_some_and(|set| set.starts_with("deny"))
    }
}

/// The set in the text of `nft list table` that holds the address with a timeout.
#[must_use]
pub fn kernel_set_of(table: &str, address: &str) -> Option<String> {
    let mut set = None;
    for line in table.lines() {
        if let Some(name) = line.trim().strip_prefix("set ").and_then(|rest| rest.split(' ').next()) {
            set = Some(name);
        }
        let holds = line.split([' ', ',', '\t', '{', '}', '=']).any(|word| word == address);
        if holds && line.contains("expires") {
            return set.map(str::to_owned);
        }
    }
    None
}

/// The program `sluice`: from `SLUICE_BIN`, else beside the program that runs now.
///
/// # Errors
/// It is not built.
pub fn sluice_program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("SLUICE_BIN") {
        return Ok(named.into());
    }
    let here = std::env::current_exe()?;
    let folders = here.ancestors().skip(1).take(3);
    let found = folders.map(|folder| folder.join("sluice")).find(|file| file.is_file());
    found.context("the program `sluice` is not built; run `cargo build`")
}

/// Runs `sluice` with these words, outside of any laboratory.
///
/// # Errors
/// The program is not built.
pub fn sluice<S: AsRef<OsStr>>(words: &[S], limit: Duration) -> Result<Finished> {
    run_any(Command::new(sluice_program()?).args(words), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_an_element_is_found_in_what_nft_lists() {
        let table = "table netdev sluice {\n\tset deny4 {\n\t\ttype ipv4_addr\n\t\telements = { 203.0.113.6 timeout 10m expires 9m }\n\t}\n\
                     \tset deny_new4 {\n\t\telements = { 203.0.113.9 timeout 10m expires 9m58s,\n\t\t\t 203.0.113.66 timeout 10m expires 9m }\n\t}\n}";
        assert_eq!(kernel_set_of(table, "203.0.113.66").as_deref(), Some("deny_new4"));
        assert_eq!(kernel_set_of(table, "203.0.113.6").as_deref(), Some("deny4"));
        assert_eq!(kernel_set_of(table, "203.0.113.7"), None);
    }
}
