//! How likely a raised coefficient leaves the interval of EvalMod.
//!
//! Under a ternary secret of weight h, a raised coefficient is x = (c0 + Σ ±c1_i)/q0 with h terms
//! uniform modulo q0 and c0 determined by the message: x = ε + I, where ε is the message and I the
//! integer nearest to a sum u of h independent uniforms on (−1/2, 1/2], minus ε. So |I| > J means
//! |u − ε| ≥ J + 1/2, a tail of the Irwin–Hall distribution, known in closed form.

use super::{BootstrappingPlan, SPARSE_WEIGHT};

/// Raised messages are taken to stay within this many times 1/ratio: values of \[−1, 1\] with an
/// error of up to a quarter.
const EXCESS: f64 = 1.25;

impl BootstrappingPlan {
    /// log2 of the probability (at most) that some coefficient of a raised ciphertext lies outside the
    /// interval of EvalMod, so that bootstrapping returns a wrong value.
    pub fn log2_failure(&self) -> f64 {
        let evaluated = self.eval_mods() * self.slots();
        libm::log2(evaluated as f64) + log2_exceeding(self.eval_mod().bound, EXCESS / self.ratio())
    }
}

/// The smallest bound K of EvalMod with which none of `evaluated` coefficients exceeds it, up to a
/// probability of 2^`log2_failure`.
pub fn smallest_bound(evaluated: usize, ratio: f64, log2_failure: f64) -> f64 {
    let deviation = EXCESS / ratio;
    let mut bounds = (1..=SPARSE_WEIGHT).map(|integer| integer as f64 + deviation);
    let suffices = |&bound: &f64| {
        log2_exceeding(bound, deviation) + libm::log2(evaluated as f64) <= log2_failure
    };
    bounds.find(suffices).expect("no sum of h uniforms exceeds h/2")
}

/// The probability of I = `integer` when the message is zero.
pub fn probability(integer: i64) -> f64 {
    let tail = |from: f64| libm::exp2(log2_tail(SPARSE_WEIGHT, from));
    match integer.unsigned_abs() as f64 {
        0.0 => 1.0 - 2.0 * tail(0.5),
        size => tail(size - 0.5) - tail(size + 0.5),
    }
}

/// Variance of I plus a uniform on (−1/2, 1/2], close to that of I: h + 1 uniforms.
pub fn variance() -> f64 {
    (SPARSE_WEIGHT + 1) as f64 / 12.0
}

/// log2 of the probability (at most) of |x| > bound, x = I + ε with |ε| ≤ deviation.
fn log2_exceeding(bound: f64, deviation: f64) -> f64 {
    // The small number keeps I + deviation = bound inside, whatever the rounding.
    let inside = (bound - deviation + 1e-9).floor();
    let from = inside + 0.5 - deviation;
    if from <= 0.0 { 0.0 } else { (1.0 + log2_tail(SPARSE_WEIGHT, from)).min(0.0) }
}

/// log2 of the probability that a sum of `count` uniforms on (−1/2, 1/2] is above `from` ≥ 0:
/// Σ_{k ≤ t} (−1)^k·C(count, k)·(t − k)^count / count! with t = count/2 − from.
///
/// Divided by t^count, the terms are so moderate that the alternating sum loses no more than six
/// decimal digits for up to 32 uniforms, and next to none far from the centre.
fn log2_tail(count: usize, from: f64) -> f64 {
    let t = count as f64 / 2.0 - from;
    if t <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let (mut sum, mut signed_binomial) = (0.0, 1.0);
    for k in 0..=t.floor() as usize {
        sum += signed_binomial * libm::pow(1.0 - k as f64 / t, count as f64);
        signed_binomial *= -((count - k) as f64) / (k + 1) as f64;
    }
    let log2_factorial: f64 = (1..=count).map(|k| libm::log2(k as f64)).sum();
    count as f64 * libm::log2(t) + libm::log2(sum) - log2_factorial
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
        for count in [1, 2, 7, 31, SPARSE_WEIGHT] {
            for numerator in (0..32 * count as i64).step_by(17) {
                let found = log2_tail(count, numerator as f64 / 64.0);
                let exact = exact_log2_tail(count, numerator);
                assert!((found - exact).abs() < 1e-7, "{count} {numerator}: {found} {exact}");
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
        let mut counts = [0.0; SPARSE_WEIGHT + 2];
        for _ in 0..runs {
            let sum: f64 = (0..SPARSE_WEIGHT).map(|_| uniform()).sum();
            let c0 = (message - sum) - (message - sum).round();
            let integer = sum + c0 - message;
            assert!((integer - integer.round()).abs() < 1e-9);
            counts[integer.round().abs() as usize] += 1.0 / f64::from(runs);
        }
        for integer in 0..=5 {
            let both = if integer == 0 { 1.0 } else { 2.0 };
            let expected = both * probability(integer as i64);
            let found = counts[integer];
            assert!((found / expected - 1.0).abs() < 0.08, "{integer}: {found} {expected}");
            let expected = libm::exp2(log2_exceeding(integer as f64 + message, message));
            let found: f64 = counts[integer + 1..].iter().sum();
            assert!((found / expected - 1.0).abs() < 0.1, "> {integer}: {found} {expected}");
        }
    }

    #[test]
    fn the_smallest_bound_is_the_smallest() {
        let total: f64 = (-16..=16).map(probability).sum();
        assert!((total - 1.0).abs() < 1e-12);
        for (evaluated, log2_failure) in [(1 << 14, -60.0), (1 << 16, -60.0), (1 << 12, -30.0)] {
            let ratio = 512.0;
            let bound = smallest_bound(evaluated, ratio, log2_failure);
            let log2_any =
                |bound| libm::log2(evaluated as f64) + log2_exceeding(bound, EXCESS / ratio);
            assert!(log2_any(bound) <= log2_failure);
            assert!(log2_any(bound - 1e-6) > log2_failure);
        }
        // One that no coefficient can leave.
        assert_eq!(smallest_bound(1, 512.0, -1e9).floor(), 16.0);
    }
}
