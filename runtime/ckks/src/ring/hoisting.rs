//! Sums of products with many rotations of a few operands: the inner loops of linear transforms.
//!
//! Double hoisting (Bossuat, Mouchet, Troncoso-Pastoriza and Hubaux, Eurocrypt 2021, §4) needs every
//! rotation modulo QP. Here they exist for one prime at a time only: its limbs of all rotations are made
//! and used up while they are near, so that keys and factors are read once and nothing else moves.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::arithmetic::SlotPermutation;
use super::rns::BaseConverter;
use super::{Basis, Domain, Poly, Ring};

/// An operand (c0, c1) modulo Q in the NTT domain and what to do with it.
pub struct Operand<'a> {
    /// The polynomial c0.
    pub c0: &'a Poly,
    /// The polynomial c1.
    pub c1: &'a Poly,
    /// The digits of c1, raised to QP; not needed if nothing is rotated.
    pub digits: Option<&'a [Poly]>,
    /// The rotations to make, `None` for the operand itself.
    pub rotations: Vec<Option<Rotation<'a>>>,
}

/// A key for the preimage of an automorphism, and the automorphism.
pub struct Rotation<'a> {
    /// As many pairs as the operand has digits.
    pub key: Vec<&'a (Poly, Poly)>,
    /// The odd exponent g of X → X^g.
    pub galois_element: u64,
}

/// Residues of a factor modulo one prime.
pub enum Residues<'a> {
    /// All N, or one for each run of equal ones, as in [`super::RepeatedPoly`].
    Stored(&'a [u64]),
    /// On the basis of that prime, made for this use.
    Made(Poly),
}

/// Residues handled at a time: those of some dozen rotations fit in the second level of cache.
const TILE: usize = 1 << 10;

/// Factors made on the spot, rather than stored, that are kept at a time.
const MADE_FACTORS: usize = 64;

/// Most terms that the kernel for sums of products takes.
const MAX_TERMS: usize = 128;

