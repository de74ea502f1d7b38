//! The thread that says that all is well: to the watchdog, which reboots the board unless it hears that, and to systemd.
//!
//! All is well while the packet thread's count and that of the control thread rise. A quiet network changes nothing: the packet
//! thread wakes up without packets as well. Nothing is asked of other threads here, or whoever hangs would hang this one too.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use log::{info, warn};

use super::lights::Light;
use super::service::{self, Service};
use super::slot::RETRY;
use crate::clock::{self, Stopwatch};
use crate::control::{Handle, Pulse};
use crate::health::Gauges;
use crate::linux::watchdog::{Terms, Watchdog};

/// How often all is found to be well.
const INTERVAL: Duration = Duration::from_secs(1);

/// The same while the daemon starts, when somebody waits to be told that it protects.
const START_INTERVAL: Duration = Duration::from_millis(100);

/// systemd is told so many times within the time that it allows.
const TOLD_IN_TIME: u32 = 3;

/// A watchdog of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is to wait.
    pub timeout_s: u32,
}

/// Whether the daemon does its work: both threads that it takes live.
#[derive(Debug, Default)]
pub struct Liveness {
    packets: Pulse,
    control: Pulse,
}

impl Liveness {
    /// Whether both have done something lately.
    pub fn is_felt(&mut self, gauges: &Gauges) -> bool {
        // Both are asked each time: each remembers when it was asked.
        let packets = self.packets.is_felt(gauges.beats.load(Ordering::Relaxed));
        let control = self.control.is_felt(gauges.control_beats.load(Ordering::Relaxed));
        packets && control
    }
}

/// The thread, from outside.
#[derive(Debug)]
pub struct Guard {
    end: SyncSender<bool>,
    thread: JoinHandle<()>,
}

struct Watch {
    device: Option<Device>,
    watchdog: Option<Watchdog>,
    last_try: Option<Stopwatch>,
    handle: Handle,
    gauges: Arc<Gauges>,
    service: Arc<Service>,
    liveness: Liveness,
    told: Option<Light>,
}

impl Guard {
    /// Starts it, where there is somebody to tell. From then on a board whose daemon hangs is rebooted.
    ///
    /// # Errors
    /// There is no room for another thread.
    pub fn start(
        device: Option<Device>,
        handle: Handle,
        gauges: Arc<Gauges>,
        service: Arc<Service>,
    ) -> io::Result<Option<Self>> {
        if device.is_none() && !service::is_asked_for() {
            return Ok(None);
        }
        let (end, ended) = sync_channel(1);
        let (watchdog, last_try, liveness, told) = (None, None, Liveness::default(), None);
        let watch = Watch { device, watchdog, last_try, handle, gauges, service, liveness, told };
        let thread = thread::Builder::new().name(String::from("guard")).spawn(move || watch.run(&ended))?;
        Ok(Some(Self { end, thread }))
    }

    /// Ends it. The watchdog is stopped where nobody is to be rebooted for it; else it runs on, and the next program must feed it.
    pub fn end(self, stops_watchdog: bool) {
        // A thread that is gone has said why.
        let _ = self.end.send(stops_watchdog);
        let _ = self.thread.join();
    }
}

