//! Planner: finds the cheapest bootstrapping plan that meets requirements of precision, security
//! and failure probability.
//!
//! The search has two nearly independent parts. *Prime sizes*, message ratio and polynomial follow
//! from the precision wanted: each is made as small as the precision allows while all others are
//! generous. *Factorizations* (the numbers of stages of the transforms and of digits of key
//! switching) determine the cost; those whose modulus fits the ring are tried in ascending order of
//! cost, and the first that meets all requirements is returned.
//!
//! SlotsToCoeffs always comes first: the conventional order spreads the error of a coefficient over all
//! slots, and its SlotsToCoeffs works on more limbs.

mod factorizations;
mod prime_sizes;

use std::ops::RangeInclusive;

use thiserror::Error;

use super::{
    BootstrappingError, BootstrappingPlan, BootstrappingSpec, EphemeralWeight, LEAST_SLOTS, Order,
    SlotData, transform_slots,
};
use crate::parameters::{LOG_N_RANGE, ParametersError};
use crate::security::{max_log_qp, max_log_sparse_modulus};
use crate::{Parameters, SecurityLevel};
use factorizations::{Candidate, StageFactorization};
use prime_sizes::{PrimeSizes, STEP};

/// Order of the steps of every plan that is searched.
const ORDER: Order = Order::SlotsToCoeffsFirst;

/// Usual bound on log2 of the failure probability of one bootstrap: 2^-60 gives 2^-36 for a million
/// images with sixteen bootstraps each. Where an adversary could provoke and observe failures, -128
/// is used.
pub const LOG2_FAILURE: f64 = -60.0;

/// Bits by which the estimated minimum precision must exceed the wanted one: about the variation of
/// the largest error from ciphertext to ciphertext.
const MARGIN: f64 = 0.7;

/// Mean square of values that are uniform in \[−1, 1\].
const UNIFORM: f64 = 1.0 / 3.0;

/// Largest prime size in bits that leaves many primes near it below 2^50.
const LARGEST: f64 = 49.9;

/// Smallest prime size in bits outside the application levels: large rings have few smaller primes.
const SMALLEST: f64 = 25.0;

/// Most levels of EvalMod.
const MOST_EVAL_MOD_LEVELS: u32 = 9;

/// Most application levels.
const MOST_LEVELS: usize = 60;

/// Requirements on a bootstrapping plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrappingRequest {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Slots of the ciphertexts, a power of two from 4 to N/2.
    pub slots: usize,
    /// Type of the numbers in the slots.
    pub data: SlotData,
    /// Number of application levels.
    pub levels: usize,
    /// Size of the application primes and log2 of the scale of input ciphertexts, in bits.
    pub log_scale: f64,
    /// log2 of the scale of output ciphertexts. A few bits above the size of the application primes
    /// reduce the error of rounding.
    pub log_output_scale: f64,
    /// Bits of precision wanted of the least precise slot, for values in \[−1, 1\].
    pub precision: f64,
    /// Largest log2 of the probability that one bootstrap fails; usually [`LOG2_FAILURE`].
    pub log2_failure: f64,
    /// Hamming weight of the ephemeral secret.
    pub ephemeral_weight: EphemeralWeight,
    /// Security level of both the main and the ephemeral secret.
    pub security: SecurityLevel,
}

/// Reasons for which no plan meets a [`BootstrappingRequest`].
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanningError {
    /// The ring has no modulus of this security, or none for the ephemeral secret.
    #[error("no bootstrapping with N = 2^{log_n} at {security} security")]
    Security {
        /// log2 of the ring degree.
        log_n: u32,
        /// The security wanted.
        security: SecurityLevel,
    },
    /// The precision wanted cannot be reached with primes below 2^50.
    #[error("{wanted:.1} bits of precision wanted, at most about {best:.1} are possible")]
    Precision {
        /// Minimum precision wanted, in bits.
        wanted: f64,
        /// Estimated minimum precision with the largest primes and an unlimited modulus, in bits.
        best: f64,
    },
    /// All plans of sufficient precision need a larger modulus than the ring allows.
    #[error(
        "bootstrapping needs log2 QP = {needed:.0}, above the {limit} bits of the ring: choose a larger ring, fewer levels or less precision"
    )]
    Modulus {
        /// Smallest log2(QP) of these plans.
        needed: f64,
        /// Largest log2(QP) of the ring at this security.
        limit: f64,
    },
    /// The request is invalid for every plan, for example its slot count.
    #[error(transparent)]
    Bootstrapping(#[from] BootstrappingError),
    /// There are not enough primes of the sizes needed.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
}

