//! The fifth product: the program that a server runs on ciphertexts.
//!
//! # How a program evaluates
//! Values are computed in order. A value is a tensor whose elements lie in the slots of one or more
//! ciphertexts by its [`Layout`]; slots where no element lies hold nothing that may be relied on. What
//! is stored is `stored = (real − center) / half_width`, which brings the input of a polynomial to
//! [−1, 1] at no cost: the linear value before it absorbs the change of variable.
//!
//! - [`Op::Linear`] computes `real = Σ matrix · operand + bias` by the diagonals of
//!   [`crate::transform`], by its schedule, with operands dropped to its own level plus one, and rescales once;
//!   constants are encoded so that the result's scale is exactly the one stated.
//! - [`Op::Polynomial`] evaluates a Chebyshev series at the stored operand, with operand dropped to
//!   the level plus the depth; the series gives the stored result, at exactly the scale stated.
//! - [`Op::Product`] multiplies, relinearises and rescales.
//! - [`Op::Bootstrap`] gives levels back to stored values in [−1, 1], as many as the value's own level
//!   says, at the output scale of the program's bootstrapping plan.
//!
//! A program is complete: nothing is decided at run time.
//!
//! # Invariants ([`Program::verify`])
//! - the first value is the only input; operands are older than users; the output exists;
//! - levels: every operand's level is at least the user's plus the user's depth, or that at which
//!   bootstrapping begins;
//! - scales are finite and above 1, and a product's scale is the product of its operands' scales over
//!   the modulus it is rescaled by; that of a polynomial of degree 2^k > 1 is what folding its leading
//!   coefficient yields ([`ChebyshevPlan::output_scale`]);
//! - slots are at most N/2, and every layout repeats within them or fills ciphertexts of N/2 slots;
//! - a value has at most [`MAX_CIPHERTEXTS`] ciphertexts, a linear value at most [`MAX_PAIRS`] pairs of one that it
//!   reads and one that it makes, and at most [`MAX_DIAGONAL_BYTES`] of diagonals: what a program read from a file can
//!   make others allocate;
//! - layouts are injective, lengths match matrices, biases, operands and ports;
//! - polynomials have at least degree 1 and finite coefficients; polynomials and products have center 0,
//!   products' operands have center 0 and half widths multiply;
//! - bootstrapped values lie and are normalised as their operands, at a level and the scale that the plan
//!   yields, from a scale that it takes; the plan has the program's parameters and slots;
//! - the values of the range check, if there is one, stand just before the output; the last of them is linear, has one
//!   element, and stores the limit as at most 1;
//! - the keys include everything that the values take;
//! - the work predicted is finite and not negative, and so are its prices; the memory predicted has a sum.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use pic_ckks_model::ChebyshevPlan;
use pic_ckks_model::bootstrapping::BootstrappingPlan;
use pic_ckks_model::prices::hoisting;
use pic_ckks_model::work::{Counter, Hoisting};
use pic_ckks_model::{KeyRequest, Parameters};
use serde::{Deserialize, Serialize};

use crate::escape::Escaped;
use crate::layout::{Layout, LayoutError};
use crate::matrix::{Matrix, MatrixError};
use crate::prediction::Prediction;
use crate::preprocessing::Preprocessing;
use crate::transform::{Diagonal, Geometry, Schedule, Steps, Term, diagonals, structure};

/// Most ciphertexts of a value. A hundred times what images of 224 × 224 pixels take.
pub const MAX_CIPHERTEXTS: usize = 1 << 12;

/// Most pairs of an input and an output ciphertext of a linear value.
pub const MAX_PAIRS: usize = 1 << 16;

/// Most bytes that the diagonals of a linear value take while they are generated, in single precision: as much as all
/// rotations from one ciphertext to another take for N = 2^16.
pub const MAX_DIAGONAL_BYTES: u64 = 1 << 32;

/// Largest width of giant steps: more than there are slots.
const MAX_STEP: u32 = 1 << 24;

