//! What of `[hardware]` no single value shows to be wrong. Whether what it names is there is found out by the daemon, which goes on
//! without it.

use crate::hardware::panel::Hardware;
use crate::hardware::place::Place;

/// Shorter ones would reboot a board that is only busy: a thread may be silent for five seconds.
const SHORTEST_TIMEOUT_S: u32 = 10;

/// The most that some device takes.
const LONGEST_TIMEOUT_S: u32 = 65_535;

/// The key and what to do.
pub(super) fn contradiction(hardware: &Hardware) -> Option<(&'static str, String)> {
    if !(SHORTEST_TIMEOUT_S..=LONGEST_TIMEOUT_S).contains(&hardware.watchdog_timeout_s) {
        let what = format!("give a number from {SHORTEST_TIMEOUT_S} to {LONGEST_TIMEOUT_S} seconds");
        return Some(("hardware.watchdog_timeout_s", what));
    }
    if !hardware.watchdog.as_os_str().is_empty() && !hardware.watchdog.is_absolute() {
        let what = format!("`{}` is no path of a device; give one such as /dev/watchdog", hardware.watchdog.display());
        return Some(("hardware.watchdog", what));
    }
    let outputs = hardware.outputs();
    if let Some((key, ..)) = outputs.iter().find(|(_, place, low)| *low && matches!(place, Some(Place::Led(_)))) {
        let what = String::from(
            "the kernel knows how its LEDs are wired: leave its _is_active_low away, or name a line of a GPIO chip",
        );
        return Some((key, what));
    }
    let button = hardware.button.clone().map(Place::Line);
    let mut taken: Vec<&Place> = button.iter().collect();
    for (key, place, _) in outputs {
        let Some(place) = place else { continue };
        if taken.contains(&place) {
            return Some((key, format!("`{place}` is used for something else in [hardware] already")));
        }
        taken.push(place);
    }
    None
}
