//! Lists of addresses and domains that somebody else found to be bad, looked up beside the model.
//!
//! A list is read line by line ([`parse`]) into a set of [`addresses`] and one of [`domains`], both small enough that two
//! hundred thousand entries take a few MiB. Where lists come from, and how they are kept up to date, is in `crate::lists`.

mod addresses;
mod domains;
mod parse;

use core::net::IpAddr;
use core::time::Duration;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use traffic::arena::Footprint;

use super::Verdict;
use super::rules::Name;
use addresses::Addresses;
use domains::Domains;
use parse::Entry;

pub use domains::{AskedName, Suffixes};

/// Most lists: each is looked into at every checkpoint.
pub const MOST_LISTS: usize = 16;

/// Most entries of a list, addresses and domains together.
pub const MOST_ENTRIES: usize = 200_000;

/// What is read of a list at most.
pub const MOST_BYTES: u64 = 32 << 20;

/// Malformed lines that are told by number.
const TOLD_LINES: usize = 3;

/// What a list is and what it accuses of.
#[derive(Clone, Debug, PartialEq)]
pub struct ListConfig {
    /// What a person called it.
    pub name: Name,
    /// Where it comes from.
    pub source: Source,
    /// What a flow from or to a listed address, or a question for a listed domain, is taken for.
    pub verdict: Verdict,
    /// It counts as evidence for a block; else it raises alerts only.
    pub block: bool,
}

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that somebody else puts there.
    File(PathBuf),
    /// An address from which it is fetched.
    Url {
        /// The address.
        url: String,
        /// How often.
        refresh: Duration,
    },
}

/// A list that was read.
#[derive(Clone, Debug)]
pub struct List {
    /// What it is.
    pub config: ListConfig,
    addresses: Addresses,
    domains: Domains,
}

/// What became of the lines of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Addresses and networks.
    pub addresses: usize,
    /// Domains.
    pub domains: usize,
    /// What is neither.
    pub malformed: usize,
    /// Entries beyond [`MOST_ENTRIES`].
    pub too_many: usize,
    /// The numbers of the first malformed lines, counted from 1.
    pub malformed_lines: Vec<usize>,
}

impl List {
    /// Reads a list from a file.
    ///
    /// # Errors
    /// It cannot be read, is no plain file, or is larger than any list.
    pub fn read(config: &ListConfig, path: &Path) -> io::Result<(Self, Reading)> {
        // Asked before it is opened: opening a pipe would wait for somebody to write into it.
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return Err(io::Error::other(format!("no plain file of {} MiB at most", MOST_BYTES >> 20)));
        }
        Self::read_lines(config, BufReader::new(File::open(path)?.take(MOST_BYTES)))
    }

    fn read_lines(config: &ListConfig, lines: impl BufRead) -> io::Result<(Self, Reading)> {
        let (mut addresses, mut domains, mut reading) = (Addresses::default(), Domains::default(), Reading::default());
        parse::read(lines, |number, entry| match entry {
            Entry::Malformed => reading.malformed_at(number),
            _ if reading.entries() == MOST_ENTRIES => reading.too_many += 1,
            Entry::Network(network) => {
                reading.addresses += 1;
                addresses.add(network);
            }
            Entry::Domain(domain) => {
                reading.domains += 1;
                domains.add(domain);
            }
        })?;
        addresses.settle();
        domains.settle();
        Ok((Self { config: config.clone(), addresses, domains }, reading))
    }

    /// The address is on the list.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses.holds(address)
    }

    /// There are domains on the list.
    #[must_use]
    pub const fn has_domains(&self) -> bool {
        !self.domains.is_empty()
    }

    /// The number of labels of the listed domain that a name is, or is below of.
    #[must_use]
    pub fn find(&self, name: &Suffixes) -> Option<usize> {
        self.domains.find(name)
    }

    /// What lists take.
    pub fn footprint(lists: &[Arc<Self>]) -> Footprint {
        let sets = lists.iter().flat_map(|list| [list.addresses.footprint(), list.domains.footprint()]);
        let (entries, bytes) = sets.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
        Footprint { name: "lists", entries, bytes }
    }
}

