//! Largest secure moduli by ring degree: the published tables, as data.
//!
//! Source: Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", 2024:
//! classical attacks, ternary secret, σ = 3.2. The sparse secret that bootstrapping raises the
//! modulus under has a table of its own; other sparse secrets are not covered.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Standard deviation σ of the discrete Gaussian from which the coefficients of the errors of
/// encryption and keys are drawn: that of the security tables. `pic_ckks` samples with this constant.
pub const ERROR_STD: f64 = 3.2;

/// Bits of security against classical attacks that a parameter set claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecurityLevel {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
    /// No security claim: any modulus for any ring, for tests only.
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

/// log2 of the smallest ring degree in the table.
pub const MIN_SECURE_LOG_N: u32 = 12;

/// Largest log2(QP) for N = 2^12 … 2^17, one row per security level.
const MAX_LOG_QP: [(SecurityLevel, [u32; 6]); 3] = [
    (SecurityLevel::Bits128, [106, 214, 430, 868, 1747, 3523]),
    (SecurityLevel::Bits192, [73, 147, 297, 597, 1199, 2411]),
    (SecurityLevel::Bits256, [56, 114, 230, 462, 929, 1866]),
];

/// The largest log2 of the modulus QP (special primes included) for ring degree 2^`log_n` and a
/// uniform ternary secret. `None` if the table has no modulus of this security; infinite for
/// [`SecurityLevel::Insecure`].
pub fn max_log_qp(log_n: u32, level: SecurityLevel) -> Option<f64> {
    if level == SecurityLevel::Insecure {
        return Some(f64::INFINITY);
    }
    let (_, row) = MAX_LOG_QP.iter().find(|(row_level, _)| *row_level == level)?;
    let column = log_n.checked_sub(MIN_SECURE_LOG_N)? as usize;
    row.get(column).map(|&bits| f64::from(bits))
}

/// Bits of security of keys under a ternary secret of Hamming weight 32 or more: log2 N, the largest log2 of
/// the modulus, bits.
///
/// The least that any published classical attack costs, σ = 3.2, rounded down. At all of these sizes that is the
/// primal attack with Meet-LWE (Hhan, Kim, Lee and Son, "Let's meet ternary keys on Babai's plane: a hybrid of
/// lattice-reduction and Meet-LWE", ePrint 2022/1473; the authors' estimator, level 2). The lattice estimator
/// (Albrecht, Player and Scott, "On the concrete hardness of Learning with Errors", 2015; commit 27a581b) does not
/// know it and finds more:
///
/// | N, log2 of the modulus | Meet-LWE | dual, meet in the middle | primal, meet in the middle |
/// |---|---|---|---|
/// | 2^15, 60 | 157.0 | 163.5 | 169.9 |
/// | 2^15, 80 | 147.0 | 154.1 | 160.8 |
/// | 2^15, 90 | 144.0 | 149.4 | 157.2 |
/// | 2^16, 100 | at most 164.7 | | 178.7 |
/// | 2^16, 117 | 160.0 | 164.5 | 173.3 |
///
/// At 2^16 and 100 bits the search was not run to its end, so the value at 117 bits stands in for it. 90 bits at
/// 2^15 are not offered, although they have more than 128: estimators ignore that the N rotations of the secret
/// share one lattice, for which at most log2 N bits have to be kept.
///
/// The estimates are for weight 32. Guessing and meeting in the middle, which make a sparse secret easier to find than a
/// dense one, have the more to guess the heavier it is, so that the bits are a lower bound for heavier ones (weight 48, 2^15,
/// 90 bits: 190 found by the same estimator, not necessarily the least).
const SPARSE_SECURITY: [(u32, f64, u32); 3] = [(15, 60.0, 157), (15, 80.0, 147), (16, 100.0, 160)];

/// Lower bound on the bits of security of keys modulo 2^`log_modulus` under a ternary secret of
/// Hamming weight at least 32. `None` outside the table. A larger ring is at least as secure as a
/// smaller one.
pub fn sparse_security(log_n: u32, log_modulus: f64) -> Option<u32> {
    let covers =
        |&&(row_log_n, limit, _): &&(u32, f64, u32)| row_log_n <= log_n && log_modulus <= limit;
    SPARSE_SECURITY.iter().filter(covers).map(|&(_, _, bits)| bits).max()
}

/// The largest log2 of the modulus of keys under a ternary secret of Hamming weight at least 32.
/// `None` if the table has no modulus of this security; infinite for [`SecurityLevel::Insecure`].
pub fn max_log_sparse_modulus(log_n: u32, level: SecurityLevel) -> Option<f64> {
    if level == SecurityLevel::Insecure {
        return Some(f64::INFINITY);
    }
    let covers =
        |&&(row_log_n, _, bits): &&(u32, f64, u32)| row_log_n <= log_n && bits >= level.bits();
    SPARSE_SECURITY.iter().filter(covers).map(|&(_, limit, _)| limit).reduce(f64::max)
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

    #[test]
    fn sparse_secrets_are_bounded_by_their_own_table() {
        use SecurityLevel::{Bits128, Bits192, Bits256, Insecure};
        assert_eq!(
            [59.0, 60.5, 80.0, 80.1].map(|m| sparse_security(15, m)),
            [Some(157), Some(147), Some(147), None]
        );
        assert_eq!(
            [79.0, 100.0, 100.1].map(|m| sparse_security(16, m)),
            [Some(160), Some(160), None]
        );
        assert_eq!(sparse_security(14, 1.0), None);
        assert_eq!(
            [14, 15, 16, 17].map(|log_n| max_log_sparse_modulus(log_n, Bits128)),
            [None, Some(80.0), Some(100.0), Some(100.0)]
        );
        // One reduced lattice may serve the attack on all N rotations of a secret.
        for (log_n, _, bits) in SPARSE_SECURITY {
            assert!(bits - log_n >= 128);
        }
        for level in [Bits192, Bits256] {
            assert_eq!(max_log_sparse_modulus(17, level), None);
        }
        assert_eq!(max_log_sparse_modulus(4, Insecure), Some(f64::INFINITY));
    }
}
