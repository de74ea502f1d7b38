//! Where one scenario takes place: the bridged laboratory over an emulated line, with its servers and a few outsiders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use lab::journal::Journal;
use lab::line::profile::Profile;
use lab::namespace::Namespace;
use lab::network::{GATEWAY, INTERNET, INTERNET_V6, LAN_HOST, Network, Outsider};
use lab::process::{Running, run_any, wait_until};
use lab::random::Random;
use lab::services;

/// What a scenario may use while it is recorded.
pub struct Scene {
    // Servers end before the network that they stand in.
    _servers: Vec<Running>,
    /// The namespaces.
    pub network: Network,
    /// Three attackers.
    pub attackers: [Outsider; 3],
    /// Two people outside who mean well.
    pub visitors: [Outsider; 2],
    /// What was done here, the start of the servers included.
    pub journal: Journal,
    random: Mutex<Random>,
}

impl Scene {
    /// Builds everything, without Sluice.
    pub fn new(profile: &Profile, seed: u64) -> Result<Self> {
        let network = Network::over(profile, seed)?;
        network.bridge()?;
        let attackers = [network.outsider(66)?, network.outsider(67)?, network.outsider(68)?];
        let visitors = [network.outsider(40)?, network.outsider(41)?];
        let outsiders = attackers.iter().chain(&visitors).map(|one| one.namespace.name().to_owned());
        let journal = Journal::keep(network.namespaces().into_iter().chain(outsiders).collect());
        let servers = vec![
            services::sshd(&network.lan)?,
            services::nginx(&network.lan)?,
            services::vsftpd(&network.lan)?,
            services::telnetd(&network.lan)?,
            services::iperf3(&network.lan, LAN_HOST)?,
            services::nginx(&network.wan)?,
            services::sshd(&network.wan)?,
            services::iperf3(&network.wan, INTERNET[0])?,
            services::iperf3(&network.wan, INTERNET[1])?,
            services::dnsmasq(&network.wan)?,
        ];
        meet_neighbours(&network)?;
        let random = Mutex::new(Random::new(seed));
        Ok(Self { _servers: servers, network, attackers, visitors, journal, random })
    }

    /// The hosts of the LAN.
    pub fn lan(&self) -> &Namespace {
        &self.network.lan
    }

    /// The servers of the Internet.
    pub fn wan(&self) -> &Namespace {
        &self.network.wan
    }

    /// The first attacker's programs run there.
    pub fn attacker(&self) -> &Namespace {
        &self.attackers[0].namespace
    }

    /// A sequence of draws for one purpose: the scenario's seed makes it.
    pub fn random(&self) -> Random {
        Random::new(self.random.lock().unwrap_or_else(PoisonError::into_inner).bits())
    }
}

/// The hosts of the LAN and the gateway know each other's addresses, as they do in a network that has stood for a while: over
/// a lossy line the first of them may not be found for seconds.
fn meet_neighbours(network: &Network) -> Result<()> {
    for host in [GATEWAY, INTERNET_V6] {
        let mut ping = network.lan.words(&format!("ping -n -q -c 1 -W 1 {host}"));
        wait_until(&format!("{host} answers"), Duration::from_secs(20), || {
            run_any(&mut ping, Duration::from_secs(5)).is_ok_and(|finished| finished.success())
        })?;
    }
    Ok(())
}