/// A CKKS program over tensors. See the [module documentation](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Ring, modulus chain and security.
    pub parameters: Parameters,
    /// log2 of the slots that ciphertexts are taken to have: the longest period of any value. All
    /// N/2 slots repeat with it.
    pub log_slots: u32,
    /// What the client encrypts.
    pub input: Port,
    /// What the client decrypts.
    pub output: Port,
    /// How raw inputs become the network's input.
    pub preprocessing: Preprocessing,
    /// The values in order of evaluation; the last one is the output.
    pub values: Vec<Value>,
    /// A second answer that says whether the first can be trusted.
    pub range_check: Option<RangeCheck>,
    /// How values are bootstrapped, if any are.
    pub bootstrapping: Option<BootstrappingPlan>,
    /// The evaluation keys that running the program takes. Rotations are in `1..slots`, but for the
    /// trace of bootstrapping, which rotates all N/2 slots.
    pub keys: KeyRequest,
    /// What the compiler expects of a run.
    pub predicted: Prediction,
}

/// Name and extents (without batch axis) of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name in the ONNX file.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
}

/// Position of a value in [`Program::values`].
pub type ValueId = u32;

/// One tensor under encryption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the network node that it computes.
    pub name: String,
    /// How it is computed.
    pub op: Op,
    /// Where its elements lie.
    pub layout: Layout,
    /// Level of its ciphertexts: one less than their limbs.
    pub level: usize,
    /// Exact scale.
    pub scale: f64,
    /// Real value stored as 0.
    pub center: f64,
    /// Difference of real values stored as 1.
    pub half_width: f64,
}

/// How a value is computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Encrypted by the client.
    Input,
    /// `Σ matrices[k] · operands[k] + bias`.
    Linear {
        /// The operands.
        operands: Vec<ValueId>,
        /// One matrix per operand.
        matrices: Vec<Matrix>,
        /// One constant per element, in real units.
        bias: Option<Vec<f32>>,
        /// In which order its diagonals are evaluated.
        schedule: Schedule,
    },
    /// A Chebyshev series from the stored operand to the stored result.
    Polynomial {
        /// The operand.
        operand: ValueId,
        /// Coefficients, constant first.
        coefficients: Vec<f64>,
    },
    /// Elementwise product.
    Product {
        /// The operands, which may be equal.
        operands: [ValueId; 2],
    },
    /// The operand with levels restored.
    Bootstrap {
        /// The operand.
        operand: ValueId,
    },
}

/// A sum of even powers of the stored inputs of activations: an input beyond its interval, where a polynomial
/// approximates nothing, adds much more to it than all those within.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeCheck {
    /// The first of the values that compute it. They end before the output, and the last of them holds the sum.
    pub first: ValueId,
    /// What the sum exceeds if some input is out of its interval, in real units.
    pub limit: f64,
}

impl RangeCheck {
    /// Whether its limit can be that of a sum stored with a center and a half width: one that the sum can exceed.
    pub fn is_sound(&self, center: f64, half_width: f64) -> bool {
        self.limit.is_normal() && self.limit > 0.0 && center == 0.0 && self.limit <= half_width
    }

    /// Whether an answer is in doubt whose sum is this: too large, or none that a sum of even powers can be.
    pub fn fails(&self, sum: f64) -> bool {
        // As much below zero as a sum that is too large for the last modulus may end, and more than errors are.
        !(-0.5 * self.limit..=self.limit).contains(&sum)
    }
}

impl Op {
    /// The kind of operation, as it is printed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Linear { .. } => "linear",
            Self::Polynomial { .. } => "polynomial",
            Self::Product { .. } => "product",
            Self::Bootstrap { .. } => "bootstrap",
        }
    }

    /// The operands, in order.
    pub fn operands(&self) -> &[ValueId] {
        match self {
            Self::Input => &[],
            Self::Linear { operands, .. } => operands,
            Self::Polynomial { operand, .. } | Self::Bootstrap { operand } => {
                std::slice::from_ref(operand)
            }
            Self::Product { operands } => operands,
        }
    }

    /// Levels that it consumes; none in bootstrapping.
    pub fn depth(&self) -> usize {
        match self {
            Self::Input | Self::Bootstrap { .. } => 0,
            Self::Linear { .. } | Self::Product { .. } => 1,
            Self::Polynomial { coefficients, .. } => {
                pic_ckks_model::chebyshev::folded_depth(coefficients) as usize
            }
        }
    }
}

