//! The daemon: starts the path and all that is around it, in an order that matters, and takes it down again.
//!
//! 1. signals, so that every thread inherits that they are blocked;
//! 2. the lights, which say that it starts;
//! 3. the bridge, so that traffic flows as early as possible and whatever fails after it; with `on_failure = "closed"` behind a table
//!    that holds it back until step 6;
//! 4. the rings on its ports;
//! 5. the store, and from it the blocks that still stand;
//! 6. the kernel's table with them, in one batch;
//! 7. the control thread, the page, the packet thread, and the one that keeps lists up to date;
//! 8. the watchdog, and systemd, which are told as long as those live;
//! 9. beside all this the self-test, which nothing waits for.
//!
//! Down it goes the other way round. The bridge stays: a daemon that has ended must not end the traffic. Where the program is
//! only run anew, the kernel's table stays too, with the blocks, until the new one puts its own in its place in one batch.

mod attendant;
mod door;
mod lookout;
mod names;
mod packets;
mod program;
mod reload;
mod selftest;

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use ipnet::IpNet;
use log::{info, warn};
use traffic::time::Timestamp;

use crate::backup;
use crate::capture::live::Live;
use crate::clock::{self, Stopwatch};
use crate::config::Config;
use crate::control::keeper::{Keeper, SHOWN_ALERTS, Surroundings};
use crate::control::{Handle, Judges, Library, Settings, ShownModels, Snapshot};
use crate::enforce::nftables::{Nftables, Watch};
use crate::enforce::{Desired, EnforceError, Enforcer, OnFailure};
use crate::hardware::board::{self, Board};
use crate::hardware::bridge::{self, Bridge, BridgeConfig, BridgeError};
use crate::hardware::guard::Guard;
use crate::hardware::panel::{Panel, Works};
use crate::hardware::service::Service;
use crate::health::Gauges;
use crate::linux::signals::Signals;
use crate::linux::{heap, rights};
use crate::lists::Lists;
use crate::pipeline::PipelineConfig;
use crate::policy::{Allowlist, Blocklist, Modes, Neighbourhood, Rails};
use crate::registry::Registry;
use crate::store::{Event, Opened, Store, Writer};
use crate::surroundings::Placement;
use crate::verdict::{Model, Models, Rulebook};
use crate::web::{self, ClientError, WebConfig};
use attendant::{Attendant, End};
use door::DoorKeeper;
use lookout::Lookout;
use packets::PacketThread;
use program::Program;
use reload::{Reload, settings};

/// Most faults of the system around that are shown.
const SYSTEM_FAULTS: usize = 16;

/// Outcomes of decisions that may wait for the packet thread.
const OUTCOME_CAPACITY: usize = 256;

/// Exchanges that may wait for the control thread, which takes them each second. Full: the newest is lost. Many are alike, so
/// those that matter come again.
const EXCHANGE_CAPACITY: usize = 128;

/// Rulebooks that may wait for the packet thread. Full: the thread that made another one waits.
const RULEBOOK_CAPACITY: usize = 1;

/// Lists that take the place of others and may wait for the thread that keeps them. Full: the newest waits in the main thread.
const LISTS_CAPACITY: usize = 1;

/// Runs until SIGTERM or SIGINT. The configuration came from the file at `path`, and is read again on SIGHUP; on SIGUSR2 the
/// program is run anew from its file.
///
/// # Errors
/// Something that the daemon cannot be without is missing at the start, or a thread has ended by itself.
pub fn run(config: &Config, path: &Path) -> anyhow::Result<()> {
    heap::share_among_threads();
    let signals = Signals::catch().context("cannot catch signals")?;
    let program = Program::of_this_process(path).context("cannot tell which program this is")?;
    match run_once(config, path, signals, &program)? {
        End::Stop => Ok(()),
        End::Restart => match program.execute() {
            Ok(never) => match never {},
            Err(cause) => bail!("{} cannot be run: {cause}; start it by hand", program.path().display()),
        },
    }
}

