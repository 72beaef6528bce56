//! How large primes, message ratio and polynomial must be for a precision.

use std::f64::consts::PI;

use super::structures::{Structure, splits};
use super::{
    BootstrappingRequest, LARGEST, LOG2_FAILURE, MARGIN, MOST_EVAL_MOD_LEVELS, PlanningError,
    SMALLEST, UNIFORM,
};
use crate::SecurityLevel;
use crate::bootstrapping::failure::smallest_bound;
use crate::bootstrapping::{EvalMod, SlotData};
use crate::chebyshev::{ChebyshevPlan, MAX_DEGREE};

/// Sizes are searched in steps of this many bits.
pub(super) const STEP: f64 = 0.5;

/// Bits that each size but that of EvalMod may cost.
const LOSS: f64 = 0.1;

/// Sizes in bits, and the polynomial.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) ratio: f64,
    pub(super) q0: f64,
    pub(super) slots_to_coeffs: f64,
    pub(super) eval_mod: f64,
    pub(super) coeffs_to_slots: f64,
    pub(super) polynomial: EvalMod,
}

impl BootstrappingRequest {
    /// For each number of doublings, the smallest sizes that are precise enough.
    pub(super) fn sizes(&self) -> Result<Vec<Sizes>, PlanningError> {
        let mut best = f64::NEG_INFINITY;
        let mut found = Vec::new();
        for doublings in 0..MOST_EVAL_MOD_LEVELS {
            let Some(generous) = self.generous(doublings) else { continue };
            let polynomial = generous.polynomial.chebyshev_plan();
            best = best.max(self.bits(&generous, &polynomial)?);
            found.extend(self.shrunk(generous, &polynomial)?);
        }
        if found.is_empty() {
            return Err(PlanningError::Precision {
                wanted: self.precision,
                best: best - MARGIN - 3.0 * LOSS,
            });
        }
        Ok(found)
    }

    /// log2 of the message ratio. Noise grows with it and the cube's error falls with its square, so
    /// that most noise is allowed where the cube's error is a third of what is allowed in all.
    fn log_ratio(&self) -> f64 {
        let cube = (2.0 * PI).powi(2) / 6.0;
        ((self.wanted().exp2() * 3.0 * cube).log2() / 2.0).max(2.0)
    }

    /// The largest sizes, with the smallest polynomial that is good enough.
    fn generous(&self, doublings: u32) -> Option<Sizes> {
        /// The polynomial's error is this many bits below the error wanted.
        const BELOW: f64 = 3.0;
        let ratio = self.log_ratio();
        let evaluated = match self.data {
            SlotData::Real => self.slots,
            SlotData::Complex => 2 * self.slots,
        };
        let bound = smallest_bound(evaluated, ratio.exp2(), LOG2_FAILURE);
        let error = (-self.wanted() - BELOW).exp2() * 2.0 * PI / ratio.exp2();
        let degrees = 2..(1 << (MOST_EVAL_MOD_LEVELS - doublings)).min(MAX_DEGREE + 1);
        let polynomial = degrees
            .map(|degree| EvalMod { bound, degree, doublings })
            .find(|eval_mod| eval_mod.largest_error() < error)?;
        let most_q0 = ((self.sparse_limit() - 1.0) / 2.0).min(LARGEST);
        let q0 = match self.data {
            SlotData::Real => most_q0,
            SlotData::Complex => most_q0.min(self.log_scale + ratio),
        };
        let (slots_to_coeffs, eval_mod, coeffs_to_slots) = (LARGEST, LARGEST, LARGEST);
        Some(Sizes { ratio, q0, slots_to_coeffs, eval_mod, coeffs_to_slots, polynomial })
    }

    /// Each size made as small as it may be, that of EvalMod first, of which there are most primes.
    fn shrunk(
        &self,
        mut sizes: Sizes,
        polynomial: &ChebyshevPlan,
    ) -> Result<Option<Sizes>, PlanningError> {
        let mut floor = self.wanted() + 3.0 * LOSS;
        if self.bits(&sizes, polynomial)? < floor {
            return Ok(None);
        }
        let raised = match self.data {
            SlotData::Real => sizes.ratio + SMALLEST,
            // Tied to the application's scale.
            SlotData::Complex => sizes.q0,
        };
        type Field = fn(&mut Sizes) -> &mut f64;
        let fields: [(Field, f64); 4] = [
            (|s| &mut s.eval_mod, SMALLEST),
            (|s| &mut s.coeffs_to_slots, SMALLEST),
            (|s| &mut s.slots_to_coeffs, SMALLEST),
            (|s| &mut s.q0, raised),
        ];
        for (field, lowest) in fields {
            let highest = *field(&mut sizes);
            // `highest` is enough; the fewest steps below it that are not.
            let (mut enough, mut too_many) = (0, ((highest - lowest) / STEP).floor() as usize + 1);
            while too_many - enough > 1 {
                let middle = (enough + too_many) / 2;
                *field(&mut sizes) = highest - middle as f64 * STEP;
                if self.bits(&sizes, polynomial)? < floor {
                    too_many = middle
                } else {
                    enough = middle
                }
            }
            *field(&mut sizes) = highest - enough as f64 * STEP;
            floor = self.bits(&sizes, polynomial)?.min(floor) - LOSS;
        }
        Ok(Some(sizes))
    }

    /// Estimated minimum bits with these sizes and a generous structure.
    fn bits(&self, sizes: &Sizes, polynomial: &ChebyshevPlan) -> Result<f64, PlanningError> {
        let log_slots = self.slots.trailing_zeros();
        let halves = |parts| splits(log_slots, parts).next().unwrap_or_else(|| vec![log_slots]);
        let structure =
            Structure { slots_to_coeffs: halves(2), coeffs_to_slots: halves(3), digit: 2 };
        let special = [LARGEST; 3];
        let plan = self.build(sizes, &structure, &special, SecurityLevel::Insecure)?;
        Ok(plan.error_with(polynomial, UNIFORM).minimum_bits())
    }
}
