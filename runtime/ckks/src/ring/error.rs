//! Errors of the ring: refused parameters and refused outside data.
//!
//! Mismatched operands (basis, domain, ring) are bugs of the caller and panic instead.

use super::Basis;

/// Reasons for refusing parameters or outside data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The degree is not supported.
    #[error("ring degree 2^{log_n} is outside 2^4 … 2^17")]
    Degree {
        /// Base-2 logarithm of the degree.
        log_n: u32,
    },
    /// A ring needs between one and 128 primes.
    #[error("{count} primes given, between 1 and 128 are possible")]
    PrimeCount {
        /// Number of primes given.
        count: usize,
    },
    /// A prime appears twice.
    #[error("prime {prime} is given twice")]
    DuplicatePrime {
        /// The prime.
        prime: u64,
    },
    /// A modulus is not an odd prime.
    #[error("{value} is not an odd prime")]
    NotPrime {
        /// The value.
        value: u64,
    },
    /// A modulus is not below 2^50, the bound of lazy reduction.
    #[error("prime {prime} is not below 2^50")]
    PrimeTooLarge {
        /// The prime.
        prime: u64,
    },
    /// A modulus has no primitive 2N-th root of unity.
    #[error("prime {prime} is not 1 modulo 2^{}", log_n + 1)]
    NotNttFriendly {
        /// The prime.
        prime: u64,
        /// Base-2 logarithm of the degree.
        log_n: u32,
    },
    /// The processor lacks the instructions of the kernels asked for.
    #[error("this processor cannot run the {kernels} kernels: unset PIC_KERNELS or name others")]
    KernelsUnavailable {
        /// The kernels asked for.
        kernels: super::KernelSet,
    },
    /// The environment variable `PIC_KERNELS` names an unknown kernel set.
    #[error("PIC_KERNELS: {0}")]
    UnknownKernels(#[from] pic_ckks_model::kernels::UnknownKernelSet),
    /// A basis contains primes that the ring does not have.
    #[error("basis {basis:?} is not a set of primes of this ring")]
    UnknownBasis {
        /// The basis.
        basis: Basis,
    },
    /// Serialised limbs have the wrong size.
    #[error("{actual} bytes given where the basis needs {expected}")]
    Length {
        /// Bytes that the basis needs.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// A serialised residue is not reduced.
    #[error("residue {value} at position {position} is not below its prime {prime}")]
    Residue {
        /// The prime of the limb.
        prime: u64,
        /// Position in the limb.
        position: usize,
        /// The residue.
        value: u64,
    },
    /// The operating system's random number generator failed.
    #[cfg(feature = "client")]
    #[error("the operating system gave no randomness: {0}")]
    Entropy(getrandom::Error),
}
