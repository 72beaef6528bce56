//! Polynomials in a power of X: in the NTT domain each residue comes in a run of equal ones, of which
//! one is stored.
//!
//! In bit-reversed order, position i holds the value at ψ^(2·brv(i) + 1). A polynomial in X^g, g = 2^k,
//! takes its value from the g-th power of that, which depends on the low bits of brv(i) only, that is on
//! the position but for its k low bits.

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

    /// The residues modulo a prime of the basis, one for each run.
    ///
    /// # Panics
    /// If the basis does not contain the index.
    pub fn limb(&self, index: usize) -> &[u64] {
        assert!(self.basis.contains(index), "no limb {index} in basis {:?}", self.basis);
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
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;

    #[test]
    fn every_residue_is_that_of_its_run() {
        let ring = ring(9, &[50, 40]);
        for run in [32, 128, 512] {
            let mut poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(3));
            for (_, limb) in poly.limbs_mut() {
                // A polynomial in X^run.
                let keep = |(j, c): (usize, &mut u64)| *c *= u64::from(j % run == 0);
                limb.iter_mut().enumerate().for_each(keep);
            }
            ring.ntt(&mut poly);
            let repeated = ring.compress(&poly, run);
            assert_eq!(repeated.bytes(), 8 * 2 * 512 / run);
            for (i, limb) in poly.limbs() {
                let expanded = repeated.limb(i).iter().flat_map(|&r| std::iter::repeat_n(r, run));
                assert!(expanded.eq(limb.iter().copied()));
            }
        }
        assert!(!ring.compresses(16));
    }

    #[test]
    #[should_panic(expected = "not in X^32")]
    fn other_polynomials_are_refused() {
        let ring = ring(9, &[50]);
        let poly = random_poly(&ring, ring.basis(), Domain::Ntt, &mut rng(3));
        ring.compress(&poly, 32);
    }
}
