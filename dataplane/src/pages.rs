//! Memory for large tables, of huge pages where the system has them.
//!
//! A table of a million flows is thirty thousand ordinary pages, more than a processor remembers the places of, so that a
//! look-up at random would miss there before it misses in the cache. Of huge pages it is a hundred. They are asked for by
//! `madvise` (transparent huge pages, `Documentation/admin-guide/mm/transhuge.rst`), which needs no reservation and no
//! right; where the answer is no, the table is of ordinary pages and slower, and nothing else differs.
#![expect(unsafe_code, reason = "advice about memory is given by pointer")]

use nix::sys::mman::{MmapAdvise, madvise};
use std::ptr::NonNull;

const HUGE_PAGE: usize = 2 << 20;

/// `len` times `value`. All of it is touched here.
pub(crate) fn filled<T: Clone>(value: T, len: usize) -> Box<[T]> {
    let mut memory = room(len);
    memory.resize(len, value);
    memory.into_boxed_slice()
}

/// An empty vector with room for exactly `len` values.
pub(crate) fn room<T>(len: usize) -> Vec<T> {
    let mut memory = Vec::with_capacity(len);
    // Whole huge pages only: the advice must not reach into what other allocations share a page with.
    let spare = memory.spare_capacity_mut().as_mut_ptr_range();
    let start = (spare.start as usize).next_multiple_of(HUGE_PAGE);
    let end = spare.end as usize / HUGE_PAGE * HUGE_PAGE;
    if start < end
        && let Some(at) = NonNull::new(spare.start.cast::<u8>().wrapping_add(start - spare.start as usize))
    {
        // SAFETY: the range is inside the vector's own memory, and this advice changes no byte of it.
        if let Err(error) = unsafe { madvise(at.cast(), end - start, MmapAdvise::MADV_HUGEPAGE) } {
            tracing::debug!(%error, bytes = end - start, "no huge pages for a table, using ordinary ones");
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_filled_whatever_their_size() {
        for len in [0, 1, 1000, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let table = filled(7u8, len);
            assert_eq!(table.len(), len);
            assert!(table.iter().all(|byte| *byte == 7));
        }
        let room = room::<u64>(HUGE_PAGE);
        assert!(room.is_empty() && room.capacity() >= HUGE_PAGE);
    }
}
