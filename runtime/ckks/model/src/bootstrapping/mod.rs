//! Bootstrapping plans: the data on which parameters, execution and estimates agree.
//!
//! A ciphertext that has used up its levels is raised to a larger modulus, where it encrypts
//! m + q0·I for a small integer polynomial I, and I is removed by evaluating x mod 1:
//!
//! - *SlotsToCoeffs first*: SlotsToCoeffs on the lowest levels, where it is cheap; raising;
//!   CoeffsToSlots; EvalMod. Errors stay in the slots where they arise. Complex data take two EvalMods.
//!   Real data take one, and transforms of half the size: the two halves of the slots become real and
//!   imaginary parts of half as many, and halves again before EvalMod. The *halving* stage of a transform,
//!   that with the longest span, does so in passing. What errors there are in imaginary parts would spoil
//!   the other half, and a conjugation removes them first.
//! - *Conventional order*: raising, CoeffsToSlots, real and imaginary part, EvalMod of both,
//!   SlotsToCoeffs. It starts from level 0, but the error of a coefficient spreads over all slots, √2n
//!   times as large, and data whose coefficients are large (constant vectors) meet the cubic error of the
//!   sine with all their size.
//!
//! # The chain
//! `q0 | SlotsToCoeffs | application | EvalMod | CoeffsToSlots` with SlotsToCoeffs first,
//! `q0 | application | SlotsToCoeffs | EvalMod | CoeffsToSlots` in the conventional order. Primes are
//! consumed from the top. Bootstrapping to `target` application levels raises the modulus to all of these
//! but the application primes above the target, so that it costs as much as is gained.
//!
//! # The secret
//! The integers I are as large as the secret is dense. For raising, the ciphertext is switched to a
//! sparse ephemeral secret at the lowest modulus and back to the main secret afterwards (Bossuat,
//! Troncoso-Pastoriza and Hubaux, "Bootstrapping for Approximate Homomorphic Encryption with Negligible
//! Failure-Probability by Using Sparse-Secret Encapsulation", ACNS 2022).

mod cost;
mod display;
mod ephemeral;
mod estimate;
mod eval_mod;
pub mod failure;
mod noise;
mod planner;
mod stage;

use std::f64::consts::PI;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::security::max_log_sparse_modulus;
use crate::{Parameters, SecurityLevel};

pub use ephemeral::EphemeralWeight;
pub use estimate::ErrorEstimate;
pub use eval_mod::{EvalMod, SECOND_HARMONIC};
pub use planner::{BootstrappingRequest, LOG2_FAILURE, PlanningError};
pub use stage::Stage;

/// Fewest slots of a ciphertext that can be bootstrapped.
pub const LEAST_SLOTS: usize = 4;

/// Most butterflies merged into one stage. A stage of radix r has about 2·2^r diagonals, all in
/// memory at once while the transform is prepared.
pub const LARGEST_RADIX: u32 = 8;

/// Type of the numbers in the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotData {
    /// Real numbers.
    Real,
    /// Complex numbers.
    Complex,
}

/// Order of the steps of a bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// SlotsToCoeffs on the lowest levels, before raising.
    SlotsToCoeffsFirst,
    /// SlotsToCoeffs after EvalMod.
    Conventional,
}

