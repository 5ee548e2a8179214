//! When a burst of changes is over.
//!
//! A change is read a few milliseconds after the last event, so that many files written together are one change. A file
//! that is being written is waited for until it is closed, so that half of it is not taken for all, but not
//! forever: a writer may keep its file open.

use notify::{
    EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Quiet for this long, and nobody writing: settled.
const QUIET: Duration = Duration::from_millis(5);
/// The longest a writer is waited for.
const LONGEST: Duration = Duration::from_secs(2);

/// A burst of changes.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// The first and the last event of it.
    span: Option<(Instant, Instant)>,
    writers: BTreeSet<PathBuf>,
}

impl Burst {
    /// Takes in an event of the folder.
    pub(super) fn note(&mut self, event: notify::Event, now: Instant) {
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => self.closed(&event.paths),
            // Reading, our own included.
            EventKind::Access(_) | EventKind::Create(CreateKind::Folder) => return,
            EventKind::Modify(ModifyKind::Data(_)) => self.writers.extend(event.paths),
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => self.closed(&event.paths),
            _ => {}
        }
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    fn closed(&mut self, paths: &[PathBuf]) {
        self.writers.retain(|writer| !paths.contains(writer));
    }

    /// When it will be over, if nothing more happens; `None` if nothing has happened.
    pub(super) fn ends(&self) -> Option<Instant> {
        let (first, last) = self.span?;
        Some(if self.writers.is_empty() { last + QUIET } else { first + LONGEST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::{Event, event::DataChange};

    fn event(kind: EventKind) -> Event {
        Event::new(kind).add_path("web.yaml".into())
    }

    #[test]
    fn a_file_being_written_is_waited_for_but_not_forever() {
        let start = Instant::now();
        let mut burst = Burst::default();
        assert_eq!(burst.ends(), None);
        burst.note(event(EventKind::Access(AccessKind::Open(AccessMode::Any))), start);
        assert_eq!(burst.ends(), None, "reading is no change");
        burst.note(event(EventKind::Modify(ModifyKind::Data(DataChange::Any))), start);
        assert_eq!(burst.ends(), Some(start + LONGEST));
        let later = start + Duration::from_millis(700);
        burst.note(event(EventKind::Access(AccessKind::Close(AccessMode::Write))), later);
        assert_eq!(burst.ends(), Some(later + QUIET));
    }
}
