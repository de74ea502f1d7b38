//! The thread that keeps the front of the box up to date, and carries out what is wanted by its button.
//!
//! It has nothing to do with packets: where a light or the bus that it is on hangs, this thread hangs, and no other.

use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use log::{error, info, warn};

use super::front::{Front, Next};
use super::gpio::InputLine;
use super::guard::{Device, Liveness};
use super::lights::{Light, Pattern};
use super::pins::Output;
use super::place::{Line, Place};
use super::press::{Press, Wish};
use super::reset::{consoles, reset_password};
use super::slot::Slot;
use crate::clock::{self, Stopwatch};
use crate::control::{Handle, Request, Snapshot};
use crate::health::Gauges;
use crate::store::Store;

/// As whom the button acts.
const ACTOR: &str = "button";

/// For how long it pauses enforcement.
const PAUSE: Duration = Duration::from_secs(600);

/// How long a light may take to be made dark at the end.
const END_LIMIT: Duration = Duration::from_secs(2);

/// What is where on the box, as the configuration says: `[hardware]`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hardware {
    /// The light that says everything.
    #[serde(deserialize_with = "super::place::optional")]
    pub led: Option<Place>,
    /// It is lit where the line is low.
    pub led_is_active_low: bool,
    /// A second one, for alarms only.
    #[serde(deserialize_with = "super::place::optional")]
    pub alarm_led: Option<Place>,
    /// It is lit where the line is low.
    pub alarm_led_is_active_low: bool,
    /// The button.
    #[serde(deserialize_with = "super::place::optional")]
    pub button: Option<Line>,
    /// It is pressed where the line is low.
    pub button_is_active_low: bool,
    /// The watchdog's device; none where it is empty.
    pub watchdog: PathBuf,
    /// How long it waits before it reboots the board.
    pub watchdog_timeout_s: u32,
    /// What is switched while packets are looked at, and joins the two cables when it is released.
    #[serde(deserialize_with = "super::place::optional")]
    pub bypass_relay: Option<Place>,
    /// It is switched where the line is low.
    pub bypass_relay_is_active_low: bool,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            led: None,
            led_is_active_low: false,
            alarm_led: None,
            alarm_led_is_active_low: false,
            button: None,
            button_is_active_low: true,
            watchdog: PathBuf::new(),
            watchdog_timeout_s: 15,
            bypass_relay: None,
            bypass_relay_is_active_low: false,
        }
    }
}

impl Hardware {
    /// The watchdog.
    #[must_use]
    pub fn device(&self) -> Option<Device> {
        let (path, timeout_s) = (self.watchdog.clone(), self.watchdog_timeout_s);
        (!path.as_os_str().is_empty()).then_some(Device { path, timeout_s })
    }

    /// The places of what is lit or switched: the key, the place, and whether it is wired the other way round.
    #[must_use]
    pub fn outputs(&self) -> [(&'static str, Option<&Place>, bool); 3] {
        [
            ("hardware.led", self.led.as_ref(), self.led_is_active_low),
            ("hardware.alarm_led", self.alarm_led.as_ref(), self.alarm_led_is_active_low),
            ("hardware.bypass_relay", self.bypass_relay.as_ref(), self.bypass_relay_is_active_low),
        ]
    }

    /// What there is; `None` where there is nothing. Nothing is opened yet.
    fn front(&self) -> Option<Front<Output, InputLine>> {
        let [led, alarm_led, relay] = self.outputs().map(|(key, place, is_active_low)| {
            let place = place?.clone();
            Some(Slot::new(key, Box::new(move || Output::open(&place, is_active_low))))
        });
        let is_active_low = self.button_is_active_low;
        let button = self
            .button
            .clone()
            .map(|line| Slot::new("hardware.button", Box::new(move || InputLine::open(&line, is_active_low))));
        let is_bare = led.is_none() && alarm_led.is_none() && relay.is_none() && button.is_none();
        let (press, shown) = (Press::default(), (Pattern::DARK, Duration::ZERO));
        (!is_bare).then_some(Front { led, alarm_led, relay, button, press, shown })
    }
}

/// What the button works upon, as soon as there is something.
pub struct Works {
    /// The control thread.
    pub handle: Handle,
    /// Users and passwords.
    pub store: Arc<Store>,
}

/// The thread, from outside. Everything is dark and released when it is dropped.
#[derive(Debug)]
pub struct Panel {
    works: Option<SyncSender<Works>>,
    ended: Receiver<()>,
}

impl Panel {
    /// Starts it, where there is something to light, to switch or to press. The light says that the daemon starts.
    ///
    /// # Errors
    /// There is no room for another thread.
    pub fn start(hardware: &Hardware, gauges: Arc<Gauges>) -> io::Result<Option<Self>> {
        let Some(front) = hardware.front() else { return Ok(None) };
        let (works, given) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let run = move || {
            run(front, &given, &gauges);
            let _ = end.send(());
        };
        thread::Builder::new().name(String::from("panel")).spawn(run)?;
        Ok(Some(Self { works: Some(works), ended }))
    }

    /// Everything runs, and this is what the button works upon.
    pub fn attach(&self, works: Works) {
        // Where the thread hangs already, nothing is lost.
        let _ = self.works.as_ref().map(|place| place.try_send(works));
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.works = None;
        if self.ended.recv_timeout(END_LIMIT).is_err() {
            warn!("a light or the relay does not answer, and may stay as it is");
        }
    }
}

fn run(mut front: Front<Output, InputLine>, given: &Receiver<Works>, gauges: &Gauges) {
    let watch = Stopwatch::start();
    let (mut works, mut liveness, mut faults): (Option<Works>, _, _) = (None, Liveness::default(), Vec::new());
    loop {
        let snapshot = works.as_ref().map(|works| works.handle.snapshot());
        let light = snapshot.as_ref().map_or(Light::Starting, |snapshot| Light::of(snapshot, clock::now()));
        let is_felt = liveness.is_felt(gauges);
        let is_switched = is_felt && snapshot.as_ref().is_some_and(|snapshot| is_at_work(snapshot));
        let Next { wish, wait } = front.step(light, is_switched, watch.elapsed());
        let found = front.faults();
        if found != faults {
            gauges.front_faults.set(found.clone());
            faults = found;
        }
        if let (Some(wish), Some(works)) = (wish, &works) {
            carry_out(wish, works);
        }
        match given.recv_timeout(wait) {
            Ok(more) => works = Some(more),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    front.end(watch.elapsed());
}

/// Traffic is to go through the box: it looks at packets, and nobody wants it out of the way for a while.
fn is_at_work(snapshot: &Snapshot) -> bool {
    !snapshot.is_starting && snapshot.paused_left.is_none()
}

/// What the control thread is asked for, it writes down and logs itself.
fn carry_out(wish: Wish, Works { handle, store }: &Works) {
    let ask = |request| handle.ask(request, ACTOR).map(|_| ()).map_err(|error| error.to_string());
    let done = match wish {
        Wish::Acknowledge => ask(Request::Acknowledge),
        Wish::Pause if handle.snapshot().paused_left.is_some() => ask(Request::Resume),
        Wish::Pause => ask(Request::Pause { ttl: PAUSE }),
        Wish::ResetPassword => reset_password(store, &consoles(), clock::now(), ACTOR)
            .map(|()| info!("{ACTOR} gave the page another password, which the consoles show"))
            .map_err(|error| error.to_string()),
    };
    if let Err(why) = done {
        error!("{ACTOR}: {why}");
    }
}
