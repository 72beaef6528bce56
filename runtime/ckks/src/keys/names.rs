//! Names of evaluation keys, and differences between two sets of keys.

use std::fmt;

/// Number of the relinearisation key where others have their Galois element, which is odd.
pub(crate) const RELINEARIZATION: u64 = 0;

/// Reason why evaluation keys are refused: the first difference from the [`KeyRequest`](crate::KeyRequest) that they
/// should fulfil, in the order relinearisation key, keys by ascending Galois element, encapsulation keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// A requested key is missing.
    #[error("{0} is missing")]
    Missing(KeyName),
    /// The set has a key that was not requested.
    #[error("{0} is there, which was not asked for")]
    NotAskedFor(KeyName),
    /// A key was generated for another level than the requested one.
    #[error("{key} is for level {found}, and level {expected} was asked for")]
    Level {
        /// The key.
        key: KeyName,
        /// Level requested.
        expected: usize,
        /// Level of the key.
        found: usize,
    },
}

/// Name of an evaluation key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName {
    /// The relinearisation key, for products of ciphertexts.
    Relinearization,
    /// The key for rotations by this number of slots to the left.
    Rotation(i64),
    /// The key for complex conjugation.
    Conjugation,
    /// The key for an automorphism, by its Galois element, that is no rotation or conjugation.
    Galois(u64),
    /// The pair of encapsulation keys, to the sparse secret of bootstrapping and back.
    Encapsulation,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relinearization => f.write_str("the relinearisation key"),
            Self::Rotation(r) => write!(f, "the key for rotations by {r}"),
            Self::Conjugation => f.write_str("the conjugation key"),
            Self::Galois(element) => write!(f, "the key of Galois element {element}"),
            Self::Encapsulation => f.write_str("the pair of keys for the sparse secret"),
        }
    }
}
