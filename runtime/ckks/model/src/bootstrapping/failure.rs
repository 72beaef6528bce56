//! Failure probability of bootstrapping: that a raised coefficient lies outside the interval of
//! EvalMod.
//!
//! Under a ternary secret of weight h, a raised coefficient is x = (c0 + Σ ±c1_i)/q0 with h terms
//! uniform modulo q0 and c0 determined by the message: x = ε + I, where ε is the message and I the
//! integer nearest to a sum u of h independent uniforms on (−1/2, 1/2], minus ε. So |I| > J means
//! |u − ε| ≥ J + 1/2, a tail of the Irwin–Hall distribution.

use super::{BootstrappingPlan, EphemeralWeight};

/// Bound on raised messages in units of 1/ratio: values of \[−1, 1\] with an error of up to 1/4.
const EXCESS: f64 = 1.25;

impl BootstrappingPlan {
    /// Upper bound on log2 of the probability that some coefficient of a raised ciphertext lies
    /// outside the interval of EvalMod, so that one bootstrap returns a wrong value.
    pub fn log2_failure(&self) -> f64 {
        let evaluated = self.eval_mods() * self.slots();
        let (weight, bound) = (self.ephemeral_weight(), self.eval_mod().bound);
        libm::log2(evaluated as f64) + log2_exceeding(weight, bound, EXCESS / self.ratio())
    }
}

/// The smallest half-width K of EvalMod such that, with probability at least 1 − 2^`log2_failure`,
/// none of `evaluated` raised coefficients exceeds it in magnitude. `ratio` is q0 over the scale at
/// which the modulus is raised.
///
/// # Panics
/// If `ratio` is not a finite number above zero, or `log2_failure` is not a number.
pub fn smallest_bound(
    weight: EphemeralWeight,
    evaluated: usize,
    ratio: f64,
    log2_failure: f64,
) -> f64 {
    let deviation = EXCESS / ratio;
    let mut bounds = (1..=weight.get()).map(|integer| integer as f64 + deviation);
    let suffices = |&bound: &f64| {
        log2_exceeding(weight, bound, deviation) + libm::log2(evaluated as f64) <= log2_failure
    };
    bounds.find(suffices).expect("no sum of h uniforms exceeds h/2")
}

/// Probability that the integer part I of a raised coefficient is `integer`, for message zero.
pub fn probability(weight: EphemeralWeight, integer: i64) -> f64 {
    let tail = |from: f64| libm::exp2(log2_tail(weight.get(), from));
    match integer.unsigned_abs() as f64 {
        0.0 => 1.0 - 2.0 * tail(0.5),
        size => tail(size - 0.5) - tail(size + 0.5),
    }
}

/// Variance of I plus an independent uniform on (−1/2, 1/2]: that of a sum of h + 1 uniforms, close
/// to the variance of I.
pub fn variance(weight: EphemeralWeight) -> f64 {
    (weight.get() + 1) as f64 / 12.0
}

/// Upper bound on log2 of the probability that |x| > `bound`, where x = I + ε with |ε| ≤
/// `deviation`.
fn log2_exceeding(weight: EphemeralWeight, bound: f64, deviation: f64) -> f64 {
    // The small number keeps I + deviation = bound inside, whatever the rounding.
    let inside = (bound - deviation + 1e-9).floor();
    let from = inside + 0.5 - deviation;
    if from <= 0.0 { 0.0 } else { (1.0 + log2_tail(weight.get(), from)).min(0.0) }
}

