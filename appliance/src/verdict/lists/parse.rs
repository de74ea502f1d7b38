//! The lines of a list, in the forms in which lists are published.
//!
//! An address or a network (`198.51.100.7`, `2001:db8::/32`) with whatever follows it; a domain alone in its line, also as
//! `*.evil.example` or `||evil.example^`; hosts files, in which an address that is nobody's stands before names. Comments
//! begin with `#` or `;`, or at the beginning of a line with `!`. Anything else is malformed, also the rules of browsers'
//! filters (`example.com##.banner`), which do not speak against the domain in them.

use core::net::IpAddr;
use std::io::{self, BufRead, Read as _};

use ipnet::IpNet;

use super::domains::Domain;

/// Longer lines are malformed.
const LONGEST_LINE_BYTES: u64 = 4096;

/// Wider networks would accuse a good part of the internet: a slip of the pen.
const SHORTEST_PREFIX_V4: u8 = 8;
const SHORTEST_PREFIX_V6: u8 = 16;

/// Names that every hosts file holds, besides those that begin with `ip6-`, and what some give the address of nobody as.
const EVERYBODYS: [&str; 5] = ["localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"];

/// Something that stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Network(IpNet),
    Domain(Domain),
    Malformed,
}

/// Reads lines one by one, without their number growing memory; `take` gets the number of each, from 1, with what is in it.
pub(super) fn read(mut lines: impl BufRead, mut take: impl FnMut(usize, Entry)) -> io::Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    while lines.by_ref().take(LONGEST_LINE_BYTES).read_until(b'\n', &mut line)? > 0 {
        number += 1;
        let is_cut = line.len() as u64 == LONGEST_LINE_BYTES && line.last() != Some(&b'\n');
        if is_cut {
            lines.skip_until(b'\n')?;
        }
        match core::str::from_utf8(&line) {
            // A comment may be as long as it likes, and in any letters.
            _ if line.starts_with(b"#") || line.starts_with(b";") => {}
            Ok(text) if !is_cut => entries(text, &mut |entry| take(number, entry)),
            _ => take(number, Entry::Malformed),
        }
        line.clear();
    }
    Ok(())
}

/// What is in a line.
fn entries(line: &str, take: &mut dyn FnMut(Entry)) {
    // Some files begin with a mark of their encoding.
    let line = line.trim_start_matches('\u{feff}').trim();
    let is_head = line.starts_with('[') && line.ends_with(']');
    if is_head || line.starts_with(['!', '#', ';']) {
        return;
    }
    if let Some(rule) = line.strip_prefix("||") {
        return take(rule.strip_suffix('^').map_or(Entry::Malformed, domain));
    }
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return };
    let bare = before_comment(first);
    // Nothing but a comment may follow the word whose comment has begun.
    let rest: &mut dyn Iterator<Item = &str> = if bare == first { &mut words } else { &mut core::iter::empty() };
    let mut rest = rest.map_while(|word| Some(before_comment(word)).filter(|word| !word.is_empty())).peekable();
    match network(bare) {
        Some(_) if rest.peek().is_some_and(|name| is_everybodys(name)) => {}
        Some(network) if is_nobodys(network) && rest.peek().is_some() => {
            rest.filter(|name| !is_everybodys(name)).for_each(|name| take(domain(name)));
        }
        Some(network) if is_nobodys(network) || is_too_wide(network) => take(Entry::Malformed),
        Some(network) => take(Entry::Network(network)),
        None if is_everybodys(bare) => {}
        None if bare == first && rest.peek().is_none() => {
            take(domain(bare.strip_prefix("*.").or_else(|| bare.strip_prefix('.')).unwrap_or(bare)));
        }
        None => take(Entry::Malformed),
    }
}

fn before_comment(word: &str) -> &str {
    word.split(['#', ';']).next().unwrap_or_default()
}

fn domain(name: &str) -> Entry {
    Domain::parse(name).map_or(Entry::Malformed, Entry::Domain)
}

/// An address, with the name of a link that some hosts files give, or a network.
fn network(word: &str) -> Option<IpNet> {
    let address = word.split('%').next()?.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.or_else(|_| word.parse()).ok()
}

fn is_nobodys(network: IpNet) -> bool {
    network.addr().is_unspecified() || network.addr().is_loopback()
}

