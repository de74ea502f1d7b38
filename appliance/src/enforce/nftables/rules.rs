//! Rules as nftables evaluates them: expressions that load, compare, look up, count and end.
//!
//! Each method of [`Rule`] is one expression, and the order of calls is the order of evaluation. Forms are those that
//! `nft` itself would send, so that `nft list table` shows them in its own words.

use crate::linux::netlink::Request;

use super::numbers::{dynamic_set, rule};

/// The register where each load begins that the next expression uses (`NFT_REG_1`).
const REGISTER: u32 = 1;
/// The first of the registers of four bytes; they are parts of the one above (`NFT_REG32_00`).
const FIRST_WORD_REGISTER: u32 = 8;
/// Where verdicts go (`NFT_REG_VERDICT`).
const VERDICT_REGISTER: u32 = 0;
const VERDICT_DROP: u32 = 0;
const VERDICT_ACCEPT: u32 = 1;
/// `NFT_JUMP` is -3.
const VERDICT_JUMP: u32 = (-3_i32).cast_unsigned();
/// `NFT_GOTO` is -4.
const VERDICT_GOTO: u32 = (-4_i32).cast_unsigned();
/// `NFT_META_PROTOCOL`: the protocol of the frame, inside its outermost VLAN tag.
const META_PROTOCOL: u32 = 1;
/// `NFT_META_IIFNAME`: the name of the interface that the frame came in by.
const META_INTERFACE: u32 = 6;
/// `NFT_META_IIFTYPE`: what kind of interface the frame came in by.
const META_INTERFACE_TYPE: u32 = 8;
/// `ARPHRD_ETHER`
const INTERFACE_ETHERNET: u16 = 1;
/// `NFT_META_L4PROTO`: the transport protocol, behind extension headers.
const META_TRANSPORT: u32 = 16;
/// An interface's name in a register is filled up with zeros.
const INTERFACE_NAME_BYTES: usize = 16;
/// The fragment extension header (RFC 8200 section 4.5).
const IPV6_FRAGMENT: u8 = 44;
/// `NFT_LOOKUP_F_INV`
const LOOKUP_INVERTED: u32 = 1;
/// The kind of a comment in the user data of a rule and of a table (`NFTNL_UDATA_RULE_COMMENT`).
const COMMENT: u8 = 0;

/// Where an offset of a payload is counted from (`enum nft_payload_bases`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The Ethernet header; behind its addresses the outermost VLAN tag may be missing.
    Link = 0,
    /// The IP header; behind an outermost VLAN tag only, never behind a second tag or PPPoE.
    Network = 1,
    /// The header behind IP and its options and extensions; not known inside a second tag or PPPoE, nor in fragments.
    Transport = 2,
}

/// How a loaded value is compared (`enum nft_cmp_ops`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal = 0,
    Different = 1,
    AtMost = 3,
    AtLeast = 5,
}

/// A comment as `nft` stores it: kind, length, text, zero.
#[derive(Clone, Debug)]
pub(super) struct Comment(Vec<u8>);

