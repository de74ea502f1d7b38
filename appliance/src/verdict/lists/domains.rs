//! A set of domains: sorted hashes of 64 bits, 8 bytes each. A name is in it where the name itself or one above it was added.
//!
//! The hash is the same everywhere and not keyed: whoever knows a name that collides with a listed one can only accuse
//! himself by asking for it. Of names that nobody chose so, one suffix in 2⁶⁴ / 200,000, about 9 × 10¹³, is taken for a
//! listed one by mistake.

use core::fmt;

use traffic::decode::dns::{MOST_LABELS, Question};

/// Longest name as text, in bytes.
const LONGEST_NAME_BYTES: usize = 253;

/// What is kept of a name that was asked for, in bytes: its end, which says more than its beginning.
const KEPT_BYTES: usize = 64;

/// The offset basis and the prime of FNV-1a with 64 bits (draft-eastlake-fnv).
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// A set of domains.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    hashes: Vec<u64>,
    /// Labels of the longest name that was added: longer suffixes need not be looked up.
    most_labels: usize,
}

/// A domain that can be added: the hash of its name, and how many labels it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    hash: u64,
    labels: usize,
}

/// The hashes of a name and of all names above it, the shortest first.
#[derive(Debug)]
pub struct Suffixes {
    hashes: [u64; MOST_LABELS],
    labels: usize,
}

impl Domains {
    /// Adds a domain. Nothing is found before [`Self::settle`].
    pub fn add(&mut self, domain: Domain) {
        self.hashes.push(domain.hash);
        self.most_labels = self.most_labels.max(domain.labels);
    }

    /// Puts what was added in order.
    pub fn settle(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.hashes.shrink_to_fit();
    }

    /// Nothing was added.
    pub const fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The number of labels of the shortest domain that was added and that the name is, or is below of.
    pub fn find(&self, suffixes: &Suffixes) -> Option<usize> {
        let hashes = suffixes.hashes.iter().take(suffixes.labels.min(self.most_labels));
        hashes.zip(1..).find(|(hash, _)| self.hashes.binary_search(hash).is_ok()).map(|(_, labels)| labels)
    }

    /// How many domains there is room for, and what they take.
    pub const fn footprint(&self) -> (usize, usize) {
        (self.hashes.capacity(), self.hashes.capacity() * size_of::<u64>())
    }
}

impl Domain {
    /// A domain as people write it; `None` where it is none, and where it is a single label, which would accuse everybody who
    /// asks for anything below `com`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_letter);
        let (_, last) = text.rsplit_once('.')?;
        // What ends in a number is a misspelt address.
        let is_name = text.len() <= LONGEST_NAME_BYTES
            && text.split('.').all(is_label)
            && !last.bytes().all(|byte| byte.is_ascii_digit());
        let hashed = text
            .rsplit('.')
            .fold((FNV_BASIS, 0), |(hash, labels), label| (with_label(hash, label.as_bytes()), labels + 1));
        is_name.then_some(Self { hash: hashed.0, labels: hashed.1 })
    }
}

impl Suffixes {
    /// Those of a name that was asked for.
    #[must_use]
    pub fn of(question: Question<'_>) -> Self {
        let mut found = [&[][..]; MOST_LABELS];
        let labels = found.iter_mut().zip(question.labels()).map(|(place, label)| *place = label).count();
        let mut suffixes = Self { hashes: [0; MOST_LABELS], labels };
        let mut hash = FNV_BASIS;
        for (place, label) in suffixes.hashes.iter_mut().zip(found.iter().take(labels).rev()) {
            hash = with_label(hash, label);
            *place = hash;
        }
        suffixes
    }
}

/// The hash of a name with one label more before it. The length goes first, so that no two names are the same bytes.
fn with_label(hash: u64, label: &[u8]) -> u64 {
    let with_byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    label.iter().fold(with_byte(hash, label.len() as u8), |hash, byte| with_byte(hash, byte.to_ascii_lowercase()))
}

/// A name that somebody asked for, held in place as far as there is room for it, in letters that harm no terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AskedName {
    /// The end of the name.
    end: [u8; KEPT_BYTES],
    len: u8,
    /// How many of its last bytes are the domain on the list.
    listed: u8,
    is_cut: bool,
}

impl AskedName {
    /// The name of a question, of which so many labels at the end are the domain on the list.
    #[must_use]
    pub fn new(question: Question<'_>, listed_labels: usize) -> Self {
        let mut text = [0; LONGEST_NAME_BYTES];
        let (mut len, mut listed) = (0, 0);
        let unlisted = question.labels().count().saturating_sub(listed_labels);
        for (number, label) in question.labels().enumerate() {
            if number == unlisted {
                listed = len + usize::from(number > 0);
            }
            let dot = (number > 0).then_some(b'.');
            let letters = dot.into_iter().chain(label.iter().map(|byte| shown(*byte)));
            len += text.iter_mut().skip(len).zip(letters).map(|(place, letter)| *place = letter).count();
        }
        let kept = text.get(len.saturating_sub(KEPT_BYTES)..len).unwrap_or_default();
        let mut end = [0; KEPT_BYTES];
        end.iter_mut().zip(kept).for_each(|(place, letter)| *place = *letter);
        let listed = (len - listed).min(kept.len()) as u8;
        Self { end, len: kept.len() as u8, listed, is_cut: len > KEPT_BYTES }
    }

