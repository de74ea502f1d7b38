//! `sluice check-config`: what the daemon would make of the configuration, and what memory it would take for it.

use std::path::Path;
use std::sync::Arc;

use traffic::arena::Footprint;

use super::Failure;
use crate::config::{Bridge, Config};
use crate::control::{Judges, Library};
use crate::enforce::OnFailure;
use crate::hardware::bridge::{present, stranded};
use crate::hardware::panel::Hardware;
use crate::linux::links::Links;
use crate::lists::Lists;
use crate::pipeline::{Pipeline, PipelineConfig};
use crate::policy::Mode;
use crate::registry::{Choices, ModelConfig, Registry};
use crate::verdict::{Models, Rulebook};
use crate::{clock, control, store};

pub(super) fn check_config(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path)?;
    let Config { bridge, policy, web, .. } = &config;
    let list = |networks: &[ipnet::IpNet]| or_none(networks.iter());
    let judges = judges(&config);
    let lists = Lists::load(&config);
    let faults: Vec<String> = judges.faults().map(str::to_owned).chain(lists.faults(clock::now())).collect();
    let warnings = warnings(bridge);
    match (faults.len(), warnings.is_empty()) {
        (0, true) => println!("{}: fine", path.display()),
        (0, false) => println!("{}: fine, but see the warnings below", path.display()),
        (count, _) => println!("{}: no mistake, but not all of it can be used ({count} faults)", path.display()),
    }
    println!("  mode {}, profile {:?}", config.mode.name(), policy.profile);
    match (config.on_failure, config.mode) {
        (OnFailure::Open, _) => println!("  if the daemon dies, all traffic passes"),
        (OnFailure::Closed, Mode::Approve | Mode::Enforce) => {
            println!("  if the daemon dies, no traffic passes until it runs again");
        }
        (OnFailure::Closed, Mode::Observe) => {
            println!(
                "  on_failure = \"closed\" does nothing yet: all traffic passes while every class is in mode observe"
            );
        }
    }
    println!(
        "  bridge {} of {} and {}, addresses {}",
        bridge.name,
        bridge.ports[0],
        bridge.ports[1],
        list(&bridge.addresses)
    );
    if !bridge.addresses.is_empty() {
        let (gateway, name_servers) = (or_none(bridge.gateway.iter()), or_none(bridge.name_servers.iter()));
        println!("  way out by {gateway}, name servers {name_servers}");
    }
    println!("  internet port: {}", bridge.internet_port);
    println!("  never blocked: {} (and this box, and the gateways)", or_none(policy.allow.iter()));
    println!("  household: {}", list(&config.lan()));
    println!("  blocks last {:?} s by offence, {} at most", policy.ladder_s, config.max_blocks());
    match (web.listen_port, bridge.addresses.first()) {
        (0, _) => println!("  no page (web.listen_port = 0)"),
        (port, None) => println!("  page at port {port} of the address that the bridge is given"),
        (port, Some(address)) => println!("  page at http://{}/", std::net::SocketAddr::new(address.addr(), port)),
    }
    println!("  hardware: {}", or_none(hardware(&config.hardware).into_iter()));
    println!("  rules: {}", or_none(config.rules.iter().map(|rule| rule.name.as_str())));
    let ModelConfig { keys, active, shadow, drift_alarm } = &config.model;
    println!(
        "  model: {active}, shadow {}, {} trusted keys, at most {} bytes of memory for models from files, drift is told from {drift_alarm} on",
        or_none(shadow.iter()),
        keys.len(),
        config.memory.models().loaded_bytes
    );
    lists.summaries(clock::now()).iter().for_each(|summary| println!("  {summary}"));
    faults.iter().for_each(|fault| println!("  fault: {fault}"));
    warnings.iter().for_each(|warning| println!("  warning: {warning}"));
    print_memory(&config, judges.in_force(), lists.rulebook());
    Ok(())
}

/// What a person should see to before the ports become ports of the bridge. The file may be checked on another machine than the
/// one that it is for: that is no mistake.
fn warnings(bridge: &Bridge) -> Vec<String> {
    match Links::open().and_then(|mut links| Ok((links.all()?, links.addresses()?))) {
        Ok((all, addresses)) => {
            let warning = |name: &String| match all.iter().find(|link| link.name == *name) {
                Some(port) => stranded(port, &addresses, &bridge.name).map(|told| told.join("; ")),
                None => Some(format!("no interface {name} here; interfaces: {}", or_none(present(&all).iter()))),
            };
            bridge.ports.iter().filter_map(warning).collect()
        }
        Err(error) => vec![format!("the interfaces cannot be read: {error}; see `ip link`")],
    }
}

/// What `[hardware]` names.
fn hardware(hardware: &Hardware) -> Vec<String> {
    let outputs = hardware.outputs().into_iter().filter_map(|(key, place, _)| Some((key, place?.to_string())));
    let button = hardware.button.iter().map(|line| ("hardware.button", line.to_string()));
    let watchdog =
        hardware.device().map(|it| ("hardware.watchdog", format!("{} ({} s)", it.path.display(), it.timeout_s)));
    let named = outputs.chain(button).chain(watchdog);
    named.map(|(key, place)| format!("{} {place}", key.trim_start_matches("hardware."))).collect()
}

/// The models that the configuration names, as the daemon would load them at its first start.
fn judges(config: &Config) -> Judges {
    let registry = Registry::new(&config.state_dir, config.model.keys.clone(), config.memory.models());
    let choices = Choices::of(&config.model);
    let loads = Library::new(registry).loads(&choices, &config.model);
    Judges::new(choices, loads)
}

/// The things with commas between them.
fn or_none(things: impl Iterator<Item = impl ToString>) -> String {
    let texts: Vec<String> = things.map(|thing| thing.to_string()).collect();
    if texts.is_empty() { String::from("none") } else { texts.join(", ") }
}

/// What is taken at the start and never grows. The program itself, SQLite and the threads take some MiB besides.
fn print_memory(config: &Config, models: Models, rules: Rulebook) {
    println!("  memory profile {}:", config.memory.profile.name());
    println!("    {:<20} {:>8} {:>8} {:>11}", "table", "entries", "each", "bytes");
    let footprints = footprints(config, models, rules);
    for Footprint { name, entries, bytes } in &footprints {
        println!("    {name:<20} {entries:>8} {:>8} {bytes:>11}", bytes / entries);
    }
    let sum: usize = footprints.iter().map(|footprint| footprint.bytes).sum();
    println!("    {:<20} {sum:>29} ({:.1} MiB)", "sum", sum as f64 / (1024.0 * 1024.0));
}

/// The tables are made and asked: memory that nothing is written to is not taken from anybody.
fn footprints(config: &Config, models: Models, rules: Rulebook) -> Vec<Footprint> {
    let limits = config.memory.limits();
    let pipeline = PipelineConfig {
        limits,
        tuning: config.tuning(),
        models,
        rules: rules.into(),
        around: Arc::default(),
        seed: [0, 0],
    };
    let tables: Vec<Footprint> = Pipeline::new(&pipeline).footprints().collect();
    let rings = config.memory.ring().footprint(config.bridge.ports.len());
    [tables, vec![rings, control::queue(config.memory.control_queue()), store::QUEUE]].concat()
}
