//! What control tells workers of the lane.

use super::WorkerLane;
use crate::wire::{V4, V6};
use std::num::NonZeroU8;

/// See the module.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// How many packets of a direction make a flow busy.
    pub promote_after: NonZeroU8,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self { promote_after: const { NonZeroU8::new(8).unwrap() } }
    }
}

/// A worker's lanes of both families.
#[derive(Debug)]
pub struct Lanes {
    /// Of IPv4.
    pub v4: WorkerLane<V4>,
    /// Of IPv6.
    pub v6: WorkerLane<V6>,
    /// Of both.
    pub settings: LaneSettings,
}
