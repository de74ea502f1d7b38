//! Decode: any bytes are a packet whose lengths fit, or a named error; cutting a frame changes nothing else.

use traffic::decode::dns::{self, MOST_LABELS};
use traffic::decode::{
    DecodeError, Decoded, Frame, IcmpKind, Packet, Tcp, Transport, Word, datagram, decode as decode_frame,
};

use crate::input::{Input, link};

/// The input: a byte that chooses the link type, one that chooses the length on the wire, and the frame.
///
/// # Panics
/// Decode panics, gives lengths that do not fit in the frame, or another packet for a frame that was cut.
pub fn decode(data: &[u8]) {
    let mut input = Input(data);
    let Some([link_choice, wire_choice]) = input.array() else { return };
    let frame = Frame {
        link: link(link_choice),
        bytes: input.0,
        wire_len_bytes: wire_len_bytes(input.0.len(), wire_choice),
        vlan_tag: if wire_choice & 1 == 1 { Some(0x2005) } else { None },
    };
    let whole = decode_frame(&frame);
    assert_eq!(whole, decode_frame(&frame), "decoding twice differs");
    if let Ok(Decoded::Ip(packet)) = whole {
        check_lengths(&packet, frame.wire_len_bytes);
    }
    check_datagram(&frame, whole);
    // The bytes as the payload itself, which mutations seldom reach through all headers.
    check_question(frame.bytes);
    // Nobody captures more than there was; what then happens when some of it is missing means nothing.
    if frame.bytes.len() > frame.wire_len_bytes as usize {
        return;
    }
    for len in 0..frame.bytes.len() {
        let cut = decode_frame(&Frame { bytes: &frame.bytes[..len], ..frame });
        check_cut(cut, whole, len);
    }
}

/// The length on the wire: as many bytes as there are, some more, some less, or any.
fn wire_len_bytes(len: usize, choice: u8) -> u32 {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let difference = u32::from(choice >> 3);
    match choice >> 1 & 3 {
        0 => len,
        1 => len.saturating_add(difference * 48),
        2 => len.saturating_sub(difference),
        _ => u32::MAX - difference,
    }
}

fn check_lengths(packet: &Packet, wire_len_bytes: u32) {
    assert!(packet.ip_len_bytes <= wire_len_bytes, "longer than its frame of {wire_len_bytes} bytes: {packet:?}");
    assert!(packet.payload_len_bytes <= packet.ip_len_bytes, "payload longer than the packet: {packet:?}");
}

/// What a datagram carries is a part of its frame, no longer than its header says.
fn check_datagram(frame: &Frame<'_>, whole: Result<Decoded, DecodeError>) {
    let Some((packet, payload)) = datagram(frame) else {
        let is_udp = matches!(whole, Ok(Decoded::Ip(Packet { transport: Transport::Udp { .. }, .. })));
        return assert!(!is_udp, "the datagram is not found: {whole:?}");
    };
    assert_eq!(whole, Ok(Decoded::Ip(packet)));
    assert!(payload.len() <= packet.payload_len_bytes as usize && payload.len() <= frame.bytes.len());
    check_question(payload);
}

/// A question has labels of fair length, and not too many.
fn check_question(message: &[u8]) {
    let Some(question) = dns::question(message) else { return };
    let lens: Vec<usize> = question.labels().map(<[u8]>::len).collect();
    assert!((1..=MOST_LABELS).contains(&lens.len()) && lens.iter().all(|len| (1..=63).contains(len)), "{lens:?}");
    // With its lengths, and the zero at its end, 255 bytes at the most.
    assert!(lens.iter().sum::<usize>() + lens.len() < 255, "{lens:?}");
}

/// A frame that was cut is the same packet, or an error that says so.
fn check_cut(cut: Result<Decoded, DecodeError>, whole: Result<Decoded, DecodeError>, len: usize) {
    use DecodeError::{IpTruncated, LinkTruncated, TransportTruncated};
    let is_the_cut_named = matches!(cut, Err(LinkTruncated | IpTruncated | TransportTruncated));
    assert!(
        is_the_cut_named || cut == whole || cut == without_payload(whole) || cut == without_extras(whole),
        "cut to {len} bytes: {cut:?}, not {whole:?}"
    );
}

/// The packet without what its payload begins with, which may be missing where it was cut.
fn without_payload(decoded: Result<Decoded, DecodeError>) -> Result<Decoded, DecodeError> {
    let Ok(Decoded::Ip(packet)) = decoded else { return decoded };
    let transport = match packet.transport {
        Transport::Tcp(tcp) => Transport::Tcp(Tcp { word: Word::None, ..tcp }),
        Transport::Udp { source_port, destination_port, .. } => {
            Transport::Udp { source_port, destination_port, asked: None }
        }
        _ => return decoded,
    };
    Ok(Decoded::Ip(Packet { transport, ..packet }))
}

/// The packet without what stands behind its headers or in TCP options, which may be missing where it was cut.
fn without_extras(decoded: Result<Decoded, DecodeError>) -> Result<Decoded, DecodeError> {
    let Ok(Decoded::Ip(packet)) = decoded else { return decoded };
    let transport = match packet.transport {
        Transport::Tcp(tcp) => Transport::Tcp(Tcp { options: None, word: Word::None, ..tcp }),
        Transport::Icmp(IcmpKind::Error(mut error)) => {
            error.about = None;
            Transport::Icmp(IcmpKind::Error(error))
        }
        other => other,
    };
    Ok(Decoded::Ip(Packet { transport, ..packet }))
}
