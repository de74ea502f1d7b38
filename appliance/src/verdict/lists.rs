//! Lists of addresses that somebody else found to be bad, read from files and looked up beside the model.
//!
//! A list is held as sorted intervals that do not touch, so that two hundred thousand entries take little memory and a lookup
//! is a binary search. Taken are addresses and networks, one a line, with comments after `#` or `;`; what follows the first
//! word of a line, such as a count, is not looked at. Lines of a hosts file, which name hosts, are counted and left out.

use core::net::{IpAddr, Ipv4Addr};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use traffic::arena::Footprint;

use super::Verdict;
use super::rules::Name;

/// Most lists: each is looked into at every checkpoint.
pub const MOST_LISTS: usize = 16;

/// Most entries of a list.
pub const MOST_ENTRIES: usize = 200_000;

/// What is read of a file at most.
const MOST_BYTES: u64 = 32 << 20;

/// Malformed lines that are told by number.
const TOLD_LINES: usize = 3;

/// Wider networks would accuse a good part of the internet: a slip of the pen.
const SHORTEST_PREFIX_V4: u8 = 8;
const SHORTEST_PREFIX_V6: u8 = 16;

/// What a list is and what it accuses of.
#[derive(Clone, Debug, PartialEq)]
pub struct ListConfig {
    /// What a person called it.
    pub name: Name,
    /// The file.
    pub path: PathBuf,
    /// What a flow from or to a listed address is taken for.
    pub verdict: Verdict,
    /// It counts as evidence for a block; else it raises alerts only.
    pub block: bool,
}

/// A list that was read.
#[derive(Clone, Debug)]
pub struct AddressList {
    /// What it is.
    pub config: ListConfig,
    addresses: Addresses,
}

/// What became of the lines of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Addresses and networks.
    pub entries: usize,
    /// Lines that name hosts.
    pub names: usize,
    /// Lines that are neither.
    pub malformed: usize,
    /// Entries beyond [`MOST_ENTRIES`].
    pub too_many: usize,
    /// The numbers of the first malformed lines, counted from 1.
    pub malformed_lines: Vec<usize>,
}

/// A set of addresses.
#[derive(Clone, Debug, Default)]
struct Addresses {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressList {
    /// Reads the file of a list.
    ///
    /// # Errors
    /// It cannot be read, is no plain file, or is larger than any list.
    pub fn load(config: &ListConfig) -> io::Result<(Self, Reading)> {
        let metadata = fs::metadata(&config.path)?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return Err(io::Error::other(format!("no plain file of {} MiB at most", MOST_BYTES >> 20)));
        }
        let file = BufReader::new(File::open(&config.path)?.take(MOST_BYTES));
        let (addresses, reading) = Addresses::read(file)?;
        Ok((Self { config: config.clone(), addresses }, reading))
    }

    /// The address is on the list. Addresses that mean somebody else in every network are on none, whatever it says.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => is_global(v4) && is_within(&self.addresses.v4, v4.to_bits()),
            IpAddr::V6(v6) => {
                let is_local = v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast();
                !is_local && is_within(&self.addresses.v6, v6.to_bits())
            }
        }
    }

    /// What the list takes.
    pub fn footprint(lists: &[Self]) -> Footprint {
        let intervals = lists.iter().map(|list| (list.addresses.v4.capacity(), list.addresses.v6.capacity()));
        let (v4, v6) = intervals.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
        let bytes = v4 * size_of::<(u32, u32)>() + v6 * size_of::<(u128, u128)>();
        Footprint { name: "address lists", entries: v4 + v6, bytes }
    }
}

impl Reading {
    /// What a person should know of the lines that were left out, in one line; nothing where there is nothing to mend.
    #[must_use]
    pub fn fault(&self, path: &Path) -> Option<String> {
        let Self { malformed, too_many, malformed_lines, .. } = self;
        let lines = malformed_lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let wrong = (*malformed > 0).then(|| {
            format!("{malformed} lines are neither an address nor a network of fair size (line {lines}); correct them")
        });
        let beyond = (*too_many > 0).then(|| format!("{too_many} entries are beyond {MOST_ENTRIES}; divide the list"));
        let told: Vec<String> = wrong.into_iter().chain(beyond).collect();
        (!told.is_empty()).then(|| format!("{}: {}; the others are used", path.display(), told.join("; ")))
    }
}

