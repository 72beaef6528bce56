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

/// Bits by which the precision requested of bootstrapping is below the scale: rounding in the application's own
/// operations leaves no more.
const PRECISION_BELOW_SCALE: f64 = 18.0;

/// Largest numbers of levels between bootstraps that are tried, for N = 2^15 and 2^16.
const MOST_LEVELS: [usize; 2] = [12, 24];

/// A modulus chain. Levels are counted from its [base](Self::base).
#[derive(Clone, Debug, PartialEq)]
pub enum ModulusChain {
    /// Chain without bootstrapping, as long as the network needs.
    Leveled(LeveledParameters),
    /// Chain of a bootstrapping plan, on which values that run out of levels are bootstrapped.
    Bootstrapped(Box<BootstrappingPlan>),
}

impl ModulusChain {
    /// Chains with bootstrapping for ciphertexts of 2^`log_slots` slots, one per number of levels; empty for too
    /// few slots. A bootstrap fails with a probability of at most 2^`log2_failure`.
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

    /// Level of the parameters that counts as level zero. The primes of SlotsToCoeffs lie below it.
    pub fn base(&self) -> usize {
        self.bootstrapping().map_or(0, |plan| plan.output_level(0))
    }

    /// Largest number of levels; none if not even q0 fits.
    pub fn max_levels(&self) -> Option<usize> {
        match self {
            Self::Leveled(setting) => setting.max_levels(),
            Self::Bootstrapped(plan) => Some(plan.levels()),
        }
    }

    /// Parameters of the chain. Without bootstrapping it is made `levels` levels long; with bootstrapping the plan has
    /// fixed the parameters, and `levels` is ignored.
    ///
    /// # Errors
    /// The errors of [`LeveledParameters::parameters`]; none with bootstrapping.
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

    /// Plan of bootstraps; none for a chain without.
    pub fn bootstrapping(&self) -> Option<&BootstrappingPlan> {
        match self {
            Self::Leveled(_) => None,
            Self::Bootstrapped(plan) => Some(plan),
        }
    }

    /// Seconds of bootstrapping one ciphertext to 0, 1, … levels; empty for a chain without bootstrapping.
    pub fn bootstrapping_seconds(&self, cost: &CostModel) -> Vec<f64> {
        let seconds = |plan: &BootstrappingPlan| {
            (0..=plan.levels()).map(|target| cost.seconds(plan.cost(target))).collect()
        };
        self.bootstrapping().map(seconds).unwrap_or_default()
    }
}
