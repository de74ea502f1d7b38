//! A batch: the messages of one atomic change, each with the words that an error shall say it by.

use crate::linux::netlink::{FLAG_ACK, FLAG_APPEND, FLAG_CREATE, Request};

use super::numbers::{BATCH_BEGIN, BATCH_END, SUBSYSTEM, chain, message, rule, set, table};
use super::rules::{Comment, Rule};

/// The table of this program.
pub(super) const TABLE: &str = "sluice";
/// What an administrator should know who finds the table.
const TABLE_COMMENT: &str = "kept by sluice: changes are put back; see sluice.toml";

/// Key of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Ipv4,
    Ipv6,
}

/// What a set holds, by the number and the length that its keys have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyType {
    kind: u32,
    length_bytes: u32,
}

/// An Ethernet address.
pub(super) const ETHERNET: KeyType = KeyType { kind: set::TYPE_ETHERNET_ADDRESS, length_bytes: 6 };

/// The type of a frame, as in `meta protocol`.
pub(super) const FRAME_TYPE: KeyType = KeyType { kind: set::TYPE_FRAME_TYPE, length_bytes: 2 };

/// A port, filled up to four bytes.
const PORT: KeyType = KeyType { kind: set::TYPE_PORT, length_bytes: 4 };

impl Key {
    /// An address.
    pub(super) const fn address(self) -> KeyType {
        match self {
            Self::Ipv4 => KeyType { kind: set::TYPE_IPV4_ADDRESS, length_bytes: 4 },
            Self::Ipv6 => KeyType { kind: set::TYPE_IPV6_ADDRESS, length_bytes: 16 },
        }
    }

    /// An address and a transport protocol, filled up to four bytes.
    pub(super) const fn host(self) -> KeyType {
        self.address().and(KeyType { kind: set::TYPE_PROTOCOL, length_bytes: 4 })
    }

    /// An address, a transport protocol and a port, each filled up to four bytes.
    pub(super) const fn target(self) -> KeyType {
        self.host().and(PORT)
    }

    /// An address, a port, and four bytes that tell one question of it from another.
    pub(super) const fn question(self) -> KeyType {
        self.address().and(PORT).and(KeyType { kind: set::TYPE_MARK, length_bytes: 4 })
    }

    /// The two ends of a conversation, an address and a port each.
    pub(super) const fn ends(self) -> KeyType {
        self.address().and(PORT).and(self.address()).and(PORT)
    }
}

impl KeyType {
    /// A concatenation, as `nft` numbers it.
    const fn and(self, next: Self) -> Self {
        Self { kind: self.kind << set::TYPE_BITS | next.kind, length_bytes: self.length_bytes + next.length_bytes }
    }
}

/// Messages for one table, between the begin and the end of a batch.
pub(super) struct Batch {
    request: Request,
    family: u8,
    steps: Vec<&'static str>,
}

impl Batch {
    /// An empty batch for the table in this family.
    pub(super) fn new(family: u8) -> Self {
        let mut request = Request::new();
        request.message(BATCH_BEGIN, 0, &batch_header());
        Self { request, family, steps: vec!["begin a change"] }
    }

    /// Whether there is nothing to change.
    pub(super) fn is_empty(&self) -> bool {
        self.request.count() <= 1
    }

    /// Ends the batch; what to send.
    pub(super) fn finish(&mut self) -> &mut Request {
        self.request.message(BATCH_END, 0, &batch_header());
        &mut self.request
    }

