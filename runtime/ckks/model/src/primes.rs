//! Search for NTT-friendly primes: q ≡ 1 (mod 2N), below 2^50.
//!
//! The search is deterministic, so a chain is reproducible from its bit sizes. Modular arithmetic
//! for computing with these primes is elsewhere (`pic_ckks::ring`).

use thiserror::Error;

/// Upper bound on the bits of every prime: primes are below 2^50, so that products of two lazily
/// reduced residues fit the 52-bit multipliers of AVX-512-IFMA.
pub const MAX_PRIME_BITS: u32 = 50;

/// Fewest bytes in which a residue is stored.
pub const MIN_RESIDUE_BYTES: usize = 4;

/// Bytes in which a residue modulo `prime` is stored in keys and diagonals: the fewest whole bytes
/// that hold it, at least four.
pub fn residue_bytes(prime: u64) -> usize {
    MIN_RESIDUE_BYTES.max((prime.ilog2() as usize + 1).div_ceil(8))
}

/// Reasons for which a search for primes fails.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PrimesError {
    /// The wanted size is not a number in the supported range.
    #[error(
        "prime size of {log2_value} bits is outside (log2 2N, {MAX_PRIME_BITS}] for N = 2^{log_n}"
    )]
    Size {
        /// The size asked for, in bits.
        log2_value: f64,
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// The range holds fewer primes than asked for.
    #[error(
        "only {found} of {count} primes ≡ 1 mod 2^{} near 2^{log2_value}",
        log_n + 1
    )]
    NotEnough {
        /// The size asked for, in bits.
        log2_value: f64,
        /// log2 of the ring degree.
        log_n: u32,
        /// Number of primes asked for.
        count: usize,
        /// Number of primes within a factor of two of the wanted size.
        found: usize,
    },
}

