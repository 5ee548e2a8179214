//! Asking for cache lines ahead of their use.
#![expect(unsafe_code, reason = "the prefetch instruction is an unsafe intrinsic")]

const LINE_BYTES: usize = 64;

/// Brings the lines of `value` from memory into the second cache. A hint: it never faults and changes nothing else.
///
/// Not into the nearest one: that waits for a dozen or two of lines at a time, and what asks for more of them waits too.
/// The second cache waits for more, and from there a line comes in a few nanoseconds.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    for line in 0..size_of::<T>().div_ceil(LINE_BYTES) {
        prefetch_line::<false>(start.wrapping_add(line * LINE_BYTES));
    }
}

/// Brings the first `bytes` of a frame, at least one and at most a line's more, into the nearest cache.
#[inline(always)]
pub(crate) fn prefetch_start(frame: &[u8], bytes: usize) {
    let start = frame.as_ptr();
    prefetch_line::<true>(start);
    prefetch_line::<true>(start.wrapping_add(bytes - 1));
}

#[inline(always)]
fn prefetch_line<const NEAREST: bool>(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of x86_64, and a prefetch has no effect but on the cache, whatever the address.
        unsafe {
            if NEAREST {
                _mm_prefetch::<_MM_HINT_T0>(at.cast())
            } else {
                _mm_prefetch::<_MM_HINT_T1>(at.cast())
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
