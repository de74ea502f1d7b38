//! Weights of evidence: what one verdict adds, and how it fades.

use core::time::Duration;

use traffic::time::Timestamp;

/// The most that one flow adds: the odds of a confidence of 0.95.
pub(super) const MOST_PER_FLOW: f32 = 2.944_439;

/// That confidence, and the terms of the power series that it takes.
const MOST_CONFIDENCE: f32 = 0.95;
const LOG_ODDS_TERMS: u32 = 60;

/// Evidence loses half of its weight in this time.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// After this time, ten times that in which it loses half, less than a thousandth of it is left: nothing follows from it any more.
pub const EVIDENCE_LASTS: Duration = Duration::from_secs(10 * HALF_LIFE.as_secs());

/// What is left of a weight of evidence after the time between the two moments.
pub(super) fn faded(from: Timestamp, now: Timestamp) -> f32 {
    faded_by(HALF_LIFE, from, now)
}

/// What is left of anything: half for each half-life, and a straight line within one, which needs no library function and is the
/// same number on every machine.
pub(super) fn faded_by(half_life: Duration, from: Timestamp, now: Timestamp) -> f32 {
    let half_lives = now.since(from).as_secs_f32() / half_life.as_secs_f32();
    let whole = half_lives.floor();
    if whole >= 32.0 { 0.0 } else { (1.0 - 0.5 * (half_lives - whole)) / (1_u64 << whole as u32) as f32 }
}

/// The logarithm of the odds of a confidence, from 0 to [`MOST_PER_FLOW`]. It is 2 artanh(2c - 1), as a power series: a
/// library's logarithm differs in the last digit from one machine to the next.
pub(super) fn log_odds(confidence: f32) -> f32 {
    let x = 2.0 * confidence.clamp(0.5, MOST_CONFIDENCE) - 1.0;
    let (mut power, mut sum, mut odd) = (x, 0.0, 1.0);
    // The last term is below 0.9^121 / 121, which no f32 of this size shows.
    for _ in 0..LOG_ODDS_TERMS {
        sum += power / odd;
        power *= x * x;
        odd += 2.0;
    }
    (2.0 * sum).min(MOST_PER_FLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_odds_is_that_of_the_library_up_to_the_most_that_a_flow_adds() {
        for step in 0..=1_000_u16 {
            let confidence = f32::from(step) / 1_000.0;
            let odds = confidence / (1.0 - confidence);
            let expected = odds.ln().clamp(0.0, MOST_PER_FLOW);
            assert!(
                (log_odds(confidence) - expected).abs() < 1e-4,
                "{confidence}: {} {expected}",
                log_odds(confidence)
            );
        }
    }

    #[test]
    fn half_is_left_after_a_half_life_and_a_straight_line_leads_there() {
        let at = Timestamp::from_secs;
        for (passed_s, left) in [(0, 1.0), (30, 0.75), (60, 0.5), (90, 0.375), (120, 0.25), (60 * 32, 0.0)] {
            assert_eq!(faded(at(100), at(100 + passed_s)), left, "{passed_s} s");
        }
        assert_eq!(faded(at(100), at(50)), 1.0, "a clock set back fades nothing");
    }
}
