//! The inner product of a decomposed polynomial with a key: the heart of key switching.
//!
//! What the digits and the key mean is the business of the scheme.

use super::{Domain, Poly, Ring};

impl Ring {
    /// `(Σ digits[i]·key[i].0, Σ digits[i]·key[i].1)` in the NTT domain, on the basis of the digits,
    /// reduced once at the end.
    ///
    /// Key polynomials may have more primes than the digits; they are ignored.
    ///
    /// # Panics
    /// If there are no digits or more than there are key pairs, or if domains or bases do not fit.
    pub fn inner_product(&self, digits: &[Poly], key: &[(Poly, Poly)]) -> (Poly, Poly) {
        assert!(!digits.is_empty(), "there are no digits");
        assert!(digits.len() <= key.len(), "{} digits, {} key pairs", digits.len(), key.len());
        let basis = digits[0].basis();
        for (digit, (b, a)) in digits.iter().zip(key) {
            assert_eq!(digit.basis(), basis, "the digits have different bases");
            for poly in [digit, b, a] {
                self.assert_own(poly);
                assert_eq!(poly.domain(), Domain::Ntt, "inner products are taken in NTT domain");
                assert!(basis.is_subset(poly.basis()), "the key lacks primes of the digits");
            }
        }
        let (mut out0, mut out1) =
            (self.scratch(basis, Domain::Ntt), self.scratch(basis, Domain::Ntt));
        out0.for_each_limb_pair(&mut out1, |i, out0, out1| {
            let pairs = digits.iter().zip(key);
            let terms: Vec<_> =
                pairs.map(|(digit, (b, a))| (digit.limb(i), b.limb(i), a.limb(i))).collect();
            self.kernels.inner_product(self.modulus(i), (out0, out1), &terms);
        });
        (out0, out1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;
    use crate::ring::Basis;

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
        assert_eq!(ring.inner_product(&digits, &key), expected);
    }
}
