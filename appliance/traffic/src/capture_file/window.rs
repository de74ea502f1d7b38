//! A stretch of the input in memory, moved along as the input is read.

use std::io::{self, Read};

/// How many bytes are held at once: so few that they stay in the processor's second-level cache.
const WINDOW_BYTES: usize = 1 << 18;

/// The bytes that were read and are not yet done with.
pub(super) struct Window {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    consumed: u64,
}

impl Window {
    pub fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, buffer: vec![0; WINDOW_BYTES], begin: 0, end: 0, consumed: 0 }
    }

    /// What is held.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    /// Bytes of the input that are done with.
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Holds at least so many bytes; false where the input ends before. More than [`WINDOW_BYTES`] take memory.
    ///
    /// # Errors
    /// The input cannot be read.
    #[inline]
    pub fn fill(&mut self, len: usize) -> io::Result<bool> {
        if self.end - self.begin >= len { Ok(true) } else { self.read(len) }
    }

    /// Is done with so many of the bytes that are held.
    #[inline]
    pub fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.begin);
        self.begin += len;
        self.consumed += len as u64;
    }

    /// Is done with so many bytes, held or not; false where the input ends before.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn skip(&mut self, len: usize) -> io::Result<bool> {
        let mut left = len;
        while left > 0 && self.fill(1)? {
            let held = left.min(self.end - self.begin);
            self.consume(held);
            left -= held;
        }
        Ok(left == 0)
    }

    #[cold]
    fn read(&mut self, len: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        while self.end < len {
            match self.input.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(true)
    }
}
