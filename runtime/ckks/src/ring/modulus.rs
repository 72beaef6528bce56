//! Arithmetic modulo one word-sized prime: the constants and the operations on single residues.
//!
//! Loops over whole limbs do not belong here; they are in [`super::kernels`].

use pic_ckks_model::primes::{is_prime, residue_bytes};
// Primes are below 2^50, so that 52-bit multipliers have two bits of slack for lazy reduction.
pub use pic_ckks_model::primes::MAX_PRIME_BITS;

use super::RingError;

/// An odd prime `q < 2^50` with its reduction constants.
///
/// Arguments are canonical residues in `[0, q)` unless a method says otherwise; results always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus {
    value: u64,
    bits: u32,
    /// `floor(2^(2·bits) / q)`: Barrett constant for products of two residues.
    barrett: u64,
    /// `floor(2^128 / q)`: Barrett constant for any 128-bit integer.
    barrett_wide: u128,
}

impl Modulus {
    /// Computes the constants of `q`.
    ///
    /// # Errors
    /// [`RingError::PrimeTooLarge`] if `q` is not below 2^50, [`RingError::NotPrime`] if `q` is not
    /// an odd prime.
    pub fn new(q: u64) -> Result<Self, RingError> {
        if q >> MAX_PRIME_BITS != 0 {
            return Err(RingError::PrimeTooLarge { prime: q });
        }
        if !is_prime(q) || q == 2 {
            return Err(RingError::NotPrime { value: q });
        }
        Ok(Self::with_constants(q))
    }

    fn with_constants(q: u64) -> Self {
        let bits = q.ilog2() + 1;
        let barrett = ((1u128 << (2 * bits)) / u128::from(q)) as u64;
        // q is odd, so floor((2^128 - 1) / q) is floor(2^128 / q).
        Self { value: q, bits, barrett, barrett_wide: u128::MAX / u128::from(q) }
    }

    /// The prime itself.
    #[inline]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Bit length of the prime.
    #[inline]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Bytes of a packed residue.
    pub(super) fn residue_bytes(&self) -> usize {
        residue_bytes(self.value)
    }

    /// `a + b mod q`.
    #[inline]
    pub fn add(&self, a: u64, b: u64) -> u64 {
        conditional_sub(a + b, self.value)
    }

    /// `a - b mod q`.
    #[inline]
    pub fn sub(&self, a: u64, b: u64) -> u64 {
        conditional_sub(a + self.value - b, self.value)
    }

    /// `-a mod q`.
    #[inline]
    pub fn neg(&self, a: u64) -> u64 {
        conditional_sub(self.value - a, self.value)
    }

    /// `a · b mod q` (Barrett; Handbook of Applied Cryptography, 14.42).
    #[inline]
    pub fn mul(&self, a: u64, b: u64) -> u64 {
        let x = u128::from(a) * u128::from(b);
        let top = (x >> (self.bits - 1)) as u64;
        let quotient = ((u128::from(top) * u128::from(self.barrett)) >> (self.bits + 1)) as u64;
        let r = (x as u64).wrapping_sub(quotient.wrapping_mul(self.value));
        conditional_sub(conditional_sub(r, 2 * self.value), self.value)
    }

