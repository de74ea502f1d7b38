//! The main thread once everything runs: signals, what is ordered of the daemon as a whole, the page's door, how the board is, and
//! whether the other threads live.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use anyhow::bail;
use log::{error, info};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::door::DoorKeeper;
use super::program::Program;
use super::reload::Reload;
use crate::control::{Done, Order, OrderError, Ordered};
use crate::hardware::board::Board;
use crate::hardware::service::{self, Service};
use crate::linux::signals::{Asked, Signals};
use crate::web::WebServer;

/// How often the main thread looks after the others, and takes orders.
const INTERVAL_MS: u16 = 250;

/// Why the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to.
    Stop,
    /// The program is run anew.
    Restart,
}

/// What the main thread looks after.
pub(super) struct Attendant<'a> {
    pub signals: Signals,
    // Dropped before the page, whose threads may wait for an answer.
    pub orders: Receiver<Ordered>,
    pub web: WebServer,
    pub door: DoorKeeper,
    pub board: Board,
    pub reload: Reload,
    pub service: Arc<Service>,
    pub program: &'a Program,
}

impl Attendant<'_> {
    /// Waits for what ends the daemon, and meanwhile does what is to be done.
    pub fn attend(mut self, threads: &[&JoinHandle<()>]) -> anyhow::Result<End> {
        let ended = self.wait(threads);
        match ended {
            Ok(End::Restart) => self.service.reloading(),
            Ok(End::Stop) | Err(_) => service::stopping(),
        }
        ended
    }

    fn wait(&mut self, threads: &[&JoinHandle<()>]) -> anyhow::Result<End> {
        loop {
            self.door.tend(&mut self.web, &self.reload.gauges);
            self.reload.tend();
            self.board.tend(&self.reload.gauges);
            let mut wanted = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            // Interrupted or not, the signal itself is asked for next.
            let _ = poll(&mut wanted, PollTimeout::from(INTERVAL_MS));
            if let Some(end) = self.answer_signals().or_else(|| self.answer_orders()) {
                info!("ending");
                return Ok(end);
            }
            if threads.iter().any(|thread| thread.is_finished()) {
                bail!("a thread has ended by itself; see the lines above");
            }
        }
    }

    fn answer_signals(&mut self) -> Option<End> {
        while let Some(asked) = self.signals.read() {
            let (order, actor) = match asked {
                Asked::End => return Some(End::Stop),
                Asked::Reload => (Order::Reload, "SIGHUP"),
                Asked::Restart => (Order::Restart, "SIGUSR2"),
            };
            if self.carry_out(order, actor).is_ok() && order == Order::Restart {
                return Some(End::Restart);
            }
        }
        None
    }

    fn answer_orders(&mut self) -> Option<End> {
        while let Ok(Ordered { order, actor, reply }) = self.orders.try_recv() {
            let outcome = self.carry_out(order, &actor);
            let ends = outcome.is_ok() && order == Order::Restart;
            // Whoever asked may have gone away meanwhile.
            let _ = reply.try_send(outcome);
            if ends {
                return Some(End::Restart);
            }
        }
        None
    }

    fn carry_out(&mut self, order: Order, actor: &str) -> Result<Done, OrderError> {
        match order {
            Order::Reload => {
                self.service.reloading();
                let done = self.reload.reload(actor);
                self.service.reloaded();
                let done = done?;
                let config = &self.reload.config;
                self.web.set_host_names(config.web.host_names.clone());
                self.door.lead_to(config, &mut self.web);
                self.door.tend(&mut self.web, &self.reload.gauges);
                Ok(Done { page_fault: self.reload.gauges.page_fault.get(), ..done })
            }
            Order::Restart => {
                self.program.try_out().map_err(|why| {
                    error!("{why}");
                    self.reload.gauges.order_fault.set(Some(why.clone()));
                    OrderError::Program(why)
                })?;
                let what = format!("runs {} anew", self.program.path().display());
                info!("{actor} {what}");
                self.reload.audit(actor, what);
                Ok(Done::default())
            }
        }
    }
}
