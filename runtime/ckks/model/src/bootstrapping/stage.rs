//! The factors of the homomorphic discrete Fourier transform: which diagonals each has.
//!
//! The map from coefficients to slots is, up to a bit reversal, a product of log2 n butterfly
//! matrices of spans 2, 4, …, n; that of span 2h has the generalised diagonals 0, h and −h. Merging
//! those of neighbouring spans trades levels for diagonals (Chen, Chillotti and Song, "Improved
//! Bootstrapping for Approximate Homomorphic Encryption", Eurocrypt 2019, §3).

/// The product of the butterflies of spans 2^(first + 1) to 2^(first + radix).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// log2 of the number of slots of the transform.
    pub log_slots: u32,
    /// log2 of the shortest distance of two slots that the stage combines.
    pub first: u32,
    /// Number of butterflies merged.
    pub radix: u32,
}

impl Stage {
    /// The stages of a transform with these radices, spans ascending: the order of SlotsToCoeffs.
    /// CoeffsToSlots undoes them in the opposite order.
    pub fn ascending(log_slots: u32, radices: &[u32]) -> Vec<Self> {
        let first = |i: usize| radices[..i].iter().sum();
        radices
            .iter()
            .enumerate()
            .map(|(i, &radix)| Self { log_slots, first: first(i), radix })
            .collect()
    }

    /// The diagonals repeat with this period, a divisor of the slot count.
    pub fn period(&self) -> usize {
        1 << (self.first + self.radix)
    }

    /// Whether it has the longest span, n, so that offsets ±h coincide modulo n.
    pub fn wraps(&self) -> bool {
        self.first + self.radix == self.log_slots
    }

    /// The offsets of the generalised diagonals, as (giant, baby) with giant + baby the offset, for
    /// a number of baby steps, zero among them. Giant steps are as few as possible.
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

    /// The share of a diagonal's entries that are not zero; each row has 2^radix of them in all.
    pub fn density(&self, offset: i64) -> f64 {
        let distance = (offset.unsigned_abs() >> self.first) as f64;
        if self.wraps() { 1.0 } else { 1.0 - distance / f64::from(1u32 << self.radix) }
    }

    /// Number of diagonals.
    pub fn diagonals(&self) -> usize {
        if self.wraps() { 1 << self.radix } else { (2 << self.radix) - 1 }
    }

    /// The number of baby steps. A giant step takes a little over twice as long as one of them, which are
    /// hoisted.
    pub fn baby_steps(&self) -> usize {
        let time = |&baby_steps: &usize| baby_steps + 2 * self.diagonals().div_ceil(baby_steps);
        // The fewest, as each has a key of its own.
        (1..=self.diagonals()).min_by_key(time).expect("a stage has diagonals")
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
