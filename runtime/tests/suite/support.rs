//! Random programs, and what they compute by definition.

use pic_ckks::model::bootstrapping::{
    BootstrappingPlan, BootstrappingSpec, EphemeralWeight, EvalMod, Order, SlotData,
};
use pic_ckks::model::op_counts::Hoisting;
use pic_ckks::model::{ChebyshevPlan, KeyRequest, Parameters, SecurityLevel};
use pic_ir::layout::{Digit, Layout};
use pic_ir::matrix::Matrix;
use pic_ir::postprocessing::Postprocessing;
use pic_ir::prediction::Prediction;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::program::{Op, Port, Program, Value, ValueId, VerifiedProgram};
use pic_ir::transform::{BsgsSchedule, Schedule};
use pic_runtime::container::ProgramHash;

/// A generator of small numbers that is the same everywhere (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// In [−1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.unit() as f32).collect()
    }

    pub fn dense(&mut self, rows: usize, cols: usize) -> Matrix {
        let scale = 1.0 / cols as f32;
        let weights = self.floats(rows * cols).into_iter().map(|w| w * scale).collect();
        Matrix::Dense { outer: 1, rows, cols, inner: 1, weights }
    }

    /// Elements in order, with gaps, or transposed.
    pub fn layout(&mut self, len: usize) -> Layout {
        let divisors: Vec<usize> = (1..=len).filter(|d| len.is_multiple_of(*d)).collect();
        let a = divisors[self.below(divisors.len())];
        let b = len / a;
        let digits = match self.below(3) {
            0 => [(1, a, 1), (a, b, a)],
            1 => [(1, a, 2), (a, b, 2 * a + 1)],
            _ => [(1, a, b), (a, b, 1)],
        };
        let digit = |(divisor, modulus, stride)| Digit { divisor, modulus, stride };
        Layout::new(len, digits.into_iter().map(digit).collect())
    }
}

/// Appends values, keeping a bound on their size so that polynomials see [−1, 1].
pub struct Builder {
    pub program: Program,
    bounds: Vec<f64>,
}

/// Scales and moduli of so many bits: low, so that the scheme's error stands out from the rounding
/// of constants to single precision.
const LOG_SCALE: u32 = 30;

/// An insecure chain with so many levels.
pub fn parameters(log_n: u32, levels: usize) -> Parameters {
    let bits: Vec<f64> =
        (0..=levels).map(|i| if i == 0 { 46.0 } else { f64::from(LOG_SCALE) }).collect();
    Parameters::from_bits(log_n, &bits, &[47.0], levels + 1, SecurityLevel::Insecure).unwrap()
}

/// An insecure plan that restores up to four levels.
pub fn bootstrapping(log_n: u32, log_slots: u32) -> BootstrappingPlan {
    let eval_mod = EvalMod { bound: 14.0, degree: 28, squarings: 3, harmonics: 1 };
    let levels = 4;
    let application = vec![f64::from(LOG_SCALE); levels];
    let high = vec![48.0; eval_mod.depth() + 2];
    let moduli = [vec![44.0, 36.0], application, high].concat();
    let digits = moduli.len().div_ceil(4);
    let security = SecurityLevel::Insecure;
    BootstrappingPlan::new(BootstrappingSpec {
        parameters: Parameters::from_bits(log_n, &moduli, &[49.5; 4], digits, security).unwrap(),
        slots: 1 << log_slots,
        data: SlotData::Real,
        order: Order::SlotsToCoeffsFirst,
        levels,
        log_input_scale: f64::from(LOG_SCALE) + 1.0,
        log_output_scale: f64::from(LOG_SCALE) + 2.0,
        ephemeral_weight: EphemeralWeight::W32,
        log_ratio: 10.0,
        slots_to_coeffs: vec![log_slots - 1],
        coeffs_to_slots: vec![(log_slots - 1) / 2, log_slots / 2],
        eval_mod,
        log_eval_mod_scale: 48.0,
    })
    .unwrap()
}

