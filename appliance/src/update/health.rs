//! Whether the box does its work, as far as it can tell itself: what decides whether a trial is kept.

use core::fmt::{self, Display, Formatter};
use core::time::Duration;

use super::UpdateError;
use crate::clock::Stopwatch;
use crate::hardware::lights::Light;
use crate::web::ClientError;
use crate::web::api::State;

/// How long a box must have been healthy without a break until a trial is kept.
const HEALTHY_FOR: Duration = Duration::from_secs(10);

/// How long it may take. The boot script restarts the box some time later, should this program hang.
const PATIENCE: Duration = Duration::from_secs(240);

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How the box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It looks at packets and can stop attackers, if its mode says so. There may be faults of less weight.
    Healthy,
    /// It does not; why.
    Ill(String),
}

impl Health {
    /// By what the daemon says when asked.
    #[must_use]
    pub fn of(answer: &Result<State, ClientError>) -> Self {
        match answer {
            Ok(state) if [Light::Starting, Light::CannotEnforce].iter().any(|light| state.light == light.name()) => {
                Self::Ill(state.light.clone())
            }
            Ok(_) => Self::Healthy,
            Err(error) => Self::Ill(error.to_string()),
        }
    }

    /// Refuses a trial that would probably not be kept, unless it is wanted `anyway`: it may bring what mends the box, and is taken back if
    /// it does not.
    ///
    /// # Errors
    /// The box is ill.
    pub fn check_before_trial(self, anyway: bool) -> Result<(), UpdateError> {
        match self {
            ill @ Self::Ill(_) if !anyway => Err(UpdateError::Unhealthy(ill)),
            _ => Ok(()),
        }
    }
}

impl Display for Health {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Ill(why) => f.write_str(why),
        }
    }
}

/// Waits until the box has been healthy for a while; how it is then, or at last.
pub fn wait_until_healthy(look: impl FnMut() -> Health) -> Health {
    let watch = Stopwatch::start();
    wait(look, || {
        std::thread::sleep(INTERVAL);
        watch.elapsed()
    })
}

/// The same; `pause` waits and says how long it has been waited in all.
fn wait(mut look: impl FnMut() -> Health, mut pause: impl FnMut() -> Duration) -> Health {
    let (mut now, mut since) = (Duration::ZERO, None);
    loop {
        let health = look();
        if health == Health::Healthy {
            if now - *since.get_or_insert(now) >= HEALTHY_FOR {
                return health;
            }
        } else {
            since = None;
        }
        // A box that has become healthy just in time gets the time to stay so.
        if now >= PATIENCE && since.is_none() {
            return health;
        }
        now = pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How it ends, and after how many seconds, where the box is healthy in these seconds.
    fn played(is_healthy: impl Fn(u64) -> bool) -> (Health, u64) {
        let seconds = core::cell::Cell::new(0);
        let look = || if is_healthy(seconds.get()) { Health::Healthy } else { Health::Ill("no".into()) };
        let health = wait(look, || {
            seconds.set(seconds.get() + 1);
            Duration::from_secs(seconds.get())
        });
        (health, seconds.get())
    }

    #[test]
    fn a_box_must_stay_healthy_for_a_while() {
        assert_eq!(played(|_| true), (Health::Healthy, 10));
        assert_eq!(played(|second| second >= 100), (Health::Healthy, 110));
        assert_eq!(played(|second| second != 5), (Health::Healthy, 16), "a break begins the time anew");
    }

    #[test]
    fn a_trial_of_a_box_that_is_ill_must_be_wanted() {
        let ill = || Health::Ill("starting".into());
        let refused = ill().check_before_trial(false).unwrap_err().to_string();
        assert!(refused.contains("(starting)") && refused.contains("`sluice update --try --anyway`"), "{refused}");
        ill().check_before_trial(true).unwrap();
        Health::Healthy.check_before_trial(false).unwrap();
    }

    #[test]
    fn a_box_that_does_not_become_healthy_is_given_up() {
        assert_eq!(played(|_| false), (Health::Ill("no".into()), 240));
        assert_eq!(played(|second| second % 9 != 0).0, Health::Ill("no".into()), "it comes and goes");
        assert_eq!(played(|second| second >= 239), (Health::Healthy, 249), "just in time");
    }
}
