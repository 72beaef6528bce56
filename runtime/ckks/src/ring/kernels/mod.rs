//! Loops over limbs, in portable form and for several vector units; all give the same bits.
//!
//! Functions here trust their callers: slices have the lengths that the ring gives them, residues
//! are canonical. They choose the implementation and nothing else; threads are the caller's.

#[cfg(target_arch = "x86_64")]
mod fma;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod packing;
mod portable;

use std::env;

use pic_ckks_model::KernelSet;

pub(super) use packing::{Form, Packing, pack};

use super::{Modulus, RingError};
#[cfg(target_arch = "x86_64")]
use fma::{fma256, fma512};

/// Number of words on which several kernels work in turn, while they are in the nearest cache.
pub(super) const CHUNK: usize = 512;

/// The environment variable that names the kernel set to use.
const VARIABLE: &str = "PIC_KERNELS";

/// Returns whether this processor can run a kernel set.
pub fn is_available(set: KernelSet) -> bool {
    match set {
        KernelSet::Portable => true,
        #[cfg(target_arch = "x86_64")]
        KernelSet::Fma256 => fma256::is_available(),
        #[cfg(target_arch = "x86_64")]
        KernelSet::Fma512 => fma512::is_available(),
        #[cfg(target_arch = "x86_64")]
        KernelSet::Ifma => ifma::is_available(),
        #[cfg(not(target_arch = "x86_64"))]
        _ => false,
    }
}

/// The kernel set to use: the one named by the environment variable `PIC_KERNELS`, otherwise the
/// fastest that this processor can run.
///
/// # Errors
/// [`RingError::UnknownKernels`] if the variable names no kernel set,
/// [`RingError::KernelsUnavailable`] if this processor cannot run it.
pub fn detect() -> Result<KernelSet, RingError> {
    let Some(name) = env::var_os(VARIABLE).filter(|name| !name.is_empty()) else {
        let fastest = KernelSet::ALL.into_iter().find(|&set| is_available(set));
        return Ok(fastest.expect("every machine can run the portable kernels"));
    };
    let kernels = name.to_string_lossy().parse()?;
    if is_available(kernels) { Ok(kernels) } else { Err(RingError::KernelsUnavailable { kernels }) }
}

/// The kernel set of a ring, which this processor can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kernels(KernelSet);

