//! The packet thread: from the rings through the path, and decisions on to control. Per packet
//! nothing waits, locks, allocates or writes to the log.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use log::error;
use traffic::address::Mac;
use traffic::extractor::Observation;

use crate::capture::live::Live;
use crate::capture::{FrameSource, Polled};
use crate::clock::{self, Stopwatch};
use crate::control::{Handle, Outcome};
use crate::health::Gauges;
use crate::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use crate::policy::{Decision, Exchange};
use crate::verdict::Rulebook;

/// How long to wait for frames before time is let pass without them.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// How often figures are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

/// How often it is published what is said of the models.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// What the packet thread is made of.
pub(super) struct PacketThread {
    pub source: Live,
    pub pipeline: PipelineConfig,
    pub handle: Handle,
    pub gauges: Arc<Gauges>,
    pub outcomes: Receiver<Outcome>,
    /// Rules and lists that take the place of those in force; whoever sends them holds those before until they are left.
    pub rulebooks: Receiver<Arc<Rulebook>>,
    pub exchanges: SyncSender<Exchange>,
    pub stop: Arc<AtomicBool>,
}

/// Hands decisions on.
struct ToControl<'a> {
    handle: &'a Handle,
    gauges: &'a Gauges,
    exchanges: &'a SyncSender<Exchange>,
}

impl PacketThread {
    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut pipeline = Pipeline::new(&self.pipeline);
        // The pipeline alone holds the rules from here on, so that others know when it has left them.
        self.pipeline.rules = Arc::default();
        let mut listener = ToControl { handle: &self.handle, gauges: &self.gauges, exchanges: &self.exchanges };
        self.gauges.publish_compared(pipeline.compared());
        let (mut since_published, mut since_compared) = (Stopwatch::start(), Stopwatch::start());
        while !self.stop.load(Ordering::Relaxed) {
            while let Ok(outcome) = self.outcomes.try_recv() {
                match outcome {
                    Outcome::Blocked { subject, until } => pipeline.blocked(subject, until),
                    Outcome::Forgiven { subject } => pipeline.forgive(subject),
                    Outcome::Around(around) => pipeline.learn(around),
                    Outcome::Tuned(tuning) => pipeline.tune(&tuning),
                    Outcome::Judged(models) => pipeline.judge_by(models),
                }
            }
            while let Ok(rules) = self.rulebooks.try_recv() {
                // Freed by the thread that sent it, which holds it too.
                drop(pipeline.replace_rules(rules));
            }
            let own_mac = self.gauges.own_mac();
            let mut latest = None;
            let polled = self.source.poll(POLL_TIMEOUT, &mut |arrival| {
                latest = Some(arrival.time);
                if !is_for(own_mac, arrival.frame.bytes) {
                    pipeline.frame(arrival, &mut listener);
                }
            });
            match polled {
                Ok(Polled::Frames(_)) => {}
                Ok(Polled::End) => return,
                Err(error) => return error!("capture has failed: {error}"),
            }
            // Where frames came there may be more that wait: what answers a flow may be among them, so no more time has passed for it.
            pipeline.idle(latest.unwrap_or_else(clock::now), &mut listener);
            if since_published.elapsed() >= PUBLISH_INTERVAL {
                self.gauges.publish(&pipeline.counters(), pipeline.flows());
                let (dropped, passed_over) = (self.source.dropped(), self.source.passed_over());
                self.gauges.publish_source(dropped, passed_over, self.source.faults());
                since_published = Stopwatch::start();
            }
            if since_compared.elapsed() >= COMPARE_INTERVAL {
                self.gauges.publish_compared(pipeline.compared());
                since_compared = Stopwatch::start();
            }
        }
    }
}

/// The frame goes to the box itself. The rings see incoming frames only, so of such a conversation one half would be missing,
/// and an administrator's connections would look like unanswered ones.
fn is_for(own_mac: Option<Mac>, frame: &[u8]) -> bool {
    own_mac.is_some_and(|Mac(mac)| frame.starts_with(&mac))
}

impl Listener for ToControl<'_> {
    fn decision(&mut self, decision: Decision) -> bool {
        let taken = self.handle.decide(decision);
        if !taken {
            self.gauges.decisions_delayed.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    fn checkpoint(&mut self, seen: &Observation<'_>, device: Option<Mac>) {
        if let Some(exchange) = Exchange::of(seen, device) {
            let _ = self.exchanges.try_send(exchange);
        }
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}
