//! Has the lock, or waits for it: of all gateways one gives addresses and tells of faults.
//!
//! Whoever has it renews it in time, and counts it as lost well before others may take it: two thirds of its duration after
//! the last renewal *began*. Others begin to count when they see that renewal, which is later. So no two have it at once,
//! whatever their clocks say, unless one of them stands still for a third of the duration.

use super::desk::Lock;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

/// How long the lock lasts, and how often it is renewed.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// It is free so long after its last renewal.
    pub duration: Duration,
    /// Renewals are so far apart.
    pub renewal: Duration,
}

/// Tells by `held` whether the lock is ours, until `stop` is ready; then gives it up.
pub async fn hold<L: Lock>(lock: L, terms: Terms, held: watch::Sender<bool>, stop: impl Future<Output = ()>) {
    tokio::select! {
        () = renew(&lock, terms, &held) => {}
        () = stop => {}
    }
    if held.send_replace(false)
        && let Err(error) = lock.release().await
    {
        tracing::warn!(%error, "the lock of addresses was not given up; others take it when it has run out");
    }
}

async fn renew<L: Lock>(lock: &L, terms: Terms, held: &watch::Sender<bool>) {
    let mut deadline = None;
    loop {
        let begun = Instant::now();
        let patience = deadline.unwrap_or(begun + terms.duration);
        let is_ours = match timeout_at(patience, lock.acquire(terms.duration)).await {
            Ok(Ok(is_ours)) => Some(is_ours),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lock of addresses could not be renewed");
                None
            }
            Err(_) => None,
        };
        match is_ours {
            Some(true) => deadline = Some(begun + terms.duration * 2 / 3),
            Some(false) => deadline = None,
            None => deadline = deadline.filter(|deadline| Instant::now() < *deadline),
        }
        let is_held = deadline.is_some();
        held.send_if_modified(|held| {
            let differs = *held != is_held;
            if differs {
                let does = if is_held { "gives" } else { "no longer gives" };
                tracing::info!("this gateway {does} addresses to LoadBalancer Services");
            }
            *held = is_held;
            differs
        });
        let next = begun + terms.renewal;
        sleep(deadline.unwrap_or(next).min(next).saturating_duration_since(Instant::now())).await;
    }
}

#[cfg(test)]
mod tests;
