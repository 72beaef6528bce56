//! The Hamming weight of the ephemeral secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nonzero coefficients of the sparse secret under which the modulus is raised.
///
/// The more there are, the larger grow the integers that EvalMod removes, about as the square root: its polynomial and
/// with it the modulus and the time. A heavier secret is the harder to find for every published attack; the bits that
/// [`sparse_security`](crate::security::sparse_security) states are those of 32, a lower bound for the others.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum EphemeralWeight {
    /// 32, for which the attacks were estimated.
    #[default]
    W32,
    /// 48.
    W48,
    /// 64.
    W64,
}

impl EphemeralWeight {
    /// All that are offered, in ascending order.
    pub const ALL: [Self; 3] = [Self::W32, Self::W48, Self::W64];

    /// The weight as a number.
    ///
    /// ```
    /// use pic_ckks_model::bootstrapping::EphemeralWeight;
    ///
    /// assert_eq!(EphemeralWeight::ALL.map(EphemeralWeight::get), [32, 48, 64]);
    /// ```
    pub const fn get(self) -> usize {
        match self {
            Self::W32 => 32,
            Self::W48 => 48,
            Self::W64 => 64,
        }
    }
}

impl fmt::Display for EphemeralWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
