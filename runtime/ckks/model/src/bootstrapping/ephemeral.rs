//! The Hamming weight of the ephemeral secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Hamming weight of the ephemeral secret: the number of nonzero coefficients of the sparse ternary
/// secret under which the modulus is raised.
///
/// The integers that EvalMod removes grow about as the square root of the weight, and with them the
/// degree of its polynomial, the modulus and the time. No published attack is faster on a heavier
/// secret. The bits of [`sparse_security`](crate::security::sparse_security) were estimated for
/// weight 32 and are a lower bound for heavier secrets.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum EphemeralWeight {
    /// Weight 32, for which the attacks were estimated.
    #[default]
    W32,
    /// Weight 48.
    W48,
    /// Weight 64.
    W64,
}

impl EphemeralWeight {
    /// All supported weights, in ascending order.
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
