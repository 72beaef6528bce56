//! Range check: a second output of a program that tells whether the first is in doubt.
//!
//! A polynomial stands for its activation in an interval alone, and values beyond it are not seen from outside: the
//! answer is wrong, finite and confident. What an activation takes is stored as u in [−1, 1]; so the sum of u^p over
//! all elements is small for an even power p as long as all are inside, since most are far from the ends, and exceeds
//! what any honest sample yields as soon as one element is beyond, by the more, the higher the power: 1.3^16 is 67.
//! Squares of the elements, squares of those, and one linear value with a row of weights give that sum for all layers
//! together. It stands in one slot, so that the client learns one number.
//!
//! Powers take levels: the check begins where the polynomial does and uses those that the rest of the network takes.
//! A layer with too few for a fourth power is left out. Each layer is weighted so that what one sample in a million
//! would yield (the Gumbel fit of [`profile`]) counts one, or what a single element at the end of the interval does, if that is
//! more; the limit of the sum is found in the same way.

use pic_ckks_model::ChebyshevPlan;
use pic_ckks_model::op_counts::Hoisting;
use pic_ir::activations::Activations;
use pic_ir::layout::Layout;
use pic_ir::matrix::Matrix;
use pic_ir::network::Network;
use pic_ir::program::{Op, Program, RangeCheck, Value, ValueId};
use pic_ir::transform::{BsgsSchedule, Schedule};

use crate::dataset::Dataset;
use crate::evaluate::{Batch, Evaluation, LANES, Layer};
use crate::profile;

/// log2 of the even power to which inputs are raised if levels suffice, and of the smallest that is used.
const LOG_POWER: u32 = 4;
const LEAST_LOG_POWER: u32 = 2;

/// Chebyshev coefficients of u².
const SQUARE: [f64; 3] = [0.5, 0.0, 0.5];

/// Ratio of the half width of the sum to its limit. A sum too large for the last modulus decrypts to an arbitrary
/// number. The smaller honest sums are beside that modulus, the less often it is mistaken for one of them.
const ROOM: f64 = 32.0;

/// No activation has levels for a range check, or sums over the calibration samples are not finite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there can be no range check: {why}")]
pub struct RangeCheckError {
    why: &'static str,
}

/// An activation whose input is checked.
struct Checked {
    /// Position among the network's activations.
    layer: usize,
    /// Value that the activation reads.
    operand: ValueId,
    log_power: u32,
}

/// Adds a range check to a program. The caller makes keys and prediction anew. Returns the names of activations
/// that the check leaves out for want of levels.
///
/// `network`, with the program's constants, and `activations` are what the program was made from; `samples` are
/// calibration samples, of which all are taken for honest.
///
/// # Errors
/// If no activation has the levels, or calibration samples drive a value beyond all bounds.
pub fn add(
    program: &mut Program,
    network: &Network,
    activations: &Activations,
    samples: &[Dataset],
) -> Result<Vec<String>, RangeCheckError> {
    let layers = polynomials(program);
    let available = |&operand: &ValueId| program.values[operand as usize].level;
    // With another prime under the sum, none is too large for the modulus.
    let level = usize::from(
        layers.iter().all(|(_, _, operand)| available(operand) >= LOG_POWER as usize + 2),
    );
    let (mut checked, mut left_out) = (vec![], vec![]);
    for (layer, polynomial, operand) in layers {
        let log_power = LOG_POWER.min(available(&operand).saturating_sub(level + 1) as u32);
        if log_power >= LEAST_LOG_POWER {
            checked.push(Checked { layer, operand, log_power });
        } else {
            left_out.push(format!("`{}`", program.values[polynomial].name));
        }
    }
    if checked.is_empty() {
        return Err(RangeCheckError { why: "no activation has levels to spare for it" });
    }
    let sums = sums(program, network, activations, samples, &checked);
    let powers = |checked: &Checked| f64::from(1u32 << checked.log_power);
    let limit = |(checked, sums): (&Checked, &Vec<f64>)| {
        // The power of an element at the end of the interval, which may be stored with a larger half width.
        let (layer, power) = (&activations.layers[checked.layer], powers(checked));
        let stored = &program.values[checked.operand as usize];
        extreme(sums, power).max(libm::pow(layer.half_width / stored.half_width, power))
    };
    let limits: Vec<f64> = checked.iter().zip(&sums).map(limit).collect();
    let weighted = |sample: usize| sums.iter().zip(&limits).map(|(s, l)| s[sample] / l).sum();
    let totals: Vec<f64> = (0..sums[0].len()).map(weighted).collect();
    let limit = extreme(&totals, powers(&checked[0])).max(1.0);
    if !limit.is_finite() {
        return Err(RangeCheckError { why: "some layer has inputs without end" });
    }
    append(program, &checked, &limits, level, limit);
    Ok(left_out)
}