impl Ring {
    /// For each group of pairs (index of a rotation, factor): the sum of the factors times P times the
    /// rotated operands, modulo QP. Rotations are counted through all operands.
    ///
    /// `residues(factor, i)` gives those of a factor modulo prime i.
    ///
    /// # Panics
    /// If a group is empty, or if operands, digits or keys lack primes or are not in the NTT domain.
    pub fn hoisted_sums<F: Sync>(
        &self,
        basis: Basis,
        special: Basis,
        operands: &[Operand<'_>],
        groups: &[&[(usize, F)]],
        residues: impl for<'f> Fn(&'f F, usize) -> Residues<'f> + Sync,
    ) -> Vec<(Poly, Poly)> {
        let converter = self.converter(special);
        let operands: Vec<_> =
            operands.iter().map(|operand| self.prepare(basis, special, operand)).collect();
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
            let rotated = self.rotated_limbs(*i, &converter, &operands);
            self.add_up(*i, &rotated, groups, &residues, sums);
        });
        drop(by_prime);
        sums
    }

    fn prepare<'a>(&self, basis: Basis, special: Basis, operand: &'a Operand<'a>) -> Prepared<'a> {
        for poly in [operand.c0, operand.c1] {
            self.assert_domain(poly, Domain::Ntt);
            assert_eq!(poly.basis(), basis.difference(special), "an operand has another basis");
        }
        let digits = operand.digits.unwrap_or_default();
        for digit in digits {
            self.assert_domain(digit, Domain::Ntt);
            assert!(basis.is_subset(digit.basis()), "a digit lacks primes of {basis:?}");
        }
        let permutation = |rotation: &'a Rotation<'a>| {
            self.assert_key(&rotation.key, digits.len(), basis);
            (&*rotation.key, self.permutation(rotation.galois_element))
        };
        let rotations =
            operand.rotations.iter().map(|rotation| rotation.as_ref().map(permutation)).collect();
        Prepared { operand, digits, rotations }
    }

    /// P times each rotation, modulo one prime.
    fn rotated_limbs(
        &self,
        i: usize,
        converter: &BaseConverter,
        operands: &[Prepared<'_>],
    ) -> Vec<[Poly; 2]> {
        let m = self.modulus(i);
        let limb = || self.scratch(Basis::single(i), Domain::Ntt);
        let (mut lifted, mut switched) = (limb(), [limb(), limb()]);
        let mut rotated = Vec::new();
        for Prepared { operand, digits, rotations } in operands {
            let lift = |poly: &Poly, out: &mut [u64]| {
                if poly.basis().contains(i) {
                    out.copy_from_slice(poly.limb(i));
                    self.kernels.mul_scalar(m, out, converter.product(i));
                } else {
                    out.fill(0);
                }
            };
            lift(operand.c0, lifted.limb_mut(i));
            for rotation in rotations {
                let mut out = [limb(), limb()];
                if let Some((key, permutation)) = rotation {
                    let [u0, u1] = switched.each_mut().map(|poly| poly.limb_mut(i));
                    let terms: Vec<_> = digits
                        .iter()
                        .zip(*key)
                        .map(|(digit, (b, a))| (digit.limb(i), b.limb(i), a.limb(i)))
                        .collect();
                    self.kernels.inner_product(m, (&mut *u0, &mut *u1), &terms);
                    self.kernels.add(m, u0, lifted.limb(i));
                    permutation.apply(self.kernels, out[0].limb_mut(i), u0);
                    permutation.apply(self.kernels, out[1].limb_mut(i), u1);
                } else {
                    out[0].limb_mut(i).copy_from_slice(lifted.limb(i));
                    lift(operand.c1, out[1].limb_mut(i));
                }
                rotated.push(out);
            }
        }
        rotated
    }

    /// The sums of all groups modulo one prime.
    fn add_up<F>(
        &self,
        i: usize,
        rotated: &[[Poly; 2]],
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
            for start in (0..self.degree()).step_by(TILE) {
                let tile = start..self.degree().min(start + TILE);
                for (k, factors) in batch.iter().enumerate() {
                    let terms: Vec<_> = groups[first + k]
                        .iter()
                        .zip(factors)
                        .map(|((rotation, _), factor)| {
                            let [x0, x1] = &rotated[*rotation];
                            let factor = factor.tile(i, &tile, self.degree());
                            (factor, &x0.limb(i)[tile.clone()], &x1.limb(i)[tile.clone()])
                        })
                        .collect();
                    let [sum0, sum1] = &mut sums[first + k];
                    let out = [&mut sum0[tile.clone()], &mut sum1[tile.clone()]];
                    self.sum_of_products(i, out, &terms);
                }
            }
            first += batch.len();
        }
    }

    /// Inner products of any number of terms, full and repeated factors mixed.
    fn sum_of_products(
        &self,
        i: usize,
        [out0, out1]: [&mut [u64]; 2],
        terms: &[(&[u64], &[u64], &[u64])],
    ) {
        let m = self.modulus(i);
        let length = out0.len();
        let (full, repeated): (Vec<_>, Vec<_>) =
            terms.iter().partition(|(factor, ..)| factor.len() == length);
        let mut buffers = [[0; TILE]; 2];
        let mut begun = false;
        for (terms, repeats) in [(full, false), (repeated, true)] {
            for terms in terms.chunks(MAX_TERMS) {
                let [buffer0, buffer1] = buffers.each_mut().map(|buffer| &mut buffer[..length]);
                let target = if begun { (buffer0, buffer1) } else { (&mut *out0, &mut *out1) };
                if repeats {
                    self.kernels.repeated_inner_product(m, target, terms);
                } else {
                    self.kernels.inner_product(m, target, terms);
                }
                if begun {
                    self.kernels.add(m, out0, &buffers[0][..length]);
                    self.kernels.add(m, out1, &buffers[1][..length]);
                }
                begun = true;
            }
        }
        assert!(begun, "a group has no terms");
    }
}

/// An operand that fits, with its permutations.
struct Prepared<'a> {
    operand: &'a Operand<'a>,
    digits: &'a [Poly],
    rotations: Vec<Option<PreparedRotation<'a>>>,
}

