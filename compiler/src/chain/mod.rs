//! The modulus chain on which a network is planned, with or without bootstrapping.

use pic_ckks_model::bootstrapping::{
    BootstrappingPlan, BootstrappingRequest, EphemeralWeight, SlotData,
};
use pic_ckks_model::{Parameters, ParametersError, SecurityLevel};
use pic_ir::cost::CostModel;
use rayon::prelude::*;

mod leveled;

pub use leveled::{HEADROOM_BITS, LeveledParameters};

/// Ring degrees that carry bootstrapping, log2.
pub const BOOTSTRAPPING_LOG_NS: std::ops::RangeInclusive<u32> = 15..=16;

/// Bits by which the precision wanted of bootstrapping is below the scale: what the rounding of the
/// application's own operations leaves of it.
const PRECISION_BELOW_SCALE: f64 = 18.0;

/// Most levels between bootstraps that are tried, by N = 2^15 and 2^16.
const MOST_LEVELS: [usize; 2] = [12, 24];

/// A chain. Levels are counted from its [base](Self::base).
#[derive(Clone, Debug, PartialEq)]
pub enum ModulusChain {
    /// As long as the network needs.
    Leveled(LeveledParameters),
    /// Of a bootstrapping plan: values that run out of levels get new ones.
    Bootstrapped(Box<BootstrappingPlan>),
}

impl ModulusChain {
    /// Chains with bootstrapping of 2^`log_slots` slots, by number of levels; none for too few slots. A
    /// bootstrap fails with a probability of 2^`log2_failure` at most.
    pub fn bootstrapped(
        log_n: u32,
        log_slots: u32,
        log_scale: f64,
        log2_failure: f64,
        ephemeral_weight: EphemeralWeight,
        security: SecurityLevel,
    ) -> Vec<Self> {
        let most = MOST_LEVELS[(log_n - BOOTSTRAPPING_LOG_NS.start()) as usize];
        let request = BootstrappingRequest {
            log_n,
            slots: 1 << log_slots,
            data: SlotData::Real,
            levels: 0,
            log_scale,
            // A larger one would double its excess with every squaring of a polynomial.
            log_output_scale: log_scale,
            precision: log_scale - PRECISION_BELOW_SCALE,
            log2_failure,
            ephemeral_weight,
            security,
        };
        let chain = |levels| {
            let plan = BootstrappingRequest { levels, ..request }.plan().ok()?;
            Some(Self::Bootstrapped(Box::new(plan)))
        };
        (3..=most).into_par_iter().filter_map(chain).collect()
    }

    /// log2 of the ring degree.
    pub fn log_n(&self) -> u32 {
        match self {
            Self::Leveled(setting) => setting.log_n,
            Self::Bootstrapped(plan) => plan.parameters().log_n(),
        }
    }

    /// The level of the parameters that counts as zero: primes of SlotsToCoeffs lie below.
    pub fn base(&self) -> usize {
        self.bootstrapping().map_or(0, |plan| plan.output_level(0))
    }

    /// The most levels that there are, none if not even q0 fits.
    pub fn max_levels(&self) -> Option<usize> {
        match self {
            Self::Leveled(setting) => setting.max_levels(),
            Self::Bootstrapped(plan) => Some(plan.levels()),
        }
    }

    /// The parameters, with so many levels if that is open.
    pub fn parameters(&self, levels: usize) -> Result<Parameters, ParametersError> {
        match self {
            Self::Leveled(setting) => setting.parameters(levels),
            Self::Bootstrapped(plan) => Ok(plan.parameters().clone()),
        }
    }

    /// log2 of the scale of values.
    pub fn log_scale(&self) -> f64 {
        match self {
            Self::Leveled(setting) => setting.log_scale,
            Self::Bootstrapped(plan) => libm::log2(plan.input_scale()),
        }
    }

    /// How values are bootstrapped.
    pub fn bootstrapping(&self) -> Option<&BootstrappingPlan> {
        match self {
            Self::Leveled(_) => None,
            Self::Bootstrapped(plan) => Some(plan),
        }
    }

    /// Seconds of bootstrapping one ciphertext to 0, 1, … levels; none without bootstrapping.
    pub fn bootstrapping_seconds(&self, cost: &CostModel) -> Vec<f64> {
        let seconds = |plan: &BootstrappingPlan| {
            (0..=plan.levels()).map(|target| cost.seconds(plan.cost(target))).collect()
        };
        self.bootstrapping().map(seconds).unwrap_or_default()
    }
}
