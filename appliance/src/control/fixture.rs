//! What the tests of the control thread share.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use super::keeper::{Keeper, Surroundings};
use super::{Handle, Judges, Loads, Outcome, Settings};
use crate::config::Config;
use crate::enforce::nftables::Nftables;
use crate::policy::{Action, BlockRecord, BlockState, Blocklist, Mode, Modes, Rails};
use crate::registry::Choices;
use crate::store::test_directory::TestDirectory;
use crate::store::{Keep, Store};
use crate::web::fixture::snapshot;

/// A control thread that is not running, and what it tells the packet thread.
pub(super) fn keeper(directory: &TestDirectory, now: Timestamp) -> (Keeper, Receiver<Outcome>) {
    let config = Config::default();
    let store = Store::open(directory.path(), now).unwrap().store;
    let (outcomes, told) = sync_channel(8);
    let keeper = Keeper {
        handle: Handle::new(snapshot(now), 1).0,
        blocklist: Blocklist::new(Rails::default(), Modes::all(Mode::Approve), config.bounds()),
        enforcer: Box::new(Nftables::new(config.bridge.ports.clone(), config.max_blocks())),
        restored: None,
        pause: None,
        settings: Settings {
            mode: Mode::Approve,
            allow: Vec::new(),
            lan: Vec::new(),
            learns_lan: true,
            bounds: config.bounds(),
            tuning: config.tuning(),
            model: config.model,
        },
        judges: Judges::new(Choices::default(), Loads::default()),
        writer: Arc::new(store.writer(Keep::MANY).unwrap()),
        gauges: Arc::default(),
        outcomes,
        exchanges: sync_channel(1).1,
        surroundings: Box::new(|_| Surroundings::default()),
        alerts: VecDeque::new(),
        next_alert: 1,
        unrecorded: VecDeque::new(),
        start_faults: Vec::new(),
    };
    (keeper, told)
}

/// A block of 203.0.113.9 for a minute, or what would be one.
pub(super) fn record(state: BlockState, now: Timestamp) -> BlockRecord {
    BlockRecord {
        subject: "203.0.113.9".parse().unwrap(),
        action: Action::Deny,
        state,
        class: Some(ThreatClass::Scan),
        offence: 1,
        since: now,
        until: now.plus(Duration::from_secs(60)),
        because: "a test".into(),
        actor: "sluice".into(),
    }
}
