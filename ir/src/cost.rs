//! What operations cost on a machine: the work that `pic_ckks_model` counts, priced by constants
//! that `pic bench` measures.

use pic_ckks_model::work::{Counter, Hoisting, Prices, TransformSteps, Work};
use serde::{Deserialize, Serialize};

use crate::transform::Steps;

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

/// The work of a linear node whose operands are at `level`, with `outputs` ciphertexts and `folds`
/// rotations of each afterwards. Plaintexts are held in transformed form, for the [`hoisting`] that is
/// cheaper.
pub fn linear(
    counter: &Counter,
    steps: &Steps,
    outputs: usize,
    folds: usize,
    level: usize,
) -> Work {
    let transform = transform_steps(steps, outputs);
    counter.linear(&transform, level, counter.hoisting(&transform, level))
        + counter.key_switch(level.saturating_sub(1)) * (outputs * folds)
}

/// The hoisting of a linear node whose operands are at `level`, with `outputs` ciphertexts.
pub fn hoisting(counter: &Counter, steps: &Steps, outputs: usize, level: usize) -> Hoisting {
    counter.hoisting(&transform_steps(steps, outputs), level)
}

fn transform_steps(steps: &Steps, outputs: usize) -> TransformSteps {
    TransformSteps {
        inputs: steps.rotated_inputs,
        outputs,
        babies: steps.babies.len(),
        giants: steps.giants.len(),
        products: steps.products,
        read: steps.products,
    }
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
        let steps = Steps {
            step: 4,
            products: 6,
            rotated_inputs: 1,
            babies: [(0, 1), (0, 2)].into(),
            giants: [(0, 4)].into(),
        };
        let model = CostModel::default();
        let seconds = |folds| model.seconds(linear(&counter, &steps, 2, folds, 2));
        let rotation = model.seconds(counter.key_switch(1));
        assert!(seconds(0) > 0.0);
        assert!((seconds(3) - seconds(0) - 6.0 * rotation).abs() < 1e-9 * rotation);
    }
}