/// Specification of a bootstrapping plan, unchecked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootstrappingSpec {
    /// The parameters; their chain is laid out as the [module](self) says.
    pub parameters: Parameters,
    /// Slots of the ciphertexts, a power of two from 4 to N/2.
    pub slots: usize,
    /// Type of the numbers in the slots.
    pub data: SlotData,
    /// The order of the steps.
    pub order: Order,
    /// Number of application primes: the most levels that a bootstrap can restore.
    pub levels: usize,
    /// log2 of the scale of input ciphertexts, for values in \[−1, 1\].
    pub log_input_scale: f64,
    /// log2 of the scale of output ciphertexts. The error from rounding in EvalMod is inversely
    /// proportional to this scale.
    pub log_output_scale: f64,
    /// Hamming weight of the ephemeral secret.
    pub ephemeral_weight: EphemeralWeight,
    /// log2 of the ratio of q0 to the scale at which the modulus is raised.
    pub log_ratio: f64,
    /// Butterflies merged in each stage of SlotsToCoeffs, in the order of application.
    pub slots_to_coeffs: Vec<u32>,
    /// Butterflies merged in each stage of CoeffsToSlots, in the order of application.
    pub coeffs_to_slots: Vec<u32>,
    /// The approximation of x mod 1.
    pub eval_mod: EvalMod,
    /// log2 of the scale of EvalMod's input x/K. The error from rounding there is multiplied by
    /// K·ratio.
    pub log_eval_mod_scale: f64,
}

/// A bootstrapping plan that has been checked against its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BootstrappingSpec", into = "BootstrappingSpec")]
pub struct BootstrappingPlan(BootstrappingSpec);

/// Reasons for refusing a [`BootstrappingSpec`].
#[derive(Debug, Clone, PartialEq, Error)]
pub enum BootstrappingError {
    /// The slot count is not a power of two from 4 to N/2.
    #[error("{slots} slots; bootstrapping takes powers of two from {LEAST_SLOTS} to {highest}")]
    Slots {
        /// The slot count.
        slots: usize,
        /// N/2.
        highest: usize,
    },
    /// The radices of the stages do not add up to log2 of the transform's slots, or one is too
    /// large.
    #[error(
        "{name} stages of {radices:?} butterflies, of at most {LARGEST_RADIX}, do not make up a transform of 2^{log_slots}"
    )]
    Stages {
        /// Name of the transform.
        name: &'static str,
        /// Radices given.
        radices: Vec<u32>,
        /// log2 of the transform's slots, the required sum of the radices.
        log_slots: u32,
    },
    /// The chain is not as long as the parts of the plan require.
    #[error("the chain has {actual} primes, the plan needs {needed}")]
    Chain {
        /// Required length: 1 + SlotsToCoeffs + application + EvalMod + CoeffsToSlots.
        needed: usize,
        /// Length of the chain.
        actual: usize,
    },
    /// The modulus q0·p of the ephemeral secret's keys is too large for the claimed security.
    #[error(
        "the ephemeral secret has keys of {log_modulus:.1} bits, above the {limit} bits that N = 2^{log_n} carries at {security} security"
    )]
    Encapsulation {
        /// log2 of the ring degree.
        log_n: u32,
        /// log2(q0·p).
        log_modulus: f64,
        /// Largest log2(q0·p) in the table of sparse secrets; 0 if the table has no entry.
        limit: f64,
        /// The security claimed.
        security: SecurityLevel,
    },
    /// A number is outside its domain.
    #[error("{name} is {value}, outside {domain}")]
    Number {
        /// Name of the number.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its domain, as text.
        domain: &'static str,
    },
}

/// One linear-transform step of a plan: the stage, the level at which it runs (and whose prime it
/// consumes), and the scales of its input and output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageStep {
    /// The stage, which determines the diagonals.
    pub stage: Stage,
    /// Period with which the diagonals repeat: that of the stage, or the slot count of the
    /// ciphertext if the stage halves slots.
    pub period: usize,
    /// Level of the input.
    pub level: usize,
    /// Scale of the input.
    pub input_scale: f64,
    /// Scale of the output.
    pub output_scale: f64,
}

