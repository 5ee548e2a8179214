//! What a worker is given of the lane: all it needs to promote flows, and to demote them.

use super::{Flushes, Hops, Index, Memory, Notices, Slots, UsablePorts};
use crate::wire::Family;
use std::sync::Arc;

/// One worker's lane of one family.
#[derive(Debug)]
pub struct WorkerLane<F: Family> {
    /// Its slots.
    pub slots: Slots<F>,
    /// Which slots a packet may be of. All workers share it.
    pub index: Index,
    /// Where the classifier learns how late it is.
    pub notices: Arc<Memory<Notices>>,
    /// The table of hops, in which its last hops have their places.
    pub hops: Hops,
    /// Where promoted flows may go.
    pub usable: Arc<UsablePorts>,
    /// What its epochs are made with.
    pub flushes: Arc<Flushes>,
}