impl Builder {
    /// A program of which the input is all there is; inputs are in ±`bound`.
    pub fn new(parameters: Parameters, layout: Layout, bound: f64) -> Self {
        let port = Port { name: "x".into(), shape: vec![layout.len] };
        let input = Value {
            name: "x".into(),
            op: Op::Input,
            layout,
            level: parameters.max_level(),
            scale: f64::from(LOG_SCALE).exp2(),
            center: 0.0,
            half_width: bound,
        };
        let program = Program {
            parameters,
            log_slots: 0,
            input: port.clone(),
            output: port,
            preprocessing: Preprocessing::default(),
            postprocessing: Postprocessing::default(),
            values: vec![input],
            range_check: None,
            bootstrapping: None,
            keys: KeyRequest::default(),
            predicted: Prediction::default(),
        };
        Self { program, bounds: vec![bound] }
    }

    pub fn linear(
        &mut self,
        operands: &[ValueId],
        matrices: Vec<Matrix>,
        bias: Option<Vec<f32>>,
        layout: Layout,
        random: &mut Random,
    ) -> ValueId {
        let mut bound: f64 = bias.iter().flatten().map(|&b| f64::from(b.abs())).fold(0.0, f64::max);
        let mut entries = Vec::new();
        for (&o, matrix) in operands.iter().zip(&matrices) {
            let mut norm: f64 = 0.0;
            for row in 0..matrix.rows() {
                matrix.row(row, &mut entries);
                norm = norm.max(entries.iter().map(|(_, w)| w.abs()).sum());
            }
            bound += norm * self.bounds[o as usize];
        }
        let center = 0.25 * bound * random.unit();
        let value = Value {
            name: format!("linear{}", self.program.values.len()),
            level: self.lowest(operands) - 1,
            scale: f64::from(LOG_SCALE).exp2() * (1.0 + 0.01 * random.unit()),
            center,
            half_width: 1.25 * bound + 1e-3,
            layout,
            op: Op::Linear {
                operands: operands.to_vec(),
                matrices,
                bias,
                schedule: Schedule {
                    bsgs: BsgsSchedule {
                        giant_width: 1 << random.below(5),
                        pair_shift: random.below(6) as u32,
                    },
                    hoisting: [Hoisting::Single, Hoisting::Double][random.below(2)],
                },
            },
        };
        self.push(value, bound)
    }

    pub fn polynomial(&mut self, operand: ValueId, coefficients: Vec<f64>) -> ValueId {
        let bound = coefficients.iter().map(|c| c.abs()).sum();
        let plan = ChebyshevPlan::absorbing(&coefficients).unwrap();
        let Value { level, scale, layout, .. } = self.value(operand).clone();
        let scale = plan.output_scale(scale, level, self.program.parameters.moduli());
        let op = Op::Polynomial { operand, coefficients };
        let value = Value {
            name: format!("polynomial{}", self.program.values.len()),
            layout,
            level: level - op.depth(),
            scale: scale.unwrap_or(f64::from(LOG_SCALE).exp2()),
            center: 0.0,
            half_width: 1.0,
            op,
        };
        self.push(value, bound)
    }

    /// Operands must have center 0.
    pub fn product(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let (x, y) = (self.value(a).clone(), self.value(b).clone());
        let level = x.level.min(y.level);
        let value = Value {
            name: format!("product{}", self.program.values.len()),
            op: Op::Product { operands: [a, b] },
            layout: x.layout,
            level: level - 1,
            scale: x.scale * y.scale / self.program.parameters.moduli()[level] as f64,
            center: 0.0,
            half_width: x.half_width * y.half_width,
        };
        self.push(value, self.bounds[a as usize] * self.bounds[b as usize])
    }

