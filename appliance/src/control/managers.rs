//! Who manages the box through the page now: these addresses must not be blocked, or nobody could end a wrong block.

use core::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use traffic::time::Timestamp;

/// Addresses at once: as many as there are sessions. Full: the one that would end first goes.
const CAPACITY: usize = 64;

/// The addresses of sessions, each until the session would end by itself. Cloned freely; shared by page and control.
#[derive(Clone, Debug, Default)]
pub struct Managers(Arc<Mutex<Vec<(IpAddr, Timestamp)>>>);

impl Managers {
    /// Somebody who is logged in has asked from this address; the session lasts until then.
    pub fn seen(&self, address: IpAddr, until: Timestamp) {
        let mut all = self.lock();
        all.retain(|(other, _)| *other != address);
        if all.len() >= CAPACITY {
            all.sort_by_key(|(_, until)| *until);
            all.remove(0);
        }
        all.push((address, until));
    }

    /// The session from this address has ended.
    pub fn gone(&self, address: IpAddr) {
        self.lock().retain(|(other, _)| *other != address);
    }

    /// All that are known.
    #[must_use]
    pub fn all(&self) -> Vec<(IpAddr, Timestamp)> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(IpAddr, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_until_its_session_ends_and_the_first_to_end_makes_room() {
        let managers = Managers::default();
        let address = |last: u8| IpAddr::from([198, 51, 100, last]);
        for last in 0..=CAPACITY as u8 {
            managers.seen(address(last), Timestamp::from_secs(1_000 + u64::from(last)));
        }
        let known = |last| managers.all().iter().any(|(known, _)| *known == address(last));
        assert_eq!(managers.all().len(), CAPACITY);
        assert!(!known(0) && known(1) && known(CAPACITY as u8));
        managers.gone(address(1));
        assert!(!known(1));
    }
}