impl Watch {
    fn run(mut self, ended: &Receiver<bool>) {
        let told_in = service::watchdog().map(|allowed| allowed / TOLD_IN_TIME);
        loop {
            self.step();
            let interval = if self.service.is_ready() { INTERVAL } else { START_INTERVAL };
            match ended.recv_timeout(told_in.map_or(interval, |told_in| told_in.min(interval))) {
                Ok(stops_watchdog) => return self.end(stops_watchdog),
                Err(RecvTimeoutError::Disconnected) => return self.end(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn step(&mut self) {
        self.open_watchdog();
        let (is_well, snapshot) = (self.liveness.is_felt(&self.gauges), self.handle.snapshot());
        if is_well {
            self.feed();
            service::alive();
        }
        if is_well && !snapshot.is_starting && !self.service.is_ready() {
            self.service.ready();
        }
        let light = Light::of(&snapshot, clock::now());
        if self.told != Some(light) {
            service::status(&format!("{}: {}", light.name(), light.meaning()));
            self.told = Some(light);
        }
    }

    fn open_watchdog(&mut self) {
        let Some(Device { path, timeout_s }) = self.device.as_ref().filter(|_| self.watchdog.is_none()) else { return };
        if self.last_try.is_some_and(|last| last.elapsed() < RETRY) {
            return;
        }
        self.last_try = Some(Stopwatch::start());
        match Watchdog::open(path, *timeout_s) {
            Ok((watchdog, terms)) => {
                info!("{} reboots the board unless it is fed within {} s", path.display(), terms.timeout_s);
                self.watchdog = Some(watchdog);
                self.gauges.watchdog_fault.set(disagreement(terms, *timeout_s));
            }
            Err(cause) => {
                self.complain(&format!("cannot be used: {cause}; is it there, and does nobody else feed it?"));
            }
        }
    }

    fn feed(&mut self) {
        let fed = self.watchdog.as_mut().map_or(Ok(()), Watchdog::feed);
        if let Err(cause) = fed {
            self.watchdog = None;
            self.complain(&format!("cannot be fed: {cause}"));
        }
    }

    fn complain(&self, what: &str) {
        let path = self.device.as_ref().map(|device| device.path.display().to_string()).unwrap_or_default();
        let fault = format!("hardware.watchdog: {path} {what}");
        if self.gauges.watchdog_fault.get().as_ref() != Some(&fault) {
            warn!("{fault}");
        }
        self.gauges.watchdog_fault.set(Some(fault));
    }

    fn end(&mut self, stops_watchdog: bool) {
        let stopped = self.watchdog.take().filter(|_| stops_watchdog).map_or(Ok(()), Watchdog::stop);
        if let Err(cause) = stopped {
            self.complain(&format!("cannot be stopped, and reboots the board: {cause}"));
        }
    }
}

/// What a person should know of a watchdog that has a will of its own.
fn disagreement(terms: Terms, wanted_s: u32) -> Option<String> {
    if !terms.can_be_stopped {
        return Some(String::from(
            "hardware.watchdog: this one cannot be stopped: to end Sluice reboots the board; that is all right where it is \
             to run always, else set hardware.watchdog = \"\"",
        ));
    }
    if !terms.outlives_daemon {
        return Some(String::from(
            "hardware.watchdog: this one stops when the daemon is killed: it reboots the board after a hang only",
        ));
    }
    (terms.timeout_s != wanted_s).then(|| {
        let takes_s = terms.timeout_s;
        format!("hardware.watchdog_timeout_s: this watchdog takes {takes_s} s instead of {wanted_s}; say {takes_s}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::fixture::snapshot;

    #[test]
    fn all_is_well_while_both_threads_live_and_no_longer() {
        let gauges = Gauges::default();
        let mut liveness =
            Liveness { packets: Pulse::with_patience(Duration::MAX), control: Pulse::with_patience(Duration::MAX) };
        assert!(liveness.is_felt(&gauges), "both may take their time");
        for (packets, control) in [(true, true), (true, false), (false, true), (false, false)] {
            let patience = |lives| Pulse::with_patience(if lives { Duration::MAX } else { Duration::ZERO });
            let mut liveness = Liveness { packets: patience(packets), control: patience(control) };
            assert_eq!(liveness.is_felt(&gauges), packets && control, "{packets} {control}");
        }
    }

    #[test]
    fn a_watchdog_that_is_none_is_a_fault_and_the_daemon_goes_on() {
        let (handle, _messages, _orders) = Handle::new(snapshot(clock::now()), 1);
        let gauges: Arc<Gauges> = Arc::default();
        let device = Device { path: "/dev/null".into(), timeout_s: 15 };
        let guard = Guard::start(Some(device), handle, Arc::clone(&gauges), Arc::default()).unwrap().unwrap();
        let since = Stopwatch::start();
        while gauges.watchdog_fault.get().is_none() && since.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(5));
        }
        let told = gauges.watchdog_fault.get().unwrap();
        assert!(told.starts_with("hardware.watchdog: /dev/null cannot be used: "), "{told}");
        guard.end(true);
    }

    #[test]
    fn a_watchdog_with_a_will_of_its_own_is_told() {
        let terms = |timeout_s, can_be_stopped, outlives_daemon| {
            disagreement(Terms { timeout_s, can_be_stopped, outlives_daemon }, 15)
        };
        assert_eq!(terms(15, true, true), None);
        assert!(terms(60, true, true).unwrap().contains("takes 60 s instead of 15"));
        assert!(terms(15, false, true).unwrap().contains("cannot be stopped"));
        assert!(terms(15, true, false).unwrap().contains("after a hang only"));
    }
}