    /// `base^exponent mod q`.
    pub fn pow(&self, mut base: u64, mut exponent: u64) -> u64 {
        let mut result = 1;
        while exponent != 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, base);
            }
            base = self.mul(base, base);
            exponent >>= 1;
        }
        result
    }

    /// `a^-1 mod q`; zero has no inverse and gives zero.
    pub fn inv(&self, a: u64) -> u64 {
        self.pow(a, self.value - 2)
    }

    /// `x mod q` for any 64-bit `x`.
    #[inline]
    pub fn reduce_u64(&self, x: u64) -> u64 {
        // floor(2^64 / q) is Shoup's companion of the factor 1.
        conditional_sub(self.mul_shoup_lazy(x, 1, (self.barrett_wide >> 64) as u64), self.value)
    }

    /// `x mod q` for any 128-bit `x`.
    #[inline]
    pub fn reduce_u128(&self, x: u128) -> u64 {
        let (x0, x1) = (u128::from(x as u64), x >> 64);
        let (m0, m1) = (u128::from(self.barrett_wide as u64), self.barrett_wide >> 64);
        // The low word of floor(x · m / 2^128); the upper part cancels in the remainder.
        let a = x0 * m1 + ((x0 * m0) >> 64);
        let b = x1 * m0 + u128::from(a as u64);
        let quotient = (x1 * m1 + (a >> 64) + (b >> 64)) as u64;
        let r = (x as u64).wrapping_sub(quotient.wrapping_mul(self.value));
        conditional_sub(r, self.value)
    }

    /// `x mod q` in `[0, q)` for a signed integer.
    #[inline]
    pub fn reduce_i64(&self, x: i64) -> u64 {
        self.with_sign(self.reduce_u64(x.unsigned_abs()), x < 0)
    }

    /// `x mod q` in `[0, q)` for a signed integer.
    #[inline]
    pub fn reduce_i128(&self, x: i128) -> u64 {
        self.with_sign(self.reduce_u128(x.unsigned_abs()), x < 0)
    }

    /// The representative of `a` in `(-q/2, q/2)`.
    #[inline]
    pub fn centered(&self, a: u64) -> i64 {
        if a > self.value / 2 { a as i64 - self.value as i64 } else { a as i64 }
    }

    /// Shoup's companion `floor(w · 2^64 / q)` of a constant factor.
    #[inline]
    pub(super) fn shoup(&self, w: u64) -> u64 {
        ((u128::from(w) << 64) / u128::from(self.value)) as u64
    }

    /// `a · w mod q`, up to one multiple of `q`: in `[0, 2q)`, for any `a`.
    #[inline]
    pub(super) fn mul_shoup_lazy(&self, a: u64, w: u64, w_shoup: u64) -> u64 {
        let quotient = ((u128::from(a) * u128::from(w_shoup)) >> 64) as u64;
        a.wrapping_mul(w).wrapping_sub(quotient.wrapping_mul(self.value))
    }

    #[inline]
    fn with_sign(&self, magnitude: u64, negative: bool) -> u64 {
        if negative { self.neg(magnitude) } else { magnitude }
    }
}

/// `a - b` if that is not negative, else `a`, without a branch.
#[inline]
pub(super) fn conditional_sub(a: u64, b: u64) -> u64 {
    a.min(a.wrapping_sub(b))
}

/// Primes `q ≡ 1 mod 2^(log_n + 1)` below `bound`, from the largest down.
///
/// These are the primes a [`super::Ring`] of degree `2^log_n` accepts.
pub fn ntt_primes_below(bound: u64, log_n: u32) -> impl Iterator<Item = u64> {
    let step = 1u64 << (log_n + 1);
    let bound = bound.min(1 << MAX_PRIME_BITS);
    let first = bound.saturating_sub(2) / step;
    (1..=first).rev().map(move |k| k * step + 1).filter(|&q| is_prime(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn primes() -> impl Strategy<Value = u64> {
        (5u32..=50, 4u32..=12).prop_filter_map("no such prime", |(bits, log_n)| {
            ntt_primes_below(1 << bits, log_n).next()
        })
    }

    proptest! {
        #[test]
        fn agrees_with_u128_division(q in primes(), a: u64, b: u64, wide: u128, signed: i128) {
            let m = Modulus::new(q).unwrap();
            prop_assert_eq!(m.reduce_u64(a), a % q);
            prop_assert_eq!(i128::from(m.reduce_i64(a as i64)), i128::from(a as i64).rem_euclid(q.into()));
            let (a, b) = (a % q, b % q);
            let wide_q = u128::from(q);
            prop_assert_eq!(u128::from(m.mul(a, b)), u128::from(a) * u128::from(b) % wide_q);
            prop_assert_eq!(m.add(a, b), (a + b) % q);
            prop_assert_eq!(m.sub(a, b), (a + q - b) % q);
            prop_assert_eq!(m.neg(a), (q - a) % q);
            prop_assert_eq!(u128::from(m.reduce_u128(wide)), wide % wide_q);
            prop_assert_eq!(i128::from(m.reduce_i128(signed)), signed.rem_euclid(i128::from(q)));
            prop_assert_eq!(m.mul(a, m.inv(a)), u64::from(a != 0));
            prop_assert_eq!(m.reduce_i64(m.centered(a)), a);
        }
    }

    #[test]
    fn reduces_extremes() {
        let m = Modulus::new(ntt_primes_below(1 << 50, 16).next().unwrap()).unwrap();
        for x in [0, 1, u128::MAX, u128::MAX - 1, u128::from(u64::MAX), 1 << 127] {
            assert_eq!(u128::from(m.reduce_u128(x)), x % u128::from(m.value()));
        }
        assert_eq!(m.reduce_u64(u64::MAX), u64::MAX % m.value());
        assert_eq!(m.reduce_i64(i64::MIN), m.reduce_i128(i64::MIN.into()));
        assert_eq!(m.mul(m.value() - 1, m.value() - 1), 1);
    }

    #[test]
    fn other_moduli_are_refused() {
        assert_eq!(Modulus::new(1 << 50), Err(RingError::PrimeTooLarge { prime: 1 << 50 }));
        assert_eq!(Modulus::new(15), Err(RingError::NotPrime { value: 15 }));
    }
}
