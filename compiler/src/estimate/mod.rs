//! What a program will take: time and memory, from counts and prices alone.

use pic_ckks_model::ChebyshevPlan;
use pic_ckks_model::prices::hoisting;
use pic_ckks_model::work::{Counter, Work};
use pic_ir::cost::{CostModel, linear};
use pic_ir::memory::peak_ciphertext_bytes;
use pic_ir::prediction::{Memory, Prediction};
use pic_ir::program::{Op, Program};

use crate::layouts::{Layouts, Transform};

pub mod precision;

/// Predicts a run of a program whose linear values, but for that of the range check, are evaluated as `layouts` says.
/// Precision and drop of accuracy are left open.
pub fn predict(program: &Program, layouts: &Layouts, cost: &CostModel) -> Prediction {
    let counter = Counter::new(&program.parameters, 0..0);
    let mut transforms = layouts.transforms.iter().flatten();
    let mut work = Work::default();
    let (mut diagonal_bytes, mut workspace_bytes) = (0, 0);
    let checks = program.range_check_values();
    let check = checks.clone().last().map(|id| Transform::of(program, id));
    for (id, value) in program.values.iter().enumerate() {
        let ciphertexts = value.layout.ciphertexts(program.log_slots);
        let level = program.operand_level(value);
        match &value.op {
            Op::Input => {}
            Op::Product { .. } => work += counter.product(level) * ciphertexts,
            Op::Polynomial { coefficients, .. } => {
                let plan =
                    ChebyshevPlan::folded(coefficients).expect("refitted polynomials have plans");
                work += counter.polynomial(&plan, level) * ciphertexts;
            }
            Op::Linear { .. } => {
                let t = match &check {
                    Some(check) if checks.contains(&id) => check,
                    _ => transforms.next().expect("linear values have transforms"),
                };
                let steps = t.counts();
                let hoisting = hoisting(&counter, &steps, level);
                work += linear(&counter, &steps, t.folds, level);
                diagonal_bytes +=
                    counter.diagonal_bytes(level, t.period, hoisting) * t.steps.products as u64;
                let extended = t.steps.babies.len() + t.outputs + 2;
                workspace_bytes =
                    workspace_bytes.max(counter.extended_bytes(level) * extended as u64);
            }
            Op::Bootstrap { .. } => {
                let plan = program.bootstrapping.as_ref().expect("bootstraps follow a plan");
                work += plan.cost(value.level - plan.output_level(0)) * ciphertexts;
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
    Prediction { work, cost: *cost, memory, precision_bits: 0.0, accuracy_drop: None }
}
