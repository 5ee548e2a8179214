//! Asking for cache lines ahead of their use.
#![expect(unsafe_code, reason = "the prefetch instruction is an unsafe intrinsic")]

const LINE_BYTES: usize = 64;

/// Brings the lines of `values[at]` from memory into the second cache, if there is such a place. A hint: it never faults and
/// changes nothing else, so nobody asks whether there is.
///
/// Not into the nearest one: that waits for a dozen or two of lines at a time, and what asks for more of them waits too.
/// The second cache waits for more, and from there a line comes in a few nanoseconds.
#[inline(always)]
pub(crate) fn prefetch_at<T>(values: &[T], at: usize) {
    lines::<T, false>(values, at);
}

/// The same of one value.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    lines::<T, false>(std::slice::from_ref(value), 0);
}

/// The same of the line that it begins in alone.
#[inline(always)]
pub(crate) fn prefetch_line<T>(value: &T) {
    line::<false>(std::ptr::from_ref(value).cast());
}

/// The same into the nearest cache, for what is about to be read.
#[inline(always)]
pub(crate) fn prefetch_near<T>(values: &[T], at: usize) {
    lines::<T, true>(values, at);
}

#[inline(always)]
fn lines<T, const NEAREST: bool>(values: &[T], at: usize) {
    let start = values.as_ptr().wrapping_add(at).cast::<u8>();
    for number in 0..size_of::<T>().div_ceil(LINE_BYTES) {
        line::<NEAREST>(start.wrapping_add(number * LINE_BYTES));
    }
}

/// Brings the first `bytes` of a frame into the nearest cache: as many lines as they take where a frame begins with one, as
/// those of drivers do.
#[inline(always)]
pub(crate) fn prefetch_start(frame: &[u8], bytes: usize) {
    for number in 0..bytes.div_ceil(LINE_BYTES) {
        line::<true>(frame.as_ptr().wrapping_add(number * LINE_BYTES));
    }
}

#[inline(always)]
fn line<const NEAREST: bool>(at: *const u8) {
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
