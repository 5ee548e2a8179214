//! The highest rate that loses nothing, as RFC 2544 §26.1 finds it.
//!
//! Bisection: a rate that lost nothing (or no more than is tolerated) is too low, one that did is too high, until the
//! two are closer than the resolution. A generator that cannot keep a pace has tried a lower one, which is what counts.
//! RFC 2544 wants trials of 60 s; shorter ones find rates that a longer one would not confirm.

use anyhow::Result;
use serde::Serialize;

/// Where to look, and how finely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// A rate at which nothing should be lost.
    pub low: f64,
    /// A rate at which something may be lost.
    pub high: f64,
    /// When to stop: the part of the upper rate by which the two may differ.
    pub resolution: f64,
    /// The part of packets that may be lost.
    pub tolerance: f64,
}

/// A trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The rate that was asked for.
    pub asked: f64,
    /// The rate that was offered.
    pub offered: f64,
    /// The part of packets that was lost.
    pub loss: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The rate: the highest that was offered and lost no more than is tolerated. 0 if there was none.
    pub rate: f64,
    /// Whether the generator, or the end of the range, was reached before anything was lost.
    pub is_lower_bound: bool,
    /// All trials, in their order.
    pub trials: Vec<Trial>,
}

/// Trials that no search needs: 2^-24 is below any resolution.
const MOST_TRIALS: usize = 24;
/// A pace counts as kept from this part of it on.
const KEPT: f64 = 0.98;

/// Searches `range`. `run` makes a trial at a rate; `None` from it ends the search early.
pub fn search(range: Range, mut run: impl FnMut(f64) -> Result<Option<Trial>>) -> Result<Found> {
    let Range { mut low, mut high, resolution, tolerance } = range;
    let mut found = Found { rate: 0.0, is_lower_bound: false, trials: Vec::new() };
    // The upper end first: it may be all that is needed.
    let mut rate = high;
    while found.trials.len() < MOST_TRIALS {
        let Some(trial) = run(rate)? else { break };
        found.trials.push(trial);
        if trial.loss <= tolerance {
            found.rate = found.rate.max(trial.offered);
            low = low.max(rate);
            if trial.offered < KEPT * rate || rate >= high {
                found.is_lower_bound = true;
                break;
            }
        } else {
            high = high.min(rate).min(trial.offered.max(low));
        }
        if high - low <= resolution * high {
            break;
        }
        rate = f64::midpoint(low, high);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: Range = Range { low: 1000.0, high: 1e6, resolution: 0.01, tolerance: 0.0 };

    /// A network that loses what is beyond `capacity`, and a generator that cannot do more than `most`.
    fn network(capacity: f64, most: f64) -> impl FnMut(f64) -> Result<Option<Trial>> {
        move |asked| {
            let offered = asked.min(most);
            Ok(Some(Trial { asked, offered, loss: ((offered - capacity) / offered).max(0.0) }))
        }
    }

    #[test]
    fn the_limits_of_range_and_generator_are_told() {
        let found = search(RANGE, network(2e6, 3e6)).unwrap();
        assert_eq!((found.rate, found.is_lower_bound, found.trials.len()), (1e6, true, 1));
        let found = search(RANGE, network(2e6, 5e5)).unwrap();
        assert_eq!((found.rate, found.is_lower_bound), (5e5, true));
    }

    #[test]
    fn a_network_that_always_loses_has_no_rate() {
        let found = search(RANGE, network(0.0, 3e6)).unwrap();
        assert_eq!((found.rate, found.is_lower_bound), (0.0, false));
        assert!(found.trials.len() < MOST_TRIALS);
    }

    #[test]
    fn what_is_tolerated_does_not_count() {
        let found = search(Range { tolerance: 0.5, ..RANGE }, network(4e5, 3e6)).unwrap();
        assert!((found.rate / 8e5 - 1.0).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn an_interrupted_search_keeps_what_it_has() {
        let mut trials = 0;
        let mut network = network(4e5, 3e6);
        let found = search(RANGE, |rate| {
            trials += 1;
            if trials > 3 { Ok(None) } else { network(rate) }
        });
        assert_eq!(found.unwrap().trials.len(), 3);
    }

    proptest! {
        #[test]
        fn the_capacity_is_found(capacity in 1_500.0..990_000.0_f64) {
            let found = search(RANGE, network(capacity, 3e6)).unwrap();
            prop_assert!(found.rate <= capacity);
            prop_assert!(found.rate >= capacity * 0.985, "{} of {capacity}", found.rate);
            prop_assert!(!found.is_lower_bound);
        }
    }
}
