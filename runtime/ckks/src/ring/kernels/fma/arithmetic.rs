//! Residues as numbers in double precision: exact products by fused multiply-add.
//!
//! For integers x and w with `|x·w| < 2^103`, `h = x·w` rounded and `l = x·w − h` by a fused
//! operation are exact together, and with e near `x·w/q` the remainder `(h − e·q) + l` is a small
//! integer, exact as long as it is below 2^53 (FLINT's `fft_small` works like that). Residues are
//! signed: what bounds them is how far the rounded quotient e is off. With `x/q` and `w/q` in units of
//! `B` and `W` (1/2 for a centered constant), three roundings of relative size 2^-53 make a remainder of
//! at most `1/2 + 3·2^-53·B·W·q` multiples of q, that is `1/2 + 0.1875·B` for q = 2^50 and centered
//! constants.

use super::simd::Simd;
use crate::ring::Modulus;

/// Up to this size of prime there is room for a hundred multiples of q below 2^53.
const WIDE_WINDOW_BITS: u32 = 46;

/// A modulus in every lane.
#[derive(Clone, Copy)]
pub(super) struct Constants<S: Simd> {
    pub(super) s: S,
    q: S::Floats,
    q_inverse: S::Floats,
    half_q_inverse: S::Floats,
}

/// A constant factor: w and w/q.
#[derive(Clone, Copy)]
pub(super) struct Factor<S: Simd> {
    w: S::Floats,
    quotient: S::Floats,
}

/// The representative in (−q/2, q/2).
pub(super) fn centered(m: &Modulus, w: u64) -> f64 {
    m.centered(w) as f64
}

/// Returns whether transforms need no reduction on the way.
pub(super) fn has_wide_window(m: &Modulus) -> bool {
    m.bits() <= WIDE_WINDOW_BITS
}

impl<S: Simd> Constants<S> {
    #[inline(always)]
    pub(super) fn new(s: S, m: &Modulus) -> Self {
        let q = m.value() as f64;
        let q_inverse = 1.0 / q;
        Self {
            s,
            q: s.splat(q),
            q_inverse: s.splat(q_inverse),
            half_q_inverse: s.splat(0.5 * q_inverse),
        }
    }

    /// The factor with this centered representative in every lane.
    #[inline(always)]
    pub(super) fn splat(self, w: f64) -> Factor<S> {
        self.factor(self.s.splat(w))
    }

    /// The factor with these values.
    #[inline(always)]
    pub(super) fn factor(self, w: S::Floats) -> Factor<S> {
        Factor { w, quotient: self.s.mul(w, self.q_inverse) }
    }

    /// `x·w mod q`, a small multiple of q around zero.
    #[inline(always)]
    pub(super) fn mul_factor(self, x: S::Floats, w: Factor<S>) -> S::Floats {
        let s = self.s;
        let high = s.mul(x, w.w);
        let low = s.mul_sub(x, w.w, high);
        let quotient = s.round(s.mul(x, w.quotient));
        s.add(s.neg_mul_add(quotient, self.q, high), low)
    }

    /// `x·y mod q`, likewise.
    #[inline(always)]
    pub(super) fn mul(self, x: S::Floats, y: S::Floats) -> S::Floats {
        let s = self.s;
        let high = s.mul(x, y);
        let low = s.mul_sub(x, y, high);
        let quotient = s.round(s.mul(high, self.q_inverse));
        s.add(s.neg_mul_add(quotient, self.q, high), low)
    }

    /// The representative of x within q/2 of zero, a little more if x is large.
    #[inline(always)]
    pub(super) fn reduce(self, x: S::Floats) -> S::Floats {
        let s = self.s;
        s.neg_mul_add(s.round(s.mul(x, self.q_inverse)), self.q, x)
    }

    /// The representative in [0, q) of x with `|x| < 2q`.
    ///
    /// The quotient is that of x + 1/2, so that it is at least 2^-51 away from an integer; two roundings
    /// are off by at most `2·2^-53 + 2^-53`.
    #[inline(always)]
    pub(super) fn canonical(self, x: S::Floats) -> S::Floats {
        let s = self.s;
        let quotient = s.floor(s.mul_add(x, self.q_inverse, self.half_q_inverse));
        s.neg_mul_add(quotient, self.q, x)
    }
}
