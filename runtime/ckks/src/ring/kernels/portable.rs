//! The loops in safe Rust: the specification of the SIMD kernels and what other machines run.
//!
//! Transforms use Harvey's lazy butterflies ("Faster arithmetic for number-theoretic transforms",
//! 2014) over the negacyclic decimation of Longa and Naehrig (2016); products use Barrett and Shoup.

use super::{ConversionTarget, Form, Packing};
use crate::ring::Modulus;
use crate::ring::modulus::conditional_sub;

/// Negacyclic transform modulo one prime.
pub(in crate::ring) struct Ntt {
    m: Modulus,
    /// `ψ^brv(i)` with Shoup companion; entry 0 is unused.
    powers: Vec<(u64, u64)>,
    /// `ψ^-brv(i)` with Shoup companion.
    inverse_powers: Vec<(u64, u64)>,
    /// `N^-1`.
    degree_inverse: u64,
}

impl Ntt {
    pub(in crate::ring) fn new(m: Modulus, log_n: u32, root: u64) -> Self {
        let n = 1usize << log_n;
        let table = |root: u64| {
            let mut table = vec![(0, 0); n];
            let mut power = 1;
            for i in 0..n as u32 {
                let position = (i.reverse_bits() >> (32 - log_n)) as usize;
                table[position] = (power, m.shoup(power));
                power = m.mul(power, root);
            }
            table
        };
        Self {
            m,
            powers: table(root),
            inverse_powers: table(m.inv(root)),
            degree_inverse: m.inv(n as u64),
        }
    }

    /// Cooley–Tukey, natural to bit-reversed order; values stay below 4q until the end.
    pub(in crate::ring) fn forward(&self, limb: &mut [u64]) {
        let (m, two_q) = (self.m, 2 * self.m.value());
        let mut half = limb.len() / 2;
        let mut blocks = 1;
        while half > 0 {
            let powers = &self.powers[blocks..2 * blocks];
            for (block, &(w, w_shoup)) in limb.chunks_exact_mut(2 * half).zip(powers) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let u = conditional_sub(*x, two_q);
                    let v = m.mul_shoup_lazy(*y, w, w_shoup);
                    *x = u + v;
                    *y = u + two_q - v;
                }
            }
            half /= 2;
            blocks *= 2;
        }
        for x in limb {
            *x = conditional_sub(conditional_sub(*x, two_q), m.value());
        }
    }

    /// Gentleman–Sande, bit-reversed to natural order; values stay below 2q until the end.
    pub(in crate::ring) fn inverse_scaled(&self, limb: &mut [u64], factor: u64) {
        let (m, two_q) = (self.m, 2 * self.m.value());
        let mut half = 1;
        let mut blocks = limb.len() / 2;
        while blocks > 0 {
            let powers = &self.inverse_powers[blocks..2 * blocks];
            for (block, &(w, w_shoup)) in limb.chunks_exact_mut(2 * half).zip(powers) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let (u, v) = (*x, *y);
                    *x = conditional_sub(u + v, two_q);
                    *y = m.mul_shoup_lazy(u + two_q - v, w, w_shoup);
                }
            }
            half *= 2;
            blocks /= 2;
        }
        mul_scalar(&m, limb, m.mul(factor, self.degree_inverse));
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
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.mul(*a, b));
}

pub(super) fn mul_add(m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
    for ((acc, &a), &b) in acc.iter_mut().zip(a).zip(b) {
        *acc = m.add(*acc, m.mul(a, b));
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
        for (j, out) in target.out.iter_mut().enumerate() {
            let terms = sources.iter().zip(target.weights);
            let sum = terms.map(|(y, &w)| u128::from(y[j]) * u128::from(w)).sum();
            *out = target.m.reduce_u128(sum);
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
    for (j, (out0, out1)) in (start..).zip(out.0.iter_mut().zip(out.1)) {
        let (mut sum0, mut sum1) = (0, 0);
        for (a, b0, b1) in terms {
            let a = u128::from(first(a, j));
            sum0 += a * u128::from(pair(b0, j));
            sum1 += a * u128::from(pair(b1, j));
        }
        *out0 = m.reduce_u128(sum0);
        *out1 = m.reduce_u128(sum1);
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