    /// What the message at this position (from 1) was to do. Failures of the whole batch carry the position of its begin.
    pub(super) fn step(&self, message: u32) -> &'static str {
        let index = usize::try_from(message).unwrap_or(usize::MAX).saturating_sub(1);
        self.steps.get(index).copied().unwrap_or("apply the change")
    }

    /// Begins a message of nftables. Only the first asks for a confirmation, as the sign that the kernel answered at all:
    /// errors come unasked, and thousands of confirmations would not fit the socket's buffer.
    pub(super) fn message(&mut self, step: &'static str, kind: u16, flags: u16) -> &mut Request {
        let confirm = if self.is_empty() { FLAG_ACK } else { 0 };
        self.steps.push(step);
        self.request.message(message_type(kind), flags | confirm, &header(self.family))
    }

    /// `add table`
    pub(super) fn add_table(&mut self) {
        let data = Comment::new(TABLE_COMMENT);
        self.message("make the table", message::NEW_TABLE, FLAG_CREATE)
            .text(table::NAME, TABLE)
            .attribute(table::USER_DATA, data.bytes());
    }

    /// `delete table`
    pub(super) fn delete_table(&mut self) {
        self.message("remove the table", message::DELETE_TABLE, 0).text(table::NAME, TABLE);
    }

    /// `add set`; `id` differs for each set of the batch.
    pub(super) fn add_set(&mut self, name: &str, id: u32, key: KeyType, flags: u32, capacity: u32) {
        let request = self.message("make a set", message::NEW_SET, FLAG_CREATE);
        request
            .text(set::TABLE, TABLE)
            .text(set::NAME, name)
            .be_u32(set::FLAGS, flags)
            .be_u32(set::KEY_TYPE, key.kind)
            .be_u32(set::KEY_LENGTH, key.length_bytes)
            .be_u32(set::ID, id);
        if flags & set::FLAG_TIMEOUT != 0 {
            request.nest(set::DESCRIPTION, |description| {
                description.be_u32(set::DESCRIPTION_SIZE, capacity);
            });
        }
    }

    /// `add chain`, one that others jump to.
    pub(super) fn add_chain(&mut self, name: &str) {
        self.message("make a chain", message::NEW_CHAIN, FLAG_CREATE).text(chain::TABLE, TABLE).text(chain::NAME, name);
    }

    /// `add rule`
    pub(super) fn add_rule(&mut self, chain: &str, written: Rule) {
        let request = self.message("make a rule", message::NEW_RULE, FLAG_CREATE | FLAG_APPEND);
        request.text(rule::TABLE, TABLE).text(rule::CHAIN, chain);
        written.write(request);
    }
}

/// The type of a message of nftables.
pub(super) const fn message_type(kind: u16) -> u16 {
    SUBSYSTEM << 8 | kind
}

/// `struct nfgenmsg`: family, version 0, no resource.
pub(super) const fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

/// `struct nfgenmsg` of a batch: its resource is the subsystem.
const fn batch_header() -> [u8; 4] {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    [0, 0, high, low]
}

/// Bytes as `nft --debug=mnl` 1.0.6 prints them for the command above each, without the attribute by which it repeats a
/// set's number beside its name.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::nftables::elements::add_blocks;
    use crate::enforce::nftables::numbers::FAMILY_NETDEV;
    use crate::enforce::nftables::rules::Base;
    use crate::linux::netlink::replies;
    use crate::policy::Subject;
    use core::time::Duration;

    /// `add rule netdev sluice ipv4 ip saddr @deny4 counter drop comment "from the blocked"`
    const RULE: &str = "
        05000000 0b000100 736c7569 63650000 09000200 69707634 00000000 f4000480 24000180 09000100
        6d657461 00000000 14000280 08000200 00000001 08000100 00000001 2c000180 08000100 636d7000
        20000280 08000100 00000001 08000200 00000000 0c000380 06000100 08000000 34000180 0c000100
        7061796c 6f616400 24000280 08000100 00000001 08000200 00000001 08000300 0000000c 08000400
        00000004 28000180 0b000100 6c6f6f6b 75700000 18000280 08000200 00000001 0a000100 64656e79
        34000000 14000180 0c000100 636f756e 74657200 04000280 30000180 0e000100 696d6d65 64696174
        65000000 1c000280 08000100 00000000 10000280 0c000280 08000100 00000000 17000700 00116672
        6f6d2074 68652062 6c6f636b 65640000";

    /// `add element netdev sluice deny4 { 203.0.113.7 timeout 10s }`
    const ELEMENT: &str = "
        05000000 0b000100 736c7569 63650000 0a000200 64656e79 34000000 20000380 1c000180 0c000400
        00000000 00002710 0c000180 08000100 cb007107";

    fn second_message(batch: &mut Batch) -> String {
        let message = replies(batch.finish().finish()).nth(1).unwrap();
        message.payload.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn without_spaces(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn a_rule_is_what_nft_sends() {
        let mut batch = Batch::new(FAMILY_NETDEV);
        let rule = Rule::new("from the blocked").protocol(0x0800).load(Base::Network, 12, 4).in_set("deny4").drop();
        batch.add_rule("ipv4", rule);
        assert_eq!(second_message(&mut batch), without_spaces(RULE));
    }

    #[test]
    fn an_element_is_what_nft_sends() {
        let mut batch = Batch::new(FAMILY_NETDEV);
        let subject = Subject::of([203, 0, 113, 7].into());
        add_blocks(&mut batch, "deny4", &[(subject, Duration::from_secs(10))], 0);
        assert_eq!(second_message(&mut batch), without_spaces(ELEMENT));
    }

    #[test]
    fn an_error_is_said_by_its_step() {
        let mut batch = Batch::new(FAMILY_NETDEV);
        assert!(batch.is_empty());
        batch.delete_table();
        assert!(!batch.is_empty());
        assert_eq!(
            [1, 2, 3].map(|message| batch.step(message)),
            ["begin a change", "remove the table", "apply the change"]
        );
    }
}
