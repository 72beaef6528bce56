//! The gadget product of key switching: the inner product of the digits of a polynomial with a key.
//!
//! The meaning of digits and key (secrets, errors) is defined in `keys`.

use rayon::prelude::*;

use super::kernels::Packing;
use super::poly::LimbBlock;
use super::rns::{CrtDigits, TARGET_BLOCK};
use super::{Basis, Domain, PackedPoly, Poly, Ring};

/// Digits of a polynomial in the NTT domain, for a gadget product.
#[derive(Clone, Copy)]
pub enum Digits<'a> {
    /// A polynomial and the primes of each digit. The raised digits ([`Ring::mod_up`]) are computed
    /// for a few primes at a time.
    Of(&'a Poly, &'a [Basis]),
    /// Digits raised beforehand, for use with several keys (hoisting).
    Raised(&'a [Poly]),
}

impl Ring {
    /// The gadget product `(Σ digits[i]·key[i].0, Σ digits[i]·key[i].1)` in the NTT domain, on the
    /// given basis, reduced once at the end.
    ///
    /// Digits and key may have more primes than the basis, which are ignored.
    ///
    /// # Panics
    /// If there are no digits or more than there are key pairs, if domains or bases do not fit, or if a
    /// polynomial lacks primes of its digits.
    pub fn gadget_product(
        &self,
        basis: Basis,
        digits: Digits<'_>,
        key: &[&(PackedPoly, PackedPoly)],
    ) -> (Poly, Poly) {
        let digits = DigitSource::new(self, digits, basis);
        self.assert_key(key, digits.len(), basis);
        let (mut b, mut a) = (self.scratch(basis, Domain::Ntt), self.scratch(basis, Domain::Ntt));
        b.for_each_block_pair(&mut a, TARGET_BLOCK, |indices, mut b, mut a| {
            digits.inner_products(self, key, indices, (&mut b, &mut a), |_, _| ());
        });
        (b, a)
    }

    /// The inner product of digits with a key modulo one prime.
    pub(super) fn multiply_key(
        &self,
        i: usize,
        [b, a]: [&mut [u64]; 2],
        digits: &[&[u64]],
        key: &[&(PackedPoly, PackedPoly)],
    ) {
        let limbs = key.iter().map(|(b, a)| (b.limb(i).words, a.limb(i).words));
        let terms: Vec<_> = digits.iter().zip(limbs).map(|(&d, (b, a))| (d, b, a)).collect();
        let packing = Packing::Pairs(self.modulus(i).residue_bytes());
        self.kernels.inner_product(self.modulus(i), (b, a), 0, packing, &terms);
    }

    pub(super) fn assert_key(
        &self,
        key: &[&(PackedPoly, PackedPoly)],
        digits: usize,
        basis: Basis,
    ) {
        assert!(digits > 0, "there are no digits");
        assert!(digits <= key.len(), "{digits} digits, {} key pairs", key.len());
        for poly in key[..digits].iter().flat_map(|(b, a)| [b, a]) {
            self.assert_own_packed(poly);
            assert!(basis.is_subset(poly.basis()), "the key lacks primes of {basis:?}");
        }
    }
}

/// The digits of a gadget product, ready to be raised block by block.
pub(super) struct DigitSource<'a> {
    digits: Digits<'a>,
    /// CRT digits of each digit that is not raised yet.
    terms: Vec<CrtDigits>,
}

impl<'a> DigitSource<'a> {
    /// Prepares digits for blocks of primes within `basis`.
    pub(super) fn new(ring: &Ring, digits: Digits<'a>, basis: Basis) -> Self {
        let terms = match digits {
            Digits::Of(poly, digits) => {
                ring.assert_domain(poly, Domain::Ntt);
                digits.par_iter().map(|&digit| CrtDigits::new(ring, poly, digit)).collect()
            }
            Digits::Raised(digits) => {
                for digit in digits {
                    ring.assert_domain(digit, Domain::Ntt);
                    assert!(basis.is_subset(digit.basis()), "a digit lacks primes of {basis:?}");
                }
                Vec::new()
            }
        };
        Self { digits, terms }
    }