impl BootstrappingRequest {
    /// The plan of least estimated time on one thread (at
    /// [`UnitCosts::REFERENCE`](crate::UnitCosts::REFERENCE)) that meets the request.
    ///
    /// # Errors
    /// [`PlanningError::Security`] if the ring has no modulus of this security,
    /// [`PlanningError::Precision`] and [`PlanningError::Modulus`] if no plan is precise enough or
    /// small enough, [`PlanningError::Bootstrapping`] if the request is invalid,
    /// [`PlanningError::Parameters`] if primes are lacking.
    pub fn plan(&self) -> Result<BootstrappingPlan, PlanningError> {
        self.check()?;
        let limit = max_log_qp(self.log_n, self.security).unwrap_or(0.0);
        let sizes = self.sizes()?;
        let mut candidates = Vec::new();
        for sizes in sizes {
            candidates.extend(self.candidates(sizes, limit)?);
        }
        let needed = candidates.iter().map(|c| c.log_qp).fold(f64::INFINITY, f64::min);
        candidates.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        candidates
            .iter()
            .filter(|candidate| candidate.log_qp <= limit)
            .find_map(|candidate| self.verified(candidate))
            .ok_or(PlanningError::Modulus { needed, limit })
    }

    fn check(&self) -> Result<(), PlanningError> {
        let Self { log_n, slots, levels, log_scale, log_output_scale, .. } = *self;
        let Self { precision, log2_failure, .. } = *self;
        let security = self.security;
        let carries = max_log_qp(log_n, security).and(max_log_sparse_modulus(log_n, security));
        if carries.is_none() || !LOG_N_RANGE.contains(&log_n) {
            return Err(PlanningError::Security { log_n, security });
        }
        let highest = 1 << (log_n - 1);
        if !slots.is_power_of_two() || !(LEAST_SLOTS..=highest).contains(&slots) {
            return Err(BootstrappingError::Slots { slots, highest }.into());
        }
        let number = |name, value: f64, domain, range: RangeInclusive<f64>| {
            let outside = !range.contains(&value);
            if outside { Err(BootstrappingError::Number { name, value, domain }) } else { Ok(()) }
        };
        number("the number of levels", levels as f64, "[0, 60]", 0.0..=MOST_LEVELS as f64)?;
        number("log2 of the scale", log_scale, "[20, 49.9]", 20.0..=LARGEST)?;
        number("log2 of the output scale", log_output_scale, "[20, 55]", 20.0..=55.0)?;
        number("the precision", precision, "[1, 40]", 1.0..=40.0)?;
        number("log2 of the failure probability", log2_failure, "[-256, -10]", -256.0..=-10.0)?;
        Ok(())
    }

    fn transform_slots(&self) -> usize {
        transform_slots(self.slots, self.data, ORDER)
    }

    fn wanted(&self) -> f64 {
        self.precision + MARGIN
    }

    /// The candidate as a plan, with slightly larger primes if needed, or `None` if it misses a
    /// requirement.
    fn verified(&self, candidate: &Candidate) -> Option<BootstrappingPlan> {
        const TRIES: usize = 4;
        let Candidate { mut sizes, factorization, .. } = candidate.clone();
        for _ in 0..TRIES {
            let chain = self.chain(&sizes, &factorization);
            let special = self.special(&chain, factorization.digit)?;
            let plan = self.build(&sizes, &factorization, &special, self.security).ok()?;
            let precise = plan.error(UNIFORM).minimum_bits() >= self.wanted();
            if precise && plan.log2_failure() <= self.log2_failure {
                return Some(plan);
            }
            sizes.eval_mod = (sizes.eval_mod + STEP).min(LARGEST - 2.0 * sizes.excess[1]);
            sizes.coeffs_to_slots = (sizes.coeffs_to_slots + STEP).min(LARGEST);
        }
        None
    }

    fn build(
        &self,
        sizes: &PrimeSizes,
        factorization: &StageFactorization,
        special: &[f64],
        security: SecurityLevel,
    ) -> Result<BootstrappingPlan, PlanningError> {
        let chain = self.chain(sizes, factorization);
        let digits = chain.len().div_ceil(factorization.digit);
        let parameters = Parameters::from_bits(self.log_n, &chain, special, digits, security)?;
        self.with_parameters(parameters, sizes, factorization)
    }

    fn with_parameters(
        &self,
        parameters: Parameters,
        sizes: &PrimeSizes,
        factorization: &StageFactorization,
    ) -> Result<BootstrappingPlan, PlanningError> {
        Ok(BootstrappingPlan::new(BootstrappingSpec {
            parameters,
            slots: self.slots,
            data: self.data,
            levels: self.levels,
            order: ORDER,
            log_input_scale: self.log_scale,
            log_output_scale: self.log_output_scale,
            log_eval_mod_scale: sizes.eval_mod_scale(),
            ephemeral_weight: self.ephemeral_weight,
            log_ratio: sizes.ratio,
            slots_to_coeffs: factorization.slots_to_coeffs.clone(),
            coeffs_to_slots: factorization.coeffs_to_slots.clone(),
            eval_mod: sizes.polynomial,
        })?)
    }

