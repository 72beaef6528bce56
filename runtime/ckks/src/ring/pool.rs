//! Recycling of polynomial buffers, so that hot paths neither allocate nor fault pages in.
//!
//! It only hands out memory; what the words mean is the business of [`super::Poly`].

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use aligned_vec::{AVec, ConstAlign, avec};

type Words = AVec<u64, ConstAlign<64>>;

/// Free buffers by length in words.
#[derive(Default)]
pub(super) struct Pool {
    free: Mutex<BTreeMap<usize, Vec<Words>>>,
}

impl Pool {
    /// A buffer of at least `len` words, 64-byte aligned, with **arbitrary contents** (left by an
    /// earlier user). One up to twice as long is taken if that avoids an allocation.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let reused = self.lock().range_mut(len..=2 * len).find_map(|(_, free)| free.pop());
        let words = reused.unwrap_or_else(|| avec![[64]| 0; len]);
        Buffer { words, pool: Arc::clone(self) }
    }

    /// Returns all free buffers to the operating system.
    pub(super) fn trim(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Vec<Words>>> {
        // Every critical section leaves the map consistent, a panic elsewhere does not matter.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer on loan from a [`Pool`], given back on drop.
pub(super) struct Buffer {
    words: Words,
    pool: Arc<Pool>,
}

impl Buffer {
    /// The pool that this buffer belongs to.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Deref for Buffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.words
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let words = std::mem::replace(&mut self.words, Words::new(64));
        self.pool.lock().entry(words.len()).or_default().push(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let pool = Arc::new(Pool::default());
        let first = pool.take(1000);
        let address = first.as_ptr();
        assert!(address.addr().is_multiple_of(64));
        drop(first);
        let smaller = pool.take(600);
        assert_eq!(smaller.as_ptr(), address);
        assert_ne!(pool.take(600).as_ptr(), address);
        drop(smaller);
        pool.trim();
        assert!(pool.lock().is_empty());
    }
}
