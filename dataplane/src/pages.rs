//! Memory for large tables, of huge pages where the system has them.
//!
//! A table of a million flows is thirty thousand ordinary pages, more than a processor remembers the places of, so that a
//! look-up at random would miss there before it misses in the cache. Of huge pages it is a hundred. They are asked for by
//! `madvise` (transparent huge pages, `Documentation/admin-guide/mm/transhuge.rst`), which needs no reservation and no
//! right; where the answer is no, the table is of ordinary pages and slower, and nothing else differs.
//!
//! A table begins where a huge page does, and ends with a whole one where it fills at least half of it. What is left is
//! of ordinary pages, as small tables are.
#![expect(unsafe_code, reason = "memory of another alignment than its values', and advice about it")]

use nix::sys::mman::{MmapAdvise, madvise};
use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};

const HUGE_PAGE: usize = 2 << 20;

/// A slice of a fixed length, in memory of its own.
pub(crate) struct Table<T: Copy> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: it owns its values, as a box does.
unsafe impl<T: Copy + Send> Send for Table<T> {}
// SAFETY: shared, it only lends them as a slice.
unsafe impl<T: Copy + Sync> Sync for Table<T> {}

impl<T: Copy> Table<T> {
    /// Nothing.
    pub(crate) const fn empty() -> Self {
        Self { start: NonNull::dangling(), len: 0 }
    }

    /// `len` times `value`. All of it is touched here.
    pub(crate) fn filled(value: T, len: usize) -> Self {
        let layout = Self::layout(len);
        if layout.size() == 0 {
            return Self { start: NonNull::dangling(), len };
        }
        // SAFETY: the layout is of more than no bytes.
        let Some(memory) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let bytes = layout.size() / HUGE_PAGE * HUGE_PAGE;
        if bytes > 0 {
            // SAFETY: these are whole pages of ours alone, and this advice changes no byte of them.
            if let Err(error) = unsafe { madvise(memory.cast(), bytes, MmapAdvise::MADV_HUGEPAGE) } {
                tracing::debug!(%error, bytes, "no huge pages for a table, using ordinary ones");
            }
        }
        let start = memory.cast::<T>();
        for place in 0..len {
            // SAFETY: the layout has room for `len` values from its start on, which is aligned for them.
            unsafe { start.add(place).write(value) };
        }
        Self { start, len }
    }

    /// What the values take; see the module.
    fn layout(len: usize) -> Layout {
        let Ok(values) = Layout::array::<T>(len) else {
            panic!("{len} values are more than memory has places")
        };
        let is_half_full = |bytes: usize| bytes % HUGE_PAGE >= HUGE_PAGE / 2;
        match values.align_to(HUGE_PAGE) {
            Ok(pages) if is_half_full(values.size()) => pages.pad_to_align(),
            Ok(pages) if values.size() >= HUGE_PAGE => pages,
            _ => values,
        }
    }
}

impl<T: Copy> Clone for Table<T> {
    fn clone(&self) -> Self {
        let Some(first) = self.first() else { return Self::empty() };
        let mut copy = Self::filled(*first, self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Copy> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: there are so many, written when it was made, and nobody else's.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Table<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes this the only slice.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for Table<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len);
        if layout.size() > 0 {
            // SAFETY: allocated with this layout. The values need no dropping, being `Copy`.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

impl<T: Copy> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_filled_whatever_their_size() {
        for len in [0, 1, 1000, HUGE_PAGE / 2 - 1, HUGE_PAGE / 2, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let mut table = Table::filled(7u8, len);
            assert_eq!(table.len(), len);
            assert!(table.iter().all(|byte| *byte == 7));
            table.fill(9);
            assert!(table.iter().all(|byte| *byte == 9));
        }
        assert_eq!(Table::filled((), 5).len(), 5);
    }

    #[test]
    fn tables_begin_with_a_huge_page_where_they_fill_half_of_one() {
        const LINES: usize = HUGE_PAGE / 64;
        let layout = |lines| {
            let layout = Table::<[u64; 8]>::layout(lines);
            (layout.align() == HUGE_PAGE, layout.size() / 64)
        };
        assert_eq!(layout(LINES / 2 - 1), (false, LINES / 2 - 1));
        assert_eq!(layout(LINES / 2), (true, LINES));
        assert_eq!(layout(LINES), (true, LINES));
        assert_eq!(layout(LINES + 1), (true, LINES + 1));
        assert_eq!(layout(2 * LINES - 1), (true, 2 * LINES));
    }
}
