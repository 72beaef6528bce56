//! Polynomials in a power of X: in the NTT domain each residue comes in a run of equal ones, of which
//! one is stored.
//!
//! In bit-reversed order, position i holds the value at ψ^(2·brv(i) + 1). A polynomial in X^g, g = 2^k,
//! takes its value from the g-th power of that, which depends on the low bits of brv(i) only, that is on
//! the position but for its k low bits.

use std::borrow::Borrow;

use super::kernels::Kernels;
use super::{Basis, Domain, Poly, Ring};

/// A polynomial in X^run in the NTT domain, with one residue for each run of equal ones.
#[derive(Debug, Clone)]
pub struct RepeatedPoly {
    /// One residue for each run, limb by limb.
    residues: Box<[u64]>,
    basis: Basis,
}

impl RepeatedPoly {
    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.residues)
    }

    /// The residues modulo a prime of the basis.
    fn limb(&self, index: usize) -> &[u64] {
        let runs = self.residues.len() / self.basis.len();
        &self.residues[self.basis.position(index) * runs..][..runs]
    }
}

impl Ring {
    /// Whether runs of this length can be made use of: powers of two from 32.
    pub fn compresses(&self, run: usize) -> bool {
        run >= Kernels::MIN_RUN && run.is_power_of_two() && run <= self.degree()
    }

    /// The same polynomial without the repetitions.
    ///
    /// # Panics
    /// If the polynomial is not in the NTT domain, if its residues do not repeat, or if the runs are
    /// too short.
    pub fn compress(&self, poly: &Poly, run: usize) -> RepeatedPoly {
        assert!(self.compresses(run), "runs of {run} are not worth storing");
        self.assert_domain(poly, Domain::Ntt);
        let first = |residues: &[u64]| {
            let repeats = residues.iter().all(|&residue| residue == residues[0]);
            assert!(repeats, "the polynomial is not in X^{run}");
            residues[0]
        };
        let runs = poly.limbs().flat_map(|(_, limb)| limb.chunks_exact(run));
        RepeatedPoly { residues: runs.map(first).collect(), basis: poly.basis() }
    }

    /// [`Ring::inner_product`] with digits whose residues come in runs.
    ///
    /// # Panics
    /// If there are no digits or not as many as key pairs, or if domains or bases do not fit.
    pub fn repeated_inner_product<K: Borrow<(Poly, Poly)> + Sync>(
        &self,
        basis: Basis,
        digits: &[&RepeatedPoly],
        key: &[K],
    ) -> (Poly, Poly) {
        assert_eq!(digits.len(), key.len(), "as many digits as key pairs are needed");
        self.assert_key(key, key.len(), basis);
        for digit in digits {
            assert!(basis.is_subset(digit.basis), "a digit lacks primes of {basis:?}");
        }
        let (mut b, mut a) = (self.scratch(basis, Domain::Ntt), self.scratch(basis, Domain::Ntt));
        b.for_each_block_pair(&mut a, 1, |indices, mut b, mut a| {
            let i = indices[0];
            let pairs = key.iter().map(Borrow::borrow).map(|(b, a)| (b.limb(i), a.limb(i)));
            let terms: Vec<_> =
                digits.iter().zip(pairs).map(|(digit, (b, a))| (digit.limb(i), b, a)).collect();
            let out = (b.limb_mut(0), a.limb_mut(0));
            self.kernels.repeated_inner_product(self.modulus(i), out, &terms);
        });
        (b, a)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;

    #[test]
    fn products_with_repeated_polynomials_are_products() {
        let ring = ring(9, &[50, 40, 45]);
        let mut rng = rng(3);
        for run in [32, 128, 512] {
            let digits: Vec<Poly> = (0..5)
                .map(|_| {
                    // A polynomial in X^run.
                    let mut poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng);
                    for (_, limb) in poly.limbs_mut() {
                        let zero = |(j, c): (usize, &mut u64)| *c *= u64::from(j % run == 0);
                        limb.iter_mut().enumerate().for_each(zero);
                    }
                    ring.ntt(&mut poly);
                    poly
                })
                .collect();
            let basis = Basis::from_indices([0, 2]);
            let key: Vec<_> = (0..5)
                .map(|_| [0; 2].map(|_| random_poly(&ring, basis, Domain::Ntt, &mut rng)).into())
                .collect::<Vec<(Poly, Poly)>>();
            let repeated: Vec<_> = digits.iter().map(|d| ring.compress(d, run)).collect();
            assert_eq!(repeated[0].bytes(), 8 * 3 * 512 / run);
            let repeated: Vec<_> = repeated.iter().collect();
            assert_eq!(
                ring.repeated_inner_product(basis, &repeated, &key),
                ring.inner_product(basis, &digits, &key)
            );
        }
    }
}
