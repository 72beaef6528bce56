//! Sampling of secrets and errors with ChaCha20.
//!
//! Samplers return coefficient vectors that are zeroised on drop, for [`Ring::from_signed`]. The
//! ternary samplers are not constant-time (rejection, random positions); the Gaussian one makes the
//! same comparisons for every sample.
//!
//! [`Ring::from_signed`]: crate::ring::Ring::from_signed

use std::sync::LazyLock;

pub use chacha20::ChaCha20Rng;
pub use pic_ckks_model::security::ERROR_STD;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::ring::RingError;

/// Largest magnitude of a sampled error, about 6σ.
pub const ERROR_BOUND: i8 = 19;

/// A generator for secrets and errors, seeded by the operating system. Its state is zeroised on
/// drop.
///
/// # Errors
/// [`RingError::Entropy`] if the operating system provides no randomness.
pub fn secret_rng() -> Result<ChaCha20Rng, RingError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(RingError::Entropy)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

/// Draws `n` independent coefficients, uniform in {−1, 0, 1}.
pub fn ternary(rng: &mut impl Rng, n: usize) -> Zeroizing<Vec<i8>> {
    let mut coefficients = Zeroizing::new(Vec::with_capacity(n));
    while coefficients.len() < n {
        let mut bits = rng.next_u64();
        for _ in 0..32.min(n - coefficients.len()) {
            if bits & 3 != 3 {
                coefficients.push((bits & 3) as i8 - 1);
            }
            bits >>= 2;
        }
    }
    coefficients
}

/// Draws `n` coefficients of which exactly `weight`, at uniformly random positions, are −1 or 1 and
/// all others zero.
///
/// # Panics
/// If `weight` exceeds `n`.
pub fn sparse_ternary(rng: &mut impl Rng, n: usize, weight: usize) -> Zeroizing<Vec<i8>> {
    assert!(weight <= n, "{weight} of {n} coefficients cannot be nonzero");
    let mut coefficients = Zeroizing::new(vec![0; n]);
    let mut remaining = weight;
    while remaining > 0 {
        let position = below(rng, n as u64) as usize;
        if coefficients[position] == 0 {
            coefficients[position] = if rng.next_u32() & 1 == 0 { -1 } else { 1 };
            remaining -= 1;
        }
    }
    coefficients
}

/// Draws `n` coefficients from the discrete Gaussian on the integers with standard deviation
/// [`ERROR_STD`], truncated at [`ERROR_BOUND`].
///
/// By inversion of the cumulative distribution, tabulated to 53 bits: the statistical distance to
/// the exact distribution is below 2^-29 from truncation (two tails beyond 6σ) and 2^-47 from
/// rounding. Every sample takes the same comparisons.
pub fn gaussian(rng: &mut impl Rng, n: usize) -> Zeroizing<Vec<i8>> {
    let sample = |_| {
        let u = rng.next_u64() >> 1;
        let above = CUMULATIVE.iter().map(|&bound| i8::from(u >= bound)).sum::<i8>();
        above - ERROR_BOUND
    };
    Zeroizing::new((0..n).map(sample).collect())
}

/// `2^63 · P(X ≤ k)` for `k` from `-ERROR_BOUND` to `ERROR_BOUND - 1`.
static CUMULATIVE: LazyLock<[u64; 2 * ERROR_BOUND as usize]> = LazyLock::new(|| {
    let weight = |k: i8| (-f64::from(k).powi(2) / (2.0 * ERROR_STD * ERROR_STD)).exp();
    let total: f64 = (-ERROR_BOUND..=ERROR_BOUND).map(weight).sum();
    let mut sum = 0.0;
    std::array::from_fn(|i| {
        sum += weight(i as i8 - ERROR_BOUND);
        (sum / total * (1u64 << 63) as f64) as u64
    })
});

/// Uniform in `[0, bound)` (Lemire, as in [`Ring::uniform`](crate::ring::Ring::uniform)).
fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= bound.wrapping_neg() % bound {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chi_square_z;
    use super::*;
    use crate::ring::test_support::rng;

    /// The state of a generator in memory would reveal everything that it has drawn.
    #[test]
    fn the_generator_is_zeroised() {
        fn assert_zeroised<T: zeroize::ZeroizeOnDrop>(_: T) {}
        assert_zeroised(secret_rng().unwrap());
    }

    /// RFC 8439, appendix A.1, test vector 1: key and nonce zero.
    #[test]
    fn the_generator_is_chacha20() {
        let mut bytes = [0; 16];
        ChaCha20Rng::from_seed([0; 32]).fill_bytes(&mut bytes);
        assert_eq!(u128::from_be_bytes(bytes), 0x76b8_e0ad_a0f1_3d90_405d_6ae5_5386_bd28);
    }

    #[test]
    fn ternary_is_balanced() {
        let secret = ternary(&mut rng(3), 1 << 16);
        let counts = [-1, 0, 1].map(|v| secret.iter().filter(|&&x| x == v).count() as u64);
        assert_eq!(counts.iter().sum::<u64>(), 1 << 16);
        let z = chi_square_z(&counts, &[65536.0 / 3.0; 3]);
        assert!(z.abs() < 5.0, "{z}: {counts:?}");
    }

    #[test]
    fn sparse_ternary_has_its_weight() {
        let mut positions = [0; 16];
        let mut ones = 0;
        for seed in 0..64 {
            let secret = sparse_ternary(&mut rng(seed), 1 << 12, 32);
            assert_eq!(secret.iter().filter(|&&x| x != 0).count(), 32);
            ones += secret.iter().filter(|&&x| x == 1).count();
            for (i, _) in secret.iter().enumerate().filter(|(_, x)| **x != 0) {
                positions[i >> 8] += 1;
            }
        }
        assert!(ones.abs_diff(1024) < 5 * 23, "{ones} of 2048 are positive");
        let z = chi_square_z(&positions, &[128.0; 16]);
        assert!(z.abs() < 5.0, "{z}");
        assert!(sparse_ternary(&mut rng(1), 16, 16).iter().all(|x| x.abs() == 1));
    }

    #[test]
    fn gaussian_matches_its_density() {
        let n = 1 << 20;
        let errors = gaussian(&mut rng(5), n);
        assert!(errors.iter().all(|e| e.abs() <= ERROR_BOUND));
        // Values from -11 to 11; the tails beyond are too rare for a χ² test and are pooled.
        let bin = |e: i8| (e.clamp(-12, 12) + 12) as usize;
        let mut counts = [0; 25];
        errors.iter().for_each(|&e| counts[bin(e)] += 1);
        let mut expected = [0.0; 25];
        let density = |k: i8| {
            (-f64::from(k).powi(2) / 20.48).exp() / (3.2 * (2.0 * std::f64::consts::PI).sqrt())
        };
        (-40..=40).for_each(|k| expected[bin(k)] += n as f64 * density(k));
        let z = chi_square_z(&counts, &expected);
        assert!(z.abs() < 5.0, "{z}");
        let variance = errors.iter().map(|&e| f64::from(e).powi(2)).sum::<f64>() / n as f64;
        assert!((variance.sqrt() - 3.2).abs() < 0.02, "σ = {}", variance.sqrt());
    }
}
