//! The command line: what each word does, and how its failure ends the program.

mod audit;
mod backup;
mod blocks;
mod bridge;
mod check_config;
mod explain;
mod export_rows;
mod model;
mod orders;
mod output;
mod passwd;
pub mod replay;
mod rows_file;
mod run;
mod selftest;
mod status;
mod update;

use core::time::Duration;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand};
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use traffic::features::ThreatClass;

use crate::clock;
use crate::config::{Config, ConfigError, DEFAULT_PATH};
use crate::control::{LONGEST_PAUSE, Request};
use crate::linux::signals::end_where_nobody_reads;
use crate::lists::Lists;
use crate::policy::{Allowed, LONGEST_BLOCK, Mode, Subject};
use crate::store::{FILE_NAME, Store};
use crate::web::{ClientError, LabelWord, MAX_BECAUSE_CHARACTERS};

/// Sluice stops attackers between two Ethernet ports, and says why.
#[derive(Debug, Parser)]
#[command(name = "sluice", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon: bridge, detection, blocks, page. SIGHUP is `sluice reload`, SIGUSR2 is `sluice restart`
    Run(ConfigArgs),
    /// Makes the bridge and ends: for the boot of a box, before the daemon; with on_failure = "closed" only the box is reached until then
    Bridge(ConfigArgs),
    /// Runs captures through the same path and reports what it would have done
    Replay(replay::ReplayArgs),
    /// Checks the configuration and says what it means
    CheckConfig {
        /// The configuration, also without --config
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Proves that this box sees, recognises and stops an attacker; touches no traffic and no running daemon
    Selftest {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
        /// Without a look at the real ports and the disk, as at the start of the daemon
        #[arg(long)]
        without_ports: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Shows what the daemon does: state, last alerts, standing blocks
    Status {
        /// As JSON, the same as the page's /api/state
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Says in plain words what led to an alert, what was done about it and why, and how to undo it
    Explain {
        /// The number of an alert, or whom alerts are about: an address, a MAC address, or a service such as 198.51.100.10:80/tcp
        #[arg(value_name = "ALERT|WHOM")]
        what: explain::What,
        /// As JSON, the same as the page's /api/alerts/NUMBER, or /api/alerts?of=WHOM
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Says what an alert was, for the page, the audit log, and a model that is trained with it
    Label {
        /// The number of the alert
        #[arg(value_name = "ALERT", value_parser = alert_number)]
        alert: u64,
        /// What it was: a class such as scan, `benign` where the alert was wrong, `none` to take the label back
        #[arg(value_name = "LABEL")]
        label: LabelWord,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Writes the features of all labelled alerts as a table for `model-compiler retrain`; no address is in it
    ExportRows {
        /// The table to write
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Blocks an address (of an IPv6 address its /64), puts a device in quarantine, or limits a service
    Block {
        /// Whom: an address, a MAC address, a service such as 198.51.100.7:80/tcp, all of a host's such as 198.51.100.7/udp, or its
        /// pings such as 198.51.100.7/icmp
        #[arg(value_name = "WHOM")]
        subject: Subject,
        /// For how long: 90s, 10m, 1h, 7d
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration)]
        ttl: Duration,
        /// Why; it is written down
        #[arg(long, value_name = "TEXT", default_value = "blocked by hand", value_parser = reason)]
        why: String,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Ends a block, or dismisses one that waits for approval; whom it was about is left alone for a while
    Unblock {
        /// Whose, as `sluice status` lists it
        #[arg(value_name = "WHOM")]
        subject: Subject,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Makes a block that waits for approval
    Approve {
        /// Whose, as `sluice status` lists it
        #[arg(value_name = "WHOM")]
        subject: Subject,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Never blocks somebody, for a while or for good; a block that stands ends at once
    Allow {
        /// Whom: an address, a network, a MAC address, or the name of a host
        #[arg(value_name = "WHOM")]
        allowed: Allowed,
        /// For how long: 90s, 10m, 1h, 7d; for good where it is not given
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        ttl: Option<Duration>,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Takes back what `sluice allow` said
    Disallow {
        /// Whom
        #[arg(value_name = "WHOM")]
        allowed: Allowed,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Changes what is done with decisions, at once and until the configuration says something else than now
    Mode {
        /// What: only say it, ask a person, or do it
        #[arg(value_name = "MODE")]
        mode: Mode,
        /// For one class of attacks only, such as scan or brute_force
        #[arg(long, value_name = "CLASS", value_parser = attack)]
        class: Option<ThreatClass>,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Stops nothing for a while, as if the box were a wire; then, after `sluice resume` or a restart, blocks hold again
    Pause {
        /// For how long, a day at most: 90s, 10m, 1h
        #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = pause)]
        ttl: Duration,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Ends a pause before its time
    Resume(DaemonArgs),
    /// Says that you know of the attacks until now: the light of the box shows the next one
    Acknowledge(DaemonArgs),
    /// Shows and changes which models judge
    Model {
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(subcommand)]
        command: model::ModelCommand,
    },
    /// Has the daemon read its configuration again; a mistake in it changes nothing
    Reload(DaemonArgs),
    /// Has the daemon run its program anew, as after an upgrade: no block is lifted, and a program that does not run is refused
    Restart(DaemonArgs),
    /// Shows the slots of a box that was made from an image, and brings a new system into the one that does not run
    Update(update::UpdateArgs),
    /// Shows what was changed, when, and by whom
    Audit(audit::AuditArgs),
    /// Writes the configuration, its lists and all that Sluice remembers into one file; the daemon goes on meanwhile
    Backup {
        /// The file to write, a tar packed with gzip; `-` is standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Restores what `sluice backup` wrote; it holds from the next start on, and what is there now is kept beside
    Restore {
        /// The backup; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Sets the password of a user of the page, makes a new one, or removes one
    Passwd(passwd::PasswdArgs),
    /// Lists the users of the page
    Users(ConfigArgs),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
}

/// Where the daemon is asked.
#[derive(Clone, Debug, Args)]
struct DaemonArgs {
    /// The daemon's socket; where it is not given, the one of the configuration
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

impl DaemonArgs {
    /// The socket's path. Without any configuration the default one is meant; one that has a mistake elsewhere still says it,
    /// because the daemon that refuses it can tell more.
    fn socket(&self) -> Result<PathBuf, ConfigError> {
        match &self.socket {
            Some(socket) => Ok(socket.clone()),
            None if !self.config.config.exists() && self.config.config == Path::new(DEFAULT_PATH) => {
                Ok(Config::default().web.socket)
            }
            None => Config::load(&self.config.config)
                .map(|config| config.web.socket)
                .or_else(|mistake| Config::socket_in(&self.config.config).ok_or(mistake)),
        }
    }
}

/// A failure, and the exit code that says of which kind it is.
#[derive(Debug)]
pub enum Failure {
    /// At run time: 1.
    Runtime(anyhow::Error),
    /// The configuration: 2, as for wrong usage.
    Configuration(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_told = matches!(error.downcast_ref::<ClientError>(), Some(ClientError::Mistake(_)));
        if is_told || error.is::<ConfigError>() { Self::Configuration(error) } else { Self::Runtime(error) }
    }
}

impl Failure {
    /// The exit code of the program.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Configuration(_) => 2,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // All causes in one line.
            Self::Runtime(error) => write!(f, "{error:#}"),
            Self::Configuration(error) => error.fmt(f),
        }
    }
}

impl CommandLine {
    /// Does what was asked for.
    ///
    /// # Errors
    /// What went wrong, with the remedy.
    pub fn execute(self) -> Result<(), Failure> {
        if !matches!(self.command, Command::Run(_)) {
            end_where_nobody_reads();
        }
        match self.command {
            Command::Run(args) => run::run(&args.config),
            Command::Bridge(args) => bridge::bridge(&Config::load(&args.config)?),
            Command::Replay(args) => {
                let config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?;
                let lists = Lists::load(&config);
                let not_taken = replay::not_taken(&args, &config);
                lists.faults(clock::now()).iter().chain(&not_taken).for_each(|told| eprintln!("{told}"));
                Ok(replay::replay(&args, &config, lists.rulebook())?)
            }
            Command::CheckConfig { file, config } => check_config::check_config(&file.unwrap_or(config.config)),
            Command::Selftest { json, without_ports, config } => {
                selftest::selftest(&Config::load(&config.config)?, json, without_ports)
            }
            Command::Status { json, daemon } => status::status(&daemon.socket()?, json),
            Command::Explain { what, json, daemon } => explain::explain(&daemon.socket()?, what, json),
            Command::Label { alert, label: LabelWord(class), daemon } => {
                blocks::ask(&daemon.socket()?, &Request::Label { alert, class })
            }
            Command::ExportRows { file, config } => export_rows::export_rows(&Config::load(&config.config)?, &file),
            Command::Block { subject, ttl, why, daemon } => {
                blocks::ask(&daemon.socket()?, &Request::Block { subject, ttl, because: why })
            }
            Command::Unblock { subject, daemon } => blocks::ask(&daemon.socket()?, &Request::Unblock { subject }),
            Command::Approve { subject, daemon } => blocks::ask(&daemon.socket()?, &Request::Approve { subject }),
            Command::Allow { allowed, ttl, daemon } => blocks::ask(&daemon.socket()?, &Request::Allow { allowed, ttl }),
            Command::Disallow { allowed, daemon } => blocks::ask(&daemon.socket()?, &Request::Disallow { allowed }),
            Command::Mode { mode, class, daemon } => blocks::ask(&daemon.socket()?, &Request::SetMode { class, mode }),
            Command::Pause { ttl, daemon } => blocks::ask(&daemon.socket()?, &Request::Pause { ttl }),
            Command::Resume(daemon) => blocks::ask(&daemon.socket()?, &Request::Resume),
            Command::Acknowledge(daemon) => blocks::ask(&daemon.socket()?, &Request::Acknowledge),
            Command::Model { daemon, command } => model::model(&daemon, command),
            Command::Reload(daemon) => orders::reload(&daemon),
            Command::Restart(daemon) => orders::restart(&daemon.socket()?),
            Command::Update(args) => update::update(&args),
            Command::Audit(args) => audit::audit(&args),
            Command::Backup { file, config } => {
                check_rights(&Config::load(&config.config)?.state_dir)?;
                backup::backup(&config.config, &file)
            }
            Command::Restore { file, config } => backup::restore(&config.config, &file),
            Command::Passwd(args) => passwd::passwd(&args),
            Command::Users(args) => passwd::users(&Config::load(&args.config)?),
        }
    }
}

/// The database for a command that asks for what is in it, or changes that: none is begun.
fn store(config: &Config) -> Result<Store, Failure> {
    check_rights(&config.state_dir)?;
    let path = config.state_dir.join(FILE_NAME);
    if !path.exists() {
        let path = path.display();
        return Err(anyhow!("{path}: there is no database; Sluice has not run yet, or state_dir is another one").into());
    }
    Ok(Store::join(&config.state_dir)?)
}

/// What Sluice remembers belongs to root alone.
fn check_rights(state_dir: &Path) -> anyhow::Result<()> {
    // The nearest one that is there: what is missing below it may have to be made.
    let there = state_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        Err(Errno::EACCES) => Err(anyhow!("no right to use {}; run as root", state_dir.display())),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The number of an alert.
fn alert_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of an alert; `sluice status` lists the alerts with theirs"))
}

/// Why somebody is blocked.
fn reason(text: &str) -> Result<String, String> {
    if text.chars().count() > MAX_BECAUSE_CHARACTERS || text.chars().any(char::is_control) {
        return Err(format!("give one line of at most {MAX_BECAUSE_CHARACTERS} characters"));
    }
    Ok(text.to_owned())
}

/// How long a pause lasts.
fn pause(text: &str) -> Result<Duration, String> {
    let ttl = duration(text)?;
    if ttl > LONGEST_PAUSE { Err(format!("`{text}` is more than a day, the longest pause")) } else { Ok(ttl) }
}

/// A class that somebody can be accused of.
fn attack(text: &str) -> Result<ThreatClass, String> {
    let names = || ThreatClass::attacks().map(ThreatClass::name).collect::<Vec<_>>().join(", ");
    ThreatClass::attack_from_name(text).ok_or_else(|| format!("`{text}` is none of {}", names()))
}

/// A time with its unit: `90s`, `10m`, `1h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; give a number and a unit, such as 90s, 10m, 1h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| wrong())?;
    let seconds =
        number.checked_mul(seconds_per_unit).filter(|seconds| (1..=LONGEST_BLOCK.as_secs()).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| format!("`{text}` is not between 1s and 365d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "10", "h", "1w", "-1h", "0s", "366d", "1é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
