//! What became of what was sent: loss, order, latency, over time and in all.
//!
//! * In: marks, with the time of their arrival. Out: counts ([`Arrivals`]), a [`LatencySummary`], and a [`Sample`] every
//!   so often.
//! * Memory: 16 bytes a flow, and a histogram of 3 digits.

mod arrivals;
mod latency;
mod series;

pub use arrivals::{ArrivalCounts, Arrivals};
pub use latency::{Latency, LatencySummary};
pub use series::{Sample, Series};
