//! Modulus chains without bootstrapping: ring degree, scale and key-switching digits, with the number of levels
//! open.

use pic_ckks_model::security::max_log_qp;
use pic_ckks_model::{Parameters, ParametersError, SecurityLevel};

/// Bits by which q0 exceeds the scale: room for a stored output of ±4.
pub const HEADROOM_BITS: f64 = 3.0;

/// Bits kept free under the security table for primes that are not exact powers of two.
const MARGIN_BITS: f64 = 0.5;

/// A choice of ring, scale and digits; the number of levels is still open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeveledParameters {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// log2 of the scale, and of every application prime.
    pub log_scale: f64,
    /// Bits of q0.
    pub log_q0: f64,
    /// Number of primes in a key-switching digit, which is also the number of special primes.
    pub digit_size: usize,
    /// Security level of the parameters.
    pub security: SecurityLevel,
}

impl LeveledParameters {
    /// Bits of each special prime. Together they cover the largest digit, which holds q0.
    fn log_special(&self) -> f64 {
        (self.log_q0 + (self.digit_size - 1) as f64 * self.log_scale) / self.digit_size as f64
    }

    fn log_qp(&self, levels: usize) -> f64 {
        self.log_q0 + levels as f64 * self.log_scale + self.digit_size as f64 * self.log_special()
    }

    /// Largest number of levels that the security table allows; none if not even q0 fits.
    pub fn max_levels(&self) -> Option<usize> {
        let limit = max_log_qp(self.log_n, self.security)? - MARGIN_BITS;
        (0..pic_ckks_model::MAX_PRIMES / 2)
            .take_while(|&levels| self.log_qp(levels) <= limit)
            .last()
    }

    /// Parameters with a chain of `levels` levels: q0, one application prime for each level, and `digit_size` special
    /// primes.
    ///
    /// # Errors
    /// [`ParametersError::Insecure`] if the security table does not allow so many levels (it allows
    /// [`Self::max_levels`]), [`ParametersError::Primes`] if there are too few primes of these sizes, and the other
    /// errors of [`Parameters::from_bits`].
    pub fn parameters(&self, levels: usize) -> Result<Parameters, ParametersError> {
        let mut moduli = vec![self.log_scale; levels + 1];
        moduli[0] = self.log_q0;
        let special = vec![self.log_special(); self.digit_size];
        let digits = (levels + 1).div_ceil(self.digit_size);
        Parameters::from_bits(self.log_n, &moduli, &special, digits, self.security)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_that_is_said_to_fit_does() {
        for log_n in 13..=16 {
            for log_scale in [26.0, 34.0, 45.0] {
                for digit_size in 1..=4 {
                    let security = SecurityLevel::Bits128;
                    let setting = LeveledParameters {
                        log_n,
                        log_scale,
                        log_q0: log_scale + HEADROOM_BITS,
                        digit_size,
                        security,
                    };
                    if let Some(levels) = setting.max_levels() {
                        setting.parameters(levels).unwrap();
                    }
                }
            }
        }
    }
}
