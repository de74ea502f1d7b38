//! The question of a DNS query (RFC 1035 section 4.1), read from the payload of a datagram.
//!
//! Whoever sends the datagram chooses its bytes, and a capture may have cut it, so each length is checked before anything
//! behind it is read. A question has no name before it that its name could point to: a compression pointer is refused.

/// Length of the header in bytes.
const HEADER_LEN: usize = 12;

/// Longest name on the wire in bytes, its lengths and the final zero included (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 255;

/// The two highest bits of a length: anything but zeros is a pointer or reserved (RFC 1035 section 4.1.4).
const NO_LENGTH: u8 = 0xc0;

/// Most labels of a name: each takes two bytes at least, and the root takes one.
pub const MOST_LABELS: usize = LONGEST_NAME / 2;

/// From so many bytes on a label is long: names that people give are shorter, but for a few that programs make. Names that carry data
/// have as little room for anything else as they can (`make corpus ONLY=iodine`, and the captures of dnscat2 and dns2tcp of
/// Max-Ferstenberg/DNS-Tunnel-Detector).
const LONG_LABEL_LEN: usize = 24;

/// Records that carry data, as tunnels ask for them (iodine, dnscat2, dns2tcp): CNAME, NULL, MX, TXT, KEY, SRV, DNAME, and one for private
/// use. Any page can have a browser ask for the addresses of as many long names as it likes, and a resolver for what proves them (DS) or
/// who is responsible for them (NS).
const OF_DATA: [u16; 8] = [5, 10, 15, 16, 25, 33, 39, 65_399];

/// A longer datagram is not looked at: in each encapsulation that is known, IPv6 in PPPoE in two VLAN tags among them, one up to this
/// length is taken whole from the wire, so that no longer one may be known from a capture. The longest name fits, with the options that
/// resolvers add (RFC 6891, RFC 7873).
const LONGEST_QUESTION_LEN: usize = 314;

/// The domain below which Sophos' virus scanner asks for texts about fingerprints of files (Plixer FlowPro, "Trusted Domain List"; SANS
/// Internet Storm Center, diary 24844).
const OF_FINGERPRINTS: [&[u8]; 2] = [b"sophosxl", b"net"];

/// The name that a query asks for: labels of 1 to 63 bytes of any value, upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The labels, each behind its length, without the root.
    wire: &'a [u8],
    /// Which records are asked for (RFC 1035 section 3.2.2); `None` where that was cut off.
    kind: Option<u16>,
}

/// The first question of a query. `None` for anything else: an answer, an operation that is no query, a name that is
/// malformed, was not captured whole, or is the root.
#[must_use]
pub fn question(message: &[u8]) -> Option<Question<'_>> {
    let (header, body) = message.split_first_chunk::<HEADER_LEN>()?;
    let [_, _, flags, _, count_high, count_low, ..] = *header;
    // QR is zero for a query, and so is OPCODE for a standard one.
    let is_query = flags >> 3 == 0;
    if !is_query || (count_high, count_low) == (0, 0) {
        return None;
    }
    let mut len = 0;
    loop {
        match *body.get(len)? {
            0 => break,
            label if label & NO_LENGTH != 0 => return None,
            label => len += 1 + usize::from(label),
        }
        if len >= LONGEST_NAME {
            return None;
        }
    }
    // Its type and class follow, which a datagram that means something has.
    let wire = body.get(..len).filter(|wire| !wire.is_empty())?;
    let kind = body.get(len + 1..).and_then(<[u8]>::first_chunk).map(|kind| u16::from_be_bytes(*kind));
    Some(Question { wire, kind })
}

/// A name with a long label below its domain, of which records are asked for that carry data, by fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongName {
    /// That of its last two labels. Where these are no domain that somebody has (`co.uk`), the names of many are taken for those of one.
    pub domain: u32,
    /// That of the whole name.
    pub name: u32,
}

impl LongName {
    /// The name that a query in a datagram of that length asks for, where it may carry data.
    #[must_use]
    pub(super) fn asked_in(message: &[u8], datagram_len: usize) -> Option<Self> {
        if datagram_len > LONGEST_QUESTION_LEN {
            return None;
        }
        let question =
            question(message).filter(|question| question.kind.is_some_and(|kind| OF_DATA.contains(&kind)))?;
        // Resolvers write names in upper and lower case as they like (draft-vixie-dnsext-dns0x20).
        let mut wire = [0; LONGEST_NAME];
        let wire = wire.get_mut(..question.wire.len())?;
        wire.copy_from_slice(question.wire);
        wire.make_ascii_lowercase();
        let name = Question { wire, ..question };
        let below = name.labels().count().checked_sub(2)?;
        let domain = [name.labels().nth(below)?, name.labels().nth(below + 1)?];
        let is_long = name.labels().take(below).any(|label| label.len() >= LONG_LABEL_LEN);
        (is_long && domain != OF_FINGERPRINTS)
            .then(|| Self { domain: fingerprint(domain), name: fingerprint(name.labels()) })
    }
}

