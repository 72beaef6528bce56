//! Packed polynomials, for factors that are used many times: each residue takes as few whole bytes
//! as its prime allows.
//!
//! Keys and diagonals are read from memory at every use and take most of it. This file has their
//! storage only; products with packed polynomials are [`Ring::gadget_product`],
//! [`Ring::switch_key`], [`Ring::hoisted_sums`] and [`Ring::sums_of_products`].

use std::io::{self, Write};
use std::sync::Arc;

use pic_ckks_model::primes::MIN_RESIDUE_BYTES;
#[cfg(doc)]
use pic_ckks_model::primes::residue_bytes;

use super::kernels::{Form, pack};
use super::pool::{Limbs, Pool};
use super::{Basis, Domain, Poly, Ring};

/// A polynomial in the NTT domain, of the ring or of one of its [subrings](Ring::subring) (polynomials in a power of
/// X, of smaller degree). A residue modulo a prime takes [`residue_bytes`] bytes.
pub struct PackedPoly {
    /// A limb for each prime of the basis, ascending.
    limbs: Vec<Limbs>,
    basis: Basis,
    degree: usize,
}

/// The packed residues of a polynomial modulo one prime.
#[derive(Clone, Copy)]
pub struct PackedLimb<'a> {
    pub(super) words: &'a [u64],
    /// Bytes of each residue.
    pub(super) bytes: usize,
}

impl PackedPoly {
    /// The set of primes for which the polynomial has limbs.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.limbs.iter().map(|limb| size_of_val(&*limb[0])).sum()
    }

    /// The packed residues modulo the prime with this index.
    ///
    /// # Panics
    /// If the basis does not contain the index.
    pub fn limb(&self, index: usize) -> PackedLimb<'_> {
        assert!(self.basis.contains(index), "no limb {index} in basis {:?}", self.basis);
        let words = &*self.limbs[self.basis.position(index)][0];
        PackedLimb { words, bytes: words.len() * 8 / self.degree }
    }

    /// Writes the polynomial in the format of [`Poly::write_to`], unpacking one limb at a time.
    ///
    /// # Errors
    /// The errors of `writer`.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(8 * self.degree);
        for i in self.basis.iter() {
            bytes.clear();
            bytes.extend(self.limb(i).residues().flat_map(u64::to_le_bytes));
            writer.write_all(&bytes)?;
        }
        Ok(())
    }
}

impl<'a> PackedLimb<'a> {
    /// Number of residues.
    pub(super) fn len(self) -> usize {
        self.words.len() * 8 / self.bytes
    }

    fn residues(self) -> impl Iterator<Item = u64> + 'a {
        let form = Form { bytes: self.bytes, log_run: 0 };
        (0..self.len()).map(move |position| form.residue(self.words, position))
    }
}

impl Ring {
    /// Packs a polynomial.
    ///
    /// # Panics
    /// If the polynomial is not in the NTT domain.
    pub fn pack(&self, poly: &Poly) -> PackedPoly {
        self.assert_domain(poly, Domain::Ntt);
        let pack = |(i, residues): (usize, &[u64])| {
            let mut limb = self.packed_pool(i).take(1);
            pack(&mut limb[0], residues, self.modulus(i).residue_bytes());
            limb
        };
        let limbs = poly.limbs().map(pack).collect();
        PackedPoly { limbs, basis: poly.basis(), degree: self.degree() }
    }

    pub(super) fn assert_own_packed(&self, poly: &PackedPoly) {
        let is_own = |(i, limb): (usize, &Limbs)| Arc::ptr_eq(limb.pool(), self.packed_pool(i));
        let mut limbs = poly.basis.iter().zip(&poly.limbs);
        assert!(limbs.all(is_own), "the polynomial belongs to another ring");
    }

    /// The pool of packed limbs modulo the prime with this index.
    fn packed_pool(&self, index: usize) -> &Arc<Pool> {
        &self.packed_pools[self.modulus(index).residue_bytes() - MIN_RESIDUE_BYTES]
    }
}

impl Clone for PackedPoly {
    fn clone(&self) -> Self {
        let copy = |limb: &Limbs| {
            let mut copy = limb.pool().take(1);
            copy[0].copy_from_slice(&limb[0]);
            copy
        };
        let limbs = self.limbs.iter().map(copy).collect();
        Self { limbs, ..*self }
    }
}

impl std::fmt::Debug for PackedPoly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedPoly")
            .field("degree", &self.degree)
            .field("basis", &self.basis)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn residues_come_back(log_n in 4u32..=12, bits in 20u32..=50, seed: u64) {
            let ring = ring(log_n, &[50, bits, 30]);
            let poly = random_poly(&ring, Basis::from_indices([1, 2]), Domain::Ntt, &mut rng(seed));
            let packed = ring.pack(&poly);
            for copy in [&packed, &packed.clone()] {
                ring.assert_own_packed(copy);
                for (i, residues) in poly.limbs() {
                    prop_assert!(copy.limb(i).residues().eq(residues.iter().copied()));
                }
                let (mut expected, mut written) = (Vec::new(), Vec::new());
                poly.write_to(&mut expected).unwrap();
                copy.write_to(&mut written).unwrap();
                prop_assert_eq!(written, expected);
            }
            // The prime may have more bits than asked for, where there is none.
            let whole_bytes = (1..=8).find(|k| ring.modulus(1).value() < 1 << (8 * k)).unwrap();
            prop_assert_eq!(packed.bytes(), ring.degree() * (whole_bytes.max(4) + 4));
        }
    }

    #[test]
    #[should_panic(expected = "another ring")]
    fn rings_are_checked() {
        let (one, two) = (ring(4, &[30]), ring(4, &[31]));
        one.assert_own_packed(&two.pack(&two.zero(two.basis(), Domain::Ntt)));
    }
}
