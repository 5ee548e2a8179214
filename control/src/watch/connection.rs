//! Whether the API server answers, for monitoring.

use super::board::Board;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// When the API server answered last, be it with a refusal. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<AtomicU64>);

impl Answers {
    /// One has come.
    pub(super) fn note(&self) {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.0.fetch_max(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The last one, in Unix time; `None`: there was none yet.
    fn last(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|millis| *millis > 0).map(Duration::from_millis)
    }
}

/// The connection to an API server. A copy is cheap.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Board>);

impl Connection {
    pub(super) fn new(board: &Arc<Board>) -> Self {
        Self(Arc::clone(board))
    }

    /// Whether everything that is to be followed is.
    pub fn is_up(&self) -> bool {
        self.0.is_well()
    }

    /// When the API server answered last, in Unix time; `None`: it has not answered yet.
    pub fn last_answer(&self) -> Option<Duration> {
        self.0.answers().last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_is_remembered() {
        let answers = Answers::default();
        assert_eq!(answers.last(), None);
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        answers.clone().note();
        assert!(answers.last().unwrap() + Duration::from_millis(1) > before);
    }
}
