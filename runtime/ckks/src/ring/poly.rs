//! Polynomials: a pooled limb-major buffer with its basis and domain.
//!
//! Only storage, access and raw bytes; arithmetic belongs to [`super::Ring`].

use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rayon::prelude::*;
use zeroize::Zeroize;

use super::pool::{Buffer, Pool};
use super::{Basis, Domain};

/// Words between the ends of neighbouring limbs: an odd number of cache lines, so that equal
/// positions of different limbs do not compete for the same cache sets.
const LIMB_PADDING: usize = 5 * 8;

/// Parallel loops are worth their start only above this number of residues.
const PARALLEL_THRESHOLD: usize = 1 << 16;

/// A polynomial of degree below `N` modulo the primes of a basis.
///
/// Every residue is canonical, in `[0, q)`. The buffer comes from the pool of the ring that made
/// the polynomial and returns there on drop.
pub struct Poly {
    buffer: Buffer,
    degree: usize,
    basis: Basis,
    domain: Domain,
}

impl Poly {
    /// A polynomial with arbitrary contents, to be overwritten.
    pub(super) fn scratch(pool: &Arc<Pool>, degree: usize, basis: Basis, domain: Domain) -> Self {
        let buffer = pool.take(basis.len().max(1) * (degree + LIMB_PADDING));
        Self { buffer, degree, basis, domain }
    }

    /// The primes it has limbs for.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// What its residues are.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// Number `N` of residues per limb.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The `N` residues modulo the prime with this index.
    ///
    /// # Panics
    /// If the basis does not contain the index.
    pub fn limb(&self, index: usize) -> &[u64] {
        let start = self.start(index);
        &self.buffer[start..start + self.degree]
    }

    /// The `N` residues modulo the prime with this index; what is written must be below the prime.
    ///
    /// # Panics
    /// If the basis does not contain the index.
    pub fn limb_mut(&mut self, index: usize) -> &mut [u64] {
        let (start, degree) = (self.start(index), self.degree);
        &mut self.buffer[start..start + degree]
    }

    /// The limbs in ascending order of prime index.
    pub fn limbs(&self) -> impl Iterator<Item = (usize, &[u64])> {
        self.basis.iter().zip(self.buffer.chunks(self.stride()).map(|c| &c[..self.degree]))
    }

    /// The limbs in ascending order of prime index.
    pub(super) fn limbs_mut(&mut self) -> impl Iterator<Item = (usize, &mut [u64])> {
        let (degree, stride) = (self.degree, self.stride());
        self.basis.iter().zip(self.buffer.chunks_mut(stride).map(move |c| &mut c[..degree]))
    }