/// Of labels: FNV-1a, 32 bits (draft-eastlake-fnv), with their lengths.
fn fingerprint<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let add = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(PRIME);
    labels
        .into_iter()
        .fold(BASIS, |hash, label| label.iter().fold(add(hash, label.len() as u8), |hash, byte| add(hash, *byte)))
}

impl<'a> Question<'a> {
    /// The labels from left to right.
    #[must_use]
    pub const fn labels(self) -> Labels<'a> {
        Labels { rest: self.wire }
    }
}

/// The labels of a name from left to right.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, behind) = self.rest.split_first()?;
        let (label, rest) = behind.split_at_checked(usize::from(*len))?;
        self.rest = rest;
        Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query with these bytes behind its header.
    fn query(body: &[u8]) -> Vec<u8> {
        [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], body].concat()
    }

    fn name(message: &[u8]) -> Option<String> {
        let labels: Vec<_> = question(message)?.labels().map(String::from_utf8_lossy).collect();
        Some(labels.join("."))
    }

    fn label(len: usize) -> Vec<u8> {
        let mut label = vec![b'a'; len + 1];
        label[0] = u8::try_from(len).unwrap();
        label
    }

    #[test]
    fn the_name_of_the_first_question_is_read_as_it_was_sent() {
        let message = query(b"\x04Mail\x04evil\x07example\0\0\x01\0\x01");
        assert_eq!(name(&message).as_deref(), Some("Mail.evil.example"));
        // An additional record, as of EDNS, and a second question follow: neither is looked at.
        let more = [&message[..], b"\x05other\0\0\x01\0\x01\0\0\x29\x10\0\0\0\0\0\0\0"].concat();
        assert_eq!(name(&more).as_deref(), Some("Mail.evil.example"));
    }

    #[test]
    fn a_name_may_carry_data_where_a_label_is_long_and_what_is_asked_for_is_not_where_it_is() {
        let asked = |name: &[u8], kind: u8, datagram_len| {
            LongName::asked_in(&query(&[name, &[0, 0, kind, 0, 1]].concat()), datagram_len)
        };
        let name = [label(24), label(1), b"\x07example\x03org".to_vec()].concat();
        let short = [label(23), label(1), b"\x07example\x03org".to_vec()].concat();
        let found = asked(&name, 16, 100).unwrap();
        assert_eq!(asked(&name, 10, LONGEST_QUESTION_LEN), Some(found));
        assert_eq!(asked(&name.to_ascii_uppercase(), 5, 100), Some(found));
        assert_eq!(asked(&name, 16, LONGEST_QUESTION_LEN + 1), None, "as if it had been cut");
        for kind in [1, 2, 6, 28, 43, 48, 65] {
            assert_eq!(asked(&name, kind, 100), None, "{kind}");
        }
        assert_eq!(asked(&short, 16, 100), None);
        assert_eq!(asked(&[label(24), label(24)].concat(), 16, 100), None, "the domain itself");
        let whole = query(&[&name[..], &[0, 0, 16, 0, 1]].concat());
        let kind_at = whole.len() - 4;
        for len in 0..kind_at + 2 {
            assert_eq!(LongName::asked_in(&whole[..len], 100), None, "cut to {len} bytes");
        }
        assert_eq!(LongName::asked_in(&whole[..kind_at + 2], 100), Some(found));
    }

    #[test]
    fn what_is_no_query_has_no_question() {
        let message = query(b"\x04evil\x07example\0\0\x01\0\x01");
        for (place, byte) in [(2, 0x81), (2, 0x10), (2, 0x28), (5, 0)] {
            let mut other = message.clone();
            other[place] = byte;
            assert_eq!(name(&other), None, "byte {place} is {byte}");
        }
        assert_eq!(name(&query(b"\0\0\x01\0\x01")), None, "the root");
    }

    #[test]
    fn a_name_that_was_cut_anywhere_is_none() {
        let message = query(b"\x04evil\x07example\0\0\x01\0\x01");
        let end = message.len() - 4;
        for len in 0..end {
            assert_eq!(name(&message[..len]), None, "cut to {len} bytes");
        }
        assert_eq!(name(&message[..end]).as_deref(), Some("evil.example"));
    }

    #[test]
    fn pointers_and_reserved_lengths_are_refused_and_loop_nowhere() {
        for first in [0xc0, 0xff, 0x80, 0x40, 0x7f] {
            assert_eq!(name(&query(&[first, 12, 0, 0, 1, 0, 1])), None, "{first:#x}");
            assert_eq!(name(&query(&[1, b'a', first, 12, 0, 0, 1, 0, 1])), None, "a label and {first:#x}");
        }
    }

    #[test]
    fn a_name_of_255_bytes_is_the_longest() {
        let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
        assert_eq!(longest.len(), LONGEST_NAME);
        assert_eq!(name(&query(&longest)).map(|name| name.len()), Some(253));
        let longer = [label(63), label(63), label(63), label(62), vec![0]].concat();
        assert_eq!(name(&query(&longer)), None);
        let most = [label(1).repeat(MOST_LABELS), vec![0]].concat();
        assert_eq!(question(&query(&most)).map(|question| question.labels().count()), Some(MOST_LABELS));
        assert_eq!(name(&query(&[label(1).repeat(MOST_LABELS + 1), vec![0]].concat())), None);
    }
}
