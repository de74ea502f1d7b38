//! Figures: the middle, the slowest few, and how they are written.

use std::time::Duration;

/// The value below which that share of the figures lies; NaN where there are none.
pub fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 0.5)
}

/// A time in microseconds.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A rate of bits as people write it.
pub fn bit_rate(bits_per_s: f64) -> String {
    match bits_per_s {
        giga if giga >= 1e9 => format!("{:.2} Gbit/s", giga / 1e9),
        mega => format!("{:.0} Mbit/s", mega / 1e6),
    }
}

/// A time of so many microseconds as people write it.
pub fn time(micros: f64) -> String {
    match micros {
        short if short < 1e3 => format!("{short:.0} µs"),
        middle if middle < 1e6 => format!("{:.1} ms", middle / 1e3),
        long => format!("{:.2} s", long / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_says_how_many_figures_are_below() {
        let figures: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.95, 0.99, 1.0].map(|share| percentile(&figures, share)), [50.0, 95.0, 99.0, 100.0]);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        assert_eq!([42.0, 4_200.0, 4_200_000.0].map(time), ["42 µs", "4.2 ms", "4.20 s"]);
        assert_eq!([940e6, 3.25e9].map(bit_rate), ["940 Mbit/s", "3.25 Gbit/s"]);
    }
}
