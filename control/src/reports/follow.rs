//! Brings what somebody plans together with who makes it, while the lock is ours.

use super::{book::Book, clerk::Clerk, desk::Desk, write::Write};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};

/// How long the lock is ours before anything is read: the last writes of whoever had it may still be on their way here.
const SETTLING: Duration = Duration::from_millis(500);
/// How often it is looked whether what was written is still there.
const REVIEW: Duration = Duration::from_secs(300);

/// Somebody who says what is to be written, and does nothing else.
pub trait Planner: Send {
    /// What it follows.
    type Input: Clone + Send + Sync;

    /// Takes in what there is now.
    fn update(&mut self, input: &Self::Input) -> Vec<Write>;

    /// What it knows of objects, and wants them to say.
    fn book(&mut self) -> &mut Book;

    /// A write was tried, and its first `done` changes were made. What is to be written of that object now.
    fn finished(&mut self, write: &Write, done: usize) -> Option<Write> {
        self.book().finished(write, done)
    }

    /// Trusts what was read more than what was written.
    fn review(&mut self) -> Vec<Write> {
        self.book().distrust();
        self.book().writes()
    }
}

/// Goes on until the source of either is gone. A planner lives as long as the lock is held without a break.
pub async fn follow<P: Planner, D: Desk>(
    fresh: impl Fn() -> P,
    mut input: watch::Receiver<P::Input>,
    mut held: watch::Receiver<bool>,
    desk: D,
) {
    loop {
        if held.wait_for(|held| *held).await.is_err() {
            return;
        }
        tokio::select! {
            lost = held.wait_for(|held| !*held) => match lost {
                Ok(_) => {}
                Err(_) => return,
            },
            () = work(fresh(), &mut input, Clerk::new(desk.clone())) => return,
        }
    }
}

/// Returns when the input has ended.
async fn work<P: Planner, D: Desk>(
    mut planner: P,
    input: &mut watch::Receiver<P::Input>,
    mut clerk: Clerk<D>,
) {
    sleep(SETTLING).await;
    input.mark_changed();
    let mut review = interval_at(Instant::now() + REVIEW, REVIEW);
    review.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let writes = tokio::select! {
            changed = input.changed() => match changed {
                Ok(()) => {
                    let now = input.borrow_and_update().clone();
                    planner.update(&now)
                }
                Err(_) => return,
            },
            done = clerk.done() => planner.finished(&done.write, done.made).into_iter().collect(),
            _ = review.tick() => planner.review(),
        };
        for write in writes {
            clerk.take(write);
        }
    }
}
