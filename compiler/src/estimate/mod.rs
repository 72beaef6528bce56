//! Estimates of a program: time and memory from operation counts and prices, precision by simulating its errors on
//! samples.

pub mod precision;

use pic_ckks_model::op_counts::{OpCounter, OpCounts};
use pic_ir::cost::{CostModel, linear};
use pic_ir::memory::peak_ciphertext_bytes;
use pic_ir::prediction::{Memory, Prediction};
use pic_ir::program::{Facts, VerifiedProgram};

/// Predicts work, time and memory of a run on one encrypted sample, with the prices of `cost`. Precision and
/// accuracy are not predicted here: `precision_bits` is 0, `fidelity` none.
pub fn predict(program: &VerifiedProgram, cost: &CostModel) -> Prediction {
    let counter = OpCounter::new(&program.parameters, 0..0);
    let mut work = OpCounts::default();
    let (mut diagonal_bytes, mut workspace_bytes) = (0, 0);
    for (value, facts) in program.values_and_facts() {
        let ciphertexts = value.layout.ciphertexts(program.log_slots);
        let level = program.operand_level(value);
        match facts {
            Facts::Input => {}
            Facts::Product => work += counter.product(level) * ciphertexts,
            Facts::Polynomial(plan) => work += counter.polynomial(plan, level) * ciphertexts,
            Facts::Linear(facts) => {
                let (steps, hoisting) = (facts.counts(), facts.schedule.hoisting);
                let folds = facts.geometry.folds().count();
                work += linear(&counter, &steps, folds, level, hoisting);
                diagonal_bytes +=
                    counter.diagonal_bytes(level, steps.period, hoisting) * steps.products as u64;
                let extended = steps.baby_steps + steps.outputs + 2;
                workspace_bytes =
                    workspace_bytes.max(counter.extended_bytes(level) * extended as u64);
            }
            Facts::Bootstrap { levels } => {
                let plan = program.bootstrapping.as_ref().expect("bootstraps follow a plan");
                work += plan.cost(*levels) * ciphertexts;
            }
        }
    }
    let memory = Memory {
        key_bytes: program.keys.bytes(&program.parameters),
        diagonal_bytes,
        matrix_bytes: program.bootstrapping.as_ref().map_or(0, |plan| plan.matrix_bytes()),
        ciphertext_bytes: peak_ciphertext_bytes(program) as u64,
        workspace_bytes,
    };
    Prediction { work, cost: *cost, memory, precision_bits: 0.0, fidelity: None }
}
