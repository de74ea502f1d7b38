//! The signals that the daemon answers to, as a file descriptor to wait for; and the one that ends a command.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To end: SIGTERM, SIGINT.
    End,
    /// To read the configuration again: SIGHUP.
    Reload,
    /// To run the program anew, from what its file is now: SIGUSR2.
    Restart,
}

/// These signals, caught. Threads started afterwards inherit that they are blocked: make it first, in the main thread.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn catch() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2] {
            signals.add(signal);
        }
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// What the next one that has come asks for. Does not wait: for that, poll the descriptor.
    pub fn read(&mut self) -> Option<Asked> {
        let caught = self.0.read_signal().ok()??;
        let signal = i32::try_from(caught.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        Some(match signal {
            Some(Signal::SIGHUP) => Asked::Reload,
            Some(Signal::SIGUSR2) => Asked::Restart,
            _ => Asked::End,
        })
    }
}

/// Has the program end where nobody reads on what it prints, as in `sluice status | head -1`: else printing is a panic. Not for the
/// daemon, which outlives whoever asks it.
pub fn end_where_nobody_reads() {
    // SAFETY: the default disposition runs no code of ours.
    let before = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    if let Err(errno) = before {
        log::warn!("SIGPIPE stays ignored: {errno}");
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
