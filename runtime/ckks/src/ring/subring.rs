//! Subrings: polynomials in a power of X as polynomials of a smaller degree.
//!
//! In bit-reversed order, position i of a transform holds the value at ψ^(2·brv(i) + 1). A polynomial in
//! X^g, g = 2^k, takes its value from the g-th power of that, which depends on the low bits of brv(i)
//! only, that is on the position but for its k low bits: each value comes in a run of g equal ones. As
//! ψ^g is the root of the ring of degree N/g, its transform there gives one value of each run.

use std::sync::Arc;

use super::Ring;

impl Ring {
    /// The longest run of equal residues that can be stored as one: N divided by the smallest
    /// degree.
    pub fn longest_run(&self) -> usize {
        self.degree() >> Self::MIN_LOG_DEGREE
    }

    /// The ring of degree N/`run` of the polynomials in X^run over the same primes. In the NTT
    /// domain, each of its residues stands for a run of `run` equal ones.
    ///
    /// # Panics
    /// If the run is not a power of two up to [`Ring::longest_run`].
    pub fn subring(&self, run: usize) -> Arc<Self> {
        assert!(run.is_power_of_two() && run <= self.longest_run(), "there are no runs of {run}");
        self.subrings.get_or_compute(run, || {
            let primes: Vec<u64> = self.primes.iter().map(|p| p.modulus.value()).collect();
            let ring = Self::with_kernels(self.log_n - run.ilog2(), &primes, self.kernels());
            ring.expect("the primes of a ring serve all smaller degrees")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Domain;
    use super::super::test_support::{random_poly, ring, rng};

    #[test]
    fn residues_stand_for_runs() {
        let ring = ring(9, &[50, 40, 20]);
        for run in [1, 2, 4, 8, 16, 32] {
            let subring = ring.subring(run);
            let short = random_poly(&subring, ring.basis(), Domain::Coefficient, &mut rng(3));
            let mut long = ring.zero(ring.basis(), Domain::Coefficient);
            for (i, limb) in long.limbs_mut() {
                for (to, &c) in limb.iter_mut().step_by(run).zip(short.limb(i)) {
                    *to = c;
                }
            }
            ring.ntt(&mut long);
            let mut short = short;
            subring.ntt(&mut short);
            for (i, limb) in long.limbs() {
                let runs = short.limb(i).iter().flat_map(|&r| std::iter::repeat_n(r, run));
                assert!(runs.eq(limb.iter().copied()));
            }
        }
        assert_eq!(ring.longest_run(), 32);
    }
}