/// The `count` primes q ≡ 1 (mod 2^(log_n + 1)) closest to 2^`log2_value` (nearest first), below
/// 2^50, within a factor of two of the wanted size, and not in `exclude`.
///
/// Primes are taken on both sides of the wanted size, so that the product of the primes stays close
/// to the product of the wanted sizes and scales drift little along a chain.
///
/// # Errors
/// [`PrimesError::Size`] if the size is not above log2(2N) and at most 50 bits,
/// [`PrimesError::NotEnough`] if the range holds fewer primes.
pub fn primes_near(
    log2_value: f64,
    log_n: u32,
    count: usize,
    exclude: &[u64],
) -> Result<Vec<u64>, PrimesError> {
    let in_range = log_n < MAX_PRIME_BITS - 1
        && log2_value > f64::from(log_n + 1)
        && log2_value <= f64::from(MAX_PRIME_BITS);
    if !in_range {
        return Err(PrimesError::Size { log2_value, log_n });
    }
    let step = 1u64 << (log_n + 1);
    let target = libm::exp2(log2_value) as u64;
    let highest = (2 * target).min((1 << MAX_PRIME_BITS) - 1);
    let lowest = target / 2;

    let mut up = target / step * step + 1;
    let mut down = up.wrapping_sub(step);
    if up < target {
        (down, up) = (up, up + step);
    }
    let mut found = Vec::with_capacity(count.min(128));
    while found.len() < count {
        let up_fits = up <= highest;
        let down_fits = down > lowest && down <= highest;
        let candidate = match (up_fits, down_fits) {
            (false, false) => {
                return Err(PrimesError::NotEnough {
                    log2_value,
                    log_n,
                    count,
                    found: found.len(),
                });
            }
            (true, false) => take(&mut up, step),
            (true, true) if up - target <= target - down => take(&mut up, step),
            _ => take(&mut down, step.wrapping_neg()),
        };
        if is_prime(candidate) && !exclude.contains(&candidate) {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// Returns the value and advances it (modulo 2^64) by `step`.
fn take(value: &mut u64, step: u64) -> u64 {
    let taken = *value;
    *value = taken.wrapping_add(step);
    taken
}

/// Returns whether `n` is prime, by a deterministic Miller–Rabin test: the first twelve primes as
/// witnesses decide all numbers below 3.3·10^24 (Sorenson and Webster, 2015).
pub fn is_prime(n: u64) -> bool {
    const WITNESSES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(p) = WITNESSES.iter().find(|&&p| n.is_multiple_of(p)) {
        return n == *p;
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    let modulo = Montgomery::new(n);
    let (one, minus_one) = (modulo.one, n - modulo.one);
    WITNESSES.iter().all(|&base| {
        let mut x = modulo.power(base, odd);
        if x == one || x == minus_one {
            return true;
        }
        (1..twos).any(|_| {
            x = modulo.product(x, x);
            x == minus_one
        })
    })
}

/// Products modulo an odd n > 1 without division (Montgomery, 1985), for residues in Montgomery
/// form x·2^64.
struct Montgomery {
    n: u64,
    /// Inverse of n modulo 2^64.
    inverse: u64,
    /// Montgomery form of 1.
    one: u64,
}

impl Montgomery {
    fn new(n: u64) -> Self {
        // Newton's method from three bits that are right, twice as many with every step.
        let step = |x: u64, _| x.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(x)));
        Self { n, inverse: (0..5).fold(n, step), one: u64::MAX % n + 1 }
    }

    /// The product of two residues.
    fn product(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let quotient = (product as u64).wrapping_mul(self.inverse);
        let multiple = u128::from(quotient) * u128::from(self.n);
        // The lower halves are equal.
        let (difference, borrows) =
            ((product >> 64) as u64).overflowing_sub((multiple >> 64) as u64);
        if borrows { difference.wrapping_add(self.n) } else { difference }
    }

    /// The power of a number below n.
    fn power(&self, base: u64, mut exponent: u64) -> u64 {
        let kept = |x: u64| ((u128::from(x) << 64) % u128::from(self.n)) as u64;
        let (mut result, mut base) = (self.one, kept(base));
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.product(result, base);
            }
            base = self.product(base, base);
            exponent >>= 1;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primality_agrees_with_trial_division() {
        for n in 0..20_000u64 {
            let trial = n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), trial, "{n}");
        }
        // Strong pseudoprimes to the first 1, 4, 9 and 11 prime bases; then the largest u64 prime.
        for n in [2047, 3_215_031_751, 3_825_123_056_546_413_051] {
            assert!(!is_prime(n), "{n}");
        }
        assert!(is_prime(18_446_744_073_709_551_557));
    }

    #[test]
    fn primes_are_the_nearest_of_their_residue_class() {
        for (bits, log_n, count) in [(30.0, 14, 8), (45.5, 16, 12), (50.0, 17, 6), (20.0, 10, 4)] {
            let found = primes_near(bits, log_n, count, &[]).unwrap();
            let target = libm::exp2(bits);
            let distance = |q: u64| (q as f64 - target).abs();
            let farthest = found.iter().map(|&q| distance(q)).fold(0.0, f64::max);
            // Everything in the class and no farther than the farthest was found.
            let step = 2u64 << log_n;
            let expected = (0..)
                .map(|k| ((target - farthest) as u64 / step + k) * step + 1)
                .take_while(|&q| q as f64 <= target + farthest)
                .filter(|&q| q < 1 << 50 && distance(q) <= farthest && is_prime(q))
                .count();
            assert_eq!(found.len(), expected);
            assert!(found.windows(2).all(|w| distance(w[0]) <= distance(w[1])));
        }
    }

    #[test]
    fn exclusion_and_exhaustion() {
        let first = primes_near(30.0, 14, 3, &[]).unwrap();
        let rest = primes_near(30.0, 14, 3, &first).unwrap();
        assert!(rest.iter().all(|q| !first.contains(q)));
        assert!(matches!(
            primes_near(19.0, 16, 100, &[]),
            Err(PrimesError::NotEnough { found, .. }) if found < 10
        ));
        for bits in [17.0, 50.5, f64::NAN, f64::INFINITY, -1.0] {
            assert!(matches!(primes_near(bits, 16, 1, &[]), Err(PrimesError::Size { .. })));
        }
    }
}
