//! Suricata and NFStream on the same capture, through the scripts of `SHARED/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::process::run_within;

/// How long installing them may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);
/// How long both may take for the capture.
const RUN_LIMIT: Duration = Duration::from_secs(600);

/// The installed peers.
pub struct Peers {
    /// What they are called in the table, with their versions.
    pub names: [String; 2],
    script: PathBuf,
    folder: PathBuf,
}

impl Peers {
    /// Installs them where they are not yet; needs root and the network then.
    ///
    /// # Errors
    /// The script fails.
    pub fn install(shared: &Path, folder: &Path) -> Result<Self> {
        let said = run_within(Command::new(shared.join("peers/setup")).arg(folder), INSTALL_LIMIT)?;
        let names = [
            format!("Suricata {}, one thread", word_after(&said, "version").unwrap_or("?")),
            format!("NFStream {}, one meter", word_after(&said, "nfstream").unwrap_or("?")),
        ];
        Ok(Self { names, script: shared.join("peers/run"), folder: folder.to_owned() })
    }

    /// Runs both one after the other; the seconds of each.
    ///
    /// # Errors
    /// The script fails, or does not say how long they took.
    pub fn run(&self, capture: &Path) -> Result<[f64; 2]> {
        let said = run_within(Command::new(&self.script).arg(&self.folder).arg(capture), RUN_LIMIT)?;
        seconds(&said).with_context(|| format!("{} printed no times:\n{said}", self.script.display()))
    }
}

fn seconds(said: &str) -> Option<[f64; 2]> {
    let after = |name| word_after(said, name)?.parse().ok();
    Some([after("suricata-single")?, after("nfstream")?])
}

/// The word that follows that word.
fn word_after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.split_whitespace().skip_while(|each| *each != word).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_in_what_the_script_prints() {
        let said = "i: pcap: read 1 file, 1013100 packets, 371285956 bytes\nsuricata-single 4.56 s, 246312 KiB\n\
                    nfstream 23.10 s, 1000000 packets, 90000 flows, 43290 packets/s\n";
        assert_eq!(seconds(said), Some([4.56, 23.1]));
        assert_eq!(seconds("suricata-single 4.56 s, 246312 KiB"), None);
    }
}
