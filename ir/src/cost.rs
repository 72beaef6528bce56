//! What operations cost on a machine: the work that `pic_ckks_model` counts, priced by constants
//! that `pic bench` measures.

use pic_ckks_model::work::{Counter, Prices, TransformSteps, Work};
use serde::{Deserialize, Serialize};

/// How fast a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// What one thread takes.
    #[serde(flatten)]
    pub prices: Prices,
    /// Threads of the machine measured.
    pub threads: usize,
    /// How many times faster all of these threads are than one.
    pub speedup: f64,
}

impl Default for CostModel {
    /// Of two cores with AVX-512-IFMA.
    fn default() -> Self {
        Self { prices: Prices::default(), threads: 2, speedup: 1.4 }
    }
}

impl CostModel {
    /// Wall-clock seconds of some work on all threads.
    pub fn seconds(&self, work: Work) -> f64 {
        self.prices.seconds(work) / self.speedup
    }
}

/// The work of a linear node whose operands are at `level`, each output of which is summed by `folds`
/// rotations afterwards. Plaintexts are held in transformed form, for the hoisting that is cheaper.
pub fn linear(counter: &Counter, steps: &TransformSteps, folds: usize, level: usize) -> Work {
    counter.linear(steps, level, counter.hoisting(steps, level))
        + counter.key_switch(level.saturating_sub(1)) * (steps.outputs * folds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::{Parameters, SecurityLevel};

    #[test]
    fn folds_are_rotations_of_the_outputs() {
        let p = Parameters::from_bits(13, &[50.0, 40.0, 40.0], &[50.0], 3, SecurityLevel::Insecure);
        let p = p.unwrap();
        let counter = Counter::new(&p, 0..0);
        let steps = TransformSteps {
            inputs: 1,
            outputs: 2,
            babies: 2,
            giants: 1,
            products: 6,
            paired: 0,
            period: 64,
        };
        let model = CostModel::default();
        let seconds = |folds| model.seconds(linear(&counter, &steps, folds, 2));
        let rotation = model.seconds(counter.key_switch(1));
        assert!(seconds(0) > 0.0);
        assert!((seconds(3) - seconds(0) - 6.0 * rotation).abs() < 1e-9 * rotation);
    }
}
