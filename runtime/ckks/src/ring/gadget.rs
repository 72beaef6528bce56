//! The inner product of a decomposed polynomial with a key: the heart of key switching.
//!
//! What the digits and the key mean is the business of the scheme.

use std::borrow::Borrow;

use rayon::prelude::*;

use super::rns::{TARGET_BLOCK, Terms};
use super::{Basis, Domain, Poly, Ring};

impl Ring {
    /// `(Σ digits[i]·key[i].0, Σ digits[i]·key[i].1)` in the NTT domain, on the given basis, reduced once
    /// at the end.
    ///
    /// All may have more primes than the basis; they are ignored. For digits that serve several keys
    /// (hoisting); for one key, [`Ring::gadget_product`] is faster.
    ///
    /// # Panics
    /// If there are no digits or more than there are key pairs, or if domains or bases do not fit.
    pub fn inner_product<D, K>(&self, basis: Basis, digits: &[D], key: &[K]) -> (Poly, Poly)
    where
        D: Borrow<Poly> + Sync,
        K: Borrow<(Poly, Poly)> + Sync,
    {
        assert!(!digits.is_empty(), "there are no digits");
        for digit in digits.iter().map(Borrow::borrow) {
            assert!(basis.is_subset(digit.basis()), "a digit lacks primes of {basis:?}");
            self.assert_domain(digit, Domain::Ntt);
        }
        self.assert_key(key, digits.len(), basis);
        let (mut b, mut a) = (self.scratch(basis, Domain::Ntt), self.scratch(basis, Domain::Ntt));
        b.for_each_block_pair(&mut a, 1, |indices, mut b, mut a| {
            let limbs = digits.iter().map(|digit| digit.borrow().limb(indices[0]));
            self.limb_inner_product(indices[0], limbs, key, (b.limb_mut(0), a.limb_mut(0)));
        });
        (b, a)
    }

    /// The [`Ring::inner_product`] of the digits of `poly`, raised to `target` with
    /// [`Ring::mod_up`], without keeping the raised digits: a key switch but for the final ModDown.
    ///
    /// # Panics
    /// If `poly` is not in the NTT domain, if it lacks primes of a digit, if there are no digits or
    /// more than there are key pairs, or if the key lacks primes of the target.
    pub fn gadget_product<K: Borrow<(Poly, Poly)> + Sync>(
        &self,
        poly: &Poly,
        digits: &[Basis],
        target: Basis,
        key: &[K],
    ) -> (Poly, Poly) {
        self.assert_domain(poly, Domain::Ntt);
        self.assert_key(key, digits.len(), target);
        let converters: Vec<_> = digits.iter().map(|&digit| self.converter(digit)).collect();
        let terms: Vec<_> = converters.par_iter().map(|c| Terms::new(self, poly, c)).collect();
        let (mut b, mut a) = (self.scratch(target, Domain::Ntt), self.scratch(target, Domain::Ntt));
        b.for_each_block_pair(&mut a, TARGET_BLOCK, |indices, mut b, mut a| {
            let here = Basis::from_indices(indices.iter().copied());
            let raise = |(terms, &digit): (&Terms, &Basis)| {
                let mut raised = self.scratch(here.difference(digit), Domain::Coefficient);
                terms.recombine(self, &mut raised.limbs_mut().collect::<Vec<_>>());
                raised
            };
            let mut raised: Vec<Poly> = terms.iter().zip(digits).map(raise).collect();
            for ((&i, b), a) in indices.iter().zip(b.iter_mut()).zip(a.iter_mut()) {
                let limbs = raised.iter_mut().zip(digits).map(|(raised, digit)| {
                    if digit.contains(i) {
                        return poly.limb(i);
                    }
                    let limb = raised.limb_mut(i);
                    self.primes[i].ntt.forward_lazy(limb);
                    &*limb
                });
                self.limb_inner_product(i, limbs, key, (b, a));
            }
        });
        (b, a)
    }

    fn limb_inner_product<'a, K: Borrow<(Poly, Poly)>>(
        &self,
        i: usize,
        digits: impl Iterator<Item = &'a [u64]>,
        key: &'a [K],
        out: (&mut [u64], &mut [u64]),
    ) {
        let pairs = key.iter().map(Borrow::borrow).map(|(b, a)| (b.limb(i), a.limb(i)));
        let terms: Vec<_> = digits.zip(pairs).map(|(digit, (b, a))| (digit, b, a)).collect();
        self.kernels.inner_product(self.modulus(i), out, &terms);
    }

    pub(super) fn assert_key<K: Borrow<(Poly, Poly)>>(
        &self,
        key: &[K],
        digits: usize,
        basis: Basis,
    ) {
        assert!(digits > 0, "there are no digits");
        assert!(digits <= key.len(), "{digits} digits, {} key pairs", key.len());
        for poly in key[..digits].iter().map(Borrow::borrow).flat_map(|(b, a)| [b, a]) {
            self.assert_domain(poly, Domain::Ntt);
            assert!(basis.is_subset(poly.basis()), "the key lacks primes of {basis:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;

    #[test]
    fn inner_product_is_the_sum_of_products() {
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
        assert_eq!(ring.inner_product(basis, &digits, &key), expected);
    }

    #[test]
    fn gadget_product_is_the_inner_product_of_raised_digits() {
        let ring = ring(7, &[45; 11]);
        let poly_basis = Basis::from_indices(0..8);
        // Uneven digits, not all primes covered, special primes 8 to 10, one prime left away.
        let digits = [vec![0, 1, 2], vec![3, 5], vec![6]].map(Basis::from_indices);
        let target = ring.basis().difference(Basis::single(7));
        let mut rng = rng(8);
        let mut random = |basis| random_poly(&ring, basis, Domain::Ntt, &mut rng);
        let poly = random(poly_basis);
        let key: Vec<_> = (0..3).map(|_| (random(ring.basis()), random(target))).collect();
        let raised = digits.map(|digit| ring.mod_up(&poly, digit, target));
        let expected = ring.inner_product(target, &raised, &key);
        assert_eq!(ring.gadget_product(&poly, &digits, target, &key), expected);
    }
}