impl BootstrappingPlan {
    /// Checks a specification.
    ///
    /// # Errors
    /// [`BootstrappingError`] with the first violated condition: slot count, stages, length of the
    /// chain, security of the ephemeral secret's keys, domains of the numbers.
    pub fn new(spec: BootstrappingSpec) -> Result<Self, BootstrappingError> {
        let highest = spec.parameters.max_slots();
        let slots = spec.slots;
        if !slots.is_power_of_two() || !(LEAST_SLOTS..=highest).contains(&slots) {
            return Err(BootstrappingError::Slots { slots, highest });
        }
        let log_slots = transform_slots(slots, spec.data, spec.order).trailing_zeros();
        for (name, radices) in
            [("SlotsToCoeffs", &spec.slots_to_coeffs), ("CoeffsToSlots", &spec.coeffs_to_slots)]
        {
            let sum = radices.iter().try_fold(0u32, |sum, &radix| sum.checked_add(radix));
            let possible = |radix| (1..=LARGEST_RADIX).contains(radix);
            if !radices.iter().all(possible) || sum != Some(log_slots) {
                let radices = radices.clone();
                return Err(BootstrappingError::Stages { name, radices, log_slots });
            }
        }
        let number = |name, value: f64, domain, range: Range<f64>| {
            let outside = !range.contains(&value);
            if outside { Err(BootstrappingError::Number { name, value, domain }) } else { Ok(()) }
        };
        let EvalMod { bound, degree, squarings, harmonics } = spec.eval_mod;
        number("the bound of EvalMod", bound, "[1, 1024)", 1.0..1024.0)?;
        number("the degree of EvalMod", degree as f64, "[2, 127]", 2.0..128.0)?;
        number("the number of squarings", squarings.into(), "[0, 10]", 0.0..11.0)?;
        number("the number of harmonics", harmonics.into(), "[1, 2]", 1.0..3.0)?;
        number("log2 of the input scale", spec.log_input_scale, "[10, 60)", 10.0..60.0)?;
        number("log2 of the output scale", spec.log_output_scale, "[10, 60)", 10.0..60.0)?;
        number("log2 of EvalMod's scale", spec.log_eval_mod_scale, "[10, 60)", 10.0..60.0)?;
        number("log2 of the message ratio", spec.log_ratio, "[2, 40)", 2.0..40.0)?;
        let parts = spec.slots_to_coeffs.len() + spec.eval_mod.depth() + spec.coeffs_to_slots.len();
        let (needed, actual) =
            (spec.levels.saturating_add(1 + parts), spec.parameters.moduli().len());
        if needed != actual {
            return Err(BootstrappingError::Chain { needed, actual });
        }
        let plan = Self(spec);
        let (log_n, security) = (plan.parameters().log_n(), plan.parameters().security());
        let log_modulus = plan.parameters().log_encapsulation_modulus();
        let limit = max_log_sparse_modulus(log_n, security).unwrap_or(0.0);
        if log_modulus > limit {
            let error = BootstrappingError::Encapsulation { log_n, log_modulus, limit, security };
            return Err(error);
        }
        Ok(plan)
    }

