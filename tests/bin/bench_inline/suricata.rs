//! Suricata as an inline system, from the folder that `peers/setup` makes: it copies frames from port to port by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use lab::network::Network;
use lab::process::{Running, SHORT, run_within};

/// Both ports, each copied to the other; no rules, no logs but errors.
const CONFIG: &str = "%YAML 1.1
---
default-log-dir: /tmp
af-packet:
  - interface: port0
    threads: 1
    cluster-id: 98
    cluster-type: cluster_flow
    defrag: no
    use-mmap: yes
    ring-size: 16384
    copy-mode: ips
    copy-iface: port1
  - interface: port1
    threads: 1
    cluster-id: 97
    cluster-type: cluster_flow
    defrag: no
    use-mmap: yes
    ring-size: 16384
    copy-mode: ips
    copy-iface: port0
outputs: []
logging:
  default-log-level: warning
  outputs:
    - console:
        enabled: yes
";

/// An installed Suricata.
pub struct Suricata {
    root: PathBuf,
    /// Its version.
    pub version: String,
}

impl Suricata {
    /// The one below the folder; none where there is none.
    ///
    /// # Errors
    /// It is there and does not run.
    pub fn find(peers: &Path) -> Result<Option<Self>> {
        let root = peers.join("trixie");
        if !root.join("usr/bin/suricata").is_file() {
            return Ok(None);
        }
        let said = run_within(Command::new("chroot").arg(&root).args(["suricata", "-V"]), SHORT)?;
        let version = said.split_whitespace().skip_while(|word| *word != "version").nth(1).unwrap_or("?").to_owned();
        fs::write(root.join("tmp/inline.yaml"), CONFIG)?;
        fs::write(root.join("tmp/empty.rules"), "")?;
        Ok(Some(Self { root, version }))
    }

    /// Starts it between the ports of the box, which no bridge may join meanwhile.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, network: &Network) -> Result<Running> {
        let mut command = network.r#box.command("chroot");
        command.arg(&self.root).args(["suricata", "-c", "/tmp/inline.yaml", "-S", "/tmp/empty.rules", "-k", "none"]);
        Running::start(command.args(["--af-packet", "--runmode", "workers", "-l", "/tmp"]))
    }
}
