//! How large a modulus a ring degree can carry: the published tables, as data.
//!
//! Source: Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", 2024:
//! classical attacks, ternary secret, σ = 3.2. Sparse secrets have other bounds and are not
//! covered here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Standard deviation of encryption and key errors, in integer units, before rounding.
pub const ERROR_STD: f64 = 3.2;

/// The bits of security that a parameter set claims against classical attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecurityLevel {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
    /// No claim at all: any modulus for any ring. For tests only.
    Insecure,
}

impl SecurityLevel {
    /// Bits of security; 0 for [`SecurityLevel::Insecure`].
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
            Self::Insecure => 0,
        }
    }
}

impl fmt::Display for SecurityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insecure => f.write_str("INSECURE (tests only)"),
            level => write!(f, "{}-bit", level.bits()),
        }
    }
}

/// The smallest ring degree, log2, for which the table holds an entry.
pub const MIN_SECURE_LOG_N: u32 = 12;

/// Largest log2(QP) for N = 2^12 … 2^17, one row per security level.
const MAX_LOG_QP: [(SecurityLevel, [u32; 6]); 3] = [
    (SecurityLevel::Bits128, [106, 214, 430, 868, 1747, 3523]),
    (SecurityLevel::Bits192, [73, 147, 297, 597, 1199, 2411]),
    (SecurityLevel::Bits256, [56, 114, 230, 462, 929, 1866]),
];

/// The largest log2 of the whole modulus QP (special primes included) for a ring of degree
/// 2^`log_n` with a uniform ternary secret. `None` where no ring of that degree has this security
/// by the table; infinite for [`SecurityLevel::Insecure`].
pub fn max_log_qp(log_n: u32, level: SecurityLevel) -> Option<f64> {
    if level == SecurityLevel::Insecure {
        return Some(f64::INFINITY);
    }
    let (_, row) = MAX_LOG_QP.iter().find(|(row_level, _)| *row_level == level)?;
    let column = log_n.checked_sub(MIN_SECURE_LOG_N)? as usize;
    row.get(column).map(|&bits| f64::from(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_monotone_and_bounded_by_its_ends() {
        use SecurityLevel::{Bits128, Bits192, Bits256, Insecure};
        for level in [Bits128, Bits192, Bits256] {
            assert_eq!(max_log_qp(11, level), None);
            assert_eq!(max_log_qp(18, level), None);
            for log_n in 12..17 {
                // Doubling N at least doubles the modulus, and by little more.
                let growth =
                    max_log_qp(log_n + 1, level).unwrap() / max_log_qp(log_n, level).unwrap();
                assert!((2.0..2.06).contains(&growth), "{level} 2^{log_n}: {growth}");
            }
        }
        for log_n in 12..=17 {
            let [a, b, c] = [Bits128, Bits192, Bits256].map(|l| max_log_qp(log_n, l).unwrap());
            assert!(a > b && b > c);
        }
        assert_eq!(max_log_qp(15, Bits128), Some(868.0));
        assert_eq!(max_log_qp(4, Insecure), Some(f64::INFINITY));
    }
}