    /// The program must have a bootstrapping plan.
    pub fn bootstrap(&mut self, operand: ValueId, target: usize) -> ValueId {
        let plan = self.program.bootstrapping.as_ref().unwrap();
        let value = Value {
            name: format!("bootstrap{}", self.program.values.len()),
            op: Op::Bootstrap { operand },
            level: plan.output_level(target),
            scale: plan.output_scale(),
            ..self.program.values[operand as usize].clone()
        };
        self.push(value, self.bounds[operand as usize])
    }

    pub fn value(&mut self, id: ValueId) -> &mut Value {
        &mut self.program.values[id as usize]
    }

    /// The last value becomes the output.
    pub fn finish(mut self) -> VerifiedProgram {
        let len = self.program.output_value().layout.len;
        self.program.output = Port { name: "y".into(), shape: vec![len] };
        let periods = self.program.values.iter().map(|v| v.layout.log_period);
        let log_slots = periods.max().unwrap().min(self.program.parameters.log_n() - 1);
        self.program.log_slots = log_slots;
        // Schedules were drawn before the slots were known, of which there may be fewer than a shift.
        for value in &mut self.program.values {
            if let Op::Linear { schedule, .. } = &mut value.op {
                schedule.bsgs.pair_shift %= 1 << log_slots;
            }
        }
        self.program.verify_with_required_keys().unwrap()
    }

    fn lowest(&self, operands: &[ValueId]) -> usize {
        operands.iter().map(|&o| self.program.values[o as usize].level).min().unwrap()
    }

    fn push(&mut self, value: Value, bound: f64) -> ValueId {
        self.program.values.push(value);
        self.bounds.push(bound);
        self.program.values.len() as ValueId - 1
    }
}

/// The same program with something changed.
pub fn changed(program: VerifiedProgram, change: impl FnOnce(&mut Program)) -> VerifiedProgram {
    let mut program = program.into_program();
    change(&mut program);
    program.verify().unwrap()
}

/// A network with everything that programs have: layouts of different periods, several ciphertexts
/// where the ring is small, biases and centers, a residual sum over levels and scales, a product.
pub fn random_program(log_n: u32, seed: u64) -> VerifiedProgram {
    let random = &mut Random(seed);
    let [inputs, hidden, outputs] =
        [1 + random.below(60), 1 + random.below(60), 1 + random.below(20)];
    let degree = 2 + random.below(6);
    let coefficients: Vec<f64> = (0..=degree).map(|_| 0.1 + 0.4 * random.unit().abs()).collect();
    let mut b = Builder::new(parameters(log_n, 8), random.layout(inputs), 2.0);
    b.value(0).level -= 1;
    let (wide, narrow) = (random.layout(hidden), random.layout(outputs));
    let (matrix, bias) = (random.dense(hidden, inputs), random.floats(hidden));
    let first = b.linear(&[0], vec![matrix], Some(bias), wide.clone(), random);
    let activated = b.polynomial(first, coefficients);
    let matrices = vec![random.dense(hidden, hidden), random.dense(hidden, inputs)];
    let joined = b.linear(&[activated, 0], matrices, None, wide.clone(), random);
    b.value(joined).center = 0.0;
    let gate = b.linear(&[0], vec![random.dense(hidden, inputs)], None, wide, random);
    b.value(gate).center = 0.0;
    let gated = b.product(joined, gate);
    let matrices = vec![random.dense(outputs, hidden), random.dense(outputs, hidden)];
    let bias = random.floats(outputs);
    b.linear(&[gated, joined], matrices, Some(bias), narrow, random);
    b.finish()
}

