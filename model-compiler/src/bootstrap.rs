//! How far figures hang on which clusters of flows happened to be there.
//!
//! Flows of one capture resemble each other, and so do captures of one source. So clusters are drawn again and not flows: as many as
//! there are, with replacement, a few hundred times, and the middle 95 % of the figures is the interval (Efron's percentile
//! bootstrap, 1979, over clusters). Where no cluster has an error it has no width; that a network is another one than theirs it does
//! not cover; and of one cluster, where there is nothing to draw, nothing is known.

use crate::random::Random;
use crate::shares::{Share, quantile};

/// How often clusters are drawn again.
const DRAWS: u64 = 400;

/// How often each of so many clusters is there in each draw; the same each time that this is asked.
pub(crate) fn draws(clusters: usize) -> Vec<Vec<f64>> {
    let draw = |seed| {
        let (mut random, mut times) = (Random::new(seed), vec![0.0; clusters]);
        for _ in 0..clusters {
            if let Some(times) = times.get_mut(random.below(clusters as u64) as usize) {
                *times += 1.0;
            }
        }
        times
    };
    if clusters > 1 { (0..DRAWS).map(draw).collect() } else { Vec::new() }
}

/// The figure with the middle 95 % of what was drawn.
pub(crate) fn middle(value: f64, drawn: impl Iterator<Item = f64>) -> Share {
    let mut drawn: Vec<f64> = drawn.collect();
    drawn.sort_by(f64::total_cmp);
    // Nothing drawn is nothing known.
    Share { value, low: quantile(&drawn, 0.025).unwrap_or(0.0), high: quantile(&drawn, 0.975).unwrap_or(1.0) }
}

/// The share of the parts in the wholes, of which each cluster has one; none of nothing.
pub(crate) fn share(clusters: &[(u64, u64)]) -> Option<Share> {
    let share = |times: &dyn Fn(usize) -> f64| {
        let sum = |of: &dyn Fn(&(u64, u64)) -> u64| {
            clusters.iter().enumerate().map(|(at, cluster)| times(at) * of(cluster) as f64).sum::<f64>()
        };
        let (part, whole) = (sum(&|cluster| cluster.0), sum(&|cluster| cluster.1));
        (whole > 0.0).then(|| part / whole)
    };
    let drawn = draws(clusters.len());
    Some(middle(share(&|_| 1.0)?, drawn.iter().filter_map(|times| share(&|at| times[at]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_as_sure_as_clusters_agree() {
        let alike = share(&[(10, 100); 20]).unwrap();
        assert_eq!((alike.value, alike.low, alike.high), (0.1, 0.1, 0.1));
        let mut one_of_twenty = [(0, 100); 20];
        one_of_twenty[3] = (100, 100);
        let differing = share(&one_of_twenty).unwrap();
        assert!((differing.value - 0.05).abs() < 1e-12 && differing.low == 0.0, "{differing:?}");
        // Drawn three times or more with a chance of 7.5 %, four times or more with 1.6 %.
        assert!((differing.high - 0.15).abs() < 1e-12, "{differing:?}");
        let by_flows = Share::of(100, 2000).unwrap();
        assert!(by_flows.high - by_flows.low < (differing.high - differing.low) / 5.0, "{by_flows:?}");
    }

    #[test]
    fn draws_are_the_same_each_time_and_of_one_cluster_nothing_is_known() {
        let clusters: Vec<(u64, u64)> = (0..9).map(|at| (at, 10)).collect();
        assert_eq!(share(&clusters), share(&clusters));
        let one = share(&[(5, 10)]).unwrap();
        assert_eq!((one.value, one.low, one.high), (0.5, 0.0, 1.0));
        assert_eq!((share(&[]), share(&[(0, 0), (0, 0)])), (None, None));
    }
}
