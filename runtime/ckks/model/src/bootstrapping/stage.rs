//! Stages: the factors of the homomorphic discrete Fourier transform, by the offsets of their
//! diagonals.
//!
//! The map from coefficients to slots is, up to a bit reversal, a product of log2 n butterfly
//! matrices of spans 2, 4, …, n; that of span 2h has the generalised diagonals 0, h and −h. Merging
//! those of neighbouring spans trades levels for diagonals (Chen, Chillotti and Song, "Improved
//! Bootstrapping for Approximate Homomorphic Encryption", Eurocrypt 2019, §3).

/// One stage: the product of the butterfly matrices of spans 2^(first + 1) to 2^(first + radix).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// log2 of the number of slots of the transform.
    pub log_slots: u32,
    /// log2 of the shortest distance of two slots that the stage combines.
    pub first: u32,
    /// log2 of the radix: the number of butterflies merged.
    pub radix: u32,
}

impl Stage {
    /// The stages of a transform on 2^`log_slots` slots, by ascending spans, the order of SlotsToCoeffs. `radices[i]` is
    /// log2 of the radix of stage i, that is the number of butterflies merged in it; together they are `log_slots`.
    /// CoeffsToSlots applies the inverses in the opposite order.
    pub fn ascending(log_slots: u32, radices: &[u32]) -> Vec<Self> {
        let first = |i: usize| radices[..i].iter().sum();
        radices
            .iter()
            .enumerate()
            .map(|(i, &radix)| Self { log_slots, first: first(i), radix })
            .collect()
    }

    /// Period with which the diagonals repeat, in slots; a divisor of the slot count.
    pub fn period(&self) -> usize {
        1 << (self.first + self.radix)
    }

    /// Returns whether the stage has the longest span n, so that the offsets h and −h coincide
    /// modulo n.
    pub fn wraps(&self) -> bool {
        self.first + self.radix == self.log_slots
    }

    /// The offsets of the generalised diagonals as pairs (giant step, baby step) whose sum is the
    /// offset, for a given number of baby steps, zero included, and the fewest giant steps.
    pub fn terms(&self, baby_steps: usize) -> impl Iterator<Item = (i64, i64)> {
        let (radix, step, baby_steps) = (1i64 << self.radix, 1i64 << self.first, baby_steps as i64);
        let lowest = if self.wraps() { 0 } else { 1 - radix };
        // The lowest offset takes the lowest baby step.
        let lowest_baby = -(-lowest).rem_euclid(baby_steps);
        (lowest..radix).map(move |j| {
            let baby = (j - lowest).rem_euclid(baby_steps) + lowest_baby;
            ((j - baby) * step, baby * step)
        })
    }

    /// Fraction of nonzero entries of the diagonal at `offset`; each row of the matrix has 2^radix
    /// nonzero entries in all.
    pub fn density(&self, offset: i64) -> f64 {
        let distance = (offset.unsigned_abs() >> self.first) as f64;
        if self.wraps() { 1.0 } else { 1.0 - distance / f64::from(1u32 << self.radix) }
    }

    /// Number of generalised diagonals.
    pub fn diagonals(&self) -> usize {
        if self.wraps() { 1 << self.radix } else { (2 << self.radix) - 1 }
    }

    /// Number of baby steps of least time, zero included. A giant step is taken to cost twice a
    /// baby step, because baby steps share their decomposition (hoisting).
    pub fn baby_steps(&self) -> usize {
        let time = |&baby_steps: &usize| baby_steps + 2 * self.diagonals().div_ceil(baby_steps);
        // The fewest, as each has a key of its own.
        (1..=self.diagonals()).min_by_key(time).expect("stages have at least one diagonal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn terms_are_the_diagonals_of_the_merged_butterflies() {
        for (log_slots, radices) in [(9, vec![3, 3, 3]), (7, vec![2, 5]), (4, vec![1, 1, 1, 1])] {
            for stage in Stage::ascending(log_slots, &radices) {
                let slots = 1i64 << log_slots;
                let mut offsets = BTreeSet::from([0i64]);
                for k in stage.first..stage.first + stage.radix {
                    let combine =
                        |o: &i64| [0, 1 << k, -(1 << k)].map(|h| (o + h).rem_euclid(slots));
                    offsets = offsets.iter().flat_map(combine).collect();
                }
                for baby_steps in [1, 2, 5, 8, 9, stage.baby_steps()] {
                    let found: Vec<i64> =
                        stage.terms(baby_steps).map(|(g, b)| (g + b).rem_euclid(slots)).collect();
                    assert_eq!(found.len(), stage.diagonals());
                    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), offsets);
                    let (giant_steps, steps): (BTreeSet<_>, BTreeSet<_>) =
                        stage.terms(baby_steps).unzip();
                    assert_eq!(steps.len(), baby_steps.min(stage.diagonals()));
                    assert_eq!(giant_steps.len(), stage.diagonals().div_ceil(baby_steps));
                    assert!(giant_steps.contains(&0));
                }
            }
        }
    }
}