/// A linear value as the runtime executes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearConstants {
    /// Lengths and folds.
    pub geometry: Geometry,
    /// The diagonals in stored units.
    pub diagonals: BTreeMap<Diagonal, Vec<f32>>,
    /// The bias in stored units, one per element.
    pub bias: Vec<f64>,
}

impl Program {
    /// The value that the client decrypts.
    pub fn output_value(&self) -> &Value {
        &self.values[self.values.len() - 1]
    }

    /// The values of the range check; none without one.
    pub fn range_check_values(&self) -> Range<usize> {
        let end = self.values.len() - 1;
        self.range_check.map_or(end, |check| check.first as usize)..end
    }

    /// The value that holds the sum of the range check.
    pub fn range_check_value(&self) -> Option<&Value> {
        self.values[self.range_check_values()].last()
    }

    /// The level to which a value's operands are dropped before they are used.
    pub fn operand_level(&self, value: &Value) -> usize {
        match (&value.op, &self.bootstrapping) {
            (Op::Bootstrap { .. }, Some(plan)) => plan.input_level(),
            _ => value.level + value.op.depth(),
        }
    }

    /// The operands of a linear value as terms of a transform.
    pub fn terms<'a>(&'a self, operands: &[ValueId], matrices: &'a [Matrix]) -> Vec<Term<'a>> {
        let mut first_ciphertext = 0;
        let term = |(&operand, matrix): (&ValueId, &'a Matrix)| {
            let layout = &self.values[operand as usize].layout;
            let term = Term { matrix, layout, first_ciphertext };
            first_ciphertext += layout.ciphertexts(self.log_slots);
            term
        };
        operands.iter().zip(matrices).map(term).collect()
    }

    /// Diagonals and bias of a linear value, generated from its matrices; `None` for other values.
    pub fn linear_constants(&self, id: ValueId) -> Option<LinearConstants> {
        let value = &self.values[id as usize];
        let Op::Linear { operands, matrices, bias, .. } = &value.op else { return None };
        let terms = self.terms(operands, matrices);
        let operand = |&o: &ValueId| &self.values[o as usize];
        let factors: Vec<f64> =
            operands.iter().map(|o| operand(o).half_width / value.half_width).collect();
        let mut constants: Vec<f64> = match bias {
            Some(bias) => bias.iter().map(|&b| f64::from(b)).collect(),
            None => vec![0.0; value.layout.len],
        };
        let mut entries = Vec::new();
        for (o, matrix) in operands.iter().zip(matrices) {
            let center = operand(o).center;
            if center != 0.0 {
                for (row, constant) in constants.iter_mut().enumerate() {
                    matrix.row(row, &mut entries);
                    *constant += center * entries.iter().map(|&(_, w)| w).sum::<f64>();
                }
            }
        }
        constants.iter_mut().for_each(|c| *c = (*c - value.center) / value.half_width);
        Some(LinearConstants {
            geometry: Geometry::new(&terms, &value.layout, self.log_slots),
            diagonals: diagonals(&terms, &factors, &value.layout, self.log_slots),
            bias: constants,
        })
    }

    /// The hoisting with which a linear value is cheapest, given its constants; `Single` for others.
    pub fn hoisting(&self, id: ValueId, constants: &LinearConstants) -> Hoisting {
        let value = &self.values[id as usize];
        let Op::Linear { schedule, .. } = value.op else { return Hoisting::Single };
        let diagonals = constants.diagonals.keys().copied().collect();
        let outputs = value.layout.ciphertexts(self.log_slots);
        let period = 1 << constants.geometry.log_length;
        let steps = Steps::new(&diagonals, schedule).counts(outputs, period);
        hoisting(&Counter::new(&self.parameters, 0..0), &steps, self.operand_level(value))
    }

    /// The keys that the values take, derived from them.
    pub fn required_keys(&self) -> KeyRequest {
        self.derive_keys(&mut |_, _| {})
    }

    /// Bytes of the diagonals of each linear value as they are generated, in single precision.
    pub fn diagonal_bytes(&self) -> Vec<u64> {
        let mut found = Vec::new();
        self.derive_keys(&mut |_, bytes| found.push(bytes));
        found
    }

