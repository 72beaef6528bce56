//! Predicted variance of the scheme's error in every value of a program.
//!
//! Each operation adds an error of its own ([`pic_ckks_model::noise`]) and passes on those of its
//! operands; errors are taken as independent, with zero mean, alike in all elements of a tensor.
//! Approximating activations by polynomials is not an error here: the program is exact but for noise.

use std::collections::BTreeMap;

use pic_ckks_model::noise::{GiantStep, NoiseModel, Signal};
use pic_ckks_model::square;

use crate::program::{Facts, LinearConstants, LinearFacts, Op, Value, ValueId, VerifiedProgram};
use crate::transform::split_rotation;

/// Points of [−1, 1] over which a polynomial's amplification of errors is averaged.
const SAMPLES: usize = 65;

/// Error variances of one value, averaged over its elements, in stored units (half widths squared).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorVariance {
    /// Variance of the error that the operation itself adds.
    pub own: f64,
    /// Variance of the whole error, with the errors inherited from the operands.
    pub total: f64,
}

/// Error variances of every value of a program, in order of evaluation.
pub fn errors(program: &VerifiedProgram) -> Vec<ErrorVariance> {
    let model = NoiseModel::new(&program.parameters, 1 << program.log_slots);
    // Error variance of bootstrapping for inputs uniform on [−1, 1], the worst case.
    let refreshed = program.bootstrapping.as_ref().map(|plan| plan.error(1.0 / 3.0).mean_square());
    let mut errors: Vec<ErrorVariance> = Vec::new();
    let mut signals: Vec<f64> = Vec::new();
    for (id, (value, facts)) in program.values_and_facts().enumerate() {
        let level = program.operand_level(value);
        let at = |o: ValueId| &program.values[o as usize];
        let signal = |o: ValueId| Signal {
            mean_square: signals[o as usize],
            variance: errors[o as usize].total,
        };
        // Error variance in the imaginary parts, which pairs of diagonals mix with the real ones: that of the last
        // operation. It is zero after bootstrapping, which ends by taking the real part.
        let imaginary = |o: ValueId| match at(o).op {
            Op::Bootstrap { .. } => 0.0,
            _ => errors[o as usize].own,
        };
        let (error, mean_square) = match (&value.op, facts) {
            (Op::Input, _) => {
                let own = model.fresh_secret(value.scale);
                (ErrorVariance { own, total: own }, 1.0)
            }
            (Op::Product { operands: [a, b] }, _) => {
                let scale = at(*a).scale * at(*b).scale;
                let product = |x: Signal, y: Signal| {
                    if a == b {
                        model.square_rescaled(x, level, scale)
                    } else {
                        model.product_rescaled(x, y, level, scale)
                    }
                };
                let (x, y) = (signal(*a), signal(*b));
                let own = product(Signal { variance: 0.0, ..x }, Signal { variance: 0.0, ..y });
                (ErrorVariance { own, total: product(x, y) }, x.mean_square * y.mean_square)
            }
            (Op::Polynomial { operand, .. }, Facts::Polynomial(plan)) => {
                let grid: Vec<f64> =
                    (0..SAMPLES).map(|k| 2.0 * k as f64 / (SAMPLES - 1) as f64 - 1.0).collect();
                let run = |variance| {
                    model.chebyshev(plan, level, at(*operand).scale, variance, value.scale, &grid)
                };
                let mean_square =
                    grid.iter().map(|&x| square(plan.evaluate(x))).sum::<f64>() / SAMPLES as f64;
                (
                    ErrorVariance { own: run(0.0), total: run(errors[*operand as usize].total) },
                    mean_square,
                )
            }
            (Op::Bootstrap { operand }, _) => {
                let own = refreshed.expect("a verified program that bootstraps has a plan");
                let total = own + errors[*operand as usize].total;
                (ErrorVariance { own, total }, signals[*operand as usize])
            }
            (Op::Linear { operands, .. }, Facts::Linear(facts)) => {
                let constants =
                    program.linear_constants(id as ValueId).expect("a linear value has constants");
                let operand = |&o: &ValueId| Operand {
                    mean_square: signals[o as usize],
                    imaginary: imaginary(o),
                };
                let known: Vec<_> = operands.iter().map(operand).collect();
                let own = linear(program, &model, value, facts, &constants, operands, &known);
                let gains = gains(program, &constants, operands, value.layout.len);
                let inherited: f64 =
                    operands.iter().zip(&gains).map(|(&o, g)| g * errors[o as usize].total).sum();
                (ErrorVariance { own, total: own + inherited }, 1.0)
            }
            (op, _) => unreachable!("the facts of a value fit its operation, {}", op.name()),
        };
        errors.push(error);
        signals.push(mean_square);
    }
    errors
}

