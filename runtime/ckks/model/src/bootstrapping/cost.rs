//! Cost of a bootstrapping plan: elementary operations per target level, evaluation keys, bytes of
//! matrices.

use std::collections::BTreeSet;

use super::{BootstrappingPlan, Stage, StageStep};
use crate::KeyRequest;
use crate::chebyshev::ChebyshevPlan;
use crate::giant_steps::GiantSteps;
use crate::op_counts::{Hoisting, OpCounter, OpCounts, TransformSteps};

impl BootstrappingPlan {
    /// Elementary operations of one bootstrap to `target` application levels.
    pub fn cost(&self, target: usize) -> OpCounts {
        self.cost_with(&self.eval_mod().exponential(), target)
    }

    /// [`BootstrappingPlan::cost`], given the evaluation plan of EvalMod's polynomial, which is
    /// slow to compute.
    pub(super) fn cost_with(&self, exponential: &ChebyshevPlan, target: usize) -> OpCounts {
        let parameters = self.parameters();
        let counter = OpCounter::new(parameters, self.omitted(target));
        let (top, eval_mod) = (parameters.max_level(), self.eval_mod_level());
        let all = counter.primes(top);
        let transforms = |steps: Vec<StageStep>| -> OpCounts {
            steps.iter().map(|step| linear(&counter, step)).sum()
        };
        // Each switch raises c1, multiplies by a pair of one digit and divides by one special prime;
        // c0 is raised once.
        let switch = |primes: usize| {
            counter.limbs(1 + primes, 2 * primes + 2, primes + 1) + counter.divide(1, primes) * 2
        };
        let raise = switch(1) + counter.limbs(all, 0, all) + switch(all);
        let trace = counter.key_switch(top) * self.trace_rotations();
        let polynomial_end = eval_mod - exponential.depth() as usize;
        let end = eval_mod - self.eval_mod().depth();
        let products = (end + 1..=polynomial_end).map(|level| counter.product(level)).sum();
        let reduction = counter.polynomial(exponential, eval_mod) + products;
        let packing = match self.halves_slots() {
            true => counter.key_switch(self.input_level()) + counter.key_switch(0),
            false => OpCounts::default(),
        };
        transforms(self.slots_to_coeffs())
            + packing
            + raise
            + trace
            + transforms(self.coeffs_to_slots())
            + counter.key_switch(eval_mod)
            + reduction * self.eval_mods()
            + counter.key_switch(end)
    }

    /// The evaluation keys of a bootstrap, each with the highest level at which it is used.
    ///
    /// Rotations are reduced modulo the slot count, except those of the trace (used only if the
    /// transforms have fewer than N/2 slots), the first of which also packs real data into half the slots.
    pub fn keys(&self) -> KeyRequest {
        let (slots, highest) = (self.slots() as i64, self.parameters().max_level());
        let mut keys = KeyRequest {
            relinearization: Some(self.eval_mod_level()),
            conjugation: Some(self.eval_mod_level()),
            encapsulation: Some(self.ephemeral_weight()),
            ..KeyRequest::default()
        };
        for i in 0..self.trace_rotations() {
            keys.rotate((self.transform_slots() << i) as i64, highest);
        }
        for step in self.slots_to_coeffs().into_iter().chain(self.coeffs_to_slots()) {
            let (baby_steps, giant_steps) = rotations_of(&step.stage);
            let giant_steps =
                GiantSteps::new(giant_steps.into_iter().map(|giant| (0, giant)), slots);
            for rotation in baby_steps.into_iter().chain(giant_steps.rotations()) {
                keys.rotate(rotation.rem_euclid(slots), step.level);
            }
        }
        keys
    }

    /// Bytes of the diagonals of both homomorphic transforms, in the NTT domain.
    pub fn matrix_bytes(&self) -> u64 {
        let counter = OpCounter::new(self.parameters(), 0..0);
        let steps = self.slots_to_coeffs().into_iter().chain(self.coeffs_to_slots());
        let bytes = |step: StageStep| {
            let StageStep { stage, period, level, .. } = step;
            let diagonal = counter.diagonal_bytes(level, period, Hoisting::Double);
            stage.diagonals() as u64 * diagonal
        };
        steps.map(bytes).sum()
    }

    fn trace_rotations(&self) -> usize {
        (self.parameters().max_slots() / self.transform_slots()).trailing_zeros() as usize
    }
}

/// The distinct nonzero rotations of the baby steps and of the giant steps of a stage.
fn rotations_of(stage: &Stage) -> (BTreeSet<i64>, BTreeSet<i64>) {
    let (mut giant_steps, mut baby_steps): (BTreeSet<_>, BTreeSet<_>) =
        stage.terms(stage.baby_steps()).unzip();
    giant_steps.remove(&0);
    baby_steps.remove(&0);
    (baby_steps, giant_steps)
}

/// Elementary operations of one stage with double hoisting.
pub(super) fn linear(counter: &OpCounter<'_>, step: &StageStep) -> OpCounts {
    let (baby_steps, giant_steps) = rotations_of(&step.stage);
    let (baby_steps, giant_steps, products) =
        (baby_steps.len(), giant_steps.len(), step.stage.diagonals());
    let period = step.period;
    let steps = TransformSteps {
        inputs: 1,
        outputs: 1,
        baby_steps,
        giant_steps,
        products,
        packed_inputs: 0,
        period,
    };
    counter.linear(&steps, step.level, Hoisting::Double)
}
