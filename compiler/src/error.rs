//! Why there is no program.

use pic_ckks_model::{ParametersError, SecurityLevel};
use pic_ir::preprocessing::PreprocessingError;
use pic_ir::program::ProgramError;

pub use crate::allocate::AllocationError;
use crate::baselines::composite::CompositeError;
use crate::dataset::DatasetError;
use crate::fit::FitError;
use crate::frontend::ImportError;
use crate::layerwise::RefitError;
use crate::profile::ProfileError;
use crate::range_check::RangeCheckError;

/// Why there is no program.
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
        /// Levels of the cheapest choice.
        needed: usize,
        /// The layer that takes most.
        deepest: String,
        /// Levels that it takes.
        of_deepest: usize,
        /// Levels of the largest ring.
        available: usize,
        /// log2 of that ring's degree.
        log_n: u32,
        /// The security asked for.
        security: SecurityLevel,
    },
    /// No choice of degrees keeps the accuracy.
    #[error(
        "no choice of degrees keeps the accuracy within {asked:.2} points; the most accurate loses {best:.2} points on \
         held-back samples (predicted {seconds:.3} s)"
    )]
    Accuracy {
        /// Points asked for.
        asked: f64,
        /// Points that the most accurate choice loses.
        best: f64,
        /// Its latency.
        seconds: f64,
    },
    /// The latency budget is too small for the accuracy.
    #[error(
        "a predicted latency of {budget:.3} s cannot be met; the nearest feasible one is {nearest:.3} s"
    )]
    Latency {
        /// Seconds asked for.
        budget: f64,
        /// Seconds of the fastest choice that meets the accuracy.
        nearest: f64,
    },
    /// No scale gives the precision.
    #[error(
        "{asked:.1} bits of precision were asked for, {best:.1} is the most that these parameters allow"
    )]
    Precision {
        /// Bits asked for.
        asked: f64,
        /// Bits at the largest scale.
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
