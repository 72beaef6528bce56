//! Candidate factorizations of a plan: stages of the transforms and digits of key switching, with
//! the modulus and the time that each takes.

use std::ops::RangeInclusive;

use super::{
    BootstrappingRequest, LARGEST, MOST_EVAL_MOD_LEVELS, MOST_LEVELS, PlanningError, PrimeSizes,
    SMALLEST,
};
use crate::bootstrapping::LARGEST_RADIX;
use crate::bootstrapping::StageStep;
use crate::bootstrapping::cost::linear;
use crate::chebyshev::ChebyshevPlan;
use crate::op_counts::OpCounter;
use crate::parameters::{ParametersError, ParametersSpec};
use crate::primes::primes_near;
use crate::security::ERROR_STD;
use crate::{Parameters, SecurityLevel, UnitCosts, square};

/// Numbers of stages tried for each transform.
const STAGES: RangeInclusive<usize> = 1..=4;

/// Most special primes of a candidate.
const MOST_SPECIAL: usize = 12;

/// Most chain primes of a candidate.
const MOST_CHAIN: usize = 1 + MOST_LEVELS + 2 * *STAGES.end() + MOST_EVAL_MOD_LEVELS as usize;

/// Radices of the stages and size of the digits: what the cost of a plan depends on, given prime
/// sizes.
#[derive(Debug, Clone)]
pub(super) struct StageFactorization {
    pub(super) slots_to_coeffs: Vec<u32>,
    pub(super) coeffs_to_slots: Vec<u32>,
    /// Number of chain primes in a digit.
    pub(super) digit: usize,
}

/// Prime sizes with a factorization, the resulting log2(QP) and the estimated seconds on one
/// thread.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) sizes: PrimeSizes,
    pub(super) factorization: StageFactorization,
    /// Sizes of the special primes, in bits.
    pub(super) special: Vec<f64>,
    pub(super) log_qp: f64,
    pub(super) seconds: f64,
}

impl BootstrappingRequest {
    /// Sizes of the special primes in bits: as few primes as possible, together slightly larger
    /// than the largest digit, so that key switching adds little to the error of rounding, and one
    /// of them suitable for encapsulation.
    pub(super) fn special(&self, chain: &[f64], digit: usize) -> Option<Vec<f64>> {
        let q0 = chain[0];
        let largest = chain.chunks(digit).map(|digit| digit.iter().sum()).fold(0.0, f64::max);
        let digits = chain.len().div_ceil(digit) as f64;
        // For each digit D, the variance of key switching is σ²·18/12·(D/P)² times that of rounding; in
        // all, this P makes it a tenth.
        let total = largest + 0.5 * libm::log2(15.0 * square(ERROR_STD) * digits);
        // Encapsulation takes the smallest prime from `lowest`, or else the largest of all.
        let (lowest, highest) = (q0 + 3.01, (self.sparse_limit() - q0 - 0.01).min(LARGEST));
        let cap = if lowest > highest { highest } else { LARGEST };
        (1..=MOST_SPECIAL).find_map(|count| {
            let first = (total / count as f64).max(lowest).min(highest);
            let others = ((total - first) / (count - 1) as f64).max(SMALLEST);
            let fits = if count == 1 { first >= total } else { others <= cap };
            fits.then(|| [vec![first], vec![others; count - 1]].concat())
        })
    }

    /// All candidates for the given prime sizes; the cost of those whose modulus is too large for
    /// the ring is not computed.
    pub(super) fn candidates(
        &self,
        sizes: PrimeSizes,
        limit: f64,
    ) -> Result<Vec<Candidate>, PlanningError> {
        let pool = Pool::new(self.log_n)?;
        let polynomial = sizes.polynomial.exponential();
        let log_slots = self.transform_slots().trailing_zeros();
        let stages = || STAGES.filter(|&parts| splits(log_slots, parts).next().is_some());
        let mut candidates = Vec::new();
        for (forth, back) in stages().flat_map(|forth| stages().map(move |back| (forth, back))) {
            let any = |parts| {
                splits(log_slots, parts).next().expect("a split into this many stages exists")
            };
            let mut factorization = StageFactorization {
                slots_to_coeffs: any(forth),
                coeffs_to_slots: any(back),
                digit: 1,
            };
            let chain = self.chain(&sizes, &factorization);
            for digit in 1..=MOST_SPECIAL.min(chain.len()) {
                // The whole of P is used by digits of this size only.
                if chain.len().div_ceil(chain.len().div_ceil(digit)) != digit {
                    continue;
                }
                let Some(special) = self.special(&chain, digit) else { continue };
                let log_qp = chain.iter().chain(&special).sum();
                factorization.digit = digit;
                let mut candidate = Candidate {
                    sizes,
                    factorization: factorization.clone(),
                    special,
                    log_qp,
                    seconds: f64::INFINITY,
                };
                if log_qp <= limit {
                    self.choose_radices(&mut candidate, &pool, &polynomial)?;
                }
                candidates.push(candidate);
            }
        }
        Ok(candidates)
    }

