//! Loops over limbs, in a portable form and with AVX-512 IFMA; both give the same bits.
//!
//! Functions here trust their callers: slices have the lengths that the ring gives them, residues
//! are canonical. They choose the implementation and nothing else; threads are the caller's.

#[cfg(target_arch = "x86_64")]
mod ifma;
mod packing;
mod portable;

pub(super) use packing::{Form, Packing, pack};

use super::Modulus;

/// Words that several kernels should work on in turn, while they are in the nearest cache.
pub(super) const CHUNK: usize = 512;

/// Which implementation of the inner loops a ring uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Safe Rust for every machine.
    Portable,
    /// AVX-512 with 52-bit multiply-add and byte permutations (Intel from Ice Lake, AMD from Zen 4).
    Ifma,
}

/// Calls the function of the same name in the chosen implementation.
macro_rules! dispatch {
    ($kernels:ident, $function:ident($($argument:expr),*)) => {
        match $kernels {
            Kernels::Portable => portable::$function($($argument),*),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: rings are the only users, and refuse kernels that are not available.
            Kernels::Ifma => unsafe { ifma::$function($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            Kernels::Ifma => unreachable!("rings refuse kernels that are not available"),
        }
    };
}

impl Kernels {
    /// The fastest kernels of this processor; `PIC_KERNELS=portable` in the environment overrules.
    pub fn detect() -> Self {
        let portable = std::env::var_os("PIC_KERNELS").is_some_and(|name| name == "portable");
        if Self::Ifma.is_available() && !portable { Self::Ifma } else { Self::Portable }
    }

    /// Whether this processor can run them.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Ifma => ifma::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Ifma => false,
        }
    }

    /// What to use in a ring of degree `2^log_n`: vectors do not fit the smallest.
    pub(super) fn for_degree(self, log_n: u32) -> Self {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Ifma if log_n < ifma::MIN_LOG_DEGREE => Self::Portable,
            kernels => kernels,
        }
    }

    /// Brings a constant factor for [`Kernels::convert`] into the form it wants.
    pub(super) fn weight(self, m: &Modulus, w: u64) -> u64 {
        match self {
            Self::Portable => w,
            #[cfg(target_arch = "x86_64")]
            Self::Ifma => ifma::weight(m, w),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Ifma => unreachable!("rings refuse kernels that are not available"),
        }
    }

    /// The canonical residues of words that are signed integers in two's complement, in place.
    pub(super) fn reduce_signed(self, m: &Modulus, a: &mut [u64]) {
        dispatch!(self, reduce_signed(m, a));
    }

    /// `a += b`.
    pub(super) fn add(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        dispatch!(self, add(m, a, b));
    }

    /// `a -= b`.
    pub(super) fn sub(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        dispatch!(self, sub(m, a, b));
    }

    /// `a = -a`.
    pub(super) fn neg(self, m: &Modulus, a: &mut [u64]) {
        dispatch!(self, neg(m, a));
    }

    /// `a *= b`, position by position.
    pub(super) fn mul(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        dispatch!(self, mul(m, a, b));
    }

    /// `acc += a · b`, position by position.
    pub(super) fn mul_add(self, m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
        dispatch!(self, mul_add(m, acc, a, b));
    }

    /// `a *= s` in every position.
    pub(super) fn mul_scalar(self, m: &Modulus, a: &mut [u64], s: u64) {
        dispatch!(self, mul_scalar(m, a, s));
    }

    /// `a = (a - b) · s`, position by position; `b` may come from [`Ntt::forward_lazy`].
    pub(super) fn sub_mul_scalar(self, m: &Modulus, a: &mut [u64], b: &[u64], s: u64) {
        dispatch!(self, sub_mul_scalar(m, a, b, s));
    }

    /// `quotient = floor(1/2 + Σ sources[i]·inverses[i])`, position by position: how often the
    /// product of the source primes is contained in a recombined value, rounded to nearest.
    ///
    /// The sum is taken in double precision in the order given, so that all kernels agree.
    pub(super) fn quotient(self, quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]) {
        dispatch!(self, quotient(quotient, sources, inverses));
    }

    /// `out = Σ sources[i]·weights[i] mod q`, position by position, for each target; for 1 to 129
    /// sources with values below 2^50.
    pub(super) fn convert(self, targets: &mut [ConversionTarget<'_>], sources: &[&[u64]]) {
        dispatch!(self, convert(targets, sources));
    }

    /// `out.0 = Σ a[i]·b0[i]`, `out.1 = Σ a[i]·b1[i]` for 1 to 129 terms `(a, b0, b1)`, position by
    /// position, for as many positions from `start` on as `out` has. Terms are whole limbs; plain `a` may
    /// come from [`Ntt::forward_lazy`].
    pub(super) fn inner_product(
        self,
        m: &Modulus,
        out: (&mut [u64], &mut [u64]),
        start: usize,
        packing: Packing,
        terms: &[(&[u64], &[u64], &[u64])],
    ) {
        dispatch!(self, inner_product(m, out, start, packing, terms));
    }

    /// `out[8b + k] = a[8·(blocks[b] >> 3) + lanes[blocks[b] & 7][k]]`.
    pub(super) fn permute(self, out: &mut [u64], a: &[u64], blocks: &[u32], lanes: &[[u8; 8]; 8]) {
        dispatch!(self, permute(out, a, blocks, lanes));
    }
}

