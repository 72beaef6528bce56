//! Operations on ciphertexts.
//!
//! | file | operations |
//! |---|---|
//! | `sums` | addition, subtraction, negation; also of plaintexts and constants |
//! | `products` | products with plaintexts, scalars and ciphertexts; relinearisation, rescaling |
//! | `rotations` | rotation, conjugation, hoisting, rotate-and-sum |
//! | `transform` | linear transforms |
//! | `polynomial` | polynomials in the Chebyshev basis |
//!
//! Operands are checked first: context, basis, scale, slots. Levels and scales are never adjusted
//! implicitly.

mod polynomial;
mod products;
mod rotations;
mod sums;
mod transform;

pub use products::Degree2Ciphertext;
pub use transform::{ComplexPart, LinearTransform, Term, TransformShape};

use std::sync::Arc;

use crate::ring::Basis;
use crate::{Ciphertext, Context, Error, EvaluationKeys};

/// Relative difference up to which two scales count as equal: the effect of some hundred roundings
/// in f64 arithmetic, and far below any noise.
const SCALE_TOLERANCE: f64 = 1e-12;

/// Executes operations on ciphertexts, with evaluation keys and no secret.
#[derive(Debug, Clone)]
pub struct Evaluator {
    pub(crate) context: Arc<Context>,
    pub(crate) keys: Arc<EvaluationKeys>,
}

impl Evaluator {
    /// An evaluator that uses the given keys; operations whose key is missing return an error.
    ///
    /// ```
    /// use pic_ckks::{EvaluationKeys, Evaluator};
    /// use std::sync::Arc;
    /// # use pic_ckks::Context;
    /// # use pic_ckks::model::{Parameters, SecurityLevel};
    /// # let parameters =
    /// #     Parameters::from_bits(10, &[48.0, 40.0], &[49.0], 2, SecurityLevel::Insecure)?;
    /// # let context = Context::new(parameters)?;
    ///
    /// // Sums and plaintext products need no keys.
    /// let keys = Arc::new(EvaluationKeys::none(&context));
    /// let evaluator = Evaluator::new(Arc::clone(&context), keys)?;
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the keys were made under another context.
    pub fn new(context: Arc<Context>, keys: Arc<EvaluationKeys>) -> Result<Self, Error> {
        context.check_own(keys.context)?;
        Ok(Self { context, keys })
    }

    /// The context of the evaluator.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Refuses two ciphertexts that differ in context, basis or slot count.
    fn check_pair(&self, a: &Ciphertext, b: &Ciphertext) -> Result<(), Error> {
        self.context.check_own(a.context)?;
        self.context.check_own(b.context)?;
        check_slots(a.slots, b.slots)?;
        if a.basis() == b.basis() {
            Ok(())
        } else {
            Err(Error::LevelMismatch { left: a.level(), right: b.level() })
        }
    }

    /// Refuses a scale that is not below the modulus of the basis.
    fn check_capacity(&self, scale: f64, basis: Basis) -> Result<(), Error> {
        crate::context::check_scale(scale)?;
        let (log_scale, log_q) = (scale.log2(), self.context.log_modulus(basis));
        if log_scale < log_q { Ok(()) } else { Err(Error::ScaleOverflow { log_scale, log_q }) }
    }
}

pub(crate) fn check_slots(left: usize, right: usize) -> Result<(), Error> {
    if left == right { Ok(()) } else { Err(Error::SlotsMismatch { left, right }) }
}

fn check_scales(left: f64, right: f64) -> Result<(), Error> {
    if (left / right - 1.0).abs() < SCALE_TOLERANCE {
        Ok(())
    } else {
        Err(Error::ScaleMismatch { left, right })
    }
}
