//! One kind, followed for as long as the cluster is used: list, watch, and begin anew where that is safer.
//!
//! A watch that ends (servers end them every minute or so, and slow ones at once) is resumed from the last version seen, and
//! nothing is lost. One that cannot be resumed means an outage, or that the server's history is not ours: lost (410), or older
//! than what we have seen, as after etcd was restored from a snapshot. An API server answers the latter by silence. So
//! after every outage everything is listed again, by a read that is no older than any other client's.
//! Tries are apart by 100 ms to 10 s, doubling, with jitter, for as long as it takes.
//! Lists come in pages; streaming lists (KEP-3157) would save little, and older servers lack them.

use super::board::{Board, Trouble};
use futures::StreamExt;
use kube::{
    Api, Resource,
    core::Status,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// Objects a page: those of large slices are about 10 MB of JSON.
const PAGE: u32 = 250;
/// How long a watch lasts. A connection that is dead without a word is known 5 s later.
const WATCH_SECONDS: u32 = 60;
/// How often a kind that the cluster lacks is looked for.
const LOOK: Duration = Duration::from_secs(30);
/// How many times in a row a watch may fail to be resumed before it begins anew.
const RESUMES: u32 = 3;
/// Times between tries.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// What is followed.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Its name in URLs.
    pub(super) kind: &'static str,
    /// Whether the cluster may lack it.
    pub(super) optional: bool,
    /// Which, by label.
    pub(super) labels: Option<&'static str>,
    /// How long a watch lasts; `None`: as long as others.
    pub(super) watch_seconds: Option<u32>,
}

impl Subject {
    fn options(&self) -> watcher::Config {
        let options = watcher::Config::default().page_size(PAGE);
        let options = options.timeout(self.watch_seconds.unwrap_or(WATCH_SECONDS));
        match self.labels {
            Some(labels) => options.labels(labels),
            None => options,
        }
    }
}

/// What an error calls for.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    /// Try the same again.
    Resume,
    /// List again.
    Anew,
    /// The cluster has no such kind.
    Absent,
}

/// Follows `subject`. Never returns.
pub(super) async fn follow<K>(
    subject: Subject,
    api: Api<K>,
    board: Arc<Board>,
    mut take: impl FnMut(Event<K>) + Send,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let kind = subject.kind;
    let (mut failures, mut looks, mut listed) = (0, 0, false);
    loop {
        let mut events = watcher(api.clone(), subject.options()).boxed();
        while let Some(event) = events.next().await {
            let error = match event {
                Ok(event) => {
                    if !matches!(event, Event::Init | Event::InitApply(_)) {
                        (failures, looks, listed) = (0, 0, true);
                        board.well(kind);
                    }
                    take(event);
                    continue;
                }
                Err(error) => error,
            };
            match remedy(&error, subject.optional) {
                Remedy::Resume if failures < RESUMES => {
                    tracing::debug!(kind, error = chain(&error), "the watch is resumed");
                }
                Remedy::Absent => {
                    board.well(kind);
                    // Once may be an error of a server that has just started, and takes everything away.
                    if looks > 0 || !listed {
                        take(Event::Init);
                        take(Event::InitDone);
                    }
                    if looks == 0 {
                        tracing::info!(kind, "the cluster has no such kind; it is looked for every {LOOK:?}");
                    }
                    (failures, looks) = (0, looks.max(1));
                    tokio::time::sleep(LOOK).await;
                    break;
                }
                _ => {
                    board.ill(kind, trouble(kind, &error));
                    tokio::time::sleep(delay(failures)).await;
                    failures += 1;
                    break;
                }
            }
            tokio::time::sleep(delay(failures)).await;
            failures += 1;
        }
    }
}

/// Doubling, and a random part of as much again, so that gateways do not come back all at once.
fn delay(failures: u32) -> Duration {
    let delay = FIRST_DELAY.saturating_mul(1 << failures.min(10)).min(LONGEST_DELAY);
    let random = u32::from(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), failures) as u8);
    delay / 2 + delay / 2 * random / 255
}

fn remedy(error: &watcher::Error, optional: bool) -> Remedy {
    use watcher::Error as E;
    match error {
        E::InitialListFailed(kube::Error::Api(status)) if optional && status.code == 404 => Remedy::Absent,
        // Too many requests: a list would be one more, and a costly one.
        E::WatchStartFailed(kube::Error::Api(status)) if status.code == 429 => Remedy::Resume,
        // What was not understood is not told again.
        E::WatchFailed(kube::Error::SerdeError(_)) => Remedy::Anew,
        E::WatchFailed(_) => Remedy::Resume,
        _ => Remedy::Anew,
    }
}

fn trouble(kind: &str, error: &watcher::Error) -> Trouble {
    use watcher::Error as E;
    let status: Option<&Status> = match error {
        E::InitialListFailed(kube::Error::Api(status))
        | E::WatchStartFailed(kube::Error::Api(status))
        | E::WatchFailed(kube::Error::Api(status))
        | E::WatchError(status) => Some(status),
        _ => None,
    };
    match status {
        Some(status) if status.code == 401 => Trouble::Refused {
            cause: format!("does not know us ({})", status.message),
            remedy: "renew the credentials of kubernetes.kubeconfig, or the pod's service account".to_owned(),
        },
        Some(status) if status.is_forbidden() => Trouble::Refused {
            cause: status.message.clone(),
            remedy: format!("allow list and watch of {kind} in the ClusterRole or Role that Penstock has"),
        },
        Some(status) => Trouble::Away(format!("{kind}: {} {}", status.code, status.message)),
        None => Trouble::Away(format!("{kind}: {}", chain(error))),
    }
}

/// An error and its causes: kube's own say too little.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
