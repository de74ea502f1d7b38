//! A capture file of each kind.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use super::Named;
use super::headers::{IPV4, ethernet, ipv4, udp};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Of some kernels of the nineties, with eight bytes more in each header.
const MODIFIED: u32 = 0xa1b2_cd34;

const LINK_ETHERNET: u16 = 1;
const LINK_RAW: u16 = 101;

/// How numbers are written.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

use Order::{Big, Little};

impl Order {
    fn long(self, number: u32) -> [u8; 4] {
        match self {
            Little => number.to_le_bytes(),
            Big => number.to_be_bytes(),
        }
    }

    fn short(self, number: u16) -> [u8; 2] {
        match self {
            Little => number.to_le_bytes(),
            Big => number.to_be_bytes(),
        }
    }

    fn longs(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| self.long(*number)).collect()
    }
}

/// The files.
pub fn files() -> Vec<Named> {
    let mut files = pcap_files();
    files.extend(pcapng_files());
    let packed = gzip(&pcap(Little, MICROSECONDS));
    files.extend([
        ("gzip-pcap", packed.clone()),
        ("gzip-pcapng", gzip(&pcapng(Little))),
        (
            "gzip-two-members",
            [gzip(&pcap(Little, MICROSECONDS)[..50]), gzip(&pcap(Little, MICROSECONDS)[50..])].concat(),
        ),
        ("gzip-truncated", packed[..packed.len() - 20].to_vec()),
        ("empty", Vec::new()),
        ("not-a-capture", b"# Sluice\n".to_vec()),
    ]);
    files
}

fn pcap_files() -> Vec<Named> {
    let little = pcap(Little, MICROSECONDS);
    vec![
        ("pcap-little-endian", little.clone()),
        ("pcap-big-endian", pcap(Big, MICROSECONDS)),
        ("pcap-nanoseconds", pcap(Little, NANOSECONDS)),
        ("pcap-nanoseconds-big-endian", pcap(Big, NANOSECONDS)),
        ("pcap-modified", pcap(Little, MODIFIED)),
        ("pcap-without-frames", little[..24].to_vec()),
        ("pcap-truncated", little[..little.len() - 7].to_vec()),
    ]
}

fn frame() -> Vec<u8> {
    ethernet(IPV4, &ipv4(17, &udp((40_000, 53), b"what")))
}

/// Two frames, the second of which was longer on the wire.
fn pcap(order: Order, magic: u32) -> Vec<u8> {
    let frame = frame();
    let len = frame.len() as u32;
    let mut file = order.long(magic).to_vec();
    file.extend([order.short(2), order.short(4)].concat());
    file.extend(order.longs(&[0, 0, 65_535, u32::from(LINK_ETHERNET)]));
    for (microsecond, wire_len) in [(1, len), (2, len + 1_000)] {
        file.extend(order.longs(&[1_000_000_000, microsecond, len, wire_len]));
        if magic == MODIFIED {
            file.extend([0; 8]);
        }
        file.extend(&frame);
    }
    file
}

fn pcapng_files() -> Vec<Named> {
    let little = pcapng(Little);
    vec![
        ("pcapng-little-endian", little.clone()),
        ("pcapng-big-endian", pcapng(Big)),
        ("pcapng-two-sections", [pcapng(Big), pcapng(Little)].concat()),
        ("pcapng-simple-packet", [section(Little), interface(Little, LINK_ETHERNET, &[]), simple(Little)].concat()),
        ("pcapng-obsolete-packet", [section(Big), interface(Big, LINK_ETHERNET, &[]), obsolete(Big)].concat()),
        ("pcapng-two-interfaces", two_interfaces(Little)),
        ("pcapng-other-blocks", other_blocks(Little)),
        ("pcapng-unknown-interface", [section(Little), enhanced(Little, 3, &frame())].concat()),
        ("pcapng-truncated", little[..little.len() - 7].to_vec()),
    ]
}

fn pcapng(order: Order) -> Vec<u8> {
    [section(order), interface(order, LINK_ETHERNET, &[]), enhanced(order, 0, &frame())].concat()
}

/// The second one gives nanoseconds, and is an hour ahead.
fn two_interfaces(order: Order) -> Vec<u8> {
    let mut options = option(order, 9, &[9, 0, 0, 0]);
    options.extend(option(order, 14, &[order.long(3_600), [0; 4]].concat()));
    options.extend(option(order, 0, &[]));
    let frame = frame();
    [
        section(order),
        interface(order, LINK_ETHERNET, &[]),
        interface(order, LINK_RAW, &options),
        enhanced(order, 1, &frame[14..]),
        enhanced(order, 0, &frame),
    ]
    .concat()
}

/// Names and statistics between the frames.
fn other_blocks(order: Order) -> Vec<u8> {
    let names = block(order, 4, &order.longs(&[0]));
    let statistics = block(order, 5, &order.longs(&[0, 0, 0]));
    [section(order), names, interface(order, LINK_ETHERNET, &[]), enhanced(order, 0, &frame()), statistics].concat()
}

/// A block: its type, its length, its body padded, its length again.
fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let len = order.long((12 + body.len() + padding) as u32);
    [&order.long(kind), &len[..], body, &[0; 3][..padding], &len].concat()
}

fn section(order: Order) -> Vec<u8> {
    let versions = [order.short(1), order.short(0)].concat();
    block(order, 0x0a0d_0d0a, &[&order.long(0x1a2b_3c4d), &versions[..], &[0xff; 8]].concat())
}

fn interface(order: Order, link: u16, options: &[u8]) -> Vec<u8> {
    let link = [order.short(link), [0; 2]].concat();
    block(order, 1, &[&link, &order.long(65_535)[..], options].concat())
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    [&order.short(code), &order.short(value.len() as u16)[..], value].concat()
}

fn enhanced(order: Order, interface: u32, frame: &[u8]) -> Vec<u8> {
    let len = frame.len() as u32;
    block(order, 6, &[&order.longs(&[interface, 0x0005_0000, 7, len, len]), frame].concat())
}

fn simple(order: Order) -> Vec<u8> {
    let frame = frame();
    block(order, 3, &[&order.long(frame.len() as u32)[..], &frame].concat())
}

fn obsolete(order: Order) -> Vec<u8> {
    let frame = frame();
    let len = frame.len() as u32;
    let interface = [order.short(0), order.short(0xffff)].concat();
    block(order, 2, &[&interface, &order.longs(&[0x0005_0000, 7, len, len])[..], &frame].concat())
}

/// Stored and not compressed: the bytes are then the same whatever the version of the compressor.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::none());
    packed.write_all(bytes).expect("memory can be written");
    packed.finish().expect("memory can be written")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use traffic::capture_file::{CaptureError, CaptureFile};

    /// How many frames there are up to the end.
    fn count(file: Vec<u8>) -> Result<u64, CaptureError> {
        let mut capture = CaptureFile::new(Cursor::new(file))?;
        while capture.next_frame(&mut |_, _| {})? {}
        Ok(capture.frames())
    }

    #[test]
    fn files_are_what_their_names_say() {
        const DAMAGED: [&str; 4] = ["truncated", "unknown-interface", "empty", "not-a-capture"];
        for (name, file) in super::files() {
            let is_damaged = DAMAGED.iter().any(|damage| name.ends_with(damage));
            let frames = count(file);
            assert_eq!(frames.is_err(), is_damaged, "{name}: {frames:?}");
            assert!(is_damaged || (frames.ok() > Some(0)) == (name != "pcap-without-frames"), "{name}");
        }
    }
}