const fn is_too_wide(network: IpNet) -> bool {
    match network {
        IpNet::V4(v4) => v4.prefix_len() < SHORTEST_PREFIX_V4,
        IpNet::V6(v6) => v6.prefix_len() < SHORTEST_PREFIX_V6,
    }
}

fn is_everybodys(name: &str) -> bool {
    EVERYBODYS.contains(&name) || name.starts_with("ip6-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8]) -> Vec<(usize, Entry)> {
        let mut found = Vec::new();
        read(text, |number, entry| found.push((number, entry))).expect("text");
        found
    }

    /// The lines with what they hold: `None` where they are malformed.
    fn assert_holds(cases: &[(&str, &[Option<&str>])]) {
        for (line, expected) in cases {
            let entry = |text: &Option<&str>| match text {
                None => Entry::Malformed,
                Some(text) => network(text).map_or_else(|| domain(text), Entry::Network),
            };
            let found: Vec<Entry> = read_all(line.as_bytes()).into_iter().map(|(_, entry)| entry).collect();
            assert_eq!(found, expected.iter().map(entry).collect::<Vec<_>>(), "{line:?}");
        }
    }

    #[test]
    fn addresses_and_networks_may_be_followed_by_anything() {
        assert_holds(&[
            ("203.0.113.9", &[Some("203.0.113.9/32")]),
            ("203.0.113.9 ; why\r", &[Some("203.0.113.9/32")]),
            ("203.0.113.9#4#2#Malicious Host", &[Some("203.0.113.9/32")]),
            ("198.51.100.0/25\t7", &[Some("198.51.100.0/25")]),
            ("2001:db8:1::/48", &[Some("2001:db8:1::/48")]),
            ("::ffff:203.0.113.77", &[Some("203.0.113.77/32")]),
            ("203.0.113.9 evil.example", &[Some("203.0.113.9/32")]),
        ]);
    }

    #[test]
    fn domains_are_taken_in_each_form_in_which_they_are_published() {
        let evil: &[Option<&str>] = &[Some("evil.example")];
        assert_holds(&[
            ("evil.example", evil),
            ("  Evil.Example.  # why", evil),
            ("*.evil.example", evil),
            (".evil.example", evil),
            ("||evil.example^", evil),
            ("0.0.0.0 evil.example", evil),
            ("127.0.0.1\tevil.example # why", evil),
            (":: evil.example#why", evil),
            ("0.0.0.0 evil.example mail.evil.example", &[Some("evil.example"), Some("mail.evil.example")]),
        ]);
    }

    #[test]
    fn comments_and_what_every_hosts_file_holds_are_nothing() {
        let long = format!("#{}", "é".repeat(5_000));
        for line in [
            "",
            "   ",
            "# head",
            "; head",
            "! Title: x",
            "[Adblock Plus 2.0]",
            "127.0.0.1 localhost",
            "127.0.0.1 localhost.localdomain",
            "255.255.255.255 broadcasthost",
            "::1 ip6-localhost ip6-loopback",
            "fe80::1%lo0 localhost",
            "ff02::1 ip6-allnodes",
            "0.0.0.0 0.0.0.0",
            &long,
        ] {
            assert_holds(&[(line, &[])]);
        }
    }

    #[test]
    fn whatever_else_is_malformed_and_accuses_nobody() {
        for line in [
            "203.0.113.300",
            "0.0.0.0/0",
            "10.0.0.0/7",
            "2001::/15",
            "0.0.0.0",
            "com",
            "example.com##.banner",
            "example.com#@#.banner",
            "@@||example.com^",
            "||example.com^$third-party",
            "||example.com/banner",
            "http://evil.example/a",
            "<p>evil.example</p>",
            "the site example.com is down",
            "example.com,7",
        ] {
            assert_holds(&[(line, &[None])]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_malformed_and_the_next_one_is_read() {
        let long = format!("0.0.0.0 {}\nevil.example", "a.example ".repeat(1_000));
        let text = [b"\xef\xbb\xbfevil.example\n\xff\xfe\n", long.as_bytes()].concat();
        let evil = domain("evil.example");
        assert_eq!(read_all(&text), [(1, evil), (2, Entry::Malformed), (3, Entry::Malformed), (4, evil)]);
        let exact = format!("{}\nevil.example", " ".repeat(LONGEST_LINE_BYTES as usize - 1));
        assert_eq!(read_all(exact.as_bytes()), [(2, evil)]);
    }
}
