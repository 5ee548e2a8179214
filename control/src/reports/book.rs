//! What each object says, what it is to say, and what is being written to make the one the other.
//!
//! In: what was read of an object ([`Book::observe`]), what it is to say ([`Book::want`]), events to be told once
//! ([`Book::tell`]), and what became of writes ([`Book::finished`]). Out: [`Write`]s, never two at a time of one object, so
//! that none overtakes another, and none of what the object says already.
//!
//! Reading lags behind writing. What was written counts as said until something else is *newly* read: an object that comes
//! in as it was before the write is an old one. A change by somebody else that falls between the two is found by
//! [`Book::distrust`], which is asked for from time to time.

use super::write::{About, Change, Notice, Slot, Write};
use crate::objects::Subject;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// See the module.
#[derive(Debug, Default)]
pub struct Book {
    pages: BTreeMap<Subject, Page>,
    /// Objects that something may have to be written of.
    open: BTreeSet<Subject>,
    /// The number of the last write.
    number: u64,
}

#[derive(Debug, Default)]
struct Page {
    uid: Option<String>,
    /// What it said when it was read last.
    read: BTreeMap<Slot, Change>,
    /// What it says, as far as is known.
    says: BTreeMap<Slot, Change>,
    wanted: BTreeMap<Slot, Change>,
    notices: VecDeque<Notice>,
    /// What is being written.
    writing: Option<Write>,
}

impl Book {
    /// An object was read. What is not listed it does not say. One that took the place of another begins anew.
    pub(crate) fn observe(&mut self, about: &About, said: impl IntoIterator<Item = Change>) {
        let page = self.pages.entry(about.subject.clone()).or_default();
        if page.uid != about.uid {
            *page = Page { uid: about.uid.clone(), ..Page::default() };
        }
        let now: BTreeMap<_, _> =
            said.into_iter().filter_map(|change| Some((change.slot()?, change))).collect();
        let before = std::mem::replace(&mut page.read, now);
        let slots: BTreeSet<_> = before.keys().chain(page.read.keys()).copied().collect();
        for slot in slots {
            match page.read.get(&slot) {
                same if same == before.get(&slot) => {}
                Some(change) => drop(page.says.insert(slot, change.clone())),
                None => drop(page.says.remove(&slot)),
            }
        }
        self.open.insert(about.subject.clone());
    }

    /// What the object is to say; other things that were wanted before stay so.
    pub(crate) fn want(&mut self, subject: &Subject, changes: impl IntoIterator<Item = Change>) {
        let Some(page) = self.pages.get_mut(subject) else { return };
        page.wanted.extend(changes.into_iter().filter_map(|change| Some((change.slot()?, change))));
        self.open.insert(subject.clone());
    }

    /// An event, to be told once.
    pub(crate) fn tell(&mut self, subject: &Subject, notice: Notice) {
        let Some(page) = self.pages.get_mut(subject) else { return };
        page.notices.push_back(notice);
        self.open.insert(subject.clone());
    }

    /// What is in the slot of this change, as far as is known.
    pub(crate) fn says(&self, subject: &Subject, like: &Change) -> Option<&Change> {
        self.pages.get(subject)?.says.get(&like.slot()?)
    }

    /// Whether the object says this, or is going to.
    pub(crate) fn will_say(&self, subject: &Subject, change: &Change) -> bool {
        let Some((page, slot)) = self.pages.get(subject).zip(change.slot()) else { return false };
        let said = page.wanted.get(&slot).or_else(|| page.says.get(&slot));
        said.is_some_and(|said| said.says_as(change))
    }

    /// Nothing is to be said of the object any more, or it is gone.
    pub(crate) fn forget(&mut self, subject: &Subject) {
        self.pages.remove(subject);
    }

    /// Takes what was read for the truth, even where something else was written since.
    pub(crate) fn distrust(&mut self) {
        for (subject, page) in self.pages.iter_mut().filter(|(_, page)| page.writing.is_none()) {
            page.says.clone_from(&page.read);
            self.open.insert(subject.clone());
        }
    }

    /// What is to be written now.
    pub(crate) fn writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.open).iter().filter_map(|subject| self.write(subject)).collect()
    }

    /// A write was tried, and its first `done` changes were made. What is to be written of the object now.
    pub(crate) fn finished(&mut self, write: &Write, done: usize) -> Option<Write> {
        let page = self.pages.get_mut(&write.about.subject)?;
        page.writing.take_if(|writing| writing.number == write.number)?;
        for change in write.changes.iter().take(done) {
            match change.slot() {
                Some(slot) => drop(page.says.insert(slot, change.clone())),
                None => drop(page.notices.pop_front()),
            }
        }
        self.write(&write.about.subject)
    }

    fn write(&mut self, subject: &Subject) -> Option<Write> {
        let page = self.pages.get_mut(subject).filter(|page| page.writing.is_none())?;
        let states = page.wanted.iter().filter(|(slot, change)| page.says.get(slot) != Some(*change));
        let mut changes: Vec<_> = states.map(|(_, change)| change.clone()).collect();
        changes.extend(page.notices.iter().cloned().map(Change::Event));
        if changes.is_empty() {
            return None;
        }
        self.number += 1;
        let about = About { subject: subject.clone(), uid: page.uid.clone() };
        let write = Write { about, changes, number: self.number };
        page.writing = Some(write.clone());
        Some(write)
    }
}

#[cfg(test)]
mod tests;
