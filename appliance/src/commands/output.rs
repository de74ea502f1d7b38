//! A file that a replay writes beside its report. The first failure to write is kept and told at the end.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::draft::{Draft, behind_links};

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

/// Has a file written beside its place and puts it there once it is whole: what was there before is not lost to a full disk. A pipe or a
/// device holds nothing that could be lost, and is written as it is. `draft` makes the draft, `write` is told where to write.
pub(super) fn replaced<T>(
    file: &Path,
    draft: impl FnOnce(&Path) -> io::Result<Draft>,
    write: impl FnOnce(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return write(file);
    }
    let failed = OutputError::of(file);
    let draft = draft(&behind_links(file)).map_err(&failed)?;
    let written = write(draft.path())?;
    draft.put().map_err(&failed)?;
    Ok(written)
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
