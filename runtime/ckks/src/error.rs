//! Errors of the scheme: refused operations and refused serialised data.

use crate::keys::KeySetFault;
use crate::model::{ParametersError, SecurityLevel};
use crate::ring::RingError;
use thiserror::Error;

/// Error of an operation that was refused; its operands are unchanged.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// Two operands, or an operand and a key, were made under different contexts.
    #[error("operands belong to different contexts")]
    ContextMismatch,
    /// Two operands are at different levels.
    #[error("operands are at levels {left} and {right}; drop the higher one first")]
    LevelMismatch {
        /// Level of the first operand.
        left: usize,
        /// Level of the second operand.
        right: usize,
    },
    /// Two operands of a sum have different scales.
    #[error("operands have scales 2^{:.6} and 2^{:.6}", left.log2(), right.log2())]
    ScaleMismatch {
        /// Scale of the first operand.
        left: f64,
        /// Scale of the second operand.
        right: f64,
    },
    /// Two operands have different slot counts.
    #[error("operands have {left} and {right} slots")]
    SlotsMismatch {
        /// Slots of the first operand.
        left: usize,
        /// Slots of the second operand.
        right: usize,
    },
    /// An operation consumes more levels than are left.
    #[error("{operation} needs {needed} levels, the operand is at level {level}")]
    LevelsExhausted {
        /// The operation.
        operation: &'static str,
        /// Number of levels consumed, or the level that was to be reached.
        needed: usize,
        /// Level of the operand.
        level: usize,
    },
    /// The level is above the top of the chain.
    #[error("level {level} is above the highest, {highest}")]
    LevelTooHigh {
        /// The level asked for.
        level: usize,
        /// The highest level of the context.
        highest: usize,
    },
    /// A slot count is not a power of two up to N/2.
    #[error("{slots} slots: a power of two up to {highest} is needed")]
    SlotCount {
        /// The slot count.
        slots: usize,
        /// N/2.
        highest: usize,
    },
    /// A value to encode is infinite or not a number.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Position of the value.
        index: usize,
    },
    /// A scale is not a finite number above zero.
    #[error("scale {0} is not a finite positive number")]
    InvalidScale(f64),
    /// A value times its scale exceeds the capacity of the modulus or of the integer type.
    #[error("an encoded coefficient has {bits:.1} bits, {capacity:.1} fit")]
    CoefficientOverflow {
        /// log2 of the largest coefficient.
        bits: f64,
        /// log2 of the largest coefficient that the modulus, or the integer type, can hold.
        capacity: f64,
    },
    /// The scale of a result is not below its modulus.
    #[error("the result would have a scale of {log_scale:.1} bits under a modulus of {log_q:.1}")]
    ScaleOverflow {
        /// log2 of the scale.
        log_scale: f64,
        /// log2 of the modulus.
        log_q: f64,
    },
    /// There is no relinearisation key.
    #[error("the evaluation keys have no relinearisation key")]
    MissingRelinearizationKey,
    /// There is no key for a rotation.
    #[error("the evaluation keys have no key for rotation by {rotation}")]
    MissingRotationKey {
        /// The rotation asked for.
        rotation: i64,
    },
    /// There is no conjugation key.
    #[error("the evaluation keys have no conjugation key")]
    MissingConjugationKey,
    /// There are no encapsulation keys.
    #[error("the evaluation keys have no encapsulation keys, which bootstrapping needs")]
    MissingEncapsulationKeys,
    /// A key was generated for lower levels than that of the operand.
    #[error("the key was generated for level {key}, the operand is at level {operand}")]
    KeyLevel {
        /// Highest level of the key.
        key: usize,
        /// Level of the operand.
        operand: usize,
    },
    /// The modulus of the encapsulation keys is too large for their sparse secret.
    #[error(
        "encapsulation keys of {log_modulus:.1} bits are above the {limit} bits that their sparse secret carries at {security} security"
    )]
    SparseSecret {
        /// log2 of q0 times the special prime used.
        log_modulus: f64,
        /// The largest log2 of the table; 0 where the ring is too small for any.
        limit: f64,
        /// The security of the parameters.
        security: SecurityLevel,
    },
    /// Bootstrapping was asked for more levels than its plan has.
    #[error("bootstrapping to {target} levels; its plan has {highest}")]
    BootstrappingTarget {
        /// The levels asked for.
        target: usize,
        /// The levels of the plan.
        highest: usize,
    },
    /// A list that must have elements is empty.
    #[error("{0} needs at least one operand")]
    NoOperands(&'static str),
    /// The number of input ciphertexts is not that of the transform.
    #[error("the transform takes {expected} inputs, {actual} were given")]
    InputCount {
        /// Inputs of the transform.
        expected: usize,
        /// Inputs given.
        actual: usize,
    },
    /// A term of a linear transform names an input or output beyond its shape.
    #[error(
        "a term reads input {input} and writes output {output} of a {inputs} to {outputs} transform"
    )]
    TermOutOfRange {
        /// Input of the term.
        input: usize,
        /// Output of the term.
        output: usize,
        /// Inputs of the transform.
        inputs: usize,
        /// Outputs of the transform.
        outputs: usize,
    },
    /// An output of a linear transform has no term, so that its ciphertext would be a transparent
    /// zero.
    #[error("output {0} of the transform has no terms")]
    EmptyOutput(usize),
    /// A set of keys differs from the request.
    #[error("the evaluation keys are not those needed: {0}")]
    KeySet(KeySetFault),
    /// Serialised data was refused.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The parameters were refused.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The ring refused parameters or data.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Reasons for refusing serialised data.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FormatError {
    /// The bytes do not start with the mark of the expected object.
    #[error("not a serialised {0}")]
    Kind(&'static str),
    /// The format version is not known to this library.
    #[error("format version {0} is unknown")]
    Version(u8),
    /// The data belong to other parameters.
    #[error("the data were made under other parameters")]
    OtherParameters,
    /// The bytes end early.
    #[error("{needed} bytes expected, {left} left")]
    Truncated {
        /// Bytes needed for the next field.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// Bytes follow the end of the object.
    #[error("{0} bytes after the end")]
    TrailingBytes(usize),
    /// A field has a value that no valid object has.
    #[error("invalid {0}")]
    Field(&'static str),
    /// The bytes could not be read.
    #[error("reading failed: {0}")]
    Source(std::io::ErrorKind),
}
