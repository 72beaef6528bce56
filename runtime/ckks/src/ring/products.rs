//! Sums of products of many factors with a few operands: the inner loops of linear transforms.
//!
//! The meaning of the operands (rotated ciphertexts) and their computation are defined by the
//! caller.

use std::borrow::Borrow;

use rayon::prelude::*;

use super::kernels::{Form, Packing};
use super::{Basis, Domain, PackedLimb, Poly, Ring};

/// Residues of a factor modulo one prime: all N, or one for each run of equal residues, as in a
/// polynomial of [`Ring::subring`].
pub enum Residues<'a> {
    /// Packed residues, stored between uses.
    Stored(PackedLimb<'a>),
    /// Residues computed for this use, a polynomial on the basis of that prime.
    Made(Poly),
}

/// Number of residues handled at a time: tiles of some dozen operands fit the second-level cache.
const TILE: usize = 1 << 10;

/// Number of factors computed for one use that are held at a time.
const MADE_FACTORS: usize = 64;

/// Most terms that the kernel for sums of products takes.
const MAX_TERMS: usize = 128;

impl Ring {
    /// For each group of pairs (index of an operand, factor): the sum of the factors times both
    /// halves of the operands, in the NTT domain.
    ///
    /// `operands(i)` returns the operands, which must have a limb for prime i, and is called once
    /// for each prime of the basis; `residues(factor, i)` returns the residues of a factor modulo
    /// prime i.
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
                let start = t * TILE;
                for ((out, group), factors) in sums.into_iter().zip(&groups[first..end]).zip(&batch)
                {
                    let terms = group.iter().zip(factors).map(|((operand, _), factor)| {
                        let [x0, x1] = operands[*operand];
                        let (form, factor) = factor.words(i, self.degree());
                        (form, (factor, x0, x1))
                    });
                    self.sum_of_products(i, out, start, terms.collect());
                }
            });
            first = end;
        }
    }

    /// One tile of a sum of any number of products, with factors of all forms.
    fn sum_of_products(
        &self,
        i: usize,
        [out0, out1]: [&mut [u64]; 2],
        start: usize,
        mut terms: Vec<FormedTerm<'_>>,
    ) {
        assert!(!terms.is_empty(), "a group has no terms");
        let (m, length) = (self.modulus(i), out0.len());
        let mut buffers = [[0; TILE]; 2];
        let mut begun = false;
        terms.sort_by_key(|&(form, _)| form);
        let same_form = terms.chunk_by(|a, b| a.0 == b.0);
        for terms in same_form.flat_map(|terms| terms.chunks(MAX_TERMS)) {
            let (packing, terms) = (
                Packing::First(terms[0].0),
                terms.iter().map(|&(_, term)| term).collect::<Vec<_>>(),
            );
            if begun {
                let [sum0, sum1] = buffers.each_mut().map(|buffer| &mut buffer[..length]);
                self.kernels.inner_product(m, (&mut *sum0, &mut *sum1), start, packing, &terms);
                self.kernels.add(m, out0, sum0);
                self.kernels.add(m, out1, sum1);
            } else {
                self.kernels.inner_product(m, (&mut *out0, &mut *out1), start, packing, &terms);
                begun = true;
            }
        }
    }
}

/// The words of a factor and both halves of an operand, with the form of the words.
type FormedTerm<'a> = (Form, (&'a [u64], &'a [u64], &'a [u64]));

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
    /// All words, with their form.
    fn words(&self, i: usize, degree: usize) -> (Form, &[u64]) {
        let (words, bytes, residues) = match self {
            Self::Stored(limb) => (limb.words, limb.bytes, limb.len()),
            Self::Made(poly) => (poly.limb(i), size_of::<u64>(), poly.degree()),
        };
        (Form { bytes, log_run: (degree / residues).ilog2() }, words)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{primes, random_poly, rng};
    use super::super::{KernelSet, PackedPoly, kernels_available};
    use super::*;
    use proptest::prelude::*;
    use std::iter::repeat_n;

    /// A factor in one of its forms.
    enum Factor {
        Stored(PackedPoly),
        Made(Poly),
    }

    /// Runs of all lengths in all forms, more of them than a kernel takes, against words.
    fn check(kernels: KernelSet, log_n: u32, bits: &[u32], seed: u64) {
        let ring = Ring::with_kernels(log_n, &primes(log_n, bits), kernels).unwrap();
        let (basis, mut rng) = (Basis::from_indices([0, 1, 3]), rng(seed));
        let mut random = |ring: &Ring, basis| random_poly(ring, basis, Domain::Ntt, &mut rng);
        let operands: Vec<[Poly; 2]> =
            (0..3).map(|_| [(); 2].map(|()| random(&ring, ring.basis()))).collect();
        let runs = std::iter::successors(Some(1), |run| Some(2 * run));
        let runs = runs.take_while(|&run| run <= ring.longest_run());
        let mut expected = (ring.zero(basis, Domain::Ntt), ring.zero(basis, Domain::Ntt));
        let mut group = Vec::new();
        for (k, run) in runs.flat_map(|run| repeat_n(run, 40)).enumerate() {
            let subring = ring.subring(run);
            let short = random(&subring, basis);
            let mut long = ring.zero(basis, Domain::Ntt);
            for (i, limb) in long.limbs_mut() {
                let residues = short.limb(i).iter().flat_map(|&r| repeat_n(r, run));
                limb.iter_mut().zip(residues).for_each(|(to, r)| *to = r);
            }
            let [x0, x1] = &operands[k % 3];
            ring.mul_add_assign(&mut expected.0, &long, x0);
            ring.mul_add_assign(&mut expected.1, &long, x1);
            let is_made = k % 5 == 0;
            let factor =
                if is_made { Factor::Made(short) } else { Factor::Stored(subring.pack(&short)) };
            group.push((k % 3, factor));
        }
        let operands = |_| operands.iter().map(|pair| pair.each_ref()).collect();
        let groups: [&[_]; 2] = [&group, &group[..1]];
        let sums = ring.sums_of_products(basis, operands, &groups, |factor, i| match factor {
            Factor::Stored(packed) => Residues::Stored(packed.limb(i)),
            Factor::Made(poly) => Residues::Made(poly.restricted(Basis::single(i))),
        });
        assert!(sums[0] == expected, "{ring:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn sums_are_those_of_whole_polynomials(
            log_n in 5u32..=11,
            bits in prop::collection::vec(20u32..=50, 4),
            seed: u64,
        ) {
            for kernels in KernelSet::ALL.into_iter().filter(|&set| kernels_available(set)) {
                check(kernels, log_n, &bits, seed);
            }
        }
    }
}
