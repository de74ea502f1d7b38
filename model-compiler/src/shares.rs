//! Shares with their 95 % intervals, for measurements on a set of rows; and quantiles.
//!
//! The intervals that are made here are Wilson's (1927). They say how far the figure would move if the same number of rows were drawn again
//! from where these came from; that a network is another one than that of the rows, they do not cover.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

/// The quantile of the normal distribution for 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A share of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// From 0 to 1.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Share {
    /// The share of a part in a whole; none of nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let (n, p) = (whole as f64, part as f64 / whole as f64);
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Some(Self { value: p, low: ((centre - half) / scale).max(0.0), high: ((centre + half) / scale).min(1.0) })
    }

    /// F1 of so many true positives, false positives and false negatives. F1 itself is no share of rows; Jaccard's index
    /// `J = tp / (tp + fp + fn)` is one, and `F1 = 2J / (1 + J)` rises with it, so the ends of the interval of J give
    /// those of F1.
    #[must_use]
    pub fn f1(true_positives: u64, false_positives: u64, false_negatives: u64) -> Option<Self> {
        let of_jaccard = |jaccard: f64| 2.0 * jaccard / (1.0 + jaccard);
        let Self { value, low, high } = Self::of(true_positives, true_positives + false_positives + false_negatives)?;
        Some(Self { value: of_jaccard(value), low: of_jaccard(low), high: of_jaccard(high) })
    }
}

/// How many events there are per unit of time, with the 95 % interval of a Poisson distribution in Byar's approximation (Breslow and Day
/// 1987, 2.13): none in a short time may be some in a long one. Without time, what is unknown.
#[must_use]
pub fn of_time(events: u64, time: f64) -> String {
    if time <= 0.0 {
        return "-".to_owned();
    }
    let end = |events: f64, z: f64| {
        if events > 0.0 { events * (1.0 - 1.0 / (9.0 * events) + z / (3.0 * events.sqrt())).powi(3) } else { 0.0 }
    };
    let events = events as f64;
    let [value, low, high] = [events, end(events, -Z), end(events + 1.0, Z)].map(|events| events / time);
    format!("{value:.2} [{low:.2}, {high:.2}]")
}

/// The quantile of sorted values: the smallest one that is at least as large as that share of them; none of nothing.
#[must_use]
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [value, low, high] = [self.value, self.low, self.high].map(|share| 100.0 * share);
        write!(f, "{value:.2} [{low:.2}, {high:.2}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_literature() {
        // Newcombe (1998), table I, Wilson's score without correction.
        for (part, whole, low, high) in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)] {
            let share = Share::of(part, whole).unwrap();
            assert!((share.low - low).abs() < 5e-5 && (share.high - high).abs() < 5e-5, "{share:?}");
        }
        assert_eq!(Share::of(0, 0), None);
    }

    #[test]
    fn events_per_time_have_intervals_of_the_literature() {
        // Exact ends (Garwood 1936): none 0 to 3.69, ten 4.80 to 18.39.
        assert_eq!(of_time(0, 1.0), "0.00 [0.00, 3.67]");
        assert_eq!(of_time(10, 1.0), "10.00 [4.79, 18.39]");
        assert_eq!((of_time(10, 100.0), of_time(1, 0.0)), ("0.10 [0.05, 0.18]".to_owned(), "-".to_owned()));
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u8> = (1..=20).collect();
        assert_eq!(
            [0.0, 0.05, 0.051, 0.5, 0.95, 1.0].map(|share| quantile(&values, share).unwrap()),
            [1, 1, 2, 10, 19, 20]
        );
        assert_eq!((quantile(&[7], 0.5), quantile::<u8>(&[], 0.5)), (Some(7), None));
    }

    #[test]
    fn f1_is_between_the_ends_of_its_interval() {
        let f1 = Share::f1(60, 20, 40).unwrap();
        assert!((f1.value - 120.0 / 180.0).abs() < 1e-12 && f1.low < f1.value && f1.value < f1.high, "{f1:?}");
        assert_eq!(Share::f1(0, 0, 0), None);
    }
}
