//! Memory that the classifier shares, or, where there is none, memory of the same shape.

#![expect(unsafe_code, reason = "a promise about layout")]

use super::{Hop, Slot, Words};
use std::ops::Deref;

/// What may lie in memory that others read and write: atomics only, of which every pattern of bits is a value.
///
/// # Safety
/// All fields are atomics, and there is no padding that anything depends on.
pub unsafe trait Shared: Default + Send + Sync {}

/// A table of `T`.
#[derive(Debug)]
pub struct Memory<T> {
    private: Box<[T]>,
}

impl<T: Shared> Memory<T> {
    /// A table of our own, which no classifier sees: for tests and models.
    pub fn private(len: usize) -> Self {
        Self { private: std::iter::repeat_with(T::default).take(len).collect() }
    }
}

impl<T> Deref for Memory<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.private
    }
}

// SAFETY: atomics only.
unsafe impl<F: Words> Shared for Slot<F> {}
// SAFETY: atomics only.
unsafe impl Shared for Hop {}
