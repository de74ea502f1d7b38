//! Events that wait to be written. On a full disk they wait here in memory, up to a bound: then alerts make room for
//! changes, because a change without its row would break the promise that nothing is blocked without one.

use std::collections::VecDeque;

use super::Event;

/// Events that wait at most; some 1.5 MiB where all of them are typical alerts.
pub(super) const CAPACITY: usize = 2_048;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    events: VecDeque<Event>,
    /// How many of them are alerts.
    alerts: usize,
}

impl Backlog {
    /// Puts the event at the end. Full: the oldest alert goes, or else the event itself; returns whether one was lost.
    pub(super) fn push(&mut self, event: Event) -> bool {
        let full = self.events.len() >= CAPACITY;
        if full && !self.drop_oldest_alert() {
            return true;
        }
        self.alerts += usize::from(matches!(event, Event::Alert(_)));
        self.events.push_back(event);
        full
    }

    /// Whether something waits that must not wait: anything but alerts.
    pub(super) fn is_urgent(&self) -> bool {
        self.alerts < self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// In the order of arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.alerts = 0;
    }

    fn drop_oldest_alert(&mut self) -> bool {
        let oldest = self.events.iter().position(|event| matches!(event, Event::Alert(_)));
        let Some(place) = oldest else { return false };
        self.events.remove(place);
        self.alerts -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{alert, audit};
    use super::*;

    #[test]
    fn alerts_make_room_for_changes_and_the_order_stays() {
        let mut backlog = Backlog::default();
        for number in 0..CAPACITY as u64 {
            assert!(!backlog.push(alert(number)));
        }
        assert!(!backlog.is_urgent());
        assert!(backlog.push(audit(7_000)), "the oldest alert was lost");
        assert!(backlog.is_urgent());
        assert_eq!(backlog.len(), CAPACITY);
        let kept: Vec<_> = backlog.iter().cloned().collect();
        assert_eq!(kept.first(), Some(&alert(1)));
        assert_eq!(kept.last(), Some(&audit(7_000)));
    }

    #[test]
    fn when_all_are_changes_the_newcomer_goes() {
        let mut backlog = Backlog::default();
        for number in 0..CAPACITY as u64 {
            assert!(!backlog.push(audit(number)));
        }
        assert!(backlog.push(audit(9_999)));
        assert!(backlog.push(alert(9_999)));
        assert_eq!(backlog.iter().last(), Some(&audit(CAPACITY as u64 - 1)));
    }
}