/// A key and the permutation that follows it.
type PreparedRotation<'a> = (&'a [&'a (Poly, Poly)], Arc<SlotPermutation>);

impl Residues<'_> {
    /// Those of a tile; a run that is longer than it gives one.
    fn tile(&self, i: usize, tile: &Range<usize>, degree: usize) -> &[u64] {
        match self {
            Self::Made(poly) => &poly.limb(i)[tile.clone()],
            Self::Stored(residues) => {
                let run = degree / residues.len();
                &residues[tile.start / run..tile.end.div_ceil(run)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Digits;
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;

    /// Two operands, one rotated twice, factors of all kinds, more terms than a kernel takes.
    #[test]
    fn sums_are_those_of_whole_polynomials() {
        let ring = ring(8, &[45; 6]);
        let (special, basis) =
            (Basis::from_indices([4, 5]), ring.basis().difference(Basis::single(1)));
        let chain = basis.difference(special);
        let mut rng = rng(5);
        let mut random = |basis| random_poly(&ring, basis, Domain::Ntt, &mut rng);
        let inputs: Vec<(Poly, Poly)> = (0..2).map(|_| (random(chain), random(chain))).collect();
        let digits: Vec<Poly> = (0..3).map(|_| random(basis)).collect();
        let key: Vec<(Poly, Poly)> =
            (0..3).map(|_| (random(ring.basis()), random(ring.basis()))).collect();
        let factors: Vec<Poly> = (0..150).map(|_| random(basis)).collect();
        let rotated: Vec<(Poly, Poly)> = [(0, None), (0, Some(5)), (0, Some(25)), (1, None)]
            .map(|(input, galois): (usize, Option<u64>)| {
                let (c0, c1): &(Poly, Poly) = &inputs[input];
                let Some(galois) = galois else {
                    let zero = || ring.zero(basis, Domain::Ntt);
                    let mut lifted = (zero(), zero());
                    ring.add_lifted_assign(&mut lifted.0, c0, special);
                    ring.add_lifted_assign(&mut lifted.1, c1, special);
                    return lifted;
                };
                let pairs: Vec<_> = key.iter().collect();
                let (mut u0, u1) = ring.gadget_product(basis, Digits::Raised(&digits), &pairs);
                ring.add_lifted_assign(&mut u0, c0, special);
                (ring.automorphism(&u0, galois), ring.automorphism(&u1, galois))
            })
            .into();
        let groups: [Vec<(usize, usize)>; 3] =
            [(0..150).map(|k| (k % 4, k)).collect(), vec![(1, 7)], vec![(3, 2), (2, 1), (0, 0)]];
        let expected: Vec<_> = groups
            .iter()
            .map(|group| {
                let zero = || ring.zero(basis, Domain::Ntt);
                let mut sum = (zero(), zero());
                for &(rotation, factor) in group {
                    ring.mul_add_assign(&mut sum.0, &rotated[rotation].0, &factors[factor]);
                    ring.mul_add_assign(&mut sum.1, &rotated[rotation].1, &factors[factor]);
                }
                sum
            })
            .collect();
        let rotation =
            |galois_element| Some(Rotation { key: key.iter().collect(), galois_element });
        let operand = |input: usize, digits, rotations| {
            let (c0, c1) = &inputs[input];
            Operand { c0, c1, digits, rotations }
        };
        let operands = [
            operand(0, Some(&digits[..]), vec![None, rotation(5), rotation(25)]),
            operand(1, None, vec![None]),
        ];
        // Every second factor is made when needed.
        let with_factors = |group: &Vec<(usize, usize)>| -> Vec<(usize, (&Poly, bool))> {
            group.iter().map(|&(rotation, k)| (rotation, (&factors[k], k % 2 == 0))).collect()
        };
        let groups: Vec<_> = groups.iter().map(with_factors).collect();
        let groups: Vec<_> = groups.iter().map(Vec::as_slice).collect();
        let sums = ring.hoisted_sums(basis, special, &operands, &groups, |&(factor, stored), i| {
            if stored {
                Residues::Stored(factor.limb(i))
            } else {
                Residues::Made(factor.restricted(Basis::single(i)))
            }
        });
        assert!(sums == expected);
    }
}
