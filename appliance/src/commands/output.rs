//! A file that a replay writes beside its report. The first failure to write is kept and told at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write: {cause}", path.display())]
pub struct OutputError {
    /// The file.
    path: PathBuf,
    /// What the system said.
    cause: io::Error,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    out: BufWriter<File>,
    failure: Option<io::Error>,
}

impl OutputError {
    /// Of that file.
    pub(super) fn of(path: &Path) -> impl Fn(io::Error) -> Self {
        |cause| Self { path: path.to_owned(), cause }
    }
}

impl Output {
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let file = File::create(path).map_err(OutputError::of(path))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), failure: None })
    }

    /// Writes one line more; nothing after a failure.
    pub fn line(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if self.failure.is_none() {
            self.failure = write(&mut self.out).and_then(|()| self.out.write_all(b"\n")).err();
        }
    }

    pub fn close(mut self) -> Result<(), OutputError> {
        let flushed = self.out.flush();
        let cause = self.failure.take().map_or(flushed, Err);
        cause.map_err(|cause| OutputError { path: self.path, cause })
    }
}
