//! Where writes are made and the lock is held: an API server, or, in tests, a table in memory.

use super::write::{About, Change};
use std::{error::Error, time::Duration};

/// Makes changes.
pub trait Desk: Clone + Send + Sync + 'static {
    /// Why one could not be made.
    type Error: Error + Send + Sync;

    /// Makes one change. To make it again changes nothing more.
    fn change(&self, about: &About, change: &Change) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// A lock that one gateway has at a time: a Lease.
pub trait Lock: Send + Sync + 'static {
    /// Why it cannot be told who has it.
    type Error: Error + Send + Sync;

    /// Takes or renews the lock for so long. Whether it is ours.
    fn acquire(&self, duration: Duration) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Gives it up.
    fn release(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
