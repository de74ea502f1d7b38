//! What systemd is told, where it asks: that the daemon protects, reads its configuration again, or ends. Without
//! `NOTIFY_SOCKET` in the environment nothing is told to anybody.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use log::warn;
use sd_notify::NotifyState;

/// What was told so far.
#[derive(Debug, Default)]
pub struct Service {
    is_ready: AtomicBool,
}

/// Whether somebody wants to be told.
#[must_use]
pub fn is_asked_for() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How long the daemon may be silent before systemd starts it anew; `None` where it does not watch.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|_| is_asked_for())
}

impl Service {
    /// It protects.
    pub fn ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
        tell(&[NotifyState::Ready]);
    }

    /// Whether that was told.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// It reads its configuration again, or runs its program anew; [`Service::reloaded`] is to follow.
    pub fn reloading(&self) {
        if self.is_ready() {
            // systemd tells by the time which of its signals is answered.
            let time = NotifyState::monotonic_usec_now();
            tell(&[Some(NotifyState::Reloading), time.ok()].into_iter().flatten().collect::<Vec<_>>());
        }
    }

    /// It is done with that.
    pub fn reloaded(&self) {
        if self.is_ready() {
            tell(&[NotifyState::Ready]);
        }
    }
}

/// It ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It lives, and packets are looked at.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// One line about it, for `systemctl status`.
pub(super) fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(what) {
        warn!("systemd cannot be told: {cause}");
    }
}