/// A residual block with two bootstraps on a small ring, of all slots or fewer.
pub fn bootstrapped_program(log_n: u32, log_slots: u32, seed: u64) -> VerifiedProgram {
    let random = &mut Random(seed);
    let plan = bootstrapping(log_n, log_slots);
    let len = 1 << log_slots;
    let mut b = Builder::new(plan.parameters().clone(), Layout::contiguous(len), 1.0);
    b.value(0).level = plan.output_level(1);
    b.program.bootstrapping = Some(plan);
    let bias = random.floats(len);
    let matrix = random.dense(len, len);
    let first = b.linear(&[0], vec![matrix], Some(bias), Layout::contiguous(len), random);
    let first = b.bootstrap(first, 4);
    // Its leading coefficient is folded into the scale.
    let activated = b.polynomial(first, vec![0.1, 0.5, 0.2, 0.1, -0.2]);
    let matrices = vec![random.dense(len, len), random.dense(len, len)];
    let joined = b.linear(&[activated, first], matrices, None, Layout::contiguous(len), random);
    let joined = b.bootstrap(joined, 1);
    let matrix = random.dense(4, len);
    b.linear(&[joined], vec![matrix], None, Layout::contiguous(4), random);
    b.finish()
}

/// A sample within the bounds of the input.
pub fn sample(program: &Program, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let input = &program.values[0];
    (0..input.layout.len).map(|_| (input.half_width * random.unit()) as f32).collect()
}

/// Every value of a program in real units, from matrices and polynomials as they are defined.
pub fn reference(program: &Program, sample: &[f32]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = vec![sample.iter().map(|&v| f64::from(v)).collect()];
    for value in &program.values[1..] {
        let of = |o: ValueId| &values[o as usize];
        let result = match &value.op {
            Op::Input => unreachable!(),
            Op::Product { operands: [a, b] } => {
                of(*a).iter().zip(of(*b)).map(|(a, b)| a * b).collect()
            }
            Op::Polynomial { operand, coefficients } => {
                let stored = &program.values[*operand as usize];
                let series = |x: &f64| {
                    let angle = stored.normalization().store(*x).acos();
                    (0u32..).zip(coefficients).map(|(k, c)| c * (f64::from(k) * angle).cos()).sum()
                };
                of(*operand).iter().map(series).collect()
            }
            Op::Bootstrap { operand } => of(*operand).clone(),
            Op::Linear { operands, matrices, bias, .. } => {
                let mut sums: Vec<f64> = match bias {
                    Some(bias) => bias.iter().map(|&b| f64::from(b)).collect(),
                    None => vec![0.0; value.layout.len],
                };
                let mut entries = Vec::new();
                for (&o, matrix) in operands.iter().zip(matrices) {
                    for (row, sum) in sums.iter_mut().enumerate() {
                        matrix.row(row, &mut entries);
                        *sum += entries.iter().map(|&(c, w)| w * of(o)[c as usize]).sum::<f64>();
                    }
                }
                sums
            }
        };
        values.push(result);
    }
    values
}

/// Predicted standard deviation of the error of the output, in stored units.
pub fn predicted_error(program: &VerifiedProgram) -> f64 {
    pic_ir::precision::errors(program).last().unwrap().total.sqrt()
}

/// Largest error, in stored units, that an encrypted run may show: eight predicted deviations, and
/// the single precision of constants and outputs.
pub fn tolerance(program: &VerifiedProgram) -> f64 {
    8.0 * predicted_error(program) + 1e-6
}

/// Largest difference, in stored units of the output.
pub fn output_error(program: &Program, sample: &[f32], output: &[f32]) -> f64 {
    let expected = reference(program, sample).pop().unwrap();
    assert_eq!(expected.len(), output.len());
    let differences = expected.iter().zip(output).map(|(e, &o)| (e - f64::from(o)).abs());
    differences.fold(0.0, f64::max) / program.output_value().half_width
}

/// The program hash of an artifact, and the content of its section `parts` of which it is made: as the format says,
/// and an attacker can.
pub fn parts(client: &[u8], program: &[u8]) -> (ProgramHash, Vec<u8>) {
    let parts = [*blake3::hash(client).as_bytes(), *blake3::hash(program).as_bytes()].concat();
    let context = "pic program hash of client and program part v5";
    (blake3::derive_key(context, &parts).into(), parts)
}
