//! Frames out of capture files, as fast as they can be read. Their times are those of the capture.

use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::vec;

use traffic::capture_file::{CaptureError, CaptureFile};

use super::{Arrival, FrameSource, Polled, Port};

/// Several capture files, taken as the parts of one in their order.
#[derive(Debug)]
pub struct ReplaySource {
    left: vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, CaptureFile)>,
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
}

impl ReplaySource {
    /// For these files; `-` is standard input. Each is opened when it is its turn.
    #[must_use]
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { left: files.into_iter(), open: None }
    }

    /// Opens the next file; false where there is none.
    fn open_next(&mut self) -> Result<bool, ReplaySourceError> {
        let Some(path) = self.left.next() else { return Ok(false) };
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&path).map_err(|cause| ReplaySourceError::Open { path: path.clone(), cause })?)
        };
        let capture =
            CaptureFile::new(input).map_err(|cause| ReplaySourceError::Capture { path: path.clone(), cause })?;
        self.open = Some((path, capture));
        Ok(true)
    }
}

impl FrameSource for ReplaySource {
    type Error = ReplaySourceError;

    /// Hands one frame out, and never waits. A capture does not say on which port a frame came in: the first is as good.
    fn poll(&mut self, _: Duration, sink: &mut dyn FnMut(&Arrival<'_>)) -> Result<Polled, Self::Error> {
        loop {
            if let Some((path, capture)) = &mut self.open {
                let found = capture.next_frame(&mut |time, frame| {
                    sink(&Arrival { time, port: Port::First, frame: *frame });
                });
                if found.map_err(|cause| ReplaySourceError::Capture { path: path.clone(), cause })? {
                    return Ok(Polled::Frames(1));
                }
                self.open = None;
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
