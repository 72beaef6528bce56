//! The fifth representation: the program that a server runs on ciphertexts.
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
//! A program is complete: nothing is decided at run time. What follows from it, as the evaluation plans of its
//! polynomials, is found once, by [`Program::verify`], and kept in a [`VerifiedProgram`], which is all that engines
//! take.
//!
//! # Invariants ([`Program::verify`])
//! - the first value is the only input; operands are older than users; the output exists;
//! - levels: every operand's level is at least the user's plus the user's depth, or that at which
//!   bootstrapping begins;
//! - scales are finite and above 1, and a product's scale is the product of its operands' scales over
//!   the modulus it is rescaled by; that of a polynomial of degree 2^k > 1 is what absorbing its leading
//!   coefficient yields ([`output_scale`](pic_ckks_model::ChebyshevPlan::output_scale));
//! - slots are at most N/2, and every layout repeats within them or fills ciphertexts of N/2 slots;
//! - a value has at most [`MAX_CIPHERTEXTS`] ciphertexts, a linear value at most [`MAX_PAIRS`] pairs of one that it
//!   reads and one that it makes, and at most [`MAX_DIAGONAL_BYTES`] of diagonals: what a program read from a file can
//!   make others allocate; all linear values together have at most [`MAX_DIAGONALS`] diagonals;
//! - layouts are injective, lengths match matrices, biases, operands and ports;
//! - polynomials have at least degree 1 and finite coefficients; polynomials and products have center 0,
//!   products' operands have center 0 and half widths multiply;
//! - bootstrapped values lie and are normalised as their operands, at a level and the scale that the plan
//!   yields, from a scale that it takes; the plan has the program's parameters and slots;
//! - the values of the range check, if there is one, stand just before the output; the last of them is linear, has one
//!   element, and stores the limit as at most 1;
//! - the keys include everything that the values take;
//! - preprocessing fits the input, postprocessing the output;
//! - the work predicted is finite and not negative, and so are its prices; the memory predicted has a sum.

mod verified;
mod verify;

pub use verified::{Facts, LinearConstants, LinearFacts, VerifiedProgram};

use std::fmt;
use std::ops::Range;

use pic_ckks_model::bootstrapping::BootstrappingPlan;
use pic_ckks_model::{KeyRequest, Parameters};
use serde::{Deserialize, Serialize};

use crate::escape::Escaped;
use crate::layout::{Layout, LayoutError};
use crate::matrix::{Matrix, MatrixError};
use crate::normalization::Normalization;
use crate::postprocessing::{Postprocessing, PostprocessingError};
use crate::prediction::Prediction;
use crate::preprocessing::Preprocessing;
use crate::transform::Schedule;

/// Most values of a program. Networks of a thousand layers have some thousands.
pub const MAX_VALUES: usize = 1 << 16;

/// Largest number of ciphertexts of a value: a hundred times what images of 224 × 224 pixels take.
pub const MAX_CIPHERTEXTS: usize = 1 << 12;

/// Largest number of pairs of an input and an output ciphertext of a linear value.
pub const MAX_PAIRS: usize = 1 << 16;

/// Largest size of the diagonals of a linear value while they are generated, in bytes in single precision: as much
/// as all rotations from one ciphertext to another take for N = 2^16.
pub const MAX_DIAGONAL_BYTES: u64 = 1 << 32;

/// Largest number of diagonals of all linear values together: as many as the largest rings hold in terabytes.
pub const MAX_DIAGONALS: usize = 1 << 24;

/// A CKKS program over tensors. See the [module documentation](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Ring, modulus chain and security.
    pub parameters: Parameters,
    /// log2 of the slots that ciphertexts are taken to have: the longest period of any value. All
    /// N/2 slots repeat with it.
    pub log_slots: u32,
    /// Name and shape of the tensor that the client encrypts.
    pub input: Port,
    /// Name and shape of the tensor that the client decrypts.
    pub output: Port,
    /// Map from raw inputs to the network's input, applied by the client.
    pub preprocessing: Preprocessing,
    /// Map from decrypted outputs to those of the ONNX file, applied by the client.
    pub postprocessing: Postprocessing,
    /// The values in order of evaluation; the last one is the output.
    pub values: Vec<Value>,
    /// Values of a second output that tells whether the first is in doubt; none if the program checks no ranges.
    pub range_check: Option<RangeCheck>,
    /// Plan of all bootstraps; none if no value is bootstrapped.
    pub bootstrapping: Option<BootstrappingPlan>,
    /// Evaluation keys that the program uses. Rotations are in `1..slots`, except in the trace of bootstrapping,
    /// which rotates all N/2 slots.
    pub keys: KeyRequest,
    /// Predicted work, time, memory and precision of a run.
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

/// A tensor under encryption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the network node that it computes.
    pub name: String,
    /// Operation that computes the tensor.
    pub op: Op,
    /// Slot of each element.
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