/// Gain of each operand's error variance: the sum of squared weights over the operand, averaged over output
/// elements.
fn gains(
    program: &VerifiedProgram,
    constants: &LinearConstants,
    operands: &[ValueId],
    len: usize,
) -> Vec<f64> {
    let firsts = first_ciphertexts(program, operands);
    let mut gains = vec![0.0; operands.len()];
    for (diagonal, values) in &constants.diagonals {
        gains[owner(&firsts, diagonal.input)] += sum_of_squares(values) / len as f64;
    }
    gains
}

/// Properties of an operand that the error of a linear value depends on.
struct Operand {
    mean_square: f64,
    /// Variance of the error in the imaginary parts, which pairs of diagonals mix with the real ones.
    imaginary: f64,
}

/// Variance of the error that a linear value itself adds, in stored units.
fn linear(
    program: &VerifiedProgram,
    model: &NoiseModel,
    value: &Value,
    facts: &LinearFacts,
    constants: &LinearConstants,
    operands: &[ValueId],
    known: &[Operand],
) -> f64 {
    let level = value.level + 1;
    let input_scale = program.values[operands[0] as usize].scale;
    let outputs = value.layout.ciphertexts(program.log_slots).max(1);
    let per_output = (value.layout.len / outputs).max(1) as f64;
    let firsts = first_ciphertexts(program, operands);
    // Errors of the terms enter the sum over blocks once. Errors that every block has of its own are added up by
    // the folds.
    let mut terms: BTreeMap<(u32, i32), Vec<(bool, f64)>> = BTreeMap::new();
    let paired = &facts.steps.packed_inputs;
    let (mut mean_square, mut pairing) = (0.0f64, 0.0);
    for (first, second) in &facts.pairs {
        let width = facts.schedule.bsgs.giant_width;
        let (giant, baby) = split_rotation(first.rotation, width);
        let squares = [Some(first), second.as_ref()].into_iter().flatten();
        let square =
            squares.map(|d| sum_of_squares(&constants.diagonals[d])).sum::<f64>() / per_output;
        terms.entry((first.output, giant)).or_default().push((baby != 0, square));
        let operand = &known[owner(&firsts, first.input)];
        mean_square = mean_square.max(operand.mean_square);
        if paired.contains(&first.input) {
            pairing += square * (model.key_switch(level, input_scale) + operand.imaginary);
        }
    }
    // A real part is twice as large as the sum whose it is.
    let scale = if paired.is_empty() { value.scale } else { value.scale / 2.0 };
    let run = |mean_square: f64, steps: &[GiantStep]| {
        let input = Signal { mean_square, variance: 0.0 };
        model.linear_transform(input, level, input_scale, scale, facts.schedule.hoisting, steps)
            - model.rescale(scale)
    };
    let rescale = model.rescale(value.scale);
    let folds = facts.geometry.folds().count() as f64;
    let fold_switch = model.key_switch(value.level, value.scale);
    let mut total = 0.0;
    for output in 0..outputs as u32 {
        let of_output = terms.iter().filter(|((o, _), _)| *o == output);
        let (mut inner, mut giant_steps) = (Vec::new(), Vec::new());
        for ((_, giant), terms) in of_output {
            inner.push(GiantStep { rotated: false, terms: terms.clone() });
            giant_steps.push(GiantStep { rotated: *giant != 0, terms: vec![] });
        }
        giant_steps
            .extend((!paired.is_empty()).then(|| GiantStep { rotated: true, terms: vec![] }));
        let own = run(mean_square, &inner);
        let per_block = run(0.0, &giant_steps) + rescale;
        total += own + (per_block + fold_switch) * libm::exp2(folds) - fold_switch;
    }
    (total + pairing) / outputs as f64 + model.encoding(value.scale)
}

fn first_ciphertexts(program: &VerifiedProgram, operands: &[ValueId]) -> Vec<u32> {
    let mut first = 0;
    let next = |&o: &ValueId| {
        let this = first;
        first += program.values[o as usize].layout.ciphertexts(program.log_slots) as u32;
        this
    };
    operands.iter().map(next).collect()
}

/// Position of the operand to which an input ciphertext belongs.
fn owner(firsts: &[u32], ciphertext: u32) -> usize {
    firsts.partition_point(|&f| f <= ciphertext) - 1
}

fn sum_of_squares(values: &[f32]) -> f64 {
    values.iter().map(|&v| square(f64::from(v))).sum()
}