/// Polynomials with an interval, which those of degree 1 do not need: for each, the position among the network's
/// activations, the position of the value, and the operand.
fn polynomials(program: &Program) -> Vec<(usize, usize, ValueId)> {
    let polynomials = program.values.iter().enumerate().filter_map(|(id, value)| match &value.op {
        Op::Polynomial { operand, coefficients } => Some((id, *operand, coefficients)),
        _ => None,
    });
    polynomials
        .enumerate()
        .filter(|(_, (_, _, coefficients))| coefficients.iter().skip(2).any(|&c| c != 0.0))
        .map(|(layer, (id, operand, _))| (layer, id, operand))
        .collect()
}

/// Sum of powers of each sample, for each checked layer.
fn sums(
    program: &Program,
    network: &Network,
    activations: &Activations,
    samples: &[Dataset],
    checked: &[Checked],
) -> Vec<Vec<f64>> {
    let layers: Vec<Layer> = activations.layers.iter().map(Layer::Approximate).collect();
    let nodes = network.activations();
    let mut found = vec![vec![]; checked.len()];
    for batch in samples.iter().flat_map(Dataset::batches) {
        let evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), &layers);
        for (found, checked) in found.iter_mut().zip(checked) {
            let stored = program.values[checked.operand as usize].normalization();
            let input = evaluation.value(network.operands(nodes[checked.layer].0)[0]);
            let mut sums = [0.0; LANES];
            for lanes in input.used() {
                for (sum, &x) in sums.iter_mut().zip(lanes) {
                    let u = stored.store(f64::from(x));
                    *sum += (0..checked.log_power).fold(u, |power, _| power * power);
                }
            }
            found.extend_from_slice(&sums[..input.samples]);
        }
    }
    found
}

/// Sum that one sample in a million exceeds. The extreme is that of the roots of the sums, which are distributed as
/// the largest inputs are.
fn extreme(sums: &[f64], power: f64) -> f64 {
    let roots: Vec<f64> = sums.iter().map(|&sum| libm::pow(sum, 1.0 / power)).collect();
    libm::pow(profile::extreme(&roots), power)
}

/// Inserts the values of the check before the output.
fn append(program: &mut Program, checked: &[Checked], limits: &[f64], level: usize, limit: f64) {
    let output = program.values.pop().expect("a program has an output");
    let first = program.values.len() as ValueId;
    let moduli = program.parameters.moduli().to_vec();
    let scale = program.values[0].scale;
    let (mut operands, mut matrices) = (vec![], vec![]);
    for (Checked { operand, log_power, .. }, weight) in checked.iter().zip(limits) {
        let input = program.values[*operand as usize].clone();
        let square = ChebyshevPlan::absorbing(&SQUARE).expect("a square has a plan");
        // That of the linear value's operand is one above its own.
        let mut from = level + 1 + *log_power as usize;
        let mut value = Value {
            name: format!("{}.range", input.name),
            op: Op::Polynomial { operand: *operand, coefficients: SQUARE.to_vec() },
            level: from - 1,
            scale: square.output_scale(input.scale, from, &moduli).expect("a square is folded"),
            center: 0.0,
            half_width: 1.0,
            ..input
        };
        for _ in 1..*log_power {
            from -= 1;
            let id = program.values.len() as ValueId;
            let next = Value {
                op: Op::Product { operands: [id, id] },
                level: from - 1,
                scale: value.scale * value.scale / moduli[from] as f64,
                ..value.clone()
            };
            program.values.push(std::mem::replace(&mut value, next));
        }
        operands.push(program.values.len() as ValueId);
        let cols = value.layout.len;
        let weights = vec![(1.0 / weight) as f32; cols];
        matrices.push(Matrix::Dense { outer: 1, rows: 1, cols, inner: 1, weights });
        program.values.push(value);
    }
    program.values.push(Value {
        name: "range check".into(),
        // Its only rotation is by nothing.
        op: Op::Linear {
            operands,
            matrices,
            bias: None,
            schedule: Schedule {
                bsgs: BsgsSchedule { giant_width: 1, pair_shift: 0 },
                // Nothing is rotated before it is multiplied.
                hoisting: Hoisting::Single,
            },
        },
        layout: Layout::contiguous(1),
        level,
        scale,
        center: 0.0,
        half_width: ROOM * limit,
    });
    program.values.push(output);
    program.range_check = Some(RangeCheck { first, limit });
}