    /// Number of digits.
    pub(super) fn len(&self) -> usize {
        match self.digits {
            Digits::Of(_, digits) => digits.len(),
            Digits::Raised(digits) => digits.len(),
        }
    }

    /// The inner products with a key modulo the primes of a block. `then` receives the products of
    /// each prime while they are in cache.
    pub(super) fn inner_products(
        &self,
        ring: &Ring,
        key: &[&(PackedPoly, PackedPoly)],
        indices: &[usize],
        (b, a): (&mut LimbBlock<'_>, &mut LimbBlock<'_>),
        then: impl Fn(usize, [&mut [u64]; 2]),
    ) {
        let raise = |terms: &CrtDigits| terms.modulo(ring, indices);
        let mut raised: Vec<Poly> = self.terms.iter().map(raise).collect();
        for ((&i, b), a) in indices.iter().zip(b.iter_mut()).zip(a.iter_mut()) {
            let digits: Vec<&[u64]> = match self.digits {
                Digits::Raised(digits) => digits.iter().map(|digit| digit.limb(i)).collect(),
                Digits::Of(poly, digits) => {
                    let transformed = raised.iter_mut().zip(digits).map(|(raised, digit)| {
                        if digit.contains(i) {
                            return poly.limb(i);
                        }
                        let limb = raised.limb_mut(i);
                        ring.primes[i].ntt.forward_lazy(limb);
                        &*limb
                    });
                    transformed.collect()
                }
            };
            ring.multiply_key(i, [&mut *b, &mut *a], &digits, key);
            then(i, [b, a]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;

    #[test]
    fn it_is_the_sum_of_products() {
        let ring = ring(6, &[50, 50, 30, 20]);
        let basis = Basis::from_indices([0, 2, 3]);
        let mut rng = rng(7);
        let mut random = |basis| random_poly(&ring, basis, Domain::Ntt, &mut rng);
        let digits: Vec<Poly> = (0..9).map(|_| random(basis)).collect();
        let key: Vec<_> = (0..10).map(|_| (random(ring.basis()), random(ring.basis()))).collect();
        let mut expected = (ring.zero(basis, Domain::Ntt), ring.zero(basis, Domain::Ntt));
        for (digit, (b, a)) in digits.iter().zip(&key) {
            ring.mul_add_assign(&mut expected.0, digit, b);
            ring.mul_add_assign(&mut expected.1, digit, a);
        }
        let key: Vec<_> = key.iter().map(|(b, a)| (ring.pack(b), ring.pack(a))).collect();
        let key: Vec<_> = key.iter().collect();
        assert_eq!(ring.gadget_product(basis, Digits::Raised(&digits), &key), expected);
    }

    #[test]
    fn digits_need_not_be_raised_before() {
        let ring = ring(7, &[45; 11]);
        let poly_basis = Basis::from_indices(0..8);
        // Uneven digits, not all primes covered, special primes 8 to 10, one prime left away.
        let digits = [vec![0, 1, 2], vec![3, 5], vec![6]].map(Basis::from_indices);
        let target = ring.basis().difference(Basis::single(7));
        let mut rng = rng(8);
        let mut random = |basis| random_poly(&ring, basis, Domain::Ntt, &mut rng);
        let poly = random(poly_basis);
        let mut packed = |basis| ring.pack(&random(basis));
        let key: Vec<_> = (0..3).map(|_| (packed(ring.basis()), packed(target))).collect();
        let key: Vec<_> = key.iter().collect();
        let raised = digits.map(|digit| ring.mod_up(&poly, digit, target));
        let expected = ring.gadget_product(target, Digits::Raised(&raised), &key);
        assert_eq!(ring.gadget_product(target, Digits::Of(&poly, &digits), &key), expected);
    }
}