    /// The radices of least cost for the given numbers of stages and size of digits, and that cost.
    fn choose_radices(
        &self,
        candidate: &mut Candidate,
        pool: &Pool,
        polynomial: &ChebyshevPlan,
    ) -> Result<(), PlanningError> {
        let log_slots = self.transform_slots().trailing_zeros();
        let Candidate { sizes, factorization, special, .. } = candidate;
        let length = self.chain(sizes, factorization).len();
        let parameters = pool.parameters(length, special.len(), factorization.digit)?;
        let counter = OpCounter::new(&parameters, 0..0);
        let unit_costs = UnitCosts::REFERENCE;
        // The radices of one transform do not change the cost of the other.
        let cheapest = |stages: &[u32], costs: &dyn Fn(Vec<u32>) -> Result<f64, PlanningError>| {
            let mut best = (f64::INFINITY, stages.to_vec());
            for radices in splits(log_slots, stages.len()) {
                let seconds = costs(radices.clone())?;
                if seconds < best.0 {
                    best = (seconds, radices);
                }
            }
            Ok::<_, PlanningError>(best.1)
        };
        let seconds = |steps: Vec<StageStep>| {
            unit_costs.seconds(steps.iter().map(|step| linear(&counter, step)).sum())
        };
        let plan = |factorization| self.with_parameters(parameters.clone(), sizes, &factorization);
        let forth = cheapest(&factorization.slots_to_coeffs, &|slots_to_coeffs| {
            let plan = plan(StageFactorization { slots_to_coeffs, ..factorization.clone() })?;
            Ok(seconds(plan.slots_to_coeffs()))
        })?;
        let back = cheapest(&factorization.coeffs_to_slots, &|coeffs_to_slots| {
            let plan = plan(StageFactorization { coeffs_to_slots, ..factorization.clone() })?;
            Ok(seconds(plan.coeffs_to_slots()))
        })?;
        (factorization.slots_to_coeffs, factorization.coeffs_to_slots) = (forth, back);
        let plan = plan(factorization.clone())?;
        candidate.seconds = unit_costs.seconds(plan.cost_with(polynomial, self.levels));
        Ok(())
    }
}

/// Primes for plans of which only the cost is needed, searched once.
struct Pool {
    log_n: u32,
    chain: Vec<u64>,
    special: Vec<u64>,
}

impl Pool {
    fn new(log_n: u32) -> Result<Self, PlanningError> {
        let primes =
            |bits, count| primes_near(bits, log_n, count, &[]).map_err(ParametersError::from);
        Ok(Self { log_n, chain: primes(33.0, MOST_CHAIN)?, special: primes(49.5, MOST_SPECIAL)? })
    }

    fn parameters(
        &self,
        length: usize,
        special: usize,
        digit: usize,
    ) -> Result<Parameters, ParametersError> {
        Parameters::new(ParametersSpec {
            log_n: self.log_n,
            moduli: self.chain[..length].to_vec(),
            special: self.special[..special].to_vec(),
            digits: length.div_ceil(digit),
            security: SecurityLevel::Insecure,
        })
    }
}

/// All ways to merge log2 n butterflies into `parts` stages of nearly equal radix.
pub(super) fn splits(log_slots: u32, parts: usize) -> impl Iterator<Item = Vec<u32>> {
    const UNEVEN: u32 = 2;
    fn extend(rest: u32, parts: usize, radices: &mut Vec<u32>, found: &mut Vec<Vec<u32>>) {
        if parts == 0 {
            let (least, most) = (radices.iter().min(), radices.iter().max());
            if rest == 0 && most <= least.map(|l| l + UNEVEN).as_ref() {
                found.push(radices.clone());
            }
            return;
        }
        for radix in 1..=rest.min(LARGEST_RADIX) {
            radices.push(radix);
            extend(rest - radix, parts - 1, radices, found);
            radices.pop();
        }
    }
    let mut found = Vec::new();
    extend(log_slots, parts, &mut Vec::new(), &mut found);
    found.into_iter()
}
