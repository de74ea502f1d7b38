//! When a frame comes out of one direction of a line, if ever: arithmetic only, the time is an argument.

use std::time::Duration;

use crate::random::Random;

use super::profile::Direction;

/// One direction of a line, with its state.
#[derive(Clone, Debug)]
pub struct Impairment {
    way: Direction,
    random: Random,
    /// When the last frame has left the queue.
    idle_from: Duration,
    /// When the last frame comes out that keeps its order.
    last_out: Duration,
    losing: bool,
}

impl Impairment {
    /// A quiet one; the seed makes its draws.
    #[must_use]
    pub fn new(way: Direction, seed: u64) -> Self {
        let random = Random::new(seed);
        Self { way, random, idle_from: Duration::ZERO, last_out: Duration::ZERO, losing: false }
    }

    /// A frame of `len_bytes` comes in `now`: when it comes out, `None` if it is lost. Times are since any one moment.
    ///
    /// Each frame takes as many draws as any other, so that the fate of the n-th frame is a matter of the seed alone, as far
    /// as it is not one of the queue.
    pub fn admit(&mut self, now: Duration, len_bytes: usize) -> Option<Duration> {
        let lost = self.draw_loss();
        let jitter = self.random.exponential(f64::from(self.way.jitter_us)).min(f64::from(self.way.jitter_us) * 8.0);
        let held_back = self.random.share() < self.way.reorder;
        if lost {
            return None;
        }
        let sent = self.queue(now, len_bytes)?;
        let arrives = sent + micros(self.way.delay_us) + Duration::from_nanos((jitter * 1_000.0) as u64);
        if held_back {
            return Some(arrives + micros(self.way.reorder_us));
        }
        self.last_out = arrives.max(self.last_out);
        Some(self.last_out)
    }

    /// Two states, in one of which every frame is lost (Gilbert, 1960): its length has the mean `loss_burst`.
    fn draw_loss(&mut self) -> bool {
        let leave = 1.0 / self.way.loss_burst.max(1.0);
        let enter = leave * self.way.loss / (1.0 - self.way.loss).max(f64::EPSILON);
        let draw = self.random.share();
        self.losing = if self.losing { draw >= leave } else { draw < enter };
        self.losing
    }

    /// When the last bit of the frame has been sent; `None` if the queue is full.
    fn queue(&mut self, now: Duration, len_bytes: usize) -> Option<Duration> {
        let Some(rate) = self.way.rate_kbit_per_s else {
            return Some(now);
        };
        let begins = now.max(self.idle_from);
        if begins - now > Duration::from_millis(u64::from(self.way.queue_ms)) {
            return None;
        }
        // Bits by thousands of bits a second are milliseconds.
        let nanos = len_bytes as u64 * 8 * 1_000_000 / u64::from(rate.max(1));
        self.idle_from = begins + Duration::from_nanos(nanos);
        Some(self.idle_from)
    }
}

fn micros(count: u32) -> Duration {
    Duration::from_micros(u64::from(count))
}

#[cfg(test)]
mod tests {
    use super::super::profile::{CLEAR, LTE, WIFI};
    use super::*;

    /// What becomes of `count` frames of 1,000 bytes, one each millisecond.
    fn fates(way: Direction, seed: u64, count: u64) -> Vec<Option<Duration>> {
        let mut line = Impairment::new(way, seed);
        (0..count).map(|number| line.admit(Duration::from_millis(number), 1_000)).collect()
    }

    #[test]
    fn a_seed_repeats_what_happened_and_another_does_not() {
        assert_eq!(fates(LTE.down, 5, 5_000), fates(LTE.down, 5, 5_000));
        assert_ne!(fates(LTE.down, 5, 5_000), fates(LTE.down, 6, 5_000));
    }

    #[test]
    fn the_share_of_lost_frames_is_the_profiles_and_losses_come_in_bursts() {
        let fates = fates(WIFI.down, 1, 200_000);
        let lost = fates.iter().filter(|fate| fate.is_none()).count() as f64;
        let bursts = fates.windows(2).filter(|pair| pair[0].is_some() && pair[1].is_none()).count() as f64;
        assert!((0.018..0.022).contains(&(lost / 200_000.0)), "{lost}");
        assert!((2.3..2.7).contains(&(lost / bursts)), "{lost} in {bursts}");
    }

    #[test]
    fn order_is_kept_but_for_frames_that_are_held_back() {
        let jittery = Direction { delay_us: 1_000, jitter_us: 20_000, ..CLEAR };
        let overtaken = |way| {
            let out: Vec<Duration> = fates(way, 3, 20_000).into_iter().flatten().collect();
            out.windows(2).filter(|pair| pair[1] < pair[0]).count()
        };
        assert_eq!(overtaken(jittery), 0);
        let held_back = Direction { reorder: 0.01, reorder_us: 30_000, jitter_us: 0, ..jittery };
        assert!((100..300).contains(&overtaken(held_back)), "{}", overtaken(held_back));
    }

    #[test]
    fn frames_leave_at_the_rate_and_a_full_queue_drops() {
        // One frame of 1,000 bytes each millisecond is 8,000 kbit/s: twice what passes.
        let slow = Direction { rate_kbit_per_s: Some(4_000), queue_ms: 50, ..CLEAR };
        let out: Vec<Duration> = fates(slow, 1, 10_000).into_iter().flatten().collect();
        let took = *out.last().unwrap() - out[0];
        let kbit_per_s = (out.len() - 1) as f64 * 8.0 / took.as_secs_f64();
        assert!((3_990.0..=4_001.0).contains(&kbit_per_s), "{kbit_per_s}");
        assert!((5_000..5_100).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn every_frame_waits_at_least_the_delay() {
        let fates = fates(LTE.down, 9, 5_000);
        let waits = fates.iter().enumerate().filter_map(|(at, fate)| Some((*fate)? - Duration::from_millis(at as u64)));
        assert!(waits.min().unwrap() >= Duration::from_micros(22_000));
    }
}
