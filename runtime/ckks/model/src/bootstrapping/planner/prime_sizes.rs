//! Sizes of primes, message ratio and EvalMod polynomial for a wanted precision.

use std::f64::consts::PI;

use super::factorizations::{StageFactorization, splits};
use super::{
    BootstrappingRequest, LARGEST, MARGIN, MOST_EVAL_MOD_LEVELS, PlanningError, SMALLEST, UNIFORM,
};
use crate::SecurityLevel;
use crate::bootstrapping::failure::smallest_bound;
use crate::bootstrapping::{EvalMod, SlotData};
use crate::chebyshev::{ChebyshevPlan, MAX_DEGREE};

/// Step of the search over sizes, in bits.
pub(super) const STEP: f64 = 0.5;

type Field = fn(&mut PrimeSizes) -> &mut f64;

/// Bits of precision that the reduction of each size, other than EvalMod's, may cost.
const LOSS: f64 = 0.1;

/// Tried excesses, in bits, of the scale of EvalMod's input and of the second power over the later
/// scales. Rounding has the largest effect in these two, and each takes one prime only.
const EXCESSES: [[f64; 2]; 3] = [[0.0, 0.0], [1.5, 2.5], [2.5, 4.5]];

/// A generous q0 takes half of the largest modulus of the ephemeral secret's keys plus half of this
/// many bits; the special prime, which has the rest, is chosen when q0 is small.
const OVER_HALF: f64 = 9.0;

/// Largest size of q0 in bits, a whole number of steps from the usual sizes.
const LARGEST_Q0: f64 = 49.5;

/// Most squarings in EvalMod.
const MOST_SQUARINGS: u32 = 4;

/// Sizes of the primes in bits, log2 of the message ratio, and the polynomial of EvalMod.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrimeSizes {
    pub(super) ratio: f64,
    pub(super) q0: f64,
    pub(super) slots_to_coeffs: f64,
    /// Size of the primes of EvalMod, except the first two.
    pub(super) eval_mod: f64,
    /// One of [`EXCESSES`].
    pub(super) excess: [f64; 2],
    pub(super) coeffs_to_slots: f64,
    pub(super) polynomial: EvalMod,
}

impl PrimeSizes {
    /// log2 of the scale of EvalMod's input.
    pub(super) fn eval_mod_scale(&self) -> f64 {
        self.eval_mod + self.excess[0]
    }

    /// Sizes of the primes of EvalMod, the first one consumed last in the list: each squaring leads
    /// from one scale to the next.
    pub(super) fn eval_mod_primes(&self) -> Vec<f64> {
        let [first, second] = self.excess;
        let mut primes = vec![self.eval_mod; self.polynomial.depth()];
        let top = primes.len() - 1;
        primes[top] += 2.0 * first - second;
        primes[top - 1] += 2.0 * second;
        primes
    }
}

impl BootstrappingRequest {
    /// For each number of squarings and harmonics, the smallest sizes of sufficient precision.
    pub(super) fn sizes(&self) -> Result<Vec<PrimeSizes>, PlanningError> {
        let mut best = f64::NEG_INFINITY;
        let mut found = Vec::new();
        let choices = (1..=2).flat_map(|h| (0..=MOST_SQUARINGS).map(move |s| (h, s)));
        for (harmonics, squarings) in choices {
            let Some(generous) = self.generous(harmonics, squarings) else { continue };
            let polynomial = generous.polynomial.exponential();
            best = best.max(self.bits(&generous, &polynomial)?);
            found.extend(self.shrunk(generous, &polynomial)?);
        }
        if found.is_empty() {
            let best = best - MARGIN - 3.0 * LOSS;
            return Err(PlanningError::Precision { wanted: self.precision, best });
        }
        Ok(found)
    }

    /// log2 of the message ratio. The noise grows in proportion to it and the error of the sine
    /// falls with its k-th power, so that most noise is allowed where the sine has 1/(k + 1) of the
    /// total error.
    fn log_ratio(&self, harmonics: u32) -> f64 {
        let power = f64::from(2 * harmonics);
        let eval_mod = EvalMod { bound: 1.0, degree: 1, squarings: 0, harmonics };
        let sine = libm::log2(eval_mod.distortion(1.0));
        ((self.wanted() + sine + libm::log2(power + 1.0)) / power).max(2.0)
    }

