//! Sums of products of many factors with a few operands: the inner loops of linear transforms.
//!
//! What the operands are, and how they come about, is the business of the caller.

use std::borrow::Borrow;
use std::ops::Range;

use rayon::prelude::*;

use super::{Basis, Domain, Poly, Ring};

/// Residues of a factor modulo one prime: all N, or one for each run of equal ones, as those of a
/// polynomial of [`Ring::subring`].
pub enum Residues<'a> {
    /// Kept between uses.
    Stored(&'a [u64]),
    /// On the basis of that prime, made for this use.
    Made(Poly),
}

/// Residues handled at a time: those of some dozen operands fit in the second level of cache.
const TILE: usize = 1 << 10;

/// Factors made on the spot, rather than stored, that are kept at a time.
const MADE_FACTORS: usize = 64;

/// Most terms that the kernel for sums of products takes.
const MAX_TERMS: usize = 128;

impl Ring {
    /// For each group of pairs (index of an operand, factor): the sum of the factors times both halves of
    /// the operands, in the NTT domain.
    ///
    /// `operands(i)` gives polynomials that have the prime i, asked once for each prime of the basis;
    /// `residues(factor, i)` gives those of a factor modulo prime i.
    ///
    /// # Panics
    /// If a group is empty, or an operand lacks primes of the basis.
    pub fn sums_of_products<P: Borrow<Poly> + Sync, F: Sync>(
        &self,
        basis: Basis,
        operands: impl Fn(usize) -> Vec<[P; 2]> + Sync,
        groups: &[&[(usize, F)]],
        residues: impl for<'f> Fn(&'f F, usize) -> Residues<'f> + Sync,
    ) -> Vec<(Poly, Poly)> {
        let scratch = || self.scratch(basis, Domain::Ntt);
        let mut sums: Vec<(Poly, Poly)> = groups.iter().map(|_| (scratch(), scratch())).collect();
        let mut by_prime: Vec<(usize, Vec<[&mut [u64]; 2]>)> =
            basis.iter().map(|i| (i, Vec::with_capacity(groups.len()))).collect();
        for (sum0, sum1) in &mut sums {
            for ((_, limbs), ((_, limb0), (_, limb1))) in
                by_prime.iter_mut().zip(sum0.limbs_mut().zip(sum1.limbs_mut()))
            {
                limbs.push([limb0, limb1]);
            }
        }
        by_prime.par_iter_mut().for_each(|(i, sums)| {
            let operands = operands(*i);
            let limbs = operands.iter().map(|pair| pair.each_ref().map(|x| x.borrow().limb(*i)));
            self.add_up(*i, &limbs.collect::<Vec<_>>(), groups, &residues, sums);
        });
        drop(by_prime);
        sums
    }

    /// The sums of all groups modulo one prime.
    fn add_up<F: Sync>(
        &self,
        i: usize,
        operands: &[[&[u64]; 2]],
        groups: &[&[(usize, F)]],
        residues: &impl for<'f> Fn(&'f F, usize) -> Residues<'f>,
        sums: &mut [[&mut [u64]; 2]],
    ) {
        let mut first = 0;
        while first < groups.len() {
            // As many groups as the bound on factors made on the spot allows, but at least one.
            let (mut batch, mut made) = (Vec::new(), 0);
            while first + batch.len() < groups.len() && (batch.is_empty() || made < MADE_FACTORS) {
                let group = groups[first + batch.len()];
                let factors: Vec<_> = group.iter().map(|(_, factor)| residues(factor, i)).collect();
                made += factors.iter().filter(|f| matches!(f, Residues::Made(_))).count();
                batch.push(factors);
            }
            let end = first + batch.len();
            let by_tile = tiles(&mut sums[first..end]);
            by_tile.into_par_iter().enumerate().for_each(|(t, sums)| {
                let tile = t * TILE..self.degree().min((t + 1) * TILE);
                for ((out, group), factors) in sums.into_iter().zip(&groups[first..end]).zip(&batch)
                {
                    let terms = group.iter().zip(factors).map(|((operand, _), factor)| {
                        let [x0, x1] = operands[*operand].map(|x| &x[tile.clone()]);
                        (factor.tile(i, &tile, self.degree()), x0, x1)
                    });
                    self.sum_of_products(i, out, terms.collect());
                }
            });
            first = end;
        }
    }

    /// An inner product of any number of terms, with factors of all kinds of runs.
    fn sum_of_products(
        &self,
        i: usize,
        [out0, out1]: [&mut [u64]; 2],
        mut terms: Vec<(&[u64], &[u64], &[u64])>,
    ) {
        assert!(!terms.is_empty(), "a group has no terms");
        let (m, length) = (self.modulus(i), out0.len());
        let mut buffers = [[0; TILE]; 2];
        let mut begun = false;
        terms.sort_by_key(|(factor, ..)| factor.len());
        let same_run = terms.chunk_by(|a, b| a.0.len() == b.0.len());
        for terms in same_run.flat_map(|terms| terms.chunks(MAX_TERMS)) {
            if begun {
                let [sum0, sum1] = buffers.each_mut().map(|buffer| &mut buffer[..length]);
                self.kernels.inner_product(m, (&mut *sum0, &mut *sum1), terms);
                self.kernels.add(m, out0, sum0);
                self.kernels.add(m, out1, sum1);
            } else {
                self.kernels.inner_product(m, (&mut *out0, &mut *out1), terms);
                begun = true;
            }
        }
    }
}

/// Pairs of limbs, tile by tile.
fn tiles<'a>(limbs: &'a mut [[&mut [u64]; 2]]) -> Vec<Vec<[&'a mut [u64]; 2]>> {
    let mut tiles = Vec::new();
    for [limb0, limb1] in limbs {
        let pairs = limb0.chunks_mut(TILE).zip(limb1.chunks_mut(TILE));
        for (t, (tile0, tile1)) in pairs.enumerate() {
            if t == tiles.len() {
                tiles.push(Vec::new());
            }
            tiles[t].push([tile0, tile1]);
        }
    }
    tiles
}

impl Residues<'_> {
    /// Those of a tile; a run that is longer than it gives one.
    fn tile(&self, i: usize, tile: &Range<usize>, degree: usize) -> &[u64] {
        let residues = match self {
            Self::Made(poly) => poly.limb(i),
            Self::Stored(residues) => residues,
        };
        let run = degree / residues.len();
        &residues[tile.start / run..tile.end.div_ceil(run)]
    }
}