fn run_once(config: &Config, path: &Path, signals: Signals, program: &Program) -> anyhow::Result<End> {
    check_rights()?;
    check_alone(&config.web.socket)?;
    let not_restored = take_restored_state(config);
    let gauges = Arc::new(Gauges::default());
    let panel = Panel::start(&config.hardware, Arc::clone(&gauges)).context("cannot start the thread panel")?;
    let ports = config.bridge.ports.clone();
    let bridge = self::bridge(config)?;
    let mut start_faults = bridge.faults.clone();
    start_faults.extend(system_faults(config).into_iter().chain(not_restored));
    let lists = Lists::load(config);
    let rules = Arc::new(lists.rulebook());
    let source = Live::open([&ports[0], &ports[1]], config.memory.ring())?;

    let store = Arc::new(open_store(config, &mut start_faults)?);
    let writer = Arc::new(store.writer(config.memory.rows())?);

    let mut lookout = Lookout::new(config, bridge.index)?;
    let settings = settings(config);
    let mut surroundings = move |settings: &Settings| lookout.look(settings);
    let (library, judges) = restored_judges(config, &store)?;
    let models = judges.in_force();
    let blocklist = restored_blocklist(config, &store, surroundings(&settings))?;
    record_start(&writer, blocklist.modes(), models.active);
    let running = said(blocklist.modes());
    let (mut enforcer, restored) = enforcer(config, &blocklist)?;
    // Without it changes are found by the comparison every second.
    let table_watch = enforcer.watch().inspect_err(|error| warn!("{error}")).ok();

    gauges.set_own_mac(bridge.mac);
    gauges.list_faults.set(lists.faults(clock::now()));
    let (rulebooks, next_rulebook) = sync_channel(RULEBOOK_CAPACITY);
    let shown_models = judges.shown(None, config.model.drift_alarm);
    let (handle, messages, orders) =
        Handle::new(first_snapshot(config, *blocklist.modes(), shown_models), config.memory.control_queue());
    let (exchanges, seen) = sync_channel(EXCHANGE_CAPACITY);
    let (outcomes, told) = sync_channel(OUTCOME_CAPACITY);
    let keeper = Keeper {
        handle: handle.clone(),
        blocklist,
        enforcer: Box::new(enforcer),
        restored,
        pause: None,
        settings,
        judges,
        writer: Arc::clone(&writer),
        gauges: Arc::clone(&gauges),
        outcomes,
        exchanges: seen,
        surroundings: Box::new(surroundings),
        alerts: VecDeque::from(store.newest_alerts(SHOWN_ALERTS as u32)?),
        next_alert: store.next_alert()?,
        unrecorded: VecDeque::new(),
        start_faults,
    };
    let control = spawn("control", move || keeper.run(&messages))?;
    if let Some(watch) = table_watch {
        watch_table(watch, handle.clone())?;
    }
    names::look_up(handle.clone(), Arc::clone(&gauges))?;
    let web_config = WebConfig { socket_path: config.web.socket.clone(), host_names: config.web.host_names.clone() };
    if let Some(panel) = &panel {
        panel.attach(Works { handle: handle.clone(), store: Arc::clone(&store) });
    }
    let web = web::serve(handle.clone(), Arc::clone(&library), store, Arc::clone(&writer), web_config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let packets = PacketThread {
        source,
        pipeline: pipeline_config(config, models, Arc::clone(&rules))?,
        handle: handle.clone(),
        gauges: Arc::clone(&gauges),
        outcomes: told,
        rulebooks: next_rulebook,
        exchanges,
        stop: Arc::clone(&stop),
    };
    let packets = spawn("packets", move || packets.run())?;
    let (other_lists, next_lists) = sync_channel(LISTS_CAPACITY);
    let (list_gauges, more_rulebooks) = (Arc::clone(&gauges), rulebooks.clone());
    // It ends with the program: what it has begun to write is of no use to anybody, and removed with the next start.
    spawn("lists", move || lists.keep(rules, &rulebooks, &list_gauges, &next_lists))?;
    info!("running in mode {running} on {} and {}", ports[0], ports[1]);
    let service = Arc::new(Service::default());
    let guard = Guard::start(config.hardware.device(), handle.clone(), Arc::clone(&gauges), Arc::clone(&service))
        .context("cannot start the thread guard")?;
    if config.selftest_at_start {
        let (path, gauges, writer) = (path.to_owned(), Arc::clone(&gauges), Arc::clone(&writer));
        spawn("selftest", move || selftest::run(&path, &gauges, &writer))?;
    }

    let (config, path) = (config.clone(), path.to_owned());
    let (door, on_failure) = (DoorKeeper::new(&config), config.on_failure);
    let reload = Reload {
        path,
        config,
        handle: handle.clone(),
        library,
        writer,
        gauges,
        rulebooks: more_rulebooks,
        lists: other_lists,
        waiting: None,
    };
    let board = Board::new(Path::new(board::FOLDER));
    let attendant = Attendant { signals, orders, web, door, board, reload, service, program };
    let ended = attendant.attend(&[&packets, &control]);
    stop.store(true, Ordering::Relaxed);
    let packets = packets.join();
    handle.stop(leaves_table(&ended, on_failure));
    let control = control.join();
    if let Some(guard) = guard {
        // After a failure somebody has to start the daemon anew in time, and a new program has to come up.
        guard.end(matches!(ended, Ok(End::Stop)));
    }
    if packets.is_err() || control.is_err() {
        bail!("a thread has failed: see the lines above; the blocks in the kernel end by themselves");
    }
    ended
}

/// Whether the blocks stand on when the daemon has ended. Who wants nothing to pass unwatched does not want it after a failure
/// either.
fn leaves_table(ended: &anyhow::Result<End>, on_failure: OnFailure) -> bool {
    match ended {
        Ok(end) => *end == End::Restart,
        Err(_) => on_failure == OnFailure::Closed,
    }
}

/// What the daemon cannot do without.
fn check_rights() -> anyhow::Result<()> {
    match rights::missing() {
        Some(right) => {
            bail!("no right to change the network ({right}); run as root, or give the program that capability")
        }
        None => Ok(()),
    }
}

/// Two daemons would fight over the table of blocks. Whatever answers is a daemon, also one whose answers are of another version.
fn check_alone(socket: &Path) -> anyhow::Result<()> {
    match web::Client::new(socket).state() {
        Err(ClientError::NoDaemon { .. }) => Ok(()),
        Err(error @ ClientError::NotPermitted { .. }) => Err(error.into()),
        Ok(_) | Err(_) => bail!("another daemon answers at {}; stop it first", socket.display()),
    }
}

/// What the system around found wrong at its boot: a file of one line each beside the socket.
fn system_faults(config: &Config) -> Vec<String> {
    let told = std::fs::read_to_string(config.web.socket.with_file_name("system-faults")).unwrap_or_default();
    told.lines().take(SYSTEM_FAULTS).map(str::to_owned).collect()
}

/// Puts a state that `sluice restore` has laid out in place, before anything of it is read; gives what is wrong with that.
fn take_restored_state(config: &Config) -> Option<String> {
    match backup::put_in_place(&config.state_dir, clock::now()) {
        Ok(None) => None,
        Ok(Some(kept)) => {
            info!("the restored state is in place; what was there before is in {}", kept.display());
            None
        }
        Err(cause) => Some(format!("the restored state cannot be put in place: {cause}; it waits for the next start")),
    }
}

/// The database; where its folder cannot be used, one beside the socket, because protection matters more than history.
fn open_store(config: &Config, faults: &mut Vec<String>) -> anyhow::Result<Store> {
    let now = clock::now();
    let Opened { store, set_aside } = match Store::open(&config.state_dir, now) {
        Ok(opened) => opened,
        Err(error) => {
            faults.push(format!("{error}; until that is mended, what happens is forgotten with the next restart"));
            let fallback = config.web.socket.with_file_name("state");
            Store::open(&fallback, now).with_context(|| error.to_string())?
        }
    };
    faults.extend(set_aside.map(|aside| aside.to_string()));
    Ok(store)
}

/// Makes the bridge stand as configured, which is the first thing that the daemon does. Who wants nothing to pass unwatched gets
/// ports that are joined behind a closed table.
///
/// # Errors
/// See [`BridgeError`].
pub fn bridge(config: &Config) -> Result<Bridge, BridgeError> {
    let wanted = bridge_config(config);
    let held_back = if bridge::forwards(&wanted) { Ok(()) } else { hold_back(config) };
    let mut bridge = bridge::ensure(&wanted)?;
    if let Err(error) = held_back {
        bridge.faults.push(format!("traffic passes before the daemon runs, though on_failure is \"closed\": {error}"));
    }
    Ok(bridge)
}

/// Has nothing pass between the ports until the daemon protects, where that is wanted.
fn hold_back(config: &Config) -> Result<(), EnforceError> {
    if config.on_failure == OnFailure::Open || !modes_at_start(config).may_block() {
        return Ok(());
    }
    let own = config.bridge.addresses.iter().map(IpNet::addr).collect();
    Nftables::new(config.bridge.ports.clone(), config.max_blocks()).on_failure(OnFailure::Closed).close(own)
}

/// The modes as the daemon will find them. A database that cannot be read will be begun anew.
fn modes_at_start(config: &Config) -> Modes {
    let stored = Store::join(&config.state_dir).and_then(|store| store.modes(config.mode));
    stored.unwrap_or_else(|_| Modes::all(config.mode))
}

fn bridge_config(config: &Config) -> BridgeConfig {
    let bridge = &config.bridge;
    BridgeConfig {
        name: bridge.name.clone(),
        ports: bridge.ports.clone(),
        addresses: bridge.addresses.clone(),
        gateways: bridge.gateway.clone(),
    }
}

fn pipeline_config(config: &Config, models: Models, rules: Arc<Rulebook>) -> anyhow::Result<PipelineConfig> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|cause| anyhow::anyhow!("no random numbers from the kernel: {cause}"))?;
    let (low, high) = seed.split_at(8);
    let half = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok(PipelineConfig {
        limits: config.memory.limits(),
        tuning: config.tuning(),
        models,
        rules,
        around: Arc::new(Neighbourhood { lan: config.lan(), ..Neighbourhood::default() }),
        seed: [half(low), half(high)],
    })
}

