//! The packet thread: from the rings through the path, and decisions on to control. Nothing here waits, locks or allocates.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::capture::FrameSource;
use crate::capture::live::LiveSource;
use crate::clock;
use crate::control::Handle;
use crate::health::Gauges;
use crate::pipeline::{EndedFlow, Listener, Pipeline, PipelineConfig};
use crate::policy::{Decision, Offender};

/// How long to wait for frames before time is let pass without them.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// What the packet thread is made of.
pub(super) struct PacketThread {
    pub source: LiveSource,
    pub pipeline: PipelineConfig,
    pub handle: Handle,
    pub gauges: Arc<Gauges>,
    pub forgiven: Receiver<Offender>,
    pub stop: Arc<AtomicBool>,
}

/// Hands decisions on.
struct ToControl<'a> {
    handle: &'a Handle,
    gauges: &'a Gauges,
}

impl PacketThread {
    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut pipeline = Pipeline::new(&self.pipeline);
        let mut listener = ToControl { handle: &self.handle, gauges: &self.gauges };
        while !self.stop.load(Ordering::Relaxed) {
            while let Ok(offender) = self.forgiven.try_recv() {
                pipeline.forgive(offender);
            }
            self.source.poll(POLL_TIMEOUT, &mut |captured| pipeline.frame(captured.time, &captured.frame, &mut listener));
            pipeline.idle(clock::now(), &mut listener);
            self.gauges.publish(&pipeline.counters(), pipeline.flows(), self.source.drops());
        }
    }
}

impl Listener for ToControl<'_> {
    fn decision(&mut self, decision: Decision) {
        if !self.handle.decide(decision) {
            self.gauges.decisions_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flow_ended(&mut self, _: &EndedFlow<'_>) {}
}
