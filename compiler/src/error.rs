//! Errors of a compilation.

use pic_ckks_model::{ParametersError, SecurityLevel};
use pic_ir::escape::Escaped;
use pic_ir::preprocessing::PreprocessingError;
use pic_ir::program::ProgramError;

pub use crate::allocate::AllocationError;
use crate::composition::CompositeError;
use crate::dataset::DatasetError;
use crate::fit::FitError;
use crate::frontend::ImportError;
use crate::layerwise::RefitError;
use crate::profile::ProfileError;
use crate::range_check::RangeCheckError;

/// Reason why a network was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The file cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Preprocessing does not fit the input.
    #[error(transparent)]
    Preprocessing(#[from] PreprocessingError),
    /// Calibration samples or labels cannot be used.
    #[error("calibration data: {0}")]
    Dataset(#[from] DatasetError),
    /// Validation samples or labels cannot be used.
    #[error("validation data: {0}")]
    Validation(DatasetError),
    /// Profiling failed.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No polynomial could be fitted.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Polynomials could not be refitted in network order.
    #[error(transparent)]
    Refit(#[from] RefitError),
    /// Parameters could not be made.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// No ring of the security table has enough levels.
    #[error(
        "the network needs at least {needed} levels, but without bootstrapping {security} security allows {available} \
         (N = 2^{log_n}), and no plan with bootstrapping leaves enough between bootstraps (`{deepest}` takes {of_deepest})"
    )]
    TooDeep {
        /// Number of levels of the cheapest choice.
        needed: usize,
        /// Name of the layer that takes most levels.
        deepest: String,
        /// Number of levels that this layer takes.
        of_deepest: usize,
        /// Number of levels of the largest ring.
        available: usize,
        /// log2 of that ring's degree.
        log_n: u32,
        /// The requested security level.
        security: SecurityLevel,
    },
    /// No choice of degrees keeps the accuracy.
    #[error(
        "no choice of degrees keeps the accuracy within {asked:.2} points; the most accurate is expected to lose {best:.2} \
         points (predicted {seconds:.3} s), most of them in layer `{}`",
        Escaped(layer)
    )]
    Accuracy {
        /// Requested loss of accuracy, percentage points.
        asked: f64,
        /// Expected loss of the most accurate choice, percentage points.
        best: f64,
        /// Predicted latency of the most accurate choice, seconds.
        seconds: f64,
        /// Name of the layer that is predicted to cost most.
        layer: String,
    },
    /// No choice of degrees keeps the error of outputs that are numbers.
    #[error(
        "no choice of degrees keeps the error of the outputs within {asked:.2} % of their spread; the smallest is \
         {best:.2} % (predicted {seconds:.3} s), most of it in layer `{}`",
        Escaped(layer)
    )]
    Error {
        /// Requested error, percent of the spread of the outputs.
        asked: f64,
        /// Error of the most accurate choice, percent: the root mean square, or a fifth of the largest error if that
        /// is more.
        best: f64,
        /// Predicted latency of the most accurate choice, seconds.
        seconds: f64,
        /// Name of the layer that is predicted to cost most.
        layer: String,
    },
    /// Options and data of a classifier were given for outputs that are numbers, or the other way round.
    #[error("{0}")]
    Task(&'static str),
    /// The latency budget is too small for the accuracy.
    #[error(
        "a predicted latency of {budget:.3} s cannot be met; the nearest feasible one is {nearest:.3} s"
    )]
    Latency {
        /// Requested latency, seconds.
        budget: f64,
        /// Predicted latency of the fastest choice that meets the accuracy, seconds.
        nearest: f64,
    },
    /// No scale gives the requested precision.
    #[error(
        "{asked:.1} bits of precision were asked for, {best:.1} is the most that these parameters allow"
    )]
    Precision {
        /// Requested precision, bits.
        asked: f64,
        /// Predicted precision at the largest scale, bits.
        best: f64,
    },
    /// The server would need too much memory.
    #[error("running the program needs {needed} bytes, {available} are available")]
    Memory {
        /// Bytes predicted.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// The method has no polynomials for an activation.
    #[error(transparent)]
    Composite(#[from] CompositeError),
    /// A pass produced something malformed: a fault of the compiler.
    #[error("internal fault: {0}")]
    Program(#[from] ProgramError),
    /// The program cannot check ranges.
    #[error(transparent)]
    RangeCheck(#[from] RangeCheckError),
    /// Allocation failed.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
}
