//! Recycling of limb buffers, so that hot paths neither allocate nor fault pages in.
//!
//! All buffers have the size of one limb, so that a free one serves every polynomial, whatever its
//! basis. They are cut from slabs on huge pages. What the words mean is the business of
//! [`super::Poly`].

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::{MmapMut, MmapRaw};

/// Words between neighbouring limbs: an odd number of cache lines, so that equal positions of
/// different limbs do not compete for the same cache sets.
const LIMB_PADDING: usize = 5 * 8;

/// A slab has the room of at least this many limbs without their padding.
const SLAB_LIMBS: usize = 32;

/// Bytes of a huge page, and the alignment of slabs that have one.
const HUGE_PAGE: usize = 1 << 21;

/// Buffers of the limbs of one ring.
pub(super) struct Pool {
    length: usize,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    slabs: Vec<Slab>,
    free: Vec<Limb>,
}

impl Pool {
    /// A pool of limbs of `length` words.
    pub(super) fn new(length: usize) -> Self {
        Self { length, memory: Mutex::default() }
    }

    /// Words of a limb.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Limbs with **arbitrary contents** (left by an earlier user), 64-byte aligned.
    pub(super) fn take(self: &Arc<Self>, count: usize) -> Limbs {
        let mut memory = self.lock();
        while memory.free.len() < count {
            let slab = Slab::new(self.length);
            memory.free.extend(slab.limbs(self.length));
            memory.slabs.push(slab);
        }
        let rest = memory.free.len() - count;
        Limbs { limbs: memory.free.split_off(rest), pool: Arc::clone(self) }
    }

