//! Capture: where frames come from. The live ports and a replayed file look the same to what follows.

pub mod live;
mod overload;
pub mod replay;

use core::time::Duration;

use traffic::decode::Frame;
use traffic::time::Timestamp;

/// One of the two ports of the bridge, by its place in `bridge.ports`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Port {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// What belongs to this port of two things in the order of `bridge.ports`.
    #[must_use]
    pub const fn of<T>(self, [first, second]: &[T; 2]) -> &T {
        match self {
            Self::First => first,
            Self::Second => second,
        }
    }
}

/// A frame that came in, and what is known beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// When: the kernel's stamp, or the capture file's.
    pub time: Timestamp,
    /// Where.
    pub port: Port,
    /// The frame.
    pub frame: Frame<'a>,
}

/// What a [`FrameSource::poll`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// So many frames were handed out; with 0 the time ran out.
    Frames(u64),
    /// The source is at its end, and will have no more.
    End,
}

/// Hands out frames in the order of their times.
pub trait FrameSource {
    /// Why the source cannot go on.
    type Error;

    /// Waits for frames, for this time at most, and hands out a bounded number of those that are there.
    ///
    /// # Errors
    /// The source cannot go on. What comes back by itself is no error but a [`Self::faults`].
    fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Arrival<'_>)) -> Result<Polled, Self::Error>;

    /// Frames that came in and were lost before they could be handed out, since the source was opened.
    fn dropped(&mut self) -> u64;

    /// About how many frames were passed over unread, because more came than could be looked at. A capture file waits: there it
    /// is none, and no verdict depends on how fast the machine is.
    fn passed_over(&self) -> u64;

    /// What is wrong at the moment, one line each, with its remedy.
    fn faults(&self) -> Vec<String>;
}
