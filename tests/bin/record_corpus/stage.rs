//! What all recordings need: the bridged laboratory with its servers, and a few outsiders.

use std::path::Path;

use anyhow::Result;
use lab::network::{INTERNET, LAN_HOST, Network, Outsider};
use lab::process::Running;
use lab::recording::{Corpus, Label};
use lab::services;

/// Bytes kept of each frame where nothing else is said.
const SNAP: u32 = 512;

/// The laboratory without Sluice, and the corpus that grows.
pub struct Stage {
    /// The namespaces.
    pub network: Network,
    /// Three attackers.
    pub attackers: [Outsider; 3],
    /// Two people outside who mean well.
    pub visitors: [Outsider; 2],
    corpus: Corpus,
    only: String,
    failed: Vec<String>,
    _servers: Vec<Running>,
}

impl Stage {
    /// Builds everything.
    pub fn new(folder: &Path) -> Result<Self> {
        let network = Network::new()?;
        network.bridge()?;
        let servers = vec![
            services::sshd(&network.lan)?,
            services::nginx(&network.lan)?,
            services::vsftpd(&network.lan)?,
            services::iperf3(&network.lan, LAN_HOST)?,
            services::nginx(&network.wan)?,
            services::sshd(&network.wan)?,
            services::iperf3(&network.wan, INTERNET[0])?,
            services::iperf3(&network.wan, INTERNET[1])?,
            services::dnsmasq(&network.wan)?,
        ];
        let attackers = [network.outsider(66)?, network.outsider(67)?, network.outsider(68)?];
        let visitors = [network.outsider(40)?, network.outsider(41)?];
        let corpus = Corpus::new(folder)?;
        Ok(Self { network, attackers, visitors, corpus, only: String::new(), failed: Vec::new(), _servers: servers })
    }

    /// From now on records only captures with this in their names.
    pub fn only(&mut self, part: &str) {
        part.clone_into(&mut self.only);
    }

    /// Records one capture and says so; a failure is remembered, and the rest goes on.
    pub fn record(&mut self, label: Label<'_>, act: impl FnOnce(&Scene<'_>) -> Result<()>) {
        self.record_with_snap(label, SNAP, act);
    }

    /// As [`Self::record`], keeping only the headers of each frame: for bulk transfers.
    pub fn record_headers(&mut self, label: Label<'_>, act: impl FnOnce(&Scene<'_>) -> Result<()>) {
        self.record_with_snap(label, 96, act);
    }

    fn record_with_snap(&mut self, label: Label<'_>, snap: u32, act: impl FnOnce(&Scene<'_>) -> Result<()>) {
        if !label.name.contains(&self.only) {
            return;
        }
        let scene = Scene { network: &self.network, attackers: &self.attackers, visitors: &self.visitors };
        match self.corpus.record(&self.network.r#box, label, snap, || act(&scene)) {
            Ok(()) => println!("{:12} {}", label.class, label.name),
            Err(error) => {
                eprintln!("{error:#}");
                self.failed.push(label.name.to_owned());
            }
        }
    }

    /// What a recording may use.
    pub fn scene(&self) -> Scene<'_> {
        Scene { network: &self.network, attackers: &self.attackers, visitors: &self.visitors }
    }

    /// The number of captures, and the names of those that failed.
    pub fn close(self) -> (usize, Vec<String>) {
        (self.corpus.len(), self.failed)
    }
}

/// What a recording may use while it runs.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The namespaces.
    pub network: &'a Network,
    /// Three attackers.
    pub attackers: &'a [Outsider; 3],
    /// Two people outside who mean well.
    pub visitors: &'a [Outsider; 2],
}

/// The label of a capture without any attack.
pub fn benign<'a>(kind: &'a str, name: &'a str) -> Label<'a> {
    Label { class: "benign", kind, name, attacker: "", victim: "", granularity: "all" }
}