    /// The CKKS parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.0.parameters
    }

    /// Number of slots of the ciphertexts.
    pub fn slots(&self) -> usize {
        self.0.slots
    }

    /// Type of the numbers in the slots.
    pub fn data(&self) -> SlotData {
        self.0.data
    }

    /// The order of the steps.
    pub fn order(&self) -> Order {
        self.0.order
    }

    /// Hamming weight of the ephemeral secret.
    pub fn ephemeral_weight(&self) -> EphemeralWeight {
        self.0.ephemeral_weight
    }

    /// Number of slots of the homomorphic transforms: half the slots of the ciphertexts if the plan
    /// halves slots.
    pub fn transform_slots(&self) -> usize {
        transform_slots(self.0.slots, self.0.data, self.0.order)
    }

    /// Constant factor of the SlotsToCoeffs matrices: 1/2 where the sum of a number and its
    /// conjugate, twice the real part, follows.
    pub fn slots_to_coeffs_constant(&self) -> f64 {
        if self.halves_slots() { 0.5 } else { 1.0 }
    }

    /// Returns whether the halves of the slots are the real and imaginary parts of half as many
    /// numbers within the transforms.
    pub fn halves_slots(&self) -> bool {
        self.transform_slots() < self.slots()
    }

    /// Number of EvalMods in a bootstrap: two (real parts, imaginary parts) for complex data, one
    /// for real data.
    pub fn eval_mods(&self) -> usize {
        if self.halves_slots() { 1 } else { 2 }
    }

    /// Most application levels that a bootstrap can restore.
    pub fn levels(&self) -> usize {
        self.0.levels
    }

    /// The approximation of x mod 1.
    pub fn eval_mod(&self) -> &EvalMod {
        &self.0.eval_mod
    }

    /// Scale of input ciphertexts.
    pub fn input_scale(&self) -> f64 {
        libm::exp2(self.0.log_input_scale)
    }

    /// Scale of output ciphertexts.
    pub fn output_scale(&self) -> f64 {
        libm::exp2(self.0.log_output_scale)
    }

    /// Ratio of q0 to the scale at which the modulus is raised.
    pub fn ratio(&self) -> f64 {
        libm::exp2(self.0.log_ratio)
    }

    /// Level of the input of a bootstrap; a ciphertext's higher levels are dropped.
    pub fn input_level(&self) -> usize {
        match self.0.order {
            Order::SlotsToCoeffsFirst => self.0.slots_to_coeffs.len(),
            Order::Conventional => 0,
        }
    }

    /// Level of the output of a bootstrap to `target` application levels.
    pub fn output_level(&self, target: usize) -> usize {
        self.input_level() + target
    }

    /// Level of EvalMod's input; its output is [`EvalMod::depth`] primes lower.
    pub fn eval_mod_level(&self) -> usize {
        self.0.parameters.max_level() - self.0.coeffs_to_slots.len()
    }

    /// Chain indices of the primes left out of a bootstrap to `target` application levels: the
    /// application primes above the target.
    pub fn omitted(&self, target: usize) -> Range<usize> {
        self.output_level(target) + 1..self.output_level(self.0.levels) + 1
    }

    /// Scale of EvalMod's input x/K.
    pub fn eval_mod_scale(&self) -> f64 {
        libm::exp2(self.0.log_eval_mod_scale)
    }

    /// Scales after the polynomial of EvalMod and after each product that follows it. With the last
    /// one, twice the imaginary part of exp(2πix) is the message at the output scale, where `ratio`
    /// is q0 over the scale at which the modulus was raised ([`BootstrappingPlan::ratio`], or close
    /// to it).
    pub fn eval_mod_scales(&self, ratio: f64) -> Vec<f64> {
        let EvalMod { squarings, harmonics, .. } = self.0.eval_mod;
        let products = (squarings + harmonics - 1) as usize;
        let last = self.eval_mod_level() + 1 - self.0.eval_mod.depth();
        let mut scales = vec![self.output_scale() * ratio / (4.0 * PI)];
        for (i, &q) in self.parameters().moduli()[last..last + products].iter().enumerate() {
            let factor = if harmonics == 2 && i == 0 { SECOND_HARMONIC } else { 1.0 };
            scales.push((scales[i] * q as f64 / factor).sqrt());
        }
        scales.reverse();
        scales
    }

    /// The steps of SlotsToCoeffs, in the order of application.
    pub fn slots_to_coeffs(&self) -> Vec<StageStep> {
        let radices = &self.0.slots_to_coeffs;
        let top = match self.0.order {
            Order::SlotsToCoeffsFirst => radices.len(),
            Order::Conventional => self.0.levels + radices.len(),
        };
        let (from, to) = match self.0.order {
            Order::SlotsToCoeffsFirst => {
                (self.input_scale(), self.parameters().moduli()[0] as f64 / self.ratio())
            }
            Order::Conventional => (self.output_scale(), self.output_scale()),
        };
        // Geometric between the two ends.
        let scale = |i: usize| from * libm::pow(to / from, i as f64 / radices.len() as f64);
        let stages = Stage::ascending(self.transform_slots().trailing_zeros(), radices);
        let step = |(i, stage)| StageStep {
            stage,
            period: self.period(&stage),
            level: top - i,
            input_scale: scale(i),
            output_scale: scale(i + 1),
        };
        stages.into_iter().enumerate().map(step).collect()
    }

    /// The steps of CoeffsToSlots, in the order of application. Scales refer to x, which is one at
    /// q0 in the raised ciphertext.
    pub fn coeffs_to_slots(&self) -> Vec<StageStep> {
        let ascending: Vec<u32> = self.0.coeffs_to_slots.iter().rev().copied().collect();
        let stages = Stage::ascending(self.transform_slots().trailing_zeros(), &ascending);
        let (top, scale) = (self.parameters().max_level(), self.eval_mod_scale());
        let step = |(i, stage)| StageStep {
            stage,
            period: self.period(&stage),
            level: top - i,
            input_scale: if i == 0 { self.parameters().moduli()[0] as f64 } else { scale },
            output_scale: scale,
        };
        stages.into_iter().rev().enumerate().map(step).collect()
    }

    fn period(&self, stage: &Stage) -> usize {
        if self.halves_slots() && stage.wraps() { self.slots() } else { stage.period() }
    }
}

