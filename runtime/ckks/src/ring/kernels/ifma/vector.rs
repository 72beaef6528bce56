//! Eight residues in a register: loads, stores and Montgomery products with `R = 2^52`.
//!
//! The 52-bit multiplier gives the low and the high word of a product separately. With
//! `m = low(low(x·w)·q^-1)`, the low words of `x·w` and `m·q` agree, so that
//! `high(x·w) - high(m·q) = x·w·R^-1 mod q` exactly, in `(-q, q)` if `x < 2^52` and `w < q`. For a
//! constant factor `w` the product `w·q^-1 mod 2^52` is prepared, which saves a multiplication.

use std::arch::x86_64::*;

use crate::ring::Modulus;

pub(super) type Vector = __m512i;

/// Residues in a register.
pub(super) const LANES: usize = 8;

/// `R = 2^52`, minus one.
const WORD: u64 = (1 << 52) - 1;

/// A modulus in every lane.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub(super) zero: Vector,
    pub(super) q: Vector,
    pub(super) two_q: Vector,
    /// `q^-1 mod 2^52`.
    pub(super) q_inverse: Vector,
}

/// A constant factor in every lane: `w·R mod q` and its product with `q^-1 mod 2^52`.
#[derive(Clone, Copy)]
pub(super) struct Factor(pub(super) Vector, pub(super) Vector);

/// The words of a [`Factor`], for tables.
pub(super) fn factor_words(m: &Modulus, w: u64) -> [u64; 2] {
    let w = to_montgomery(m, w);
    [w, w.wrapping_mul(inverse_modulo_word(m.value())) & WORD]
}

/// `w·R mod q`.
pub(super) fn to_montgomery(m: &Modulus, w: u64) -> u64 {
    m.reduce_u128(u128::from(w) << 52)
}

/// `q^-1 mod 2^52` by Newton's iteration, which doubles the number of right bits.
fn inverse_modulo_word(q: u64) -> u64 {
    // An odd number is its own inverse modulo 8.
    let step = |x: u64| x.wrapping_mul(2u64.wrapping_sub(q.wrapping_mul(x)));
    (0..5).fold(q, |x, _| step(x)) & WORD
}

impl Constants {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn new(m: &Modulus) -> Self {
        Self {
            zero: _mm512_setzero_si512(),
            q: splat(m.value()),
            two_q: splat(2 * m.value()),
            q_inverse: splat(inverse_modulo_word(m.value())),
        }
    }

    /// `x·y·R^-1 mod q` in `(0, 2q)`, for `x < 2^52` and `y < q`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn mul(self, x: Vector, y: Vector) -> Vector {
        let m = low_product(self.zero, low_product(self.zero, x, y), self.q_inverse);
        sub(high_product(self.q, x, y), high_product(self.zero, m, self.q))
    }

    /// `x·w mod q` in `(0, 2q)`, for `x < 2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn mul_factor(self, x: Vector, w: Factor) -> Vector {
        self.add_mul_factor(self.q, x, w)
    }

    /// `s + x·w mod q`, where the product is a representative in `(-q, q)`, for `x < 2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn add_mul_factor(self, s: Vector, x: Vector, w: Factor) -> Vector {
        let m = low_product(self.zero, x, w.1);
        sub(high_product(s, x, w.0), high_product(self.zero, m, self.q))
    }

    /// The canonical residue of a value in `[0, 2q)`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn reduce_once(self, x: Vector) -> Vector {
        conditional_sub(x, self.q)
    }

    /// The canonical residue of a value in `[0, 4q)`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn reduce_twice(self, x: Vector) -> Vector {
        self.reduce_once(conditional_sub(x, self.two_q))
    }

    /// The factor with this Montgomery form.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn factor(self, w: Vector) -> Factor {
        Factor(w, low_product(self.zero, w, self.q_inverse))
    }
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn splat([w, w_prepared]: [u64; 2]) -> Self {
        Self(splat(w), splat(w_prepared))
    }
}

/// A sum of products, in two words for each lane.
#[derive(Clone, Copy)]
pub(super) struct Accumulator {
    low: Vector,
    high: Vector,
}

impl Accumulator {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn zero() -> Self {
        Self { low: splat(0), high: splat(0) }
    }