/// Calls the function of the same name in the chosen implementation.
macro_rules! dispatch {
    ($kernels:expr, $function:ident($($argument:expr),*)) => {
        match $kernels {
            KernelSet::Portable => portable::$function($($argument),*),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: kernels that are not available are refused when they are chosen.
            KernelSet::Fma256 => unsafe { fma256::$function($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            KernelSet::Fma512 => unsafe { fma512::$function($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            KernelSet::Ifma => unsafe { ifma::$function($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("kernels that are not available are refused"),
        }
    };
}

impl Kernels {
    /// The kernels of a set for a ring of degree `2^log_n`: portable ones where vectors do not fit
    /// the degree.
    ///
    /// # Errors
    /// [`RingError::KernelsUnavailable`] if this processor cannot run the set.
    pub(super) fn new(set: KernelSet, log_n: u32) -> Result<Self, RingError> {
        if !is_available(set) {
            return Err(RingError::KernelsUnavailable { kernels: set });
        }
        #[cfg(target_arch = "x86_64")]
        let least = match set {
            KernelSet::Portable => 0,
            KernelSet::Fma256 => fma256::MIN_LOG_DEGREE,
            KernelSet::Fma512 => fma512::MIN_LOG_DEGREE,
            KernelSet::Ifma => ifma::MIN_LOG_DEGREE,
        };
        #[cfg(not(target_arch = "x86_64"))]
        let least = 0;
        Ok(Self(if log_n < least { KernelSet::Portable } else { set }))
    }

    /// The set.
    pub(super) fn set(self) -> KernelSet {
        self.0
    }

    /// Brings a constant factor for [`Kernels::convert`] into the form it wants.
    pub(super) fn weight(self, m: &Modulus, w: u64) -> u64 {
        match self.0 {
            KernelSet::Portable => w,
            #[cfg(target_arch = "x86_64")]
            KernelSet::Fma256 | KernelSet::Fma512 => fma::weight(m, w),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Ifma => ifma::weight(m, w),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("kernels that are not available are refused"),
        }
    }

    /// The canonical residues of words that are signed integers in two's complement, in place.
    pub(super) fn reduce_signed(self, m: &Modulus, a: &mut [u64]) {
        dispatch!(self.0, reduce_signed(m, a));
    }

    /// `a += b`.
    pub(super) fn add(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        dispatch!(self.0, add(m, a, b));
    }

    /// `a -= b`.
    pub(super) fn sub(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        dispatch!(self.0, sub(m, a, b));
    }

    /// `a = -a`.
    pub(super) fn neg(self, m: &Modulus, a: &mut [u64]) {
        dispatch!(self.0, neg(m, a));
    }

    /// `a *= b`, position by position.
    pub(super) fn mul(self, m: &Modulus, a: &mut [u64], b: &[u64]) {
        dispatch!(self.0, mul(m, a, b));
    }

    /// `acc += a · b`, position by position.
    pub(super) fn mul_add(self, m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
        dispatch!(self.0, mul_add(m, acc, a, b));
    }

    /// `a *= s` in every position.
    pub(super) fn mul_scalar(self, m: &Modulus, a: &mut [u64], s: u64) {
        dispatch!(self.0, mul_scalar(m, a, s));
    }

    /// `a = (a - b) · s`, position by position; `b` may come from [`Ntt::forward_lazy`].
    pub(super) fn sub_mul_scalar(self, m: &Modulus, a: &mut [u64], b: &[u64], s: u64) {
        dispatch!(self.0, sub_mul_scalar(m, a, b, s));
    }

    /// `quotient = floor(1/2 + Σ sources[i]·inverses[i])`, position by position: how often the
    /// product of the source primes is contained in a recombined value, rounded to nearest.
    ///
    /// The sum is taken in double precision in the order given, so that all kernels agree.
    pub(super) fn quotient(self, quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]) {
        dispatch!(self.0, quotient(quotient, sources, inverses));
    }

    /// `out = Σ sources[i]·weights[i] mod q`, position by position, for each target; for 1 to 129
    /// sources with values below 2^50.
    pub(super) fn convert(self, targets: &mut [ConversionTarget<'_>], sources: &[&[u64]]) {
        dispatch!(self.0, convert(targets, sources));
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
        dispatch!(self.0, inner_product(m, out, start, packing, terms));
    }

    /// `out[8b + k] = a[8·(blocks[b] >> 3) + lanes[blocks[b] & 7][k]]`.
    pub(super) fn permute(self, out: &mut [u64], a: &[u64], blocks: &[u32], lanes: &[[u8; 8]; 8]) {
        dispatch!(self.0, permute(out, a, blocks, lanes));
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
    Fma256(fma::Ntt),
    #[cfg(target_arch = "x86_64")]
    Fma512(fma::Ntt),
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Ntt),
}

/// Evaluates an expression for each kind of tables, all but the first of which need the processor for it.
macro_rules! by_tables {
    ($self:ident, $tables:ident: $portable:expr, $fma256:expr, $fma512:expr, $ifma:expr $(,)?) => {
        match $self {
            Self::Portable($tables) => $portable,
            #[cfg(target_arch = "x86_64")]
            // SAFETY: kernels that are not available are refused before there are tables for them.
            Self::Fma256($tables) => unsafe { $fma256 },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            Self::Fma512($tables) => unsafe { $fma512 },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            Self::Ifma($tables) => unsafe { $ifma },
        }
    };
}

impl Ntt {
    /// Tables for degree `2^log_n` from a primitive 2N-th root of unity.
    pub(super) fn new(kernels: Kernels, m: Modulus, log_n: u32, root: u64) -> Self {
        match kernels.0 {
            KernelSet::Portable => Self::Portable(portable::Ntt::new(m, log_n, root)),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Fma256 => Self::Fma256(fma256::tables(m, log_n, root)),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Fma512 => Self::Fma512(fma512::tables(m, log_n, root)),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Ifma => Self::Ifma(ifma::Ntt::new(m, log_n, root)),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("kernels that are not available are refused"),
        }
    }

    /// Coefficients to values, in place.
    pub(super) fn forward(&self, limb: &mut [u64]) {
        by_tables!(
            self, ntt: ntt.forward(limb),
            fma256::forward(ntt, limb),
            fma512::forward(ntt, limb),
            ntt.forward(limb),
        )
    }

    /// [`Ntt::forward`], but for the final reduction where that is a saving: congruent words that
    /// only kernels that say so accept.
    pub(super) fn forward_lazy(&self, limb: &mut [u64]) {
        by_tables!(
            self, ntt: ntt.forward(limb),
            fma256::forward_lazy(ntt, limb),
            fma512::forward_lazy(ntt, limb),
            ntt.forward_lazy(limb),
        )
    }

    /// Values to coefficients times `factor`, in place.
    pub(super) fn inverse_scaled(&self, limb: &mut [u64], factor: u64) {
        by_tables!(
            self, ntt: ntt.inverse_scaled(limb, factor),
            fma256::inverse_scaled(ntt, limb, None, factor),
            fma512::inverse_scaled(ntt, limb, None, factor),
            ntt.inverse_scaled(limb, factor),
        )
    }

    /// Values to coefficients times `factor`, out of place.
    pub(super) fn inverse_scaled_into(&self, out: &mut [u64], limb: &[u64], factor: u64) {
        by_tables!(
            self, ntt: {
                out.copy_from_slice(limb);
                ntt.inverse_scaled(out, factor);
            },
            fma256::inverse_scaled(ntt, out, Some(limb), factor),
            fma512::inverse_scaled(ntt, out, Some(limb), factor),
            ntt.inverse_scaled_into(out, limb, factor),
        )
    }
}

#[cfg(test)]
mod equality_tests;
