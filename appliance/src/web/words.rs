//! Numbers and names in words that a person likes to read.

use core::time::Duration;

use crate::policy::{Action, Subject};
use traffic::features::ThreatClass;

/// A duration in one or two units: `45 s`, `12 min`, `3 h 5 min`, `2 days`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) if minutes % 60 == 0 => format!("{hours} h"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        (1, ..) => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

/// A number with its thousands apart, with narrow spaces that do not break: `1 234 567`; from ten million on in millions.
pub(super) fn count(number: u64) -> String {
    const MILLION: u64 = 1_000_000;
    if number >= 10 * MILLION {
        return format!("{}.{} M", count(number / MILLION), number % MILLION * 10 / MILLION);
    }
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves a number of at least one: `3.2 GB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", number / size, number % size * 10 / size),
        None => format!("{number} B"),
    }
}

/// How sure a verdict is. Never "100 %": a tree is not that sure.
pub(super) fn sureness(confidence: f32) -> String {
    format!("{:.0} %", (confidence * 100.0).clamp(0.0, 99.0))
}

/// What an offender of that class was doing.
pub(super) const fn deed(class: Option<ThreatClass>) -> &'static str {
    match class {
        None => "Blocked by hand",
        Some(ThreatClass::Benign) => "Nothing of note",
        Some(ThreatClass::Scan) => "Looking for open doors",
        Some(ThreatClass::Flood) => "Flooding",
        Some(ThreatClass::BruteForce) => "Guessing passwords",
        Some(ThreatClass::Botnet) => "Under somebody else's control",
        Some(ThreatClass::WebAttack) => "Attacking a web page",
        Some(ThreatClass::Tunnel) => "Hiding other traffic",
    }
}

/// What is done about it.
pub(super) const fn measure(subject: Subject, action: Action) -> &'static str {
    match action {
        Action::DenyNew => "new connections are dropped, answers still pass",
        Action::Deny => "everything is dropped",
        Action::Limit if subject.hears_who_asks_twice() => {
            "above the limit, only who was asked, or asks twice, gets through"
        }
        Action::Limit => "what comes above the limit is lost",
        Action::Quarantine => "can look up names and get an address, nothing else",
    }
}

/// What of somebody is blocked.
pub(super) const fn blocked_part(action: Action) -> &'static str {
    match action {
        Action::DenyNew => "new connections",
        Action::Deny => "everything",
        Action::Limit => "what is above the limit",
        Action::Quarantine => "all but names and addresses",
    }
}

/// A reason without what the model or rule compared, which is behind "why?".
pub(super) fn brief(because: &str) -> &str {
    let ends = [" (model ", " (rule "].into_iter().filter_map(|accuser| because.find(accuser));
    ends.min().and_then(|end| because.get(..end)).unwrap_or(because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_brief_without_what_was_compared() {
        let of_model = "scan: tried 47 ports (model forest, scan 0.97: 47 distinct ports (> 12)); evidence of 9 flows";
        assert_eq!(brief(of_model), "scan: tried 47 ports");
        let of_rule = "sent 60 SYNs in 2 s (rule \"a (model b\": 60 packets with SYN (> 50): scan 0.8)";
        assert_eq!(brief(of_rule), "sent 60 SYNs in 2 s");
        assert_eq!(brief("blocked by hand"), "blocked by hand");
    }

    #[test]
    fn numbers_read_well() {
        let spoken = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 3_599, 3_600, 11_100].map(spoken),
            ["0 s", "59 s", "1 min", "59 min", "1 h", "3 h 5 min"]
        );
        assert_eq!([86_399, 86_400, 200_000].map(spoken), ["23 h 59 min", "1 day", "2 days"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!(
            [9_999_999, 48_250_000, 12_345_600_000].map(count),
            ["9\u{202f}999\u{202f}999", "48.2 M", "12\u{202f}345.6 M"]
        );
        assert_eq!([0, 999, 1_500, 2_000_000_000].map(bytes), ["0 B", "999 B", "1.5 kB", "2.0 GB"]);
        assert_eq!(bytes(u64::MAX), "18446744.0 TB");
    }
}