    /// Sizes of the chain's primes in bits, from q0 up.
    fn chain(&self, sizes: &PrimeSizes, factorization: &StageFactorization) -> Vec<f64> {
        let slots_to_coeffs = vec![sizes.slots_to_coeffs; factorization.slots_to_coeffs.len()];
        let application = vec![self.log_scale; self.levels];
        let back = vec![sizes.coeffs_to_slots; factorization.coeffs_to_slots.len()];
        [vec![sizes.q0], slots_to_coeffs, application, sizes.eval_mod_primes(), back].concat()
    }

    fn sparse_limit(&self) -> f64 {
        max_log_sparse_modulus(self.log_n, self.security).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnitCosts;

    const REQUEST: BootstrappingRequest = BootstrappingRequest {
        log_n: 15,
        slots: 1 << 14,
        data: SlotData::Real,
        levels: 5,
        log_scale: 30.0,
        log_output_scale: 32.0,
        precision: 13.0,
        log2_failure: LOG2_FAILURE,
        ephemeral_weight: EphemeralWeight::W32,
        security: SecurityLevel::Bits128,
    };

    fn seconds(plan: &BootstrappingPlan) -> f64 {
        UnitCosts::REFERENCE.seconds(plan.cost(plan.levels()))
    }

    #[test]
    fn plans_keep_what_they_must() {
        let requests = [
            REQUEST,
            BootstrappingRequest {
                slots: 1 << 10,
                levels: 4,
                log_scale: 35.0,
                log_output_scale: 35.0,
                ..REQUEST
            },
            BootstrappingRequest { slots: 4, precision: 15.0, ..REQUEST },
            BootstrappingRequest {
                log_n: 16,
                slots: 1 << 15,
                levels: 12,
                log_scale: 40.0,
                log_output_scale: 40.0,
                ..REQUEST
            },
            BootstrappingRequest {
                log_n: 16,
                slots: 1 << 13,
                data: SlotData::Complex,
                levels: 10,
                log_scale: 40.0,
                log_output_scale: 40.0,
                precision: 16.0,
                ..REQUEST
            },
        ];
        for request in requests {
            let plan = request.plan().unwrap();
            let parameters = plan.parameters();
            assert_eq!((plan.slots(), plan.data()), (request.slots, request.data));
            assert_eq!((plan.levels(), parameters.log_n()), (request.levels, request.log_n));
            assert_eq!(parameters.security(), request.security);
            let [most, most_sparse] =
                if request.log_n == 15 { [868.0, 80.0] } else { [1747.0, 100.0] };
            assert!(parameters.log_qp() <= most, "{plan}");
            assert!(plan.parameters().log_encapsulation_modulus() <= most_sparse, "{plan}");
            assert!(plan.log2_failure() <= -60.0, "{plan}");
            assert!(plan.error(1.0 / 3.0).minimum_bits() >= request.precision + 0.7, "{plan}");
            let application = &parameters.moduli()[plan.omitted(0)];
            assert_eq!(application.len(), request.levels);
            for &q in application {
                assert!((libm::log2(q as f64) - request.log_scale).abs() < 0.1);
            }
            assert_eq!(libm::log2(plan.output_scale()), request.log_output_scale);
            let text = plan.to_string();
            let facts = [
                format!("N = 2^{}", request.log_n),
                format!(
                    "{:.1} application ({})",
                    request.log_scale * request.levels as f64,
                    request.levels
                ),
                format!("slots: {} {:?}", request.slots, request.data).to_lowercase(),
                "weight 32".into(),
                format!("{:.1} at least", plan.error(1.0 / 3.0).minimum_bits()),
                format!("{:.3} s on one thread", seconds(&plan)),
            ];
            for fact in facts {
                assert!(text.contains(&fact), "{text} lacks {fact}");
            }
        }
    }

    #[test]
    fn less_is_cheaper() {
        let cost = |levels, precision| {
            seconds(&BootstrappingRequest { levels, precision, ..REQUEST }.plan().unwrap())
        };
        let all = cost(5, 13.0);
        assert!(cost(5, 9.0) < all);
        assert!(cost(3, 13.0) < all);
        let plan = REQUEST.plan().unwrap();
        let seconds = |target| UnitCosts::REFERENCE.seconds(plan.cost(target));
        for target in 0..5 {
            assert!(seconds(target) < seconds(target + 1));
        }
        assert_eq!(seconds(5), all);
    }

    #[test]
    fn plans_fail_as_rarely_as_asked() {
        let usual = REQUEST.plan().unwrap();
        let rare = BootstrappingRequest { log2_failure: -128.0, ..REQUEST }.plan().unwrap();
        // By exact fractions, log2 of 2^15·P(a sum of 32 uniforms exceeds J + 1/2 − 1.25/2^9) is -44.8, -60.3,
        // -83.9 and -134.4 for J from 12 to 15, so that these two are the smallest that suffice. Both plans have a
        // message ratio of about 2^9.
        for (plan, integer, log2_failure) in [(&usual, 13.0, -60.3), (&rare, 15.0, -134.4)] {
            assert_eq!(plan.eval_mod().bound.floor(), integer, "{plan}");
            assert!((plan.log2_failure() - log2_failure).abs() < 0.5, "{plan}");
        }
        assert!(seconds(&rare) > seconds(&usual));
    }

    /// The integers grow as the square root of the weight, and with them the polynomial and the time.
    #[test]
    fn heavier_secrets_cost_more() {
        let plans = EphemeralWeight::ALL.map(|ephemeral_weight| {
            BootstrappingRequest { ephemeral_weight, ..REQUEST }.plan().unwrap()
        });
        // By exact fractions, as above: -58.3 and -69.9 for J of 17 and 18 and weight 48, -55.8 and -64.0 for 20 and 21 and 64.
        for (plan, (integer, log2_failure)) in
            plans.iter().zip([(13.0, -60.3), (18.0, -69.9), (21.0, -64.0)])
        {
            assert_eq!(plan.eval_mod().bound.floor(), integer, "{plan}");
            assert!((plan.log2_failure() - log2_failure).abs() < 0.5, "{plan}");
            assert_eq!(plan.keys().encapsulation, Some(plan.ephemeral_weight()));
        }
        let times = plans.map(|plan| seconds(&plan));
        assert!(times.is_sorted() && times[0] < times[2] && times[2] < 1.3 * times[0], "{times:?}");
    }

    /// Factorizations that an engineer would choose by hand are no cheaper.
    #[test]
    fn the_plan_is_no_dearer_than_one_by_hand() {
        let eval_mod =
            super::super::EvalMod { bound: 13.95, degree: 27, squarings: 3, harmonics: 1 };
        let moduli = [&[36.0, 28.0, 28.0][..], &[30.0; 5], &[41.0; 8 + 3]].concat();
        let parameters =
            Parameters::from_bits(15, &moduli, &[43.5; 4], 5, SecurityLevel::Bits128).unwrap();
        let by_hand = BootstrappingPlan::new(BootstrappingSpec {
            parameters,
            slots: 1 << 14,
            data: SlotData::Real,
            levels: 5,
            order: Order::SlotsToCoeffsFirst,
            log_input_scale: 30.0,
            log_output_scale: 32.0,
            log_eval_mod_scale: 41.0,
            ephemeral_weight: EphemeralWeight::W32,
            log_ratio: 9.0,
            slots_to_coeffs: vec![6, 7],
            coeffs_to_slots: vec![4, 4, 5],
            eval_mod,
        })
        .unwrap();
        let precision = by_hand.error(UNIFORM).minimum_bits() - MARGIN;
        let planned = BootstrappingRequest { precision, ..REQUEST }.plan().unwrap();
        assert!(seconds(&planned) <= seconds(&by_hand), "{planned}\n{by_hand}");
    }

    #[test]
    fn impossible_requests_are_refused_with_numbers() {
        let refused = |request: BootstrappingRequest| request.plan().unwrap_err();
        assert!(matches!(
            refused(BootstrappingRequest { precision: 25.0, ..REQUEST }),
            PlanningError::Precision { wanted: 25.0, best } if (10.0..20.0).contains(&best)
        ));
        assert!(matches!(
            refused(BootstrappingRequest { levels: 20, ..REQUEST }),
            PlanningError::Modulus { needed, limit: 868.0 } if (1000.0..1400.0).contains(&needed)
        ));
        for (log_n, security) in [(14, SecurityLevel::Bits128), (16, SecurityLevel::Bits192)] {
            assert_eq!(
                refused(BootstrappingRequest { log_n, security, ..REQUEST }),
                PlanningError::Security { log_n, security }
            );
        }
        assert_eq!(
            refused(BootstrappingRequest { slots: 3, ..REQUEST }),
            BootstrappingError::Slots { slots: 3, highest: 1 << 14 }.into()
        );
        for request in [
            BootstrappingRequest { log_scale: 55.0, ..REQUEST },
            BootstrappingRequest { log_scale: f64::NAN, ..REQUEST },
            BootstrappingRequest { precision: -1.0, ..REQUEST },
            BootstrappingRequest { levels: usize::MAX, ..REQUEST },
            BootstrappingRequest { log2_failure: 1.0, ..REQUEST },
            BootstrappingRequest { log2_failure: f64::NEG_INFINITY, ..REQUEST },
        ] {
            assert!(matches!(
                refused(request),
                PlanningError::Bootstrapping(BootstrappingError::Number { .. })
            ));
        }
    }
}