/// What is known of earlier offences, and the blocks that stood when the daemon ended, as far as today's configuration allows.
fn restored_blocklist(config: &Config, store: &Store, around: Surroundings) -> anyhow::Result<Blocklist> {
    let now = clock::now();
    let mut rails = Rails::default();
    (rails.allow, rails.lan) = (restored_allowlist(config, store, now)?, config.lan());
    // What could not be learned is shown from the first look on.
    around.tell(&mut rails);
    let modes = store.modes(config.mode)?;
    let mut blocklist = Blocklist::new(rails, modes, config.bounds());
    // The last to end are the last to be taken in, or a full memory would forget them first.
    for past in store.past_blocks(now)?.iter().rev() {
        blocklist.remember(past, now);
    }
    for mut block in store.standing_blocks(now)? {
        let subject = block.subject;
        if !modes.of(block.class).keeps(block.state) {
            info!("the block of {subject} is not restored: the mode is another now");
            continue;
        }
        // No longer than it was made for, if the clock was set back meanwhile.
        block.until = block.until.min(now.plus(block.until.since(block.since)));
        if let Err(refusal) = blocklist.block(block, now) {
            info!("the block of {subject} is not restored: {refusal:?}");
        }
    }
    Ok(blocklist)
}

/// The registry, and of it the models that were chosen, as far as they can be loaded.
fn restored_judges(config: &Config, store: &Store) -> anyhow::Result<(Arc<Library>, Judges)> {
    // Beside the database, which may have had to be opened elsewhere.
    let folder = store.path().parent().unwrap_or(&config.state_dir);
    let library = Library::new(Registry::new(folder, config.model.keys.clone(), config.memory.models()));
    let choices = store.models(&config.model)?;
    let loads = library.loads(&choices, &config.model);
    Ok((Arc::new(library), Judges::new(choices, loads)))
}

