//! A file that a replay writes beside its report. The first failure to write is kept and told at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ReplayError;

/// An open file.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    out: BufWriter<File>,
    failure: Option<io::Error>,
}

impl Output {
    pub fn create(path: &Path) -> Result<Self, ReplayError> {
        let file = File::create(path).map_err(|cause| ReplayError::Output { path: path.to_owned(), cause })?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), failure: None })
    }

    /// Writes one line more; nothing after a failure.
    pub fn line(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if self.failure.is_none() {
            self.failure = write(&mut self.out).and_then(|()| self.out.write_all(b"\n")).err();
        }
    }

    pub fn close(mut self) -> Result<(), ReplayError> {
        let flushed = self.out.flush();
        let cause = self.failure.take().map_or(flushed, Err);
        cause.map_err(|cause| ReplayError::Output { path: self.path, cause })
    }
}
