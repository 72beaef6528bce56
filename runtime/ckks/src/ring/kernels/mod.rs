//! Loops over limbs, in a portable form and with AVX-512 IFMA; both give the same bits.
//!
//! Functions here trust their callers: slices have the lengths that the ring gives them, residues
//! are canonical. They choose the implementation and nothing else; threads are the caller's.

mod portable;

use super::Modulus;

/// Which implementation of the inner loops a ring uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Safe Rust for every machine.
    Portable,
}

impl Kernels {
    /// The fastest kernels of this processor; `PIC_KERNELS=portable` in the environment overrules.
    pub fn detect() -> Self {
        Self::Portable
    }

    /// Whether this processor can run them.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
        }
    }

    /// Brings a constant factor for [`Kernels::convert`] into the form it wants.
    pub(super) fn weight(self, _m: &Modulus, w: u64) -> u64 {
        match self {
            Self::Portable => w,
        }
    }

    /// `a += b`.
    pub(super) fn add(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        portable::zip(a, b, |a, b| m.add(a, b));
    }

    /// `a -= b`.
    pub(super) fn sub(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        portable::zip(a, b, |a, b| m.sub(a, b));
    }

    /// `a = -a`.
    pub(super) fn neg(self, m: &Modulus, a: &mut [u64]) {
        a.iter_mut().for_each(|a| *a = m.neg(*a));
    }

    /// `a += s` in every position.
    pub(super) fn add_scalar(self, m: &Modulus, a: &mut [u64], s: u64) {
        a.iter_mut().for_each(|a| *a = m.add(*a, s));
    }

    /// `a *= b`, position by position.
    pub(super) fn mul(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        portable::zip(a, b, |a, b| m.mul(a, b));
    }

    /// `acc += a · b`, position by position.
    pub(super) fn mul_add(self, m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
        portable::mul_add(m, acc, a, b);
    }

    /// `a *= s` in every position.
    pub(super) fn mul_scalar(self, m: &Modulus, a: &mut [u64], s: u64) {
        portable::mul_scalar(m, a, s);
    }

    /// `a = (a - b) · s`, position by position.
    pub(super) fn sub_mul_scalar(self, m: &Modulus, a: &mut [u64], b: &[u64], s: u64) {
        portable::sub_mul_scalar(m, a, b, s);
    }

    /// `quotient = floor(1/2 + Σ sources[i]·inverses[i])`, position by position: how often the
    /// product of the source primes is contained in a recombined value, rounded to nearest.
    ///
    /// The sum is taken in double precision in the order given, so that all kernels agree.
    pub(super) fn quotient(self, quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]) {
        portable::quotient(quotient, sources, inverses);
    }

    /// `out = Σ sources[i]·weights[i] mod q`, position by position, for at most 129 sources with
    /// values below 2^50; weights as made by [`Kernels::weight`].
    pub(super) fn convert(self, m: &Modulus, out: &mut [u64], sources: &[&[u64]], weights: &[u64]) {
        portable::convert(m, out, sources, weights);
    }

    /// `out.0 = Σ a[i]·b[i].0`, `out.1 = Σ a[i]·b[i].1`, position by position.
    pub(super) fn inner_product(
        self,
        m: &Modulus,
        out: (&mut [u64], &mut [u64]),
        terms: &[(&[u64], &[u64], &[u64])],
    ) {
        portable::inner_product(m, out, terms);
    }

    /// `out[8b + k] = a[8·(blocks[b] >> 3) + lanes[blocks[b] & 7][k]]`.
    pub(super) fn permute(self, out: &mut [u64], a: &[u64], blocks: &[u32], lanes: &[[u8; 8]; 8]) {
        portable::permute(out, a, blocks, lanes);
    }
}

impl std::fmt::Display for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
        })
    }
}

/// The transform of one prime, with the tables that the chosen kernels want.
pub(super) enum Ntt {
    Portable(portable::Ntt),
}

impl Ntt {
    /// Tables for degree `2^log_n` from a primitive 2N-th root of unity.
    pub(super) fn new(_kernels: Kernels, m: Modulus, log_n: u32, root: u64) -> Self {
        Self::Portable(portable::Ntt::new(m, log_n, root))
    }

    /// Coefficients to values, in place.
    pub(super) fn forward(&self, limb: &mut [u64]) {
        match self {
            Self::Portable(ntt) => ntt.forward(limb),
        }
    }

    /// Values to coefficients times `factor`, in place.
    pub(super) fn inverse_scaled(&self, limb: &mut [u64], factor: u64) {
        match self {
            Self::Portable(ntt) => ntt.inverse_scaled(limb, factor),
        }
    }
}
