//! A table by number, in pages that snapshots share.
//!
//! A change of one row copies its page and the list of pages, not the table: of 100,000 rows 64 rows and 1,600 pointers.
//! Reading costs what it costs in a `Arc<Vec<T>>`: two pointers to follow, of which the first is always in the cache.

use crate::prefetch::prefetch_line;
use std::{
    ops::Index,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Rows a page. The list of pages and a page are copied at about the same cost at the largest tables there are: in the list a
/// page is one reference to be counted, in a page a Service is six.
const ROWS: usize = 64;

/// Numbers the states of tables and pages. None is used twice, so that a reader knows what it has seen without keeping it.
/// 0 is the empty table.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

fn new_version() -> u64 {
    VERSIONS.fetch_add(1, Ordering::Relaxed)
}

/// See the module. A copy is cheap, and shares everything.
#[derive(Debug, Clone)]
pub struct Pages<T> {
    pages: Arc<[Page<T>]>,
    version: u64,
}

#[derive(Debug)]
struct Page<T> {
    rows: Arc<[T]>,
    version: u64,
}

impl<T> Clone for Page<T> {
    fn clone(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), version: self.version }
    }
}

impl<T> FromIterator<T> for Page<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        Self { rows: rows.into_iter().collect(), version: new_version() }
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Arc::from([]), version: 0 }
    }
}

/// Equal are tables with the same rows.
impl<T: PartialEq> PartialEq for Pages<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Pages<T> {}

impl<T> Pages<T> {
    /// Rows a page; the last one may have less.
    pub const ROWS: usize = ROWS;

    /// The row with this number.
    #[inline]
    pub fn get(&self, number: usize) -> Option<&T> {
        self.pages.get(number / ROWS)?.rows.get(number % ROWS)
    }

    /// Asks for the line of memory that the row with this number begins in.
    #[inline]
    pub(crate) fn prefetch(&self, number: usize) {
        if let Some(row) = self.get(number) {
            prefetch_line(row);
        }
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.rows.iter())
    }

    /// The rows that are not as they were in `before`, with their numbers; `None` for those that are gone. Pages that both
    /// share are passed over.
    pub fn changed_since<'p>(&'p self, before: &'p Self) -> impl Iterator<Item = (usize, Option<&'p T>)>
    where
        T: PartialEq,
    {
        let none: &[Page<T>] = &[];
        let pages = if self.is_same(before) { none } else { &*self.pages };
        let gone = if self.is_same(before) { none } else { &*before.pages };
        (0..pages.len().max(gone.len()))
            .filter(move |page| match (pages.get(*page), gone.get(*page)) {
                (Some(now), Some(then)) => now.version != then.version,
                _ => true,
            })
            .flat_map(move |page| {
                let rows = |pages: &'p [Page<T>]| pages.get(page).map_or(&[][..], |page| &page.rows);
                let (now, then) = (rows(pages), rows(gone));
                (0..now.len().max(then.len()))
                    .filter(move |row| now.get(*row) != then.get(*row))
                    .map(move |row| (page * ROWS + row, now.get(row)))
            })
    }

    /// Whether both are the same table, which costs no look inside.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pages, &other.pages)
    }

    /// The number of its state: tables with the same one have the same rows.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its pages, each with the number of its state.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = (u64, &[T])> {
        self.pages.iter().map(|page| (page.version, &*page.rows))
    }
}

impl<T: Clone> Pages<T> {
    /// All rows, to be changed: pages that are shared are copied.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.version = new_version();
        Arc::make_mut(&mut self.pages).iter_mut().flat_map(|page| {
            page.version = new_version();
            Arc::make_mut(&mut page.rows).iter_mut()
        })
    }

    /// Puts these rows in their places. The table grows as far as it must, by copies of `empty`.
    pub fn set(&mut self, rows: impl IntoIterator<Item = (usize, T)>, empty: &T) {
        for (number, row) in rows {
            self.version = new_version();
            if number / ROWS >= self.pages.len() {
                let blank: Page<T> = std::iter::repeat_n(empty, ROWS).cloned().collect();
                let more = std::iter::repeat_n(blank, number / ROWS + 1 - self.pages.len());
                self.pages = self.pages.iter().cloned().chain(more).collect();
            }
            if let Some(page) = Arc::make_mut(&mut self.pages).get_mut(number / ROWS) {
                // The last page of a table that was collected may be a short one.
                if number % ROWS >= page.rows.len() {
                    *page = page.rows.iter().chain(std::iter::repeat(empty)).take(ROWS).cloned().collect();
                }
                page.version = new_version();
                Arc::make_mut(&mut page.rows)[number % ROWS] = row;
            }
        }
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    /// The row with this number, which must exist.
    fn index(&self, number: usize) -> &T {
        &self.pages[number / ROWS].rows[number % ROWS]
    }
}

impl<T> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        let mut rows = rows.into_iter().peekable();
        let mut pages = Vec::new();
        while rows.peek().is_some() {
            pages.push(rows.by_ref().take(ROWS).collect());
        }
        let version = if pages.is_empty() { 0 } else { new_version() };
        Self { pages: pages.into(), version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_copies_its_page_alone() {
        let before: Pages<u32> = (0..1000).collect();
        let mut after = before.clone();
        after.set([(300, 7)], &0);
        assert_eq!((before.get(300), after.get(300)), (Some(&300), Some(&7)));
        let shared = |at: usize| Arc::ptr_eq(&before.pages[at].rows, &after.pages[at].rows);
        assert!((0..before.pages.len()).all(|at| shared(at) == (at != 300 / ROWS)));
        assert_eq!(before.get(1000), None);
        after.set([(1001, 8)], &0);
        assert_eq!((after.get(999), after.get(1000), after.get(1001)), (Some(&999), Some(&0), Some(&8)));
    }

    #[test]
    fn changed_rows_are_told_and_no_others() {
        let before: Pages<u32> = (0..700).collect();
        let mut after = before.clone();
        assert_eq!(after.changed_since(&before).count(), 0);
        after.set([(300, 7), (301, 301), (1000, 8)], &0);
        let changed: Vec<_> = after.changed_since(&before).filter(|(_, row)| *row != Some(&0)).collect();
        assert_eq!(changed, [(300, Some(&7)), (1000, Some(&8))]);
        let gone: Vec<_> = before.changed_since(&after).map(|(number, row)| (number, row.copied())).collect();
        assert_eq!(gone[0], (300, Some(300)));
        assert!(gone[1..].iter().all(|(number, row)| *number >= 700 && row.is_none()));
        assert_eq!(gone.last(), Some(&(1023, None)));
    }

    proptest! {
        /// As a vector that grows.
        #[test]
        fn set_is_as_of_a_vector(steps in prop::collection::vec((0..2000usize, 1..100u32), 0..60)) {
            let (mut pages, mut vector) = (Pages::default(), Vec::new());
            for (number, row) in steps {
                let before = pages.clone();
                let known: Vec<u32> = before.iter().copied().collect();
                pages.set([(number, row)], &0);
                vector.resize(vector.len().max(number + 1), 0);
                vector[number] = row;
                for (number, row) in vector.iter().enumerate() {
                    prop_assert_eq!(pages.get(number), Some(row));
                }
                prop_assert!(pages.iter().skip(vector.len()).all(|row| *row == 0));
                prop_assert!(before.iter().eq(known.iter()), "what is published stays as it is");
            }
        }
    }
}