/// Operation that computes a value.
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
        /// Baby steps, giant steps, pairs and hoisting of the diagonals.
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
    /// The operand with levels restored by bootstrapping.
    Bootstrap {
        /// The operand.
        operand: ValueId,
    },
}

/// Range check: a sum of even powers of the stored inputs of activations. An input outside the interval of its
/// polynomial adds much more to the sum than all inputs within their intervals together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeCheck {
    /// The first of the values that compute it. They end before the output, and the last of them holds the sum.
    pub first: ValueId,
    /// Largest sum of inputs that are all within their intervals, in real units.
    pub limit: f64,
}

impl Value {
    /// Map between the real and the stored elements.
    pub fn normalization(&self) -> Normalization {
        Normalization { center: self.center, half_width: self.half_width }
    }
}

impl RangeCheck {
    /// True if the limit is positive and a sum that is stored by `sum` can reach it.
    pub fn is_sound(&self, sum: Normalization) -> bool {
        let reaches = sum.center == 0.0 && self.limit <= sum.half_width;
        self.limit.is_normal() && self.limit > 0.0 && reaches
    }

    /// Returns whether a decrypted sum puts the answer in doubt: it exceeds the limit, lies below minus half the
    /// limit, which no sum of even powers does, or is not a number.
    pub fn fails(&self, sum: f64) -> bool {
        // A sum too large for the last modulus may decrypt to a negative number, below any error of the scheme.
        !(-0.5 * self.limit..=self.limit).contains(&sum)
    }
}

impl Op {
    /// Kind of the operation as a word, for printing.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Linear { .. } => "linear",
            Self::Polynomial { .. } => "polynomial",
            Self::Product { .. } => "product",
            Self::Bootstrap { .. } => "bootstrap",
        }
    }

    /// The operands in order of position.
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

    /// The operands without repetition: a square reads its operand once.
    pub fn distinct_operands(&self) -> &[ValueId] {
        match self {
            Self::Product { operands: [a, b] } if a == b => std::slice::from_ref(a),
            op => op.operands(),
        }
    }

    /// Number of levels that the operation consumes; 0 for bootstrapping.
    pub fn depth(&self) -> usize {
        match self {
            Self::Input | Self::Bootstrap { .. } => 0,
            Self::Linear { .. } | Self::Product { .. } => 1,
            Self::Polynomial { coefficients, .. } => {
                pic_ckks_model::chebyshev::absorbing_depth(coefficients) as usize
            }
        }
    }
}

impl Program {
    /// The value that the client decrypts: the last one.
    pub fn output_value(&self) -> &Value {
        &self.values[self.values.len() - 1]
    }

    /// Positions of the values that compute the range check; empty without one.
    pub fn range_check_values(&self) -> Range<usize> {
        let end = self.values.len() - 1;
        self.range_check.map_or(end, |check| check.first as usize)..end
    }

    /// The value that holds the sum of the range check; none without one.
    pub fn range_check_value(&self) -> Option<&Value> {
        self.values[self.range_check_values()].last()
    }

    /// Level to which a value's operands are dropped before they are used.
    pub fn operand_level(&self, value: &Value) -> usize {
        match (&value.op, &self.bootstrapping) {
            (Op::Bootstrap { .. }, Some(plan)) => plan.input_level(),
            _ => value.level + value.op.depth(),
        }
    }
}

/// Reason why a [`Program`] is not well formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// The program has no values.
    #[error("the program has no values")]
    Empty,
    /// There are more than [`MAX_VALUES`] values.
    #[error("the program has {values} values, at most {MAX_VALUES} are allowed")]
    Values {
        /// Number of values.
        values: usize,
    },
    /// `log_slots` is neither the longest period nor log2(N/2) where that is less.
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
    /// Postprocessing does not fit the output.
    #[error("postprocessing does not fit the output: {0}")]
    Postprocessing(#[source] PostprocessingError),
    /// A value breaks an invariant.
    #[error("value `{}`: {fault}", Escaped(name))]
    Value {
        /// Name of the value.
        name: String,
        /// The invariant that the value breaks.
        #[source]
        fault: Fault,
    },
    /// A key that the values need is missing, or a key is named that cannot exist.
    #[error("the keys do not match the values")]
    Keys,
    /// The range check breaks an invariant.
    #[error("the range check has no limit, or no value of one element that can hold it")]
    RangeCheck,
    /// The bootstrapping plan is for other parameters or another number of slots.
    #[error("the bootstrapping plan has other parameters or slots than the program")]
    Bootstrapping,
    /// A figure of the prediction is not finite, is negative or overflows.
    #[error("the prediction has figures that no run can have")]
    Prediction,
}

/// Invariant that a value breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// An operand does not come before its user.
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
    /// The number of ciphertexts or diagonals, or the bytes of diagonals, exceed the bounds of this module.
    #[error("it takes more ciphertexts or diagonals than are allowed")]
    Size,
    /// Level, scale or layout of a bootstrapped value are not those of the plan, or there is no plan.
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
                Op::Linear { operands, matrices, bias, schedule } => {
                    write!(f, "({schedule})")?;
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