    /// Adds `x·y`, both below 2^52; there is room for 4,096 products.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn add(&mut self, x: Vector, y: Vector) {
        self.low = low_product(self.low, x, y);
        self.high = high_product(self.high, x, y);
    }

    /// The sum times `R^-1`, not reduced: in `(0, q + s/2^52)` for a sum of `s`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(super) fn fold(self, c: &Constants) -> Vector {
        let high = add(self.high, _mm512_srli_epi64::<52>(self.low));
        // The multiplier ignores what is above the low 52 bits.
        let m = low_product(c.zero, self.low, c.q_inverse);
        sub(add(high, c.q), high_product(c.zero, m, c.q))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn load(x: &[u64; LANES]) -> Vector {
    // SAFETY: the reference covers 64 readable bytes; no alignment is needed.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}

/// The first words of a slice, as many as eight packed residues of so many bytes take, then zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn load_group<const BYTES: usize>(words: &[u64]) -> Vector {
    const { assert!(0 < BYTES && BYTES <= LANES) };
    let group: &[u64; BYTES] = words.first_chunk().expect("packed operands of whole groups");
    // SAFETY: of the eight words at the address only those of the reference are read.
    unsafe { _mm512_maskz_loadu_epi64(u8::MAX >> (LANES - BYTES), group.as_ptr().cast()) }
}

/// The byte permutation that [`unpack`] takes for residues of so many bytes: those at index `first` and
/// after, each for `2^log_run` lanes.
pub(super) fn unpacking(bytes: usize, first: usize, log_run: u32) -> [u64; LANES] {
    // The last byte is zero, unless residues have eight.
    let byte = |lane: usize, k| {
        if k < bytes { bytes * ((first + (lane >> log_run)) % LANES) + k } else { 63 }
    };
    std::array::from_fn(|lane| u64::from_le_bytes(std::array::from_fn(|k| byte(lane, k) as u8)))
}

/// Residues of a group from [`load_group`].
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
pub(super) fn unpack(group: Vector, lanes: Vector) -> Vector {
    _mm512_permutexvar_epi8(lanes, group)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn store(to: &mut [u64; LANES], x: Vector) {
    // SAFETY: the reference covers 64 writable bytes; no alignment is needed.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn load_block(rows: &[[u64; LANES]; 8]) -> [Vector; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    [load(a), load(b), load(c), load(d), load(e), load(f), load(g), load(h)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn store_block(rows: &mut [[u64; LANES]; 8], x: [Vector; 8]) {
    for (row, x) in rows.iter_mut().zip(&x) {
        store(row, *x);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn splat(x: u64) -> Vector {
    _mm512_set1_epi64(x as i64)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn add(x: Vector, y: Vector) -> Vector {
    _mm512_add_epi64(x, y)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn sub(x: Vector, y: Vector) -> Vector {
    _mm512_sub_epi64(x, y)
}

/// `x - y` where that is not negative, else `x`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn conditional_sub(x: Vector, y: Vector) -> Vector {
    _mm512_min_epu64(x, sub(x, y))
}

/// `s + (x·y mod 2^52)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
fn low_product(s: Vector, x: Vector, y: Vector) -> Vector {
    _mm512_madd52lo_epu64(s, x, y)
}

/// `s + floor(x·y / 2^52)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
fn high_product(s: Vector, x: Vector, y: Vector) -> Vector {
    _mm512_madd52hi_epu64(s, x, y)
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn transpose(x: [Vector; 8]) -> [Vector; 8] {
    // Words within pairs of rows, then 128-bit quarters.
    let low = |i| _mm512_unpacklo_epi64(x[i], x[i + 1]);
    let high = |i| _mm512_unpackhi_epi64(x[i], x[i + 1]);
    let pairs = [low(0), high(0), low(2), high(2), low(4), high(4), low(6), high(6)];
    let even = |i: usize, j: usize| _mm512_shuffle_i64x2::<0x88>(pairs[i], pairs[j]);
    let odd = |i: usize, j: usize| _mm512_shuffle_i64x2::<0xdd>(pairs[i], pairs[j]);
    let top = [even(0, 2), even(1, 3), odd(0, 2), odd(1, 3)];
    let bottom = [even(4, 6), even(5, 7), odd(4, 6), odd(5, 7)];
    let left = |i: usize| _mm512_shuffle_i64x2::<0x88>(top[i], bottom[i]);
    let right = |i: usize| _mm512_shuffle_i64x2::<0xdd>(top[i], bottom[i]);
    [left(0), left(1), left(2), left(3), right(0), right(1), right(2), right(3)]
}
