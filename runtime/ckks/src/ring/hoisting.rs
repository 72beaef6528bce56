//! Sums of products of factors with many rotations of a few operands, times P and modulo QP.
//!
//! Double hoisting (Bossuat, Mouchet, Troncoso-Pastoriza and Hubaux, Eurocrypt 2021, §4) needs
//! every rotation modulo QP. Here only one prime's limbs of all rotations exist at a time: they are
//! computed and used while in cache, so that keys and factors are read once and intermediate
//! results never reach memory.

use std::sync::Arc;

use super::arithmetic::SlotPermutation;
use super::rns::BaseConverter;
use super::{Basis, Domain, PackedPoly, Poly, Residues, Ring};

/// An operand (c0, c1) modulo Q in the NTT domain, with the rotations to compute.
pub struct Operand<'a> {
    /// Part c0 of the ciphertext, which decrypts to c0 + c1·s under the secret s.
    pub c0: &'a Poly,
    /// Part c1 of the ciphertext, of which `digits` are made.
    pub c1: &'a Poly,
    /// The digits of c1, raised to QP; not needed if no rotation is computed.
    pub digits: Option<&'a [Poly]>,
    /// The rotations to compute; `None` stands for the operand itself.
    pub rotations: Vec<Option<Rotation<'a>>>,
}

/// One rotation of an operand: the automorphism and the switching key for its preimage of the
/// secret.
pub struct Rotation<'a> {
    /// One key pair for each digit of the operand.
    pub key: Vec<&'a (PackedPoly, PackedPoly)>,
    /// The odd exponent g of X → X^g.
    pub galois_element: u64,
}

impl Ring {
    /// For each group of pairs (index of a rotation, factor): P times the sum of the factors times
    /// the rotated operands, modulo QP. Rotations are numbered through all operands.
    ///
    /// `residues(factor, i)` returns the residues of a factor modulo prime i.
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
        let rotated = |i| self.rotated_limbs(i, &converter, &operands);
        self.sums_of_products(basis, rotated, groups, residues)
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
        let (mut times_p, mut switched) = (limb(), [limb(), limb()]);
        let mut rotated = Vec::new();
        for Prepared { operand, digits, rotations } in operands {
            let mul_by_special = |poly: &Poly, out: &mut [u64]| {
                if poly.basis().contains(i) {
                    out.copy_from_slice(poly.limb(i));
                    self.kernels.mul_scalar(m, out, converter.product(i));
                } else {
                    out.fill(0);
                }
            };
            mul_by_special(operand.c0, times_p.limb_mut(i));
            for rotation in rotations {
                let mut out = [limb(), limb()];
                if let Some((key, permutation)) = rotation {
                    let [u0, u1] = switched.each_mut().map(|poly| poly.limb_mut(i));
                    let digits: Vec<&[u64]> = digits.iter().map(|digit| digit.limb(i)).collect();
                    self.multiply_key(i, [&mut *u0, &mut *u1], &digits, key);
                    self.kernels.add(m, u0, times_p.limb(i));
                    permutation.apply(self.kernels, out[0].limb_mut(i), u0);
                    permutation.apply(self.kernels, out[1].limb_mut(i), u1);
                } else {
                    out[0].limb_mut(i).copy_from_slice(times_p.limb(i));
                    mul_by_special(operand.c1, out[1].limb_mut(i));
                }
                rotated.push(out);
            }
        }
        rotated
    }
}

/// A checked operand, with the permutations of its rotations.
struct Prepared<'a> {
    operand: &'a Operand<'a>,
    digits: &'a [Poly],
    rotations: Vec<Option<PreparedRotation<'a>>>,
}

/// The key pairs of a rotation and the permutation that follows the key switch.
type PreparedRotation<'a> = (&'a [&'a (PackedPoly, PackedPoly)], Arc<SlotPermutation>);

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
        let factors: Vec<Poly> = (0..150).map(|_| random(basis)).collect();
        let mut packed = || ring.pack(&random(ring.basis()));
        let key: Vec<_> = (0..3).map(|_| (packed(), packed())).collect();
        let rotated: Vec<(Poly, Poly)> = [(0, None), (0, Some(5)), (0, Some(25)), (1, None)]
            .map(|(input, galois): (usize, Option<u64>)| {
                let (c0, c1): &(Poly, Poly) = &inputs[input];
                let Some(galois) = galois else {
                    let zero = || ring.zero(basis, Domain::Ntt);
                    let mut times_p = (zero(), zero());
                    ring.add_times_special_assign(&mut times_p.0, c0, special);
                    ring.add_times_special_assign(&mut times_p.1, c1, special);
                    return times_p;
                };
                let pairs: Vec<_> = key.iter().collect();
                let (mut u0, u1) = ring.gadget_product(basis, Digits::Raised(&digits), &pairs);
                ring.add_times_special_assign(&mut u0, c0, special);
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
        // Modulo every second prime, factors are made when needed.
        let packed: Vec<_> = factors.iter().map(|factor| ring.pack(factor)).collect();
        let with_factors = |group: &Vec<(usize, usize)>| -> Vec<(usize, (&Poly, &PackedPoly))> {
            group.iter().map(|&(rotation, k)| (rotation, (&factors[k], &packed[k]))).collect()
        };
        let groups: Vec<_> = groups.iter().map(with_factors).collect();
        let groups: Vec<_> = groups.iter().map(Vec::as_slice).collect();
        let sums = ring.hoisted_sums(basis, special, &operands, &groups, |&(made, packed), i| {
            if i % 2 == 0 {
                Residues::Stored(packed.limb(i))
            } else {
                Residues::Made(made.restricted(Basis::single(i)))
            }
        });
        assert!(sums == expected);
    }
}