/// log2 of the probability that a sum of `count` independent uniforms on (−1/2, 1/2] exceeds `from`
/// ≥ 0.
///
/// With t = count/2 − from that is Σ_j B(t − j), where B is the B-spline of degree `count` on 0, 1, …, found by the
/// recursion of Cox and de Boor ("On calculating with B-splines", Journal of Approximation Theory 6, 1972). Its terms are
/// positive, so that no digits cancel as in the closed form.
fn log2_tail(count: usize, from: f64) -> f64 {
    let t = count as f64 / 2.0 - from;
    if t <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let argument = |j: usize| t - j as f64;
    let is_first = |j| (0.0..1.0).contains(&argument(j));
    let mut splines: Vec<f64> = (0..=count + 1).map(|j| f64::from(u8::from(is_first(j)))).collect();
    for order in 2..=count + 1 {
        let order = order as f64;
        for j in 0..=count {
            let x = argument(j);
            splines[j] = (x * splines[j] + (order - x) * splines[j + 1]) / (order - 1.0);
        }
    }
    libm::log2(splines.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;

    /// The tail from `numerator`/64, in big integers: the sum of (−1)^k·C(n, k)·(64·(t − k))^n over
    /// 64^n·n!.
    fn exact_log2_tail(count: usize, numerator: i64) -> f64 {
        let shifted = 32 * count as i64 - numerator;
        let (mut sum, mut binomial) = (BigInt::from(0), BigInt::from(1));
        for k in 0..=shifted / 64 {
            let term = &binomial * BigInt::from(shifted - 64 * k).pow(count as u32);
            sum += if k % 2 == 0 { term } else { -term };
            binomial = binomial * (count as i64 - k) / (k + 1);
        }
        let factorial = (1..=count).fold(BigInt::from(1), |product, k| product * k);
        let log2 = |value: &BigInt| {
            let shift = value.bits().saturating_sub(60);
            let top = u64::try_from(value >> shift).unwrap();
            libm::log2(top as f64) + shift as f64
        };
        log2(&sum) - 6.0 * count as f64 - log2(&factorial)
    }

    #[test]
    fn tails_agree_with_exact_arithmetic() {
        for count in [1, 2, 7, 31, 32, 48, 64] {
            for numerator in (0..32 * count as i64).step_by(17) {
                let found = log2_tail(count, numerator as f64 / 64.0);
                let exact = exact_log2_tail(count, numerator);
                assert!((found - exact).abs() < 1e-11, "{count} {numerator}: {found} {exact}");
            }
        }
    }

    /// Raises random ciphertexts of a message: uniform c1, c0 determined by the message.
    #[test]
    fn probabilities_agree_with_raised_ciphertexts() {
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let (runs, message) = (300_000, 0.01);
        for weight in EphemeralWeight::ALL {
            let mut counts = vec![0.0; weight.get() + 2];
            for _ in 0..runs {
                let sum: f64 = (0..weight.get()).map(|_| uniform()).sum();
                let c0 = (message - sum) - (message - sum).round();
                let integer = sum + c0 - message;
                assert!((integer - integer.round()).abs() < 1e-9);
                counts[integer.round().abs() as usize] += 1.0 / f64::from(runs);
            }
            for integer in 0..=5 {
                let both = if integer == 0 { 1.0 } else { 2.0 };
                let expected = both * probability(weight, integer as i64);
                let found = counts[integer];
                let place = format!("weight {weight}, integer {integer}");
                assert!((found / expected - 1.0).abs() < 0.08, "{place}: {found} {expected}");
                let exceeding = log2_exceeding(weight, integer as f64 + message, message);
                let expected = libm::exp2(exceeding);
                let found: f64 = counts[integer + 1..].iter().sum();
                assert!((found / expected - 1.0).abs() < 0.1, "> {place}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_smallest_bound_is_the_smallest() {
        for weight in EphemeralWeight::ALL {
            let most = weight.get() as i64 / 2;
            let total: f64 = (-most..=most).map(|integer| probability(weight, integer)).sum();
            assert!((total - 1.0).abs() < 1e-12, "{weight}: {total}");
            for (evaluated, log2_failure) in [(1 << 14, -60.0), (1 << 16, -60.0), (1 << 12, -30.0)]
            {
                let ratio = 512.0;
                let bound = smallest_bound(weight, evaluated, ratio, log2_failure);
                let log2_any = |bound| {
                    libm::log2(evaluated as f64) + log2_exceeding(weight, bound, EXCESS / ratio)
                };
                assert!(log2_any(bound) <= log2_failure);
                assert!(log2_any(bound - 1e-6) > log2_failure);
            }
            // One that no coefficient can leave.
            assert_eq!(smallest_bound(weight, 1, 512.0, -1e9).floor(), most as f64);
        }
    }
}