impl Comment {
    /// A comment of less than 255 bytes; the rest of a longer one is cut off.
    pub(super) fn new(text: &str) -> Self {
        let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
        let mut bytes = vec![COMMENT, length];
        bytes.extend(text.bytes().take(usize::from(length) - 1));
        bytes.push(0);
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

const fn word_register(words: u32) -> u32 {
    FIRST_WORD_REGISTER + words
}

/// A rule being written: its expressions, and the comment that an administrator reads.
pub(super) struct Rule {
    expressions: Request,
    comment: Comment,
}

impl Rule {
    /// An empty rule.
    pub(super) fn new(comment: &str) -> Self {
        Self { expressions: Request::new(), comment: Comment::new(comment) }
    }

    /// Adds the rule's expressions and its comment to the message.
    pub(super) fn write(mut self, message: &mut Request) {
        message.nest(rule::EXPRESSIONS, |list| list.append(self.expressions.finish()));
        message.attribute(rule::USER_DATA, self.comment.bytes());
    }

    fn expression(mut self, name: &str, data: impl FnOnce(&mut Request)) -> Self {
        self.expressions.nest(rule::LIST_ELEMENT, |element| {
            element.text(rule::EXPRESSION_NAME, name).nest(rule::EXPRESSION_DATA, data);
        });
        self
    }

    fn load_meta(self, key: u32, register: u32) -> Self {
        self.expression("meta", |data| {
            data.be_u32(2, key).be_u32(1, register);
        })
    }

    /// Goes on only where the loaded value compares so with these bytes.
    pub(super) fn compare(self, how: Compare, value: &[u8]) -> Self {
        self.expression("cmp", |data| {
            data.be_u32(1, REGISTER).be_u32(2, how as u32).nest(3, |inner| {
                inner.attribute(1, value);
            });
        })
    }

    /// `meta protocol`
    pub(super) fn protocol(self, ether_type: u16) -> Self {
        self.frame_type().compare(Compare::Equal, &ether_type.to_be_bytes())
    }

    /// `meta protocol`, loaded.
    pub(super) fn frame_type(self) -> Self {
        self.load_meta(META_PROTOCOL, REGISTER)
    }

    /// `meta l4proto`
    pub(super) fn transport(self, number: u8) -> Self {
        self.load_meta(META_TRANSPORT, REGISTER).compare(Compare::Equal, &[number])
    }

    /// `iifname !=`
    pub(super) fn not_from_interface(self, name: &str) -> Self {
        let mut padded = [0; INTERFACE_NAME_BYTES];
        for (place, byte) in padded.iter_mut().zip(name.bytes().take(INTERFACE_NAME_BYTES - 1)) {
            *place = byte;
        }
        self.load_meta(META_INTERFACE, REGISTER).compare(Compare::Different, &padded)
    }

    /// `ether saddr`: the address of the device that sent the frame, loaded.
    pub(super) fn sender(self) -> Self {
        self.ethernet_address(6)
    }

    /// `ether daddr`: the address of the device that the frame is sent to, loaded.
    pub(super) fn receiver(self) -> Self {
        self.ethernet_address(0)
    }

    fn ethernet_address(self, offset_bytes: u32) -> Self {
        let ethernet = self.load_meta(META_INTERFACE_TYPE, REGISTER);
        ethernet.compare(Compare::Equal, &INTERFACE_ETHERNET.to_ne_bytes()).load(Base::Link, offset_bytes, 6)
    }

    /// Loads bytes of the packet.
    pub(super) fn load(self, base: Base, offset_bytes: u32, length_bytes: u32) -> Self {
        self.load_behind(0, base, offset_bytes, length_bytes)
    }

    /// Loads the transport protocol behind so many words that are loaded already.
    pub(super) fn load_transport_behind(self, words: u32) -> Self {
        self.load_meta(META_TRANSPORT, word_register(words))
    }

    /// Loads bytes of the packet behind so many words that are loaded already.
    pub(super) fn load_behind(self, words: u32, base: Base, offset_bytes: u32, length_bytes: u32) -> Self {
        let register = if words == 0 { REGISTER } else { word_register(words) };
        self.expression("payload", |data| {
            data.be_u32(1, register).be_u32(2, base as u32).be_u32(3, offset_bytes).be_u32(4, length_bytes);
        })
    }

    /// Goes on only where bytes of the packet equal these.
    pub(super) fn payload(self, base: Base, offset_bytes: u32, value: &[u8]) -> Self {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.load(base, offset_bytes, length).compare(Compare::Equal, value)
    }

    /// Keeps only these bits of the loaded value.
    pub(super) fn mask(self, bits: &[u8]) -> Self {
        let zeros = vec![0; bits.len()];
        let length = u32::try_from(bits.len()).unwrap_or(u32::MAX);
        self.expression("bitwise", |data| {
            data.be_u32(1, REGISTER)
                .be_u32(2, REGISTER)
                .be_u32(3, length)
                .nest(4, |mask| {
                    mask.attribute(1, bits);
                })
                .nest(5, |xor| {
                    xor.attribute(1, &zeros);
                });
        })
    }

    /// Loads the 16 bits with the offset of an IPv6 fragment; goes on only where there is such a header.
    pub(super) fn ipv6_fragment_offset(self) -> Self {
        self.expression("exthdr", |data| {
            data.be_u32(1, REGISTER).attribute(2, &[IPV6_FRAGMENT]).be_u32(3, 2).be_u32(4, 2);
        })
    }

    /// Goes on only where the loaded value is in the set.
    pub(super) fn in_set(self, name: &str) -> Self {
        self.expression("lookup", |data| {
            data.be_u32(2, REGISTER).text(1, name);
        })
    }

    /// Puts the loaded value into the set for this time; where the set is full the rule ends here.
    pub(super) fn add_to_set(self, name: &str, timeout_ms: u64) -> Self {
        self.dynamic_set(dynamic_set::ADD, name, timeout_ms)
    }

    /// The same for a value that may be there already, whose time begins anew.
    pub(super) fn renew_in_set(self, name: &str, timeout_ms: u64) -> Self {
        self.dynamic_set(dynamic_set::UPDATE, name, timeout_ms)
    }

    fn dynamic_set(self, operation: u32, name: &str, timeout_ms: u64) -> Self {
        self.expression("dynset", |data| {
            data.be_u32(dynamic_set::KEY_REGISTER, REGISTER).be_u32(dynamic_set::OPERATION, operation);
            data.text(dynamic_set::SET, name).be_u64(dynamic_set::TIMEOUT, timeout_ms);
        })
    }

    /// Goes on only where the loaded value is not in the set.
    pub(super) fn not_in_set(self, name: &str) -> Self {
        self.expression("lookup", |data| {
            data.be_u32(2, REGISTER).text(1, name).be_u32(5, LOOKUP_INVERTED);
        })
    }

    /// Counts the packet.
    pub(super) fn count(self) -> Self {
        self.expression("counter", |_| {})
    }

    /// Counts, and drops the packet.
    pub(super) fn drop(self) -> Self {
        self.count().verdict(VERDICT_DROP, None)
    }

    /// Lets the packet pass.
    pub(super) fn accept(self) -> Self {
        self.verdict(VERDICT_ACCEPT, None)
    }

    /// Goes on in another chain, and comes back where that decides nothing.
    pub(super) fn jump(self, chain: &str) -> Self {
        self.verdict(VERDICT_JUMP, Some(chain))
    }

    /// Goes on in another chain, and passes where that decides nothing: only in the chain that begins all.
    pub(super) fn go_to(self, chain: &str) -> Self {
        self.verdict(VERDICT_GOTO, Some(chain))
    }

    fn verdict(self, code: u32, chain: Option<&str>) -> Self {
        self.expression("immediate", |data| {
            data.be_u32(1, VERDICT_REGISTER).nest(2, |value| {
                value.nest(2, |verdict| {
                    verdict.be_u32(1, code);
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        })
    }
}
