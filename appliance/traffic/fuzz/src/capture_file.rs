//! Capture files: any bytes are a capture, or a named error; it makes no difference in what portions they arrive.

use std::io::{Cursor, Read};

use traffic::capture_file::{CaptureError, CaptureFile};
use traffic::decode::LinkType;
use traffic::time::Timestamp;

/// Longer inputs are not looked at: gzip makes at most a thousand times as much of them, which is read in no time.
const MOST_BYTES: usize = 1 << 13;

/// Reading stops after so many frames.
const MOST_FRAMES: usize = 1 << 12;

/// The portions in which a source hands out its bytes, one after the other and again from the first.
const PORTIONS: [&[usize]; 3] = [&[usize::MAX], &[1], &[3, 1, 16, 7, 100]];

/// The input: a capture file as it is.
///
/// # Panics
/// The reader panics, counts wrongly, gives frames that are longer than on the wire, or makes a difference between sources.
pub fn capture_file(data: &[u8]) {
    if data.len() > MOST_BYTES {
        return;
    }
    let [whole, others @ ..] = PORTIONS.map(|portions| read(data, portions));
    for other in others {
        check_same(&whole, &other);
    }
}

/// What was read, and how it ended.
struct Reading {
    frames: Vec<Captured>,
    error: Option<CaptureError>,
}

#[derive(Debug, PartialEq, Eq)]
struct Captured {
    time: Timestamp,
    link: LinkType,
    wire_len_bytes: u32,
    bytes: Vec<u8>,
}

fn read(data: &[u8], portions: &'static [usize]) -> Reading {
    let source = Portioned { bytes: Cursor::new(data.to_vec()), portions: portions.iter().cycle() };
    let mut frames = Vec::new();
    let error = CaptureFile::new(source).and_then(|mut capture| read_frames(&mut capture, &mut frames)).err();
    Reading { frames, error }
}

fn read_frames(capture: &mut CaptureFile, frames: &mut Vec<Captured>) -> Result<(), CaptureError> {
    while frames.len() < MOST_FRAMES {
        let before = frames.len();
        let more = capture.next_frame(&mut |time, frame| {
            let (link, wire_len_bytes, bytes) = (frame.link, frame.wire_len_bytes, frame.bytes.to_vec());
            assert!(bytes.len() <= wire_len_bytes as usize, "more was captured than was sent");
            frames.push(Captured { time, link, wire_len_bytes, bytes });
        });
        assert_eq!(capture.frames(), frames.len() as u64, "frames counted");
        assert_eq!(frames.len() - before, usize::from(matches!(more, Ok(true))), "frames handed out at once");
        if !more? {
            break;
        }
    }
    Ok(())
}

fn check_same(one: &Reading, other: &Reading) {
    let is_unreadable = |reading: &Reading| matches!(reading.error, Some(CaptureError::Read { .. }));
    if is_unreadable(one) || is_unreadable(other) {
        // How much can be unpacked of damaged gzip before that is noticed depends on the portions.
        assert!(one.frames.iter().zip(&other.frames).all(|(one, other)| one == other), "frames differ");
        return;
    }
    assert_eq!(one.frames, other.frames, "frames differ");
    assert_eq!(format!("{:?}", one.error), format!("{:?}", other.error), "ends differ");
}

/// A source that hands out few bytes at a time, as pipes do.
struct Portioned {
    bytes: Cursor<Vec<u8>>,
    portions: std::iter::Cycle<std::slice::Iter<'static, usize>>,
}

impl Read for Portioned {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let portion = self.portions.next().copied().unwrap_or(usize::MAX).min(buffer.len());
        self.bytes.read(&mut buffer[..portion])
    }
}