    /// The same as [`Program::required_keys`]; `observe` sees each linear value and the bytes of its diagonals.
    fn derive_keys(&self, observe: &mut dyn FnMut(&Value, u64)) -> KeyRequest {
        let slots = 1i64 << self.log_slots;
        let mut keys = KeyRequest::default();
        for value in &self.values {
            let level = self.operand_level(value);
            match &value.op {
                Op::Input => {}
                Op::Polynomial { coefficients, .. } if is_affine(coefficients) => {}
                Op::Product { .. } | Op::Polynomial { .. } => {
                    keys.relinearization = keys.relinearization.max(Some(level));
                }
                Op::Linear { operands, matrices, schedule, .. } => {
                    let terms = self.terms(operands, matrices);
                    let geometry = Geometry::new(&terms, &value.layout, self.log_slots);
                    let diagonals = structure(&terms, &value.layout, self.log_slots);
                    observe(
                        value,
                        (diagonals.len() as u64 * size_of::<f32>() as u64) << geometry.log_length,
                    );
                    let steps = Steps::new(&diagonals, *schedule);
                    if steps.paired_inputs > 0 {
                        keys.conjugation = keys.conjugation.max(Some(level));
                    }
                    for rotation in steps.rotations(self.log_slots) {
                        keys.rotate(rotation, level);
                    }
                    // Folds happen after the rescaling.
                    for rotation in geometry.folds() {
                        keys.rotate(i64::from(rotation).rem_euclid(slots), value.level);
                    }
                }
                Op::Bootstrap { .. } => {
                    if let Some(plan) = &self.bootstrapping {
                        keys.include(&plan.keys());
                    }
                }
            }
        }
        keys
    }

    /// Checks every invariant listed in the module documentation.
    pub fn verify(&self) -> Result<(), ProgramError> {
        let Some(first) = self.values.first() else { return Err(ProgramError::Empty) };
        let longest = self.values.iter().map(|v| v.layout.log_period).max().unwrap_or(0);
        if self.log_slots != longest.min(self.parameters.log_n() - 1) {
            return Err(ProgramError::Slots { log_slots: self.log_slots, longest });
        }
        let length = |shape: &[usize]| shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        for (port, value) in [(&self.input, first), (&self.output, self.output_value())] {
            if length(&port.shape) != Some(value.layout.len) {
                return Err(ProgramError::Port { name: port.name.clone() });
            }
        }
        self.preprocessing.verify(&self.input.shape).map_err(|_| ProgramError::Preprocessing)?;
        for (index, value) in self.values.iter().enumerate() {
            self.verify_value(index, value)
                .map_err(|fault| ProgramError::Value { name: value.name.clone(), fault })?;
        }
        if self.range_check.is_some_and(|check| !self.is_sound(check)) {
            return Err(ProgramError::RangeCheck);
        }
        if let Some(plan) = &self.bootstrapping
            && (plan.parameters() != &self.parameters || plan.slots() != 1 << self.log_slots)
        {
            return Err(ProgramError::Bootstrapping);
        }
        let within = |&r: &i64| (1..1 << (self.parameters.log_n() - 1)).contains(&r);
        let mut too_large = None;
        let required = self.derive_keys(&mut |value, bytes| {
            if bytes > MAX_DIAGONAL_BYTES {
                too_large.get_or_insert_with(|| value.name.clone());
            }
        });
        if let Some(name) = too_large {
            return Err(ProgramError::Value { name, fault: Fault::Size });
        }
        let sound = self.keys.covers(&required)
            && self.keys.highest_level().is_none_or(|level| level <= self.parameters.max_level())
            && self.keys.rotations.keys().all(within);
        if !sound {
            return Err(ProgramError::Keys);
        }
        if self.predicted.is_sound() { Ok(()) } else { Err(ProgramError::Prediction) }
    }

    fn is_sound(&self, check: RangeCheck) -> bool {
        let (first, end) = (check.first as usize, self.values.len() - 1);
        (1..end).contains(&first)
            && self.values[first..end].last().is_some_and(|sum| {
                matches!(sum.op, Op::Linear { .. })
                    && sum.layout.len == 1
                    && check.is_sound(sum.center, sum.half_width)
            })
    }

