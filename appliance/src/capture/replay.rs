//! Frames out of capture files, as fast as they can be read. Their times are those of the capture.

use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::vec;

use nix::unistd::{AccessFlags, access};
use traffic::capture_file::{CaptureError, CaptureFile};
use traffic::decode::LinkType;

use super::{Arrival, FrameSource, Polled, Port};

/// Several capture files, taken as the parts of one in their order.
#[derive(Debug)]
pub struct ReplaySource {
    left: vec::IntoIter<PathBuf>,
    open: Option<Open>,
}

/// The file whose turn it is.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    capture: CaptureFile,
    /// A frame of a link type that is known was in it.
    is_known: bool,
}

/// Why a capture could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplaySourceError {
    /// It cannot be opened.
    #[error("{}: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It cannot be read to its end.
    #[error("{}: {cause}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// How far it went, and why not further.
        cause: CaptureError,
    },
    /// Nothing in it can be decoded.
    #[error(
        "{}: its link type is {number}{}, which is not known; known are Ethernet, raw IP, Linux cooked, BSD loopback, PPP and PPPoE",
        path.display(),
        name_of_link(*number)
    )]
    Link {
        /// The file.
        path: PathBuf,
        /// The number of the link type in the file.
        number: u16,
    },
}

/// Names of the link types that people are likely to come with (the tcpdump group's registry of LINKTYPE values).
const fn name_of_link(number: u16) -> &'static str {
    match number {
        105 => " (Wi-Fi)",
        119 | 127 | 192 => " (Wi-Fi with radio headers)",
        187 | 201 => " (Bluetooth)",
        189 | 220 | 249 => " (USB)",
        195 | 230 => " (IEEE 802.15.4)",
        227 => " (CAN)",
        _ => "",
    }
}

impl ReplaySource {
    /// For these files; `-` is standard input. Each is read when it is its turn.
    ///
    /// # Errors
    /// One of them is not there or may not be read, or the first is no capture that could be decoded.
    pub fn open(files: Vec<PathBuf>) -> Result<Self, ReplaySourceError> {
        for path in files.iter().filter(|path| !is_standard_input(path)) {
            let may_read = access(path.as_path(), AccessFlags::R_OK);
            may_read.map_err(|errno| ReplaySourceError::Open { path: path.clone(), cause: errno.into() })?;
        }
        let mut source = Self { left: files.into_iter(), open: None };
        source.open_next()?;
        Ok(source)
    }

    /// Opens the next file; false where there is none.
    fn open_next(&mut self) -> Result<bool, ReplaySourceError> {
        let Some(path) = self.left.next() else { return Ok(false) };
        let input: Box<dyn Read + Send> = if is_standard_input(&path) {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&path).map_err(|cause| ReplaySourceError::Open { path: path.clone(), cause })?)
        };
        let capture =
            CaptureFile::new(input).map_err(|cause| ReplaySourceError::Capture { path: path.clone(), cause })?;
        if let Some(number) = capture.unknown_link() {
            return Err(ReplaySourceError::Link { path, number });
        }
        self.open = Some(Open { path, capture, is_known: false });
        Ok(true)
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

impl FrameSource for ReplaySource {
    type Error = ReplaySourceError;

    /// Hands one frame out, and never waits. A capture does not say on which port a frame came in: the first is as good.
    fn poll(&mut self, _: Duration, sink: &mut dyn FnMut(&Arrival<'_>)) -> Result<Polled, Self::Error> {
        loop {
            if let Some(Open { path, capture, is_known }) = &mut self.open {
                let found = capture.next_frame(&mut |time, frame| {
                    *is_known |= frame.link != LinkType::Unsupported;
                    sink(&Arrival { time, port: Port::First, frame: *frame });
                });
                if found.map_err(|cause| ReplaySourceError::Capture { path: path.clone(), cause })? {
                    return Ok(Polled::Frames(1));
                }
                // A capture of several interfaces says of which link types they are only on the way.
                let unknown = capture.unknown_link().filter(|_| !*is_known && capture.frames() > 0);
                let path = path.clone();
                self.open = None;
                if let Some(number) = unknown {
                    return Err(ReplaySourceError::Link { path, number });
                }
            }
            if !self.open_next()? {
                return Ok(Polled::End);
            }
        }
    }

    fn dropped(&mut self) -> u64 {
        0
    }

    fn passed_over(&self) -> u64 {
        0
    }

    fn faults(&self) -> Vec<String> {
        Vec::new()
    }
}
