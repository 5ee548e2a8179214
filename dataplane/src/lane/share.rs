//! What a worker is given of the lane: all it needs to promote flows, and to demote them.

use super::{Flushes, Hops, Keys, Slots, UsablePorts};
use crate::wire::Family;
use std::sync::Arc;

/// One worker's lane of one family.
#[derive(Debug)]
pub struct WorkerLane<F: Family> {
    /// Its slots.
    pub slots: Slots<F>,
    /// The classifier's index, which all workers share.
    pub keys: Box<dyn Keys<F>>,
    /// The table of hops, in which its last hops have their places.
    pub hops: Hops,
    /// Where promoted flows may go.
    pub usable: Arc<UsablePorts>,
    /// What its epochs are made with.
    pub flushes: Arc<Flushes>,
}
