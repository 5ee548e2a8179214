//! Is a spread of requests over backends what an even hash would give?
//!
//! With Maglev every backend has the same share of the ring (to 1 % and better), and a new connection has a new
//! source port, so the number of requests a backend gets is binomial: of `n` with probability `1/k`. A count further
//! than five standard deviations from `n/k` happens by chance once in 1.7 million.

/// How many standard deviations are still chance.
const SIGMAS: f64 = 5.0;

/// A backend's count that chance does not explain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Uneven {
    /// Which of the counts.
    pub(super) index: usize,
    /// What it should be, about.
    pub(super) expected: f64,
    /// What is still chance, either way.
    pub(super) tolerance: f64,
}

/// The counts out of line.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
pub(super) fn uneven(counts: &[u64]) -> Vec<Uneven> {
    let total = counts.iter().sum::<u64>() as f64;
    let share = 1.0 / counts.len().max(1) as f64;
    let expected = total * share;
    // A count is whole, so being off by one is never a finding.
    let tolerance = (SIGMAS * (total * share * (1.0 - share)).sqrt()).max(1.0);
    let is_out = |count: u64| (count as f64 - expected).abs() > tolerance;
    let out = counts.iter().enumerate().filter(|(_, count)| is_out(**count));
    out.map(|(index, _)| Uneven { index, expected, tolerance }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_told_from_a_fault() {
        assert_eq!(uneven(&[1000, 1000, 1000]), []);
        assert_eq!(uneven(&[1100, 950, 950]), [], "3.9 sigma");
        let faults = uneven(&[1300, 850, 850]);
        assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(uneven(&[3000, 0, 0]).len(), 3);
    }

    #[test]
    fn few_or_none_are_no_finding() {
        assert_eq!(uneven(&[]), []);
        assert_eq!(uneven(&[0, 0, 0]), []);
        assert_eq!(uneven(&[1, 0, 0]), []);
        assert_eq!(uneven(&[7]), []);
    }
}
