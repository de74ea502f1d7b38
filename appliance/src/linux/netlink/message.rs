//! Messages and their attributes, written and read. Lengths and numbers of the protocol itself are native-endian; each
//! subsystem has its own rule for what is inside: nftables big-endian, interfaces and routes native.

use super::FLAG_REQUEST;

/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER_BYTES: usize = 16;
/// `struct nlattr`: length and type.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Says that an attribute holds attributes (`NLA_F_NESTED`).
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are not flags (`NLA_TYPE_MASK`).
const TYPE_MASK: u16 = 0x3fff;
/// Messages and attributes begin at multiples of this.
const ALIGNMENT: usize = 4;

/// One or more messages that are sent together. The sequence number of a message is its position, counted from 1.
#[derive(Debug, Default)]
pub struct Request {
    bytes: Vec<u8>,
    open: Option<usize>,
    count: u32,
}

impl Request {
    /// Without messages yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages were begun.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Begins a message; `header` is the fixed part that its subsystem expects before the attributes.
    pub fn message(&mut self, kind: u16, flags: u16, header: &[u8]) -> &mut Self {
        self.close();
        self.open = Some(self.bytes.len());
        self.count = self.count.wrapping_add(1);
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | FLAG_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(header);
        self.pad();
        self
    }

    /// Adds an attribute of these bytes.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&attribute_length(ATTRIBUTE_HEADER_BYTES + value.len()));
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Adds a text, with the zero that ends it.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.bytes.extend_from_slice(&attribute_length(ATTRIBUTE_HEADER_BYTES + value.len() + 1));
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
        self
    }

    /// Adds a big-endian number, as nftables wants them.
    pub fn be_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Adds a big-endian number, as nftables wants them.
    pub fn be_u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Adds a native-endian number, as interfaces and routes want them.
    pub fn ne_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute that holds those which `inner` adds: together less than 64 KiB.
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&attribute_length(ATTRIBUTE_HEADER_BYTES));
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        inner(self);
        let length = attribute_length(self.bytes.len() - start);
        self.overwrite(start, &length);
        self
    }

    /// Adds attributes that another request collected.
    pub fn append(&mut self, attributes: &[u8]) {
        self.bytes.extend_from_slice(attributes);
        self.pad();
    }

    /// Ends the last message; all bytes to send.
    pub fn finish(&mut self) -> &[u8] {
        self.close();
        &self.bytes
    }

    fn close(&mut self) {
        if let Some(start) = self.open.take() {
            // A message of 4 GiB cannot be built: its attributes end at 64 KiB each.
            let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
            self.overwrite(start, &length.to_ne_bytes());
        }
    }

    fn overwrite(&mut self, at: usize, with: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + with.len()) {
            place.copy_from_slice(with);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// A length beyond the field saturates: the kernel refuses the message as malformed.
fn attribute_length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_ne_bytes()
}

/// One message that the kernel sent.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// What it is: a number of the subsystem, or of netlink itself below 16.
    pub kind: u16,
    /// Flags, such as [`super::FLAG_DUMP_INTERRUPTED`].
    pub flags: u16,
    /// Position of the message that it answers.
    pub sequence: u32,
    /// The socket that it answers; of a notification, the one that made the change.
    pub port: u32,
    /// All behind the netlink header: the subsystem's fixed part, then attributes.
    pub payload: &'a [u8],
}

/// The messages in what one read returned; ends at the first whose length cannot be.
pub fn replies(bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let header = rest.first_chunk::<HEADER_BYTES>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let payload = rest.get(HEADER_BYTES..length)?;
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Reply {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            payload,
        })
    })
}

/// One attribute: its type without flags, and its value.
pub type Attribute<'a> = (u16, &'a [u8]);

/// The attributes in these bytes; ends at the first whose length cannot be.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *rest.first_chunk::<ATTRIBUTE_HEADER_BYTES>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & TYPE_MASK, value))
    })
}

/// A big-endian number; none where the value has another length.
#[must_use]
pub fn read_be_u32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A big-endian number; none where the value has another length.
#[must_use]
pub fn read_be_u64(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// A native-endian number; none where the value has another length.
#[must_use]
pub fn read_ne_u32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_reads_back_as_written() {
        let mut request = Request::new();
        request.message(0x0a01, 0x400, &[5, 0, 0, 0]).text(1, "sluice").nest(3, |inner| {
            inner.be_u32(1, 7).attribute(2, &[1, 2, 3, 4, 5]);
        });
        request.message(0x0a02, 0, &[5, 0, 0, 0]);
        let bytes = request.finish();
        let read: Vec<_> = replies(bytes).collect();
        let [first, second] = read[..] else { panic!("{read:?}") };
        assert_eq!((first.kind, first.flags, first.sequence), (0x0a01, 0x401, 1));
        assert_eq!((second.kind, second.sequence, second.payload), (0x0a02, 2, &[5, 0, 0, 0][..]));
        let outer: Vec<_> = attributes(&first.payload[4..]).collect();
        assert_eq!(outer[0], (1, &b"sluice\0"[..]));
        assert_eq!(outer[1].0, 3);
        let inner: Vec<_> = attributes(outer[1].1).collect();
        assert_eq!(inner, [(1, &[0, 0, 0, 7][..]), (2, &[1, 2, 3, 4, 5][..])]);
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let mut request = Request::new();
        request.message(0x1234, 4, &[0xaa, 0, 0, 0]).text(1, "ab");
        let mut expected = Vec::new();
        expected.extend_from_slice(&28_u32.to_ne_bytes());
        expected.extend_from_slice(&0x1234_u16.to_ne_bytes());
        expected.extend_from_slice(&5_u16.to_ne_bytes());
        expected.extend_from_slice(&1_u32.to_ne_bytes());
        expected.extend_from_slice(&0_u32.to_ne_bytes());
        expected.extend_from_slice(&[0xaa, 0, 0, 0]);
        expected.extend_from_slice(&7_u16.to_ne_bytes());
        expected.extend_from_slice(&1_u16.to_ne_bytes());
        expected.extend_from_slice(b"ab\0\0");
        assert_eq!(request.finish(), expected);
    }

    #[test]
    fn an_attribute_that_is_too_long_saturates() {
        let mut request = Request::new();
        request.message(1, 0, &[]).attribute(1, &[0; 70_000]);
        assert_eq!(attributes(&request.finish()[16..]).next().map(|(_, value)| value.len()), Some(65_531));
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_the_parsing(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            for reply in replies(&bytes) {
                for (_, value) in attributes(reply.payload) {
                    prop_assert!(attributes(value).count() <= value.len());
                }
            }
        }
    }
}