impl Addresses {
    fn read(mut lines: impl BufRead) -> io::Result<(Self, Reading)> {
        let (mut addresses, mut reading) = (Self::default(), Reading::default());
        let (mut line, mut number) = (Vec::new(), 0);
        while lines.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            match entry(&line) {
                Entry::Network(_) if reading.entries == MOST_ENTRIES => reading.too_many += 1,
                Entry::Network(network) => {
                    reading.entries += 1;
                    addresses.add(network);
                }
                Entry::Name => reading.names += 1,
                Entry::Malformed => {
                    reading.malformed += 1;
                    if reading.malformed_lines.len() < TOLD_LINES {
                        reading.malformed_lines.push(number);
                    }
                }
                Entry::Nothing => {}
            }
            line.clear();
        }
        addresses.v4 = merged(addresses.v4, |end| end.checked_add(1));
        addresses.v6 = merged(addresses.v6, |end| end.checked_add(1));
        Ok((addresses, reading))
    }

    fn add(&mut self, network: IpNet) {
        match network {
            IpNet::V4(v4) => self.v4.push((v4.network().to_bits(), v4.broadcast().to_bits())),
            IpNet::V6(v6) => self.v6.push((v6.network().to_bits(), v6.broadcast().to_bits())),
        }
    }
}

/// What a line is.
enum Entry {
    Network(IpNet),
    Name,
    Malformed,
    /// Empty, or a comment.
    Nothing,
}

fn entry(line: &[u8]) -> Entry {
    let Ok(text) = core::str::from_utf8(line) else { return Entry::Malformed };
    // Some files begin with a mark of their encoding.
    let text = text.trim_start_matches('\u{feff}').split(['#', ';']).next().unwrap_or_default();
    let mut words = text.split_whitespace();
    let Some(first) = words.next() else { return Entry::Nothing };
    let address = first.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let Ok(network) = address.or_else(|_| first.parse::<IpNet>()) else { return Entry::Malformed };
    let shortest = if matches!(network, IpNet::V4(_)) { SHORTEST_PREFIX_V4 } else { SHORTEST_PREFIX_V6 };
    let is_nobody = network.addr().is_unspecified() || network.addr().is_loopback();
    match words.next() {
        Some(_) if is_nobody => Entry::Name,
        _ if is_nobody || network.prefix_len() < shortest => Entry::Malformed,
        _ => Entry::Network(network),
    }
}

/// The intervals in order, those that overlap or touch as one.
fn merged<T: Ord + Copy>(mut intervals: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Vec<(T, T)> {
    intervals.sort_unstable();
    intervals.dedup_by(|later, earlier| {
        let goes_on = next(earlier.1).is_none_or(|next| later.0 <= next);
        if goes_on {
            earlier.1 = earlier.1.max(later.1);
        }
        goes_on
    });
    intervals.shrink_to_fit();
    intervals
}

fn is_within<T: Ord + Copy>(intervals: &[(T, T)], address: T) -> bool {
    let behind = intervals.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|last| intervals.get(last)).is_some_and(|(_, end)| address <= *end)
}