impl std::fmt::Display for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Ifma => "AVX-512 IFMA",
        })
    }
}

/// A limb to be made by [`Kernels::convert`].
pub(super) struct ConversionTarget<'a> {
    pub(super) m: &'a Modulus,
    /// One factor for each source, as made by [`Kernels::weight`].
    pub(super) weights: &'a [u64],
    pub(super) out: &'a mut [u64],
}

/// The transform of one prime, with the tables that the chosen kernels want.
pub(super) enum Ntt {
    Portable(portable::Ntt),
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Ntt),
}

impl Ntt {
    /// Tables for degree `2^log_n` from a primitive 2N-th root of unity.
    pub(super) fn new(kernels: Kernels, m: Modulus, log_n: u32, root: u64) -> Self {
        match kernels {
            Kernels::Portable => Self::Portable(portable::Ntt::new(m, log_n, root)),
            #[cfg(target_arch = "x86_64")]
            Kernels::Ifma => Self::Ifma(ifma::Ntt::new(m, log_n, root)),
            #[cfg(not(target_arch = "x86_64"))]
            Kernels::Ifma => unreachable!("rings refuse kernels that are not available"),
        }
    }

    /// Coefficients to values, in place.
    pub(super) fn forward(&self, limb: &mut [u64]) {
        match self {
            Self::Portable(ntt) => ntt.forward(limb),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: rings are the only users, and refuse kernels that are not available.
            Self::Ifma(ntt) => unsafe { ntt.forward(limb) },
        }
    }

    /// [`Ntt::forward`], but for the final reduction where that is a saving: congruent words that
    /// only kernels that say so accept.
    pub(super) fn forward_lazy(&self, limb: &mut [u64]) {
        match self {
            Self::Portable(ntt) => ntt.forward(limb),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: rings are the only users, and refuse kernels that are not available.
            Self::Ifma(ntt) => unsafe { ntt.forward_lazy(limb) },
        }
    }

    /// Values to coefficients times `factor`, in place.
    pub(super) fn inverse_scaled(&self, limb: &mut [u64], factor: u64) {
        match self {
            Self::Portable(ntt) => ntt.inverse_scaled(limb, factor),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: rings are the only users, and refuse kernels that are not available.
            Self::Ifma(ntt) => unsafe { ntt.inverse_scaled(limb, factor) },
        }
    }

    /// Values to coefficients times `factor`, out of place.
    pub(super) fn inverse_scaled_into(&self, out: &mut [u64], limb: &[u64], factor: u64) {
        match self {
            Self::Portable(ntt) => {
                out.copy_from_slice(limb);
                ntt.inverse_scaled(out, factor);
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: rings are the only users, and refuse kernels that are not available.
            Self::Ifma(ntt) => unsafe { ntt.inverse_scaled_into(out, limb, factor) },
        }
    }
}

#[cfg(test)]
mod equality_tests;