    fn verify_value(&self, index: usize, value: &Value) -> Result<(), Fault> {
        value.layout.verify()?;
        let ciphertexts = value.layout.ciphertexts(self.log_slots);
        if ciphertexts > MAX_CIPHERTEXTS {
            return Err(Fault::Size);
        }
        if value.op.operands().iter().any(|&o| o as usize >= index) {
            return Err(Fault::Order);
        }
        if (index == 0) != matches!(value.op, Op::Input) {
            return Err(Fault::Input);
        }
        if value.level > self.parameters.max_level() {
            return Err(Fault::Level { level: value.level, operand: self.parameters.max_level() });
        }
        let usable = value.scale.is_finite()
            && value.scale > 1.0
            && value.center.is_finite()
            && value.half_width.is_finite()
            && value.half_width > 0.0;
        if !usable {
            return Err(Fault::Scale);
        }
        let operands: Vec<&Value> =
            value.op.operands().iter().map(|&o| &self.values[o as usize]).collect();
        let needed = self.operand_level(value);
        if let Some(operand) = operands.iter().find(|o| o.level < needed) {
            return Err(Fault::Level { level: needed, operand: operand.level });
        }
        let close = |x: f64, y: f64| (x - y).abs() <= 1e-9 * y.abs();
        if let Op::Polynomial { coefficients, .. } = &value.op {
            let plan = ChebyshevPlan::folded(coefficients).map_err(|_| Fault::Polynomial)?;
            let scale = plan.output_scale(operands[0].scale, needed, self.parameters.moduli());
            if scale.is_some_and(|scale| !close(value.scale, scale)) {
                return Err(Fault::Scale);
            }
        }
        let len = value.layout.len;
        match &value.op {
            Op::Input => Ok(()),
            Op::Polynomial { .. } if operands[0].layout != value.layout => Err(Fault::Length),
            Op::Polynomial { .. } if value.center != 0.0 => Err(Fault::Scale),
            Op::Polynomial { .. } => Ok(()),
            Op::Bootstrap { .. } => {
                let plan = self.bootstrapping.as_ref().ok_or(Fault::Bootstrapping)?;
                let operand = operands[0];
                if operand.layout != value.layout {
                    return Err(Fault::Length);
                }
                let restored = plan.output_level(0)..=plan.output_level(plan.levels());
                let sound = restored.contains(&value.level)
                    && value.scale == plan.output_scale()
                    && operand.scale <= plan.input_scale() * (1.0 + 1e-9)
                    && (value.center, value.half_width) == (operand.center, operand.half_width);
                if sound { Ok(()) } else { Err(Fault::Bootstrapping) }
            }
            Op::Product { .. } => {
                let [a, b] = [operands[0], operands[1]];
                if a.layout != value.layout || b.layout != value.layout {
                    return Err(Fault::Length);
                }
                let scale = a.scale * b.scale / self.parameters.moduli()[needed] as f64;
                let exact = close(value.scale, scale)
                    && close(value.half_width, a.half_width * b.half_width);
                let centered = [a, b, value].iter().all(|v| v.center == 0.0);
                if exact && centered { Ok(()) } else { Err(Fault::Scale) }
            }
            Op::Linear { matrices, bias, schedule: Schedule { step, shift }, .. } => {
                let sound = (1..=MAX_STEP).contains(step) && *shift < 1 << self.log_slots;
                if matrices.len() != operands.len() || operands.is_empty() || !sound {
                    return Err(Fault::Length);
                }
                let inputs = operands.iter().map(|o| o.layout.ciphertexts(self.log_slots));
                if inputs.sum::<usize>() * ciphertexts > MAX_PAIRS {
                    return Err(Fault::Size);
                }
                for (matrix, operand) in matrices.iter().zip(&operands) {
                    matrix.verify()?;
                    if (matrix.rows(), matrix.cols()) != (len, operand.layout.len) {
                        return Err(Fault::Length);
                    }
                    if !matrix.is_finite() {
                        return Err(Fault::NotFinite);
                    }
                }
                match bias {
                    Some(bias) if bias.len() != len => Err(Fault::Length),
                    Some(bias) if !bias.iter().all(|b| b.is_finite()) => Err(Fault::NotFinite),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Whether a Chebyshev series takes no product of ciphertexts.
fn is_affine(coefficients: &[f64]) -> bool {
    coefficients.iter().skip(2).all(|&c| c == 0.0)
}

/// Why a [`Program`] is not well formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// There are no values.
    #[error("the program has no values")]
    Empty,
    /// The number of slots is not the longest period, or N/2 where that is less.
    #[error("2^{log_slots} slots for a longest period of 2^{longest}")]
    Slots {
        /// log2 of the slots stated.
        log_slots: u32,
        /// log2 of the longest period.
        longest: u32,
    },
    /// A port's shape does not match its value.
    #[error("port `{}` does not match its value", Escaped(name))]
    Port {
        /// Name of the port.
        name: String,
    },
    /// Preprocessing does not fit the input.
    #[error("preprocessing does not fit the input")]
    Preprocessing,
    /// A value breaks an invariant.
    #[error("value `{}`: {fault}", Escaped(name))]
    Value {
        /// Name of the value.
        name: String,
        /// Which invariant.
        #[source]
        fault: Fault,
    },
    /// A key is missing, or one is named that cannot exist.
    #[error("the keys do not match the values")]
    Keys,
    /// The range check is not what one can be.
    #[error("the range check has no limit, or no value of one element that can hold it")]
    RangeCheck,
    /// The bootstrapping plan is one for other parameters or slots.
    #[error("the bootstrapping plan has other parameters or slots than the program")]
    Bootstrapping,
    /// A figure of the prediction is none that a program can have.
    #[error("the prediction has figures that no run can have")]
    Prediction,
}

/// The invariant that a value breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// An operand is not older than its user.
    #[error("an operand is not older than the value")]
    Order,
    /// The input is not exactly the first value.
    #[error("the first value, and no other, must be the input")]
    Input,
    /// A level is not reachable.
    #[error("level {level} is needed, {operand} is available")]
    Level {
        /// Level needed.
        level: usize,
        /// Level of the operand, or of the chain.
        operand: usize,
    },
    /// Scale, center or half width are not usable or not what the operation yields.
    #[error("scale or normalisation is not what the operation yields")]
    Scale,
    /// Lengths or layouts do not match.
    #[error("lengths, layouts or steps do not match")]
    Length,
    /// More ciphertexts or diagonals than any sensible program has.
    #[error("it takes more ciphertexts or diagonals than are allowed")]
    Size,
    /// A bootstrapped value is not what the plan yields, or there is no plan.
    #[error("level, scale or normalisation are not what bootstrapping takes and yields")]
    Bootstrapping,
    /// Malformed polynomial.
    #[error("malformed polynomial")]
    Polynomial,
    /// A constant is infinite or not a number.
    #[error("a constant is infinite or not a number")]
    NotFinite,
    /// Malformed layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Malformed matrix.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
}

/// The parameters, then one line per value: `%id: level, log2 scale = operation ; layout, name`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.parameters)?;
        for (id, value) in self.values.iter().enumerate() {
            let Value { op, level, scale, .. } = value;
            write!(f, "%{id}: level {level} scale 2^{:.2} = {}", libm::log2(*scale), op.name())?;
            match op {
                Op::Input => {}
                Op::Product { operands: [a, b] } => write!(f, " %{a} %{b}")?,
                Op::Bootstrap { operand } => write!(f, " %{operand}")?,
                Op::Polynomial { operand, coefficients } => {
                    write!(f, "(degree {}) %{operand}", coefficients.len() - 1)?;
                }
                Op::Linear { operands, matrices, bias, schedule: Schedule { step, shift } } => {
                    write!(f, "(step {step}, shift {shift})")?;
                    for (matrix, operand) in matrices.iter().zip(operands) {
                        write!(f, " {matrix}·%{operand}")?;
                    }
                    if bias.is_some() {
                        f.write_str(" + bias")?;
                    }
                }
            }
            writeln!(
                f,
                " ; [{:.4} ± {:.4}] {} ; {}",
                value.center,
                value.half_width,
                value.layout,
                Escaped(&value.name)
            )?;
        }
        if let Some(RangeCheck { first, limit }) = self.range_check {
            let sum = self.values.len() - 2;
            writeln!(f, "range check: %{first} to %{sum}, limit {limit:.3}")?;
        }
        write!(f, "keys: relinearisation ")?;
        match self.keys.relinearization {
            Some(level) => write!(f, "at level {level}")?,
            None => f.write_str("none")?,
        }
        writeln!(f, ", {} rotations", self.keys.rotations.len())
    }
}