/// Slot count of the transforms for data in `slots` slots.
fn transform_slots(slots: usize, data: SlotData, order: Order) -> usize {
    match (data, order) {
        (SlotData::Real, Order::SlotsToCoeffsFirst) => slots / 2,
        _ => slots,
    }
}

impl TryFrom<BootstrappingSpec> for BootstrappingPlan {
    type Error = BootstrappingError;

    fn try_from(spec: BootstrappingSpec) -> Result<Self, BootstrappingError> {
        Self::new(spec)
    }
}

impl From<BootstrappingPlan> for BootstrappingSpec {
    fn from(plan: BootstrappingPlan) -> Self {
        plan.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecurityLevel;

    fn spec(
        log_n: u32,
        q0_bits: f64,
        special_bits: &[f64],
        security: SecurityLevel,
    ) -> BootstrappingSpec {
        let moduli = [&[q0_bits][..], &[28.0; 2], &[30.0; 3], &[41.0; 8 + 2]].concat();
        let parameters =
            Parameters::from_bits(log_n, &moduli, special_bits, moduli.len(), security).unwrap();
        BootstrappingSpec {
            parameters,
            slots: 1 << 10,
            data: SlotData::Real,
            levels: 3,
            order: Order::SlotsToCoeffsFirst,
            log_input_scale: 30.0,
            log_output_scale: 30.0,
            log_eval_mod_scale: 41.0,
            ephemeral_weight: EphemeralWeight::default(),
            log_ratio: 9.0,
            slots_to_coeffs: vec![4, 5],
            coeffs_to_slots: vec![5, 4],
            eval_mod: EvalMod { bound: 12.0, degree: 30, squarings: 3, harmonics: 1 },
        }
    }

    #[test]
    fn keys_of_the_ephemeral_secret_are_bounded_by_its_security() {
        let plan = |log_n, q0_bits, special_bits, security| {
            BootstrappingPlan::new(spec(log_n, q0_bits, &[special_bits], security))
        };
        assert!(plan(15, 38.0, 41.0, SecurityLevel::Bits128).is_ok());
        assert!(plan(16, 49.0, 49.9, SecurityLevel::Bits128).is_ok());
        let error = plan(15, 39.0, 42.0, SecurityLevel::Bits128).unwrap_err();
        let BootstrappingError::Encapsulation { log_modulus, limit: 80.0, .. } = error else {
            panic!("{error}")
        };
        assert!((log_modulus - 81.0).abs() < 0.01);
        assert!(matches!(
            plan(16, 36.0, 41.0, SecurityLevel::Bits192),
            Err(BootstrappingError::Encapsulation { limit: 0.0, .. })
        ));
        assert!(plan(15, 42.0, 49.0, SecurityLevel::Insecure).is_ok());
    }
}