/// The allowlist of the configuration, who is allowed for a while, and the addresses that names had last.
fn restored_allowlist(config: &Config, store: &Store, now: Timestamp) -> anyhow::Result<Allowlist> {
    let mut allow = Allowlist::new(config.policy.allow.clone());
    for allowance in store.allowances(now)? {
        let allowed = allowance.allowed.clone();
        if !allow.allow(allowance) {
            warn!("{allowed} is not allowed any more: there are too many");
        }
    }
    let resolved = store.resolved(&allow.names().collect())?;
    for (name, addresses) in resolved {
        allow.resolved(&name, addresses);
    }
    Ok(allow)
}

/// The enforcer, and what its table was made for. Where the kernel cannot, the daemon watches all the same, shows the fault, and
/// goes on trying.
fn enforcer(config: &Config, blocklist: &Blocklist) -> anyhow::Result<(Nftables, Option<Desired>)> {
    let nftables = Nftables::new(config.bridge.ports.clone(), config.max_blocks());
    let mut nftables = nftables.on_failure(config.on_failure);
    if !blocklist.modes().may_block() {
        return Ok((nftables, None));
    }
    let desired = Desired::of(blocklist, config.policy.limit_per_s);
    let watch = Stopwatch::start();
    match nftables.replace(&desired, clock::now()) {
        Ok(()) => {
            info!("{} blocks restored in one batch of {} ms", desired.blocks.len(), watch.elapsed().as_millis());
            Ok((nftables, Some(desired.without_blocks())))
        }
        Err(error @ EnforceError::NotPermitted) => Err(error.into()),
        Err(error) => {
            log::error!("{error}");
            Ok((nftables, None))
        }
    }
}

