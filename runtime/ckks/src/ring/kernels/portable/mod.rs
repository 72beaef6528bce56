//! The loops in safe Rust: the specification of the SIMD kernels and what other machines run.
//!
//! Transforms use Harvey's lazy butterflies ("Faster arithmetic for number-theoretic transforms",
//! 2014) over the negacyclic decimation of Longa and Naehrig (2016); products use Barrett and Shoup.
//! They are written for scalar multipliers of 64 bits: baseline vectors have none.

mod ntt;

use super::{ConversionTarget, Form, Packing};
use crate::ring::Modulus;
use crate::ring::modulus::conditional_sub;

pub(super) use ntt::Ntt;

/// Reduction of sums of at most 129 products of a residue and a word below 2^50, and of one residue more.
///
/// Of `x < 130·2^50·q` with q of b bits, `t = floor(x / 2^(b-4))` is below 2^62, and the factor
/// `f = floor(2^(64+b-4) / q)` at most 2^61. So `t·f / 2^64` is less than `2^-3 + 2^-2` below `x / q`, its
/// floor at most one below the quotient, and one subtraction settles the rest. NTT-friendly primes have
/// seven bits at least.
#[derive(Clone, Copy)]
struct Barrett {
    q: u64,
    shift: u32,
    factor: u64,
}

impl Barrett {
    fn new(m: &Modulus) -> Self {
        let shift = m.bits() - 4;
        Self { q: m.value(), shift, factor: ((1 << (64 + shift)) / u128::from(m.value())) as u64 }
    }

    #[inline(always)]
    fn reduce(self, x: u128) -> u64 {
        // Two shifts of words are faster than one of both.
        let top = ((x >> 64) as u64) << (64 - self.shift) | (x as u64) >> self.shift;
        let quotient = ((u128::from(top) * u128::from(self.factor)) >> 64) as u64;
        conditional_sub((x as u64).wrapping_sub(quotient.wrapping_mul(self.q)), self.q)
    }
}

pub(super) fn reduce_signed(m: &Modulus, a: &mut [u64]) {
    a.iter_mut().for_each(|a| *a = m.reduce_i64(a.cast_signed()));
}

pub(super) fn add(m: &Modulus, a: &mut [u64], b: &[u64]) {
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.add(*a, b));
}

pub(super) fn sub(m: &Modulus, a: &mut [u64], b: &[u64]) {
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.sub(*a, b));
}

pub(super) fn neg(m: &Modulus, a: &mut [u64]) {
    a.iter_mut().for_each(|a| *a = m.neg(*a));
}

pub(super) fn mul(m: &Modulus, a: &mut [u64], b: &[u64]) {
    let m = Barrett::new(m);
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.reduce(u128::from(*a) * u128::from(b)));
}

pub(super) fn mul_add(m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
    let m = Barrett::new(m);
    for ((acc, &a), &b) in acc.iter_mut().zip(a).zip(b) {
        *acc = m.reduce(u128::from(a) * u128::from(b) + u128::from(*acc));
    }
}

pub(super) fn mul_scalar(m: &Modulus, a: &mut [u64], s: u64) {
    let s_shoup = m.shoup(s);
    for a in a {
        *a = conditional_sub(m.mul_shoup_lazy(*a, s, s_shoup), m.value());
    }
}

pub(super) fn sub_mul_scalar(m: &Modulus, a: &mut [u64], b: &[u64], s: u64) {
    let s_shoup = m.shoup(s);
    for (a, &b) in a.iter_mut().zip(b) {
        let difference = *a + m.value() - b;
        *a = conditional_sub(m.mul_shoup_lazy(difference, s, s_shoup), m.value());
    }
}

pub(super) fn quotient(quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]) {
    for (j, quotient) in quotient.iter_mut().enumerate() {
        let terms = sources.iter().zip(inverses);
        *quotient =
            terms.fold(0.5, |sum, (source, inverse)| sum + source[j] as f64 * inverse) as u64;
    }
}

pub(super) fn convert(targets: &mut [ConversionTarget<'_>], sources: &[&[u64]]) {
    for target in targets {
        let m = Barrett::new(target.m);
        let (tiles, _) = target.out.as_chunks_mut::<4>();
        for (tile, j) in tiles.iter_mut().zip((0..).step_by(4)) {
            let mut sums = [0; 4];
            for (source, &w) in sources.iter().zip(target.weights) {
                for (sum, &y) in sums.iter_mut().zip(&source[j..j + 4]) {
                    *sum += u128::from(y) * u128::from(w);
                }
            }
            *tile = sums.map(|sum| m.reduce(sum));
        }
    }
}

pub(super) fn inner_product(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    packing: Packing,
    terms: &[(&[u64], &[u64], &[u64])],
) {
    let plain = |words: &[u64], position: usize| words[position];
    match packing {
        Packing::First(form) => {
            sums_of_products(m, out, start, terms, |a, position| form.residue(a, position), plain);
        }
        Packing::Pairs(bytes) => {
            let form = Form { bytes, log_run: 0 };
            sums_of_products(m, out, start, terms, plain, |b, position| form.residue(b, position));
        }
    }
}

/// Inner products, given how to get the residue of an operand for a position.
fn sums_of_products(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
    first: impl Fn(&[u64], usize) -> u64,
    pair: impl Fn(&[u64], usize) -> u64,
) {
    let m = Barrett::new(m);
    for (j, (out0, out1)) in (start..).zip(out.0.iter_mut().zip(out.1)) {
        let (mut sum0, mut sum1) = (0, 0);
        for (a, b0, b1) in terms {
            let a = u128::from(first(a, j));
            sum0 += a * u128::from(pair(b0, j));
            sum1 += a * u128::from(pair(b1, j));
        }
        *out0 = m.reduce(sum0);
        *out1 = m.reduce(sum1);
    }
}

pub(super) fn permute(out: &mut [u64], a: &[u64], blocks: &[u32], lanes: &[[u8; 8]; 8]) {
    for (out, &block) in out.chunks_exact_mut(8).zip(blocks) {
        let a = &a[8 * (block >> 3) as usize..][..8];
        for (out, &lane) in out.iter_mut().zip(&lanes[(block & 7) as usize]) {
            *out = a[usize::from(lane)];
        }
    }
}