/// Not of a household, a link, or a group.
const fn is_global(address: Ipv4Addr) -> bool {
    !(address.is_private() || address.is_link_local() || address.is_multicast() || address.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use traffic::features::ThreatClass;

    fn list(text: &[u8]) -> (AddressList, Reading) {
        let (addresses, reading) = Addresses::read(text).expect("text");
        let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
        let config = ListConfig { name: Name::new("l"), path: PathBuf::from("l.txt"), verdict, block: false };
        (AddressList { config, addresses }, reading)
    }

    fn held(list: &AddressList, address: &str) -> bool {
        list.holds(address.parse().expect("an address"))
    }

    #[test]
    fn each_form_of_a_line_is_taken_for_what_it_is() {
        let text =
            b"\xef\xbb\xbf# head\n\n203.0.113.9 ; why\r\n198.51.100.0/25\t7\n2001:db8:1::/48\n::ffff:203.0.113.77\n\
            0.0.0.0 bad.example\n127.0.0.1 localhost\n:: worse.example\nbad.example\n203.0.113.300\n\xff\xfe\n\
            0.0.0.0/0\n10.0.0.0/7\n2001::/15\n203.0.113.10";
        let (list, reading) = list(text);
        let told = "/l.txt: 6 lines are neither an address nor a network of fair size (line 10, 11, 12); correct them; \
            the others are used";
        assert_eq!((reading.entries, reading.names, reading.malformed), (5, 3, 6));
        assert_eq!(reading.fault(Path::new("/l.txt")).as_deref(), Some(told));
        for address in ["203.0.113.9", "203.0.113.10", "203.0.113.77", "198.51.100.127", "2001:db8:1:ffff::1"] {
            assert!(held(&list, address), "{address}");
        }
        for address in ["203.0.113.8", "203.0.113.11", "198.51.100.128", "2001:db8:2::", "0.0.0.0", "10.0.0.1"] {
            assert!(!held(&list, address), "{address}");
        }
        assert!(held(&list, "::ffff:203.0.113.9"), "the same address in IPv6");
        assert_eq!(Reading::default().fault(Path::new("/l.txt")), None);
    }

    #[test]
    fn addresses_of_households_links_and_groups_are_on_no_list() {
        let (list, reading) = list(b"192.168.0.0/16\n10.0.0.0/8\n224.0.0.0/8\n169.254.0.0/16\nfe80::/16\nfc00::/16\n");
        assert_eq!((reading.entries, reading.malformed), (6, 0));
        for address in ["192.168.1.1", "10.1.1.1", "224.0.0.251", "169.254.1.1", "fe80::1", "fc00::1"] {
            assert!(!held(&list, address), "{address}");
        }
    }

    #[test]
    fn as_many_entries_as_are_promised_take_a_few_mib_and_more_are_told() {
        let address = |number: u32| format!("2001:db8:{:x}:{:x}::/64\n", number >> 15, number << 1 & 0xffff);
        let text: String = (0..=MOST_ENTRIES as u32).map(address).collect();
        let (list, reading) = list(text.as_bytes());
        assert_eq!((reading.entries, reading.too_many), (MOST_ENTRIES, 1));
        assert!(reading.fault(Path::new("/l")).is_some_and(|fault| fault.contains("1 entries are beyond 200000")));
        let footprint = AddressList::footprint(&[list]);
        assert_eq!((footprint.entries, footprint.bytes), (MOST_ENTRIES, MOST_ENTRIES * 32));
    }

    proptest! {
        #[test]
        fn an_address_is_held_where_one_of_the_networks_holds_it(
            networks in proptest::collection::vec((0_u32..1 << 12, 20_u8..=32), 0..40),
            asked in proptest::collection::vec(0_u32..1 << 12, 50),
        ) {
            // A small part of the address space, so that networks overlap and touch.
            let address = |low: u32| Ipv4Addr::from_bits(0xcb00_7000 + low);
            let lines: Vec<String> =
                networks.iter().map(|(low, prefix)| format!("{}/{prefix}\n", address(*low))).collect();
            let (list, _) = list(lines.concat().as_bytes());
            let parsed: Vec<IpNet> = lines.iter().map(|line| line.trim().parse().expect("a network")).collect();
            for low in asked {
                let asked = IpAddr::from(address(low));
                prop_assert_eq!(list.holds(asked), parsed.iter().any(|network| network.contains(&asked)));
            }
            let apart = list.addresses.v4.windows(2).all(|pair| u64::from(pair[0].1) + 1 < u64::from(pair[1].0));
            prop_assert!(apart, "intervals touch: {:?}", list.addresses.v4);
        }
    }
}
