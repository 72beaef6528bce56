//! Polynomials: pooled limbs with their basis and domain.
//!
//! Storage, access and raw bytes only; arithmetic is in [`super::Ring`].

use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rayon::prelude::*;
use zeroize::Zeroize;

use super::pool::{Limb, Limbs, Pool};
use super::{Basis, Domain};

/// Number of residues above which a loop is run in parallel.
const PARALLEL_THRESHOLD: usize = 1 << 16;

/// A polynomial of degree below `N` modulo the primes of a basis.
///
/// Every residue is canonical, in `[0, q)`. The limbs come from the pool of the ring that made
/// the polynomial and return there on drop.
pub struct Poly {
    /// One for each prime of the basis, ascending.
    limbs: Limbs,
    basis: Basis,
    domain: Domain,
}

impl Poly {
    /// A polynomial with arbitrary contents, to be overwritten.
    pub(super) fn scratch(pool: &Arc<Pool>, basis: Basis, domain: Domain) -> Self {
        Self { limbs: pool.take(basis.len()), basis, domain }
    }

    /// The set of primes for which the polynomial has limbs.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The domain of the limbs.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// Number `N` of residues per limb.
    pub fn degree(&self) -> usize {
        self.limbs.pool().length()
    }

    /// The `N` residues modulo the prime with this index.
    ///
    /// # Panics
    /// If the basis does not contain the index.
    pub fn limb(&self, index: usize) -> &[u64] {
        &self.limbs[self.position(index)]
    }

    /// The `N` residues modulo the prime with this index, mutable; values written must be below the
    /// prime.
    ///
    /// # Panics
    /// If the basis does not contain the index.
    pub fn limb_mut(&mut self, index: usize) -> &mut [u64] {
        let position = self.position(index);
        &mut self.limbs[position]
    }

    /// The limbs in ascending order of prime index.
    pub fn limbs(&self) -> impl Iterator<Item = (usize, &[u64])> {
        self.basis.iter().zip(self.limbs.iter().map(Deref::deref))
    }

    /// The limbs in ascending order of prime index.
    pub(super) fn limbs_mut(&mut self) -> impl Iterator<Item = (usize, &mut [u64])> {
        self.basis.iter().zip(self.limbs.iter_mut().map(DerefMut::deref_mut))
    }

    /// All limbs.
    pub(super) fn block(&mut self) -> LimbBlock<'_> {
        LimbBlock(&mut self.limbs)
    }

    /// Writes the limbs in ascending order of prime index, each residue as eight little-endian
    /// bytes.
    ///
    /// # Errors
    /// The errors of `writer`.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(8 * self.degree());
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
        let (size, parallel) = self.tasks(size);
        let indices: Vec<usize> = self.basis.iter().collect();
        let run = |(limbs, indices): (&mut [Limb], &[usize])| f(indices, LimbBlock(limbs));
        if parallel {
            self.limbs.par_chunks_mut(size).zip(indices.par_chunks(size)).for_each(run);
        } else {
            self.limbs.chunks_mut(size).zip(indices.chunks(size)).for_each(run);
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
        let (size, parallel) = self.tasks(size);
        let (a, b) = (&mut self.limbs, &mut other.limbs);
        let indices: Vec<usize> = self.basis.iter().collect();
        let run = |((a, b), indices): ((&mut [Limb], &mut [Limb]), &[usize])| {
            f(indices, LimbBlock(a), LimbBlock(b));
        };
        if parallel {
            let blocks = a.par_chunks_mut(size).zip(b.par_chunks_mut(size));
            blocks.zip(indices.par_chunks(size)).for_each(run);
        } else {
            a.chunks_mut(size).zip(b.chunks_mut(size)).zip(indices.chunks(size)).for_each(run);
        }
    }

    /// Drops the limbs that are not in `basis`.
    ///
    /// # Panics
    /// If `basis` is not a subset of the polynomial's.
    pub fn restrict(&mut self, basis: Basis) {
        assert!(basis.is_subset(self.basis), "{basis:?} is not a subset of {:?}", self.basis);
        let indices: Vec<usize> = self.basis.iter().collect();
        self.limbs.retain(|position| basis.contains(indices[position]));
        self.basis = basis;
    }

    /// A copy with only the limbs in `basis`.
    ///
    /// # Panics
    /// If `basis` is not a subset of the polynomial's.
    pub fn restricted(&self, basis: Basis) -> Self {
        assert!(basis.is_subset(self.basis), "{basis:?} is not a subset of {:?}", self.basis);
        let mut copy = Self::scratch(self.limbs.pool(), basis, self.domain);
        copy.for_each_limb(|i, limb| limb.copy_from_slice(self.limb(i)));
        copy
    }

    pub(super) fn set_domain(&mut self, domain: Domain) {
        self.domain = domain;
    }

    pub(super) fn is_from(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(self.limbs.pool(), pool)
    }

    /// Number of limbs for a task, at most `largest`, and whether tasks run in parallel; if so, the
    /// number of tasks is a multiple of the number of threads where possible.
    fn tasks(&self, largest: usize) -> (usize, bool) {
        let (limbs, threads) = (self.basis.len(), rayon::current_num_threads());
        if threads == 1 || limbs < 2 || limbs * self.degree() < PARALLEL_THRESHOLD {
            return (largest, false);
        }
        let tasks = limbs.div_ceil(largest).next_multiple_of(threads).min(limbs);
        (limbs.div_ceil(tasks), true)
    }

    fn position(&self, index: usize) -> usize {
        assert!(self.basis.contains(index), "no limb {index} in basis {:?}", self.basis);
        self.basis.position(index)
    }
}

impl Clone for Poly {
    fn clone(&self) -> Self {
        self.restricted(self.basis)
    }
}

impl PartialEq for Poly {
    fn eq(&self, other: &Self) -> bool {
        (self.degree(), self.basis, self.domain) == (other.degree(), other.basis, other.domain)
            && self.limbs().eq(other.limbs())
    }
}

/// Shape only: residues may be secret.
impl std::fmt::Debug for Poly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poly")
            .field("degree", &self.degree())
            .field("basis", &self.basis)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Neighbouring limbs of a polynomial.
pub(super) struct LimbBlock<'a>(&'a mut [Limb]);

impl LimbBlock<'_> {
    /// The limb at a position within the block.
    pub(super) fn limb_mut(&mut self, position: usize) -> &mut [u64] {
        &mut self.0[position]
    }

    /// The limbs in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.0.iter_mut().map(DerefMut::deref_mut)
    }
}

/// A polynomial that holds secret data: overwritten with zeros on drop.
///
/// Copies made by arithmetic are plain polynomials, which the caller must wrap again. Formatting
/// shows the shape only.
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
        self.0.limbs.iter_mut().for_each(|limb| limb.zeroize());
    }
}
