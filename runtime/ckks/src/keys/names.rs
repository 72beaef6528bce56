//! Names of evaluation keys, and how a set of them differs from another.

use std::fmt;

/// Stands in for a Galois element, which is odd.
pub(crate) const RELINEARIZATION: u64 = 0;

/// How a set of keys differs from the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// A key is not there.
    #[error("{0} is missing")]
    Missing(KeyName),
    /// There is a key too many.
    #[error("{0} is there, which was not asked for")]
    NotAskedFor(KeyName),
    /// A key is for another level.
    #[error("{key} is for level {found}, and level {expected} was asked for")]
    Level {
        /// The key.
        key: KeyName,
        /// Level asked for.
        expected: usize,
        /// Its level.
        found: usize,
    },
}

/// Which evaluation key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName {
    /// For products of ciphertexts.
    Relinearization,
    /// For rotations by so many slots to the left.
    Rotation(i64),
    /// For complex conjugation.
    Conjugation,
    /// For an automorphism that has no other name.
    Galois(u64),
    /// The pair of keys to the sparse secret of bootstrapping and back.
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
