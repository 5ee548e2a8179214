//! The task that gives addresses while this gateway has the lock.

use super::Controller;
use crate::{
    config::Ours,
    objects::Objects,
    reports::{self, Desk},
};
use tokio::sync::watch;

/// Follows the objects for ever, or until their source is gone. Nothing is written but while `held` says that the lock is
/// ours; all that is known is forgotten with it, and read from the Services' status again with the next.
pub async fn run<D: Desk>(
    ours: Ours,
    objects: watch::Receiver<Objects>,
    held: watch::Receiver<bool>,
    desk: D,
) {
    reports::follow(|| Controller::new(ours.clone()), objects, held, desk).await;
}

#[cfg(test)]
mod tests;