    /// Returns the slabs that are not in use at all to the operating system.
    pub(super) fn trim(&self) {
        let mut memory = self.lock();
        let Memory { slabs, free } = &mut *memory;
        free.sort_unstable_by_key(Limb::address);
        slabs.retain(|slab| {
            let start = slab.map.as_ptr().addr();
            let position = |end: usize| free.partition_point(|limb| limb.address() < end);
            let unused = position(start)..position(start + slab.map.len());
            let in_use = unused.len() < slab.count;
            if !in_use {
                free.drain(unused);
            }
            in_use
        });
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Every critical section leaves the lists consistent, a panic elsewhere does not matter.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Mapped memory that limbs are cut from.
struct Slab {
    /// Raw, because a reference to all of it would claim that no limb is being written.
    map: MmapRaw,
    /// Bytes before the first limb.
    start: usize,
    /// Limbs in it.
    count: usize,
}

impl Slab {
    fn new(length: usize) -> Self {
        let bytes = SLAB_LIMBS * length * size_of::<u64>();
        let alignment = if bytes < HUGE_PAGE { Limb::ALIGNMENT } else { HUGE_PAGE };
        let bytes = bytes.next_multiple_of(alignment);
        // As for any allocation, there is nothing to be done when memory runs out.
        let map = MmapRaw::from(MmapMut::map_anon(bytes + alignment).expect("out of memory"));
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE {
            // Slower without, nothing else: kernels may lack huge pages.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let start = map.as_ptr().align_offset(alignment);
        Self { map, start, count: bytes / stride_bytes(length) }
    }

    /// All limbs of a new slab.
    fn limbs(&self, length: usize) -> impl Iterator<Item = Limb> {
        // SAFETY: the map is longer than the offset of its alignment.
        let start = unsafe { self.map.as_mut_ptr().add(self.start) };
        (0..self.count).map(move |i| {
            // SAFETY: `count` strides fit the map behind its start.
            let words = unsafe { start.add(i * stride_bytes(length)) }.cast();
            let words = NonNull::new(words).expect("mappings never start at address zero");
            Limb(NonNull::slice_from_raw_parts(words, length))
        })
    }
}

fn stride_bytes(length: usize) -> usize {
    (length.next_multiple_of(8) + LIMB_PADDING) * size_of::<u64>()
}

/// The words of a limb: a part of a slab that no other limb refers to.
///
/// It does not keep its slab alive; [`Limbs`], which never gives one away, does.
pub(super) struct Limb(NonNull<[u64]>);

// SAFETY: a limb is the only reference to its words, as a box would be.
unsafe impl Send for Limb {}
// SAFETY: shared access reads only.
unsafe impl Sync for Limb {}

impl Limb {
    /// Bytes; limbs of all degrees have lengths that are multiples.
    const ALIGNMENT: usize = 64;

    fn address(&self) -> usize {
        self.0.addr().get()
    }
}

impl Deref for Limb {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        // SAFETY: mapped, initialised (by zeros at first), and borrowed with the limb.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }
}

impl DerefMut for Limb {
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and no other limb has these words.
        unsafe { slice::from_raw_parts_mut(self.0.as_ptr().cast(), self.0.len()) }
    }
}

/// Limbs on loan from a [`Pool`], given back on drop.
pub(super) struct Limbs {
    limbs: Vec<Limb>,
    pool: Arc<Pool>,
}

impl Limbs {
    /// The pool that they belong to.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Gives back the limbs whose positions are not wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(usize) -> bool) {
        let mut position = 0..;
        let unwanted = |_: &mut Limb| !position.next().is_some_and(&wanted);
        self.pool.lock().free.extend(self.limbs.extract_if(.., unwanted));
    }
}

impl Deref for Limbs {
    type Target = [Limb];
    fn deref(&self) -> &[Limb] {
        &self.limbs
    }
}

impl DerefMut for Limbs {
    fn deref_mut(&mut self) -> &mut [Limb] {
        &mut self.limbs
    }
}

impl Drop for Limbs {
    fn drop(&mut self) {
        self.pool.lock().free.append(&mut self.limbs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of limbs, and number of free limbs.
    fn size(pool: &Pool) -> (usize, usize) {
        let memory = pool.lock();
        (memory.slabs.iter().map(|slab| slab.count).sum(), memory.free.len())
    }

    fn addresses(limbs: &Limbs) -> Vec<usize> {
        limbs.iter().map(Limb::address).collect()
    }

    #[test]
    fn limbs_are_apart_and_come_back() {
        // Miri knows no advice on huge pages.
        let lengths: &[usize] = if cfg!(miri) { &[16, 40] } else { &[16, 1 << 10, 1 << 15] };
        for &length in lengths {
            let pool = Arc::new(Pool::new(length));
            let mut limbs = pool.take(100);
            for (i, limb) in limbs.iter_mut().enumerate() {
                assert!(limb.len() == length && limb.address().is_multiple_of(Limb::ALIGNMENT));
                limb.fill(i as u64);
            }
            assert!(limbs.iter().enumerate().all(|(i, limb)| limb.iter().all(|&w| w == i as u64)));
            let mut before = addresses(&limbs);
            limbs.retain(|i| i % 2 == 1);
            assert!(limbs.iter().zip(0..).all(|(limb, i)| limb[length - 1] == 2 * i + 1));
            drop(limbs);
            let (all, free) = size(&pool);
            assert_eq!(all, free);
            let mut after = addresses(&pool.take(all));
            assert_eq!(size(&pool), (all, free));
            before.sort_unstable();
            after.sort_unstable();
            assert!(before.iter().all(|address| after.binary_search(address).is_ok()));
        }
    }

    #[test]
    fn trimming_keeps_what_is_in_use() {
        let pool = Arc::new(Pool::new(if cfg!(miri) { 1 << 6 } else { 1 << 10 }));
        let mut kept = pool.take(1);
        kept[0].fill(7);
        drop(pool.take(5 * SLAB_LIMBS));
        pool.trim();
        let (all, free) = size(&pool);
        assert!(all < SLAB_LIMBS && free == all - 1);
        assert!(kept[0].iter().all(|&word| word == 7));
        drop(kept);
        pool.trim();
        assert_eq!(size(&pool), (0, 0));
    }
}