    /// Writes the limbs, ascending, each residue as eight little-endian bytes.
    ///
    /// # Errors
    /// Whatever the writer reports.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(8 * self.degree);
        for (_, limb) in self.limbs() {
            bytes.clear();
            bytes.extend(limb.iter().flat_map(|residue| residue.to_le_bytes()));
            writer.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Runs `f(prime index, limb)` for every limb, on several threads where that pays.
    pub(super) fn for_each_limb(&mut self, f: impl Fn(usize, &mut [u64]) + Sync) {
        self.for_each_block(1, |indices, mut block| f(indices[0], block.limb_mut(0)));
    }

    /// Runs `f(prime indices, block)` for every block of up to `size` neighbouring limbs, on several
    /// threads where that pays.
    pub(super) fn for_each_block(
        &mut self,
        size: usize,
        f: impl Fn(&[usize], LimbBlock<'_>) + Sync,
    ) {
        let (degree, (size, parallel)) = (self.degree, self.tasks(size));
        let (chunk, used) = (size * self.stride(), self.basis.len() * self.stride());
        let words = &mut self.buffer[..used];
        let indices: Vec<usize> = self.basis.iter().collect();
        let run = |(words, indices): (&mut [u64], &[usize])| {
            f(indices, LimbBlock { words, degree });
        };
        if parallel {
            words.par_chunks_mut(chunk).zip(indices.par_chunks(size)).for_each(run);
        } else {
            words.chunks_mut(chunk).zip(indices.chunks(size)).for_each(run);
        }
    }

    /// Runs `f(prime indices, block, block of other)` for every block of up to `size` neighbouring
    /// limbs of two polynomials on one basis, on several threads where that pays.
    pub(super) fn for_each_block_pair(
        &mut self,
        other: &mut Self,
        size: usize,
        f: impl Fn(&[usize], LimbBlock<'_>, LimbBlock<'_>) + Sync,
    ) {
        assert_eq!(self.basis, other.basis, "pairs of limbs need one basis");
        let (degree, (size, parallel)) = (self.degree, self.tasks(size));
        let (chunk, used) = (size * self.stride(), self.basis.len() * self.stride());
        let (a, b) = (&mut self.buffer[..used], &mut other.buffer[..used]);
        let indices: Vec<usize> = self.basis.iter().collect();
        let run = |((a, b), indices): ((&mut [u64], &mut [u64]), &[usize])| {
            f(indices, LimbBlock { words: a, degree }, LimbBlock { words: b, degree });
        };
        if parallel {
            let blocks = a.par_chunks_mut(chunk).zip(b.par_chunks_mut(chunk));
            blocks.zip(indices.par_chunks(size)).for_each(run);
        } else {
            a.chunks_mut(chunk).zip(b.chunks_mut(chunk)).zip(indices.chunks(size)).for_each(run);
        }
    }

    /// Drops the limbs that are not in `basis`.
    ///
    /// # Panics
    /// If `basis` is not a subset of the polynomial's.
    pub fn restrict(&mut self, basis: Basis) {
        assert!(basis.is_subset(self.basis), "{basis:?} is not a subset of {:?}", self.basis);
        let stride = self.stride();
        for (to, index) in basis.iter().enumerate() {
            let from = self.basis.position(index);
            if from != to {
                self.buffer.copy_within(from * stride..(from + 1) * stride, to * stride);
            }
        }
        self.basis = basis;
    }

    /// A copy of the limbs in `basis` alone.
    ///
    /// # Panics
    /// If `basis` is not a subset of the polynomial's.
    pub fn restricted(&self, basis: Basis) -> Self {
        assert!(basis.is_subset(self.basis), "{basis:?} is not a subset of {:?}", self.basis);
        let mut copy = Self::scratch(self.buffer.pool(), self.degree, basis, self.domain);
        copy.for_each_limb(|i, limb| limb.copy_from_slice(self.limb(i)));
        copy
    }

    pub(super) fn set_domain(&mut self, domain: Domain) {
        self.domain = domain;
    }

    pub(super) fn is_from(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(self.buffer.pool(), pool)
    }

    /// How many limbs to give to a task, at most `largest`, and whether to run tasks in parallel:
    /// then the number of tasks is a multiple of the number of threads where possible.
    fn tasks(&self, largest: usize) -> (usize, bool) {
        let (limbs, threads) = (self.basis.len(), rayon::current_num_threads());
        if threads == 1 || limbs < 2 || limbs * self.degree < PARALLEL_THRESHOLD {
            return (largest, false);
        }
        let tasks = limbs.div_ceil(largest).next_multiple_of(threads).min(limbs);
        (limbs.div_ceil(tasks), true)
    }

    fn stride(&self) -> usize {
        self.degree + LIMB_PADDING
    }

    fn start(&self, index: usize) -> usize {
        assert!(self.basis.contains(index), "no limb {index} in basis {:?}", self.basis);
        self.basis.position(index) * self.stride()
    }
}

impl Clone for Poly {
    fn clone(&self) -> Self {
        self.restricted(self.basis)
    }
}

impl PartialEq for Poly {
    fn eq(&self, other: &Self) -> bool {
        (self.degree, self.basis, self.domain) == (other.degree, other.basis, other.domain)
            && self.limbs().eq(other.limbs())
    }
}

/// Shape only: residues may be secret.
impl std::fmt::Debug for Poly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poly")
            .field("degree", &self.degree)
            .field("basis", &self.basis)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Neighbouring limbs of a polynomial.
pub(super) struct LimbBlock<'a> {
    words: &'a mut [u64],
    degree: usize,
}

impl LimbBlock<'_> {
    /// The limb at a position within the block.
    pub(super) fn limb_mut(&mut self, position: usize) -> &mut [u64] {
        self.iter_mut().nth(position).expect("the block has this limb")
    }

    /// The limbs in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        let degree = self.degree;
        self.words.chunks_mut(degree + LIMB_PADDING).map(move |chunk| &mut chunk[..degree])
    }
}

/// A polynomial that must not outlive its use in memory: overwritten with zeros on drop.
///
/// Copies made by arithmetic are the caller's to wrap again; formatting shows the shape only.
#[derive(Clone, Debug)]
pub struct SecretPoly(Poly);

impl From<Poly> for SecretPoly {
    fn from(poly: Poly) -> Self {
        Self(poly)
    }
}

impl Deref for SecretPoly {
    type Target = Poly;
    fn deref(&self) -> &Poly {
        &self.0
    }
}

impl DerefMut for SecretPoly {
    fn deref_mut(&mut self) -> &mut Poly {
        &mut self.0
    }
}

impl Drop for SecretPoly {
    fn drop(&mut self) {
        self.0.buffer[..].zeroize();
    }
}
