//! Who believes to have the lock, and when.

use super::*;
use std::{
    future, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

const TERMS: Terms = Terms { duration: Duration::from_secs(6), renewal: Duration::from_secs(1) };

/// What the API server answers.
#[derive(Clone, Copy)]
enum Answer {
    Ours,
    Theirs,
    Error,
    Nothing,
}

#[derive(Clone)]
struct Fake {
    answer: Arc<Mutex<Answer>>,
    released: Arc<AtomicUsize>,
}

impl Lock for Fake {
    type Error = io::Error;

    async fn acquire(&self, _: Duration) -> Result<bool, io::Error> {
        let answer = *self.answer.lock().unwrap();
        match answer {
            Answer::Ours => Ok(true),
            Answer::Theirs => Ok(false),
            Answer::Error => Err(io::Error::other("no route to host")),
            Answer::Nothing => future::pending().await,
        }
    }

    async fn release(&self) -> Result<(), io::Error> {
        self.released.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_ours_no_longer_than_others_leave_it() {
    let fake = Fake { answer: Arc::new(Mutex::new(Answer::Theirs)), released: Arc::default() };
    let (held, is_held) = watch::channel(false);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(hold(fake.clone(), TERMS, held, async { drop(stopped.await) }));
    let after = |answer: Answer, time: f32| {
        *fake.answer.lock().unwrap() = answer;
        let is_held = is_held.clone();
        async move {
            sleep(Duration::from_secs_f32(time)).await;
            *is_held.borrow()
        }
    };
    assert!(!after(Answer::Theirs, 10.5).await);
    assert!(after(Answer::Ours, 1.0).await);
    // An error, or no answer, is no loss before four of the six seconds are over.
    for silent in [Answer::Error, Answer::Nothing] {
        assert!(after(silent, 3.0).await);
        assert!(!after(silent, 1.5).await);
        assert!(after(Answer::Ours, 7.0).await, "and what is late is not lost for ever");
        assert!(after(silent, 2.5).await);
        assert!(after(Answer::Ours, 10.0).await, "a short silence is none");
    }
    assert!(!after(Answer::Theirs, 1.5).await, "lost at once");
    assert!(after(Answer::Ours, 1.5).await);
    assert_eq!(fake.released.load(Ordering::Relaxed), 0);
    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(!*is_held.borrow());
    assert_eq!(fake.released.load(Ordering::Relaxed), 1);
}