    /// The largest sizes, with the smallest polynomial of sufficient accuracy.
    fn generous(&self, harmonics: u32, squarings: u32) -> Option<PrimeSizes> {
        /// The polynomial's error is this many bits below the error wanted.
        const BELOW: f64 = 3.0;
        /// There are at least two levels, with primes of their own.
        const SMALLEST_DEGREE: usize = 3;
        let ratio = self.log_ratio(harmonics);
        let evaluated = match self.data {
            SlotData::Real => self.slots,
            SlotData::Complex => 2 * self.slots,
        };
        let bound =
            smallest_bound(self.ephemeral_weight, evaluated, libm::exp2(ratio), self.log2_failure);
        let error = libm::exp2(-self.wanted() - BELOW) * 2.0 * PI / libm::exp2(ratio);
        let polynomial = (SMALLEST_DEGREE..=MAX_DEGREE)
            .map(|degree| EvalMod { bound, degree, squarings, harmonics })
            .take_while(|eval_mod| eval_mod.depth() <= MOST_EVAL_MOD_LEVELS as usize)
            .find(|eval_mod| eval_mod.largest_error() < error)?;
        Some(PrimeSizes {
            ratio,
            q0: ((self.sparse_limit() + OVER_HALF) / 2.0).min(LARGEST_Q0),
            slots_to_coeffs: LARGEST,
            eval_mod: LARGEST,
            excess: [0.0; 2],
            coeffs_to_slots: LARGEST,
            polynomial,
        })
    }

    /// The sizes reduced one after the other as far as precision allows, those of EvalMod first,
    /// which has most primes.
    fn shrunk(
        &self,
        generous: PrimeSizes,
        polynomial: &ChebyshevPlan,
    ) -> Result<Option<PrimeSizes>, PlanningError> {
        let mut floor = self.wanted() + 3.0 * LOSS;
        let mut best: Option<(f64, PrimeSizes)> = None;
        for excess in EXCESSES {
            let sizes = PrimeSizes { excess, eval_mod: LARGEST - 2.0 * excess[1], ..generous };
            if self.bits(&sizes, polynomial)? < floor {
                continue;
            }
            let sizes = self.smallest(sizes, |s| &mut s.eval_mod, SMALLEST, floor, polynomial)?;
            let total = sizes.eval_mod_primes().iter().sum();
            if best.as_ref().is_none_or(|(least, _)| total < *least) {
                best = Some((total, sizes));
            }
        }
        let Some((_, mut sizes)) = best else { return Ok(None) };
        let fields: [(Field, f64); 3] = [
            (|s| &mut s.coeffs_to_slots, SMALLEST),
            (|s| &mut s.slots_to_coeffs, SMALLEST),
            (|s| &mut s.q0, sizes.ratio + SMALLEST),
        ];
        for (field, lowest) in fields {
            floor = self.bits(&sizes, polynomial)?.min(floor) - LOSS;
            sizes = self.smallest(sizes, field, lowest, floor, polynomial)?;
        }
        Ok(Some(sizes))
    }

    /// One size reduced as far as a precision of `floor` bits allows, which its present value has.
    fn smallest(
        &self,
        mut sizes: PrimeSizes,
        field: Field,
        lowest: f64,
        floor: f64,
        polynomial: &ChebyshevPlan,
    ) -> Result<PrimeSizes, PlanningError> {
        let highest = *field(&mut sizes);
        let (mut enough, mut too_many) = (0, ((highest - lowest) / STEP).floor() as usize + 1);
        while too_many - enough > 1 {
            let middle = (enough + too_many) / 2;
            *field(&mut sizes) = highest - middle as f64 * STEP;
            let precise = self.bits(&sizes, polynomial)? >= floor;
            *(if precise { &mut enough } else { &mut too_many }) = middle;
        }
        *field(&mut sizes) = highest - enough as f64 * STEP;
        Ok(sizes)
    }

    /// Estimated minimum precision in bits with these sizes and a generous factorization.
    fn bits(&self, sizes: &PrimeSizes, polynomial: &ChebyshevPlan) -> Result<f64, PlanningError> {
        let log_slots = self.transform_slots().trailing_zeros();
        let halves = |parts| splits(log_slots, parts).next().unwrap_or_else(|| vec![log_slots]);
        let factorization =
            StageFactorization { slots_to_coeffs: halves(2), coeffs_to_slots: halves(3), digit: 2 };
        let special = [LARGEST; 3];
        let plan = self.build(sizes, &factorization, &special, SecurityLevel::Insecure)?;
        Ok(plan.error_with(polynomial, UNIFORM).minimum_bits())
    }
}