/// Tells the control thread at once of what others do to the table. The thread ends with the program: it only waits.
fn watch_table(mut watch: Watch, handle: Handle) -> anyhow::Result<()> {
    spawn("table watch", move || {
        loop {
            match watch.wait() {
                Ok(by) => handle.table_changed(by),
                Err(error) => {
                    return warn!("changes of the nftables table are no longer told, but still found: {error}");
                }
            }
        }
    })?;
    Ok(())
}

fn record_start(writer: &Writer, modes: &Modes, active: &Model) {
    let what = format!("started in mode {}; {} decides", said(modes), active.name);
    // The queue is empty: there is room.
    let _ = writer.send(Event::Audit { time: clock::now(), actor: String::from("sluice"), what });
}

/// The modes in words: `observe (scan: enforce)`.
fn said(modes: &Modes) -> String {
    let own: Vec<String> = modes.own().map(|(class, mode)| format!("{}: {}", class.name(), mode.name())).collect();
    let general = modes.general.name();
    if own.is_empty() { general.to_owned() } else { format!("{general} ({})", own.join(", ")) }
}

fn first_snapshot(config: &Config, modes: Modes, models: ShownModels) -> Snapshot {
    let now = clock::now();
    Snapshot {
        time: now,
        started: now,
        modes,
        models,
        bridge: config.bridge.name.clone(),
        ports: config.bridge.ports.clone(),
        internet_port: None,
        placement: Placement::default(),
        page: None,
        is_starting: true,
        paused_left: None,
        cannot_enforce: false,
        acknowledged: None,
        faults: Vec::new(),
        packets: 0,
        bytes: 0,
        ring_drops: 0,
        passed_over: 0,
        undecodable: 0,
        flows: 0,
        dropped_packets: 0,
        alerts: Vec::new(),
        blocks: Vec::new(),
        device_addresses: BTreeMap::new(),
        allowances: Vec::new(),
        allowed_names: Vec::new(),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .with_context(|| format!("cannot start the thread {name}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::store::test_directory::TestDirectory;

    #[test]
    fn a_daemon_of_another_version_is_a_daemon() {
        let directory = TestDirectory::new("alone");
        let socket = directory.path().join("sluice.sock");
        check_alone(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let answers =
            ["HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"mode\":\"asking\"}", "HTTP/1.1 500 No\r\n\r\n", ""];
        let older = thread::spawn(move || {
            for answer in answers {
                let (mut asker, _) = listener.accept().unwrap();
                let _ = asker.read(&mut [0; 1024]).unwrap();
                asker.write_all(answer.as_bytes()).unwrap();
            }
        });
        for answer in answers {
            let refusal = check_alone(&socket).unwrap_err().to_string();
            assert!(refusal.starts_with("another daemon answers at "), "{answer:?}: {refusal}");
        }
        older.join().unwrap();
        // A process that another test starts has the socket too until it runs.
        for _ in 0..200 {
            if check_alone(&socket).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("one that died leaves its socket behind");
    }
}