impl Reading {
    /// What is on the list.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.addresses + self.domains
    }

    fn malformed_at(&mut self, line: usize) {
        self.malformed += 1;
        if self.malformed_lines.len() < TOLD_LINES && self.malformed_lines.last() != Some(&line) {
            self.malformed_lines.push(line);
        }
    }

    /// What a person should know of the lines that were left out, in one line; nothing where there is nothing to mend.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let Self { malformed, too_many, malformed_lines, .. } = self;
        let lines = malformed_lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let wrong = (*malformed > 0).then(|| {
            format!(
                "{malformed} entries are neither an address, nor a network of fair size, nor a domain (line {lines}); \
                 correct them"
            )
        });
        let beyond = (*too_many > 0).then(|| format!("{too_many} entries are beyond {MOST_ENTRIES}; divide the list"));
        let told: Vec<String> = wrong.into_iter().chain(beyond).collect();
        (!told.is_empty()).then(|| format!("{}; the others are used", told.join("; ")))
    }

    /// Why this cannot be what somebody publishes as a list: nothing that was used before should give way to it.
    #[must_use]
    pub fn absurdity(&self) -> Option<String> {
        let Self { malformed, too_many, .. } = self;
        match self.entries() {
            0 => Some(String::from("there is no address and no domain in it")),
            entries if *malformed > entries => {
                Some(format!("{malformed} of its entries are malformed and only {entries} are not"))
            }
            _ if *too_many > MOST_ENTRIES => Some(format!("it has more than {} entries", 2 * MOST_ENTRIES)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use traffic::features::ThreatClass;

    fn list(text: &[u8]) -> (List, Reading) {
        let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
        let source = Source::File(PathBuf::from("l.txt"));
        List::read_lines(&ListConfig { name: Name::new("l"), source, verdict, block: false }, text).expect("text")
    }

    #[test]
    fn one_list_may_hold_addresses_and_domains_and_its_faults_are_told_by_line() {
        let text =
            b"# head\n203.0.113.9\n0.0.0.0 evil.example\nnonsense\n198.51.100.0/25\n||worse.example^\n0.0.0.0 a b\n";
        let (list, reading) = list(text);
        assert_eq!((reading.addresses, reading.domains, reading.malformed), (2, 2, 3));
        assert!(list.has_domains() && list.holds("198.51.100.127".parse().expect("an address")));
        assert!(!list.holds("198.51.100.128".parse().expect("an address")));
        assert!(list.holds("::ffff:203.0.113.9".parse().expect("an address")), "the same address in IPv6");
        let told = "3 entries are neither an address, nor a network of fair size, nor a domain (line 4, 7); correct them; \
            the others are used";
        assert_eq!(reading.fault().as_deref(), Some(told));
        assert_eq!(Reading::default().fault(), None);
    }

    #[test]
    fn as_many_entries_as_are_promised_take_a_few_mib_and_more_are_told() {
        let address = |number: u32| format!("2001:db8:{:x}:{:x}::/64\n", number >> 15, number << 1 & 0xffff);
        let domain = |number: u32| format!("0.0.0.0 host{number}.example\n");
        // The widest entries that there are, then the most usual ones.
        for (line, bytes_each) in [(&address as &dyn Fn(u32) -> String, 32), (&domain, 8)] {
            let text: String = (0..=MOST_ENTRIES as u32).map(line).collect();
            let (list, reading) = list(text.as_bytes());
            assert_eq!((reading.entries(), reading.too_many), (MOST_ENTRIES, 1));
            assert!(reading.fault().is_some_and(|fault| fault.contains("1 entries are beyond 200000")));
            let footprint = List::footprint(&[Arc::new(list)]);
            assert_eq!((footprint.entries, footprint.bytes), (MOST_ENTRIES, MOST_ENTRIES * bytes_each));
        }
    }

    #[test]
    fn an_answer_that_is_no_list_is_told_from_one_with_a_few_slips() {
        let page = "<!DOCTYPE html>\n<html>\n<body>\n<h1>404</h1>\nexample.org\n</body>\n</html>\n";
        for (text, told) in [
            (page, Some("6 of its entries are malformed and only 1 are not")),
            ("# nothing\n", Some("there is no address and no domain in it")),
            ("", Some("there is no address and no domain in it")),
            ("203.0.113.9\nnonsense\n", None),
        ] {
            assert_eq!(list(text.as_bytes()).1.absurdity().as_deref(), told, "{text}");
        }
        let reading = Reading { addresses: MOST_ENTRIES, too_many: MOST_ENTRIES + 1, ..Reading::default() };
        assert_eq!(reading.absurdity().as_deref(), Some("it has more than 400000 entries"));
    }
}