    fn last(&self, bytes: u8) -> &str {
        let kept = self.end.get(usize::from(self.len.saturating_sub(bytes))..self.len.into()).unwrap_or_default();
        core::str::from_utf8(kept).unwrap_or_default()
    }

    /// The domain on the list that it is, or is below of, as far as there was room.
    #[must_use]
    pub fn listed(&self) -> &str {
        self.last(self.listed)
    }

    /// It is the domain on the list itself.
    #[must_use]
    pub const fn is_listed_itself(&self) -> bool {
        self.listed == self.len && !self.is_cut
    }
}

impl fmt::Display for AskedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_cut { "…" } else { "" }, self.last(self.len))
    }
}

impl fmt::Debug for AskedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is shown for a byte of a name, which may be any.
const fn shown(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        letter @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => letter,
        _ => b'?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use traffic::decode::dns::question;

    /// A query for a name.
    fn query<L: AsRef<[u8]>>(labels: &[L]) -> Vec<u8> {
        let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            message.push(label.as_ref().len() as u8);
            message.extend(label.as_ref());
        }
        [&message[..], &[0, 0, 1, 0, 1]].concat()
    }

    fn set(names: &[&str]) -> Domains {
        let mut set = Domains::default();
        names.iter().for_each(|name| set.add(Domain::parse(name).expect("a domain")));
        set.settle();
        set
    }

    /// How many labels of the name are listed.
    fn find(set: &Domains, name: &str) -> Option<usize> {
        let labels: Vec<&str> = name.split('.').collect();
        set.find(&Suffixes::of(question(&query(&labels)).expect("a question")))
    }

    #[test]
    fn a_name_is_found_by_itself_and_by_each_domain_above_it() {
        let set = set(&["evil.example", "c.b.worse.example", "EVIL2.example."]);
        for (name, labels) in [
            ("evil.example", Some(2)),
            ("Mail.EVIL.Example", Some(2)),
            ("a.b.c.d.e.evil.example", Some(2)),
            ("evil2.example", Some(2)),
            ("x.c.b.worse.example", Some(4)),
            ("b.worse.example", None),
            ("notevil.example", None),
            ("evil.example.org", None),
            ("example", None),
        ] {
            assert_eq!(find(&set, name), labels, "{name}");
        }
    }

    #[test]
    fn a_label_that_holds_a_dot_is_not_two() {
        let set = set(&["evil.example"]);
        let message = query(&[b"evil.example"]);
        assert_eq!(set.find(&Suffixes::of(question(&message).expect("a question"))), None);
    }

    #[test]
    fn what_is_no_domain_is_not_taken_for_one() {
        let long = ["a".repeat(64), String::from("example")].join(".");
        let longer = vec!["a".repeat(61); 5].join(".");
        for text in
            ["", ".", "com", "a..example", ".example.org", "203.0.113.300", "a b.example", "é.example", &long, &longer]
        {
            assert_eq!(Domain::parse(text), None, "{text}");
        }
        assert!(Domain::parse("_dmarc.xn--e1afmkfd.example").is_some());
    }

    #[test]
    fn an_asked_name_is_shown_with_the_domain_that_is_listed_and_without_what_harms_a_terminal() {
        let asked = |labels: &[&[u8]], listed| AskedName::new(question(&query(labels)).expect("a question"), listed);
        let name = asked(&[b"\x1b[2J\n<b>", b"EVIL", b"example"], 2);
        assert_eq!((name.to_string().as_str(), name.listed()), ("??2j??b?.evil.example", "evil.example"));
        assert!(!name.is_listed_itself() && asked(&[b"evil", b"example"], 2).is_listed_itself());
        // The longest name that there is, and all of it listed.
        let long = [&[b'a'; 63][..], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]];
        let name = asked(&long, 4);
        assert_eq!(name.to_string(), format!("…cc.{}", "d".repeat(61)));
        assert_eq!(name.listed().len(), KEPT_BYTES);
        assert_eq!(asked(&long, 1).listed(), "d".repeat(61));
    }

    proptest! {
        #[test]
        fn a_name_is_found_where_a_listed_one_is_its_end(
            listed in proptest::collection::vec(proptest::collection::vec("[ab]{1,2}", 2..5), 0..20),
            asked in proptest::collection::vec("[abAB]{1,2}", 1..7),
        ) {
            let names: Vec<String> = listed.iter().map(|labels| labels.join(".")).collect();
            let set = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let lower: Vec<String> = asked.iter().map(|label| label.to_ascii_lowercase()).collect();
            let naive = listed.iter().filter(|labels| lower.ends_with(labels)).map(Vec::len).min();
            prop_assert_eq!(find(&set, &asked.join(".")), naive);
        }
    }
}
