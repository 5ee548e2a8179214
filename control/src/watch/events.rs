//! Events, as `kubectl describe` shows them below an object.
//!
//! `v1` Events with a count, as client-go's recorders (MetalLB's too) write them, so that people and tools find them
//! where they look. An event that says what an earlier one said counts that one up, by a patch. How many are remembered
//! for that is bounded, and an event that the API server has forgotten (it keeps them for an hour) is made anew.

use super::error::{WriteError, within};
use crate::objects::ObjectKey;
use k8s_openapi::{
    api::core::v1::{self as core, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many events are remembered.
const REMEMBERED: usize = 4096;
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// Who says it.
const COMPONENT: &str = "penstock";

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// As `Service`.
    pub kind: &'static str,
    /// As `v1`.
    pub api_version: &'static str,
    /// Which one.
    pub key: ObjectKey,
    /// And which of those that have had this name; `kubectl describe` asks for it.
    pub uid: Option<String>,
}

/// What happened to an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// The object.
    pub about: Reference,
    /// How much it matters.
    pub severity: Level,
    /// What happened, in one word as `AllocationFailed`.
    pub reason: &'static str,
    /// What happened, for people.
    pub note: String,
}

/// Records events.
pub(super) struct Recorder {
    client: Client,
    node_name: String,
    recorded: Mutex<BTreeMap<Event, Recorded>>,
}

/// An event at the API server.
#[derive(Debug, Clone)]
struct Recorded {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Recorder {
    pub(super) fn new(client: Client, node_name: &str) -> Self {
        Self { client, node_name: node_name.to_owned(), recorded: Mutex::default() }
    }

    /// Records an event, or counts it up.
    pub(super) async fn record(&self, event: &Event) -> Result<(), WriteError> {
        let now = Timestamp::now();
        let known = self.recorded().get_mut(event).map(|known| {
            known.count = known.count.saturating_add(1);
            known.last = now;
            known.clone()
        });
        if let Some(known) = known {
            match self.count_up(event, &known).await {
                Err(WriteError::Gone { .. }) => {}
                answer => return answer,
            }
        }
        self.create(event, now).await
    }

    async fn count_up(&self, event: &Event, known: &Recorded) -> Result<(), WriteError> {
        let patch = json!({"count": known.count, "lastTimestamp": Time(known.last)});
        let params = PatchParams { field_manager: Some(COMPONENT.to_owned()), ..Default::default() };
        let (api, patch) = (self.api(event), Patch::Merge(&patch));
        let request = api.patch(&known.name, &params, &patch);
        within(PATIENCE, &format!("patch events {}", known.name), request).await.map(drop)
    }

    async fn create(&self, event: &Event, now: Timestamp) -> Result<(), WriteError> {
        // As client-go names them.
        let name = format!("{}.{:x}", event.about.key.name, now.as_nanosecond());
        let object = self.object(event, &name, now);
        let params = PostParams { field_manager: Some(COMPONENT.to_owned()), ..Default::default() };
        let what = format!("create events {name}");
        within(PATIENCE, &what, self.api(event).create(&params, &object)).await?;
        let mut recorded = self.recorded();
        if recorded.len() >= REMEMBERED {
            let oldest = recorded.iter().min_by_key(|(_, recorded)| recorded.last);
            if let Some(oldest) = oldest.map(|(event, _)| event.clone()) {
                recorded.remove(&oldest);
            }
        }
        recorded.insert(event.clone(), Recorded { name, count: 1, last: now });
        Ok(())
    }

    fn object(&self, event: &Event, name: &str, now: Timestamp) -> core::Event {
        let Event { about, severity, reason, note } = event;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        core::Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace(about).to_owned()),
                ..Default::default()
            },
            involved_object: ObjectReference {
                kind: given(about.kind),
                api_version: given(about.api_version),
                namespace: given(&about.key.namespace),
                name: given(&about.key.name),
                uid: about.uid.clone(),
                ..Default::default()
            },
            type_: Some(severity.word().to_owned()),
            reason: Some((*reason).to_owned()),
            message: Some(shorten(note)),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: given(COMPONENT), host: given(&self.node_name) }),
            reporting_component: given(COMPONENT),
            reporting_instance: given(&self.node_name),
            ..Default::default()
        }
    }

    fn api(&self, event: &Event) -> Api<core::Event> {
        Api::namespaced(self.client.clone(), namespace(&event.about))
    }

    fn recorded(&self) -> MutexGuard<'_, BTreeMap<Event, Recorded>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where events of an object are; those of objects without a namespace are in `default`.
fn namespace(about: &Reference) -> &str {
    match about.key.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    }
}

fn shorten(note: &str) -> String {
    if note.len() <= LONGEST_NOTE {
        return note.to_owned();
    }
    let end = (0..=LONGEST_NOTE - 3).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_are_cut_between_characters() {
        assert_eq!(shorten("short"), "short");
        for note in ["ä".repeat(600), format!("a{}", "ä".repeat(600)), "€".repeat(400)] {
            let short = shorten(&note);
            assert!(short.len() <= LONGEST_NOTE && short.ends_with('…') && short.len() > LONGEST_NOTE - 8);
        }
    }
}
