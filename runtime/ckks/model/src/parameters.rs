//! Parameters of a CKKS instance: ring degree, modulus chain, special primes, digits, and the
//! claimed security. They are validated on construction and on deserialisation.

use crate::primes::{MAX_PRIME_BITS, PrimesError, is_prime, primes_near};
use crate::security::{SecurityLevel, max_log_qp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Range, RangeInclusive};
use thiserror::Error;

/// Range of log2 of the ring degrees that the arithmetic supports.
pub const LOG_N_RANGE: RangeInclusive<u32> = 4..=17;

/// Most primes of a parameter set, chain and special primes together.
pub const MAX_PRIMES: usize = 128;

/// Bits by which the product of a digit may exceed the product of the special primes. The noise of
/// key switching grows by the excess; half a bit allows for primes of one nominal size chosen on
/// both sides of it.
const DIGIT_SLACK_BITS: f64 = 0.5;

/// Unchecked parameters, as written by hand or read from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParametersSpec {
    /// log2 of the ring degree N.
    pub log_n: u32,
    /// The modulus chain: q0, then the application primes in the order of levels.
    pub moduli: Vec<u64>,
    /// The special primes of hybrid key switching, with product P.
    pub special: Vec<u64>,
    /// Number of digits (`dnum`) into which key switching cuts the whole chain.
    pub digits: usize,
    /// The security claimed.
    pub security: SecurityLevel,
}

/// Validated parameters of a CKKS instance over Z\[X\]/(X^N + 1).
///
/// Level l means the basis {q0, …, ql}, that is l + 1 limbs. The secret is uniform ternary.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ParametersSpec", into = "ParametersSpec")]
pub struct Parameters(ParametersSpec);

/// Reasons for refusing a [`ParametersSpec`].
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ParametersError {
    /// The ring degree is outside the supported range.
    #[error("ring degree 2^{0} is not supported (2^4 to 2^17)")]
    RingDegree(u32),
    /// The chain or the set of special primes is empty.
    #[error("parameters need at least one modulus and one special prime")]
    NoPrimes,
    /// There are more than [`MAX_PRIMES`] primes.
    #[error("{0} primes, at most {MAX_PRIMES} are supported")]
    TooManyPrimes(usize),
    /// A modulus is not a prime ≡ 1 mod 2N below 2^50.
    #[error("modulus {modulus} is not a prime ≡ 1 mod 2^{} below 2^{MAX_PRIME_BITS}", log_n + 1)]
    NotNttPrime {
        /// The modulus.
        modulus: u64,
        /// log2 of the ring degree.
        log_n: u32,
    },
    /// A modulus appears twice.
    #[error("modulus {0} appears twice")]
    Duplicate(u64),
    /// The number of digits is zero or more than the chain has primes.
    #[error("{digits} key-switching digits for a chain of {moduli} primes")]
    Digits {
        /// The number of digits asked for.
        digits: usize,
        /// The number of chain primes.
        moduli: usize,
    },
    /// A digit's product is larger than the product of the special primes.
    #[error(
        "key-switching digit {digit} has {digit_bits:.1} bits, more than the special primes' {special_bits:.1}"
    )]
    DigitTooLarge {
        /// Index of the digit.
        digit: usize,
        /// log2 of the digit's product.
        digit_bits: f64,
        /// log2 of the special primes' product.
        special_bits: f64,
    },
    /// The modulus is too large for the ring at the claimed security.
    #[error(
        "log2 QP = {log_qp:.1} is above the {limit} bits that N = 2^{log_n} carries at {security} security"
    )]
    Insecure {
        /// log2 of the ring degree.
        log_n: u32,
        /// log2 of the whole modulus.
        log_qp: f64,
        /// The largest log2 QP of the table; 0 where the ring is too small for any.
        limit: f64,
        /// The security claimed.
        security: SecurityLevel,
    },
    /// There are not enough primes of the wanted sizes.
    #[error(transparent)]
    Primes(#[from] PrimesError),
}

impl Parameters {
    /// Validates a specification.
    ///
    /// # Errors
    /// [`ParametersError::RingDegree`], [`ParametersError::NoPrimes`],
    /// [`ParametersError::TooManyPrimes`], [`ParametersError::NotNttPrime`],
    /// [`ParametersError::Duplicate`], [`ParametersError::Digits`], [`ParametersError::Insecure`]
    /// if log2(QP) exceeds the table at the claimed security, [`ParametersError::DigitTooLarge`].
    pub fn new(spec: ParametersSpec) -> Result<Self, ParametersError> {
        let ParametersSpec { log_n, ref moduli, ref special, digits, security } = spec;
        if !LOG_N_RANGE.contains(&log_n) {
            return Err(ParametersError::RingDegree(log_n));
        }
        if moduli.is_empty() || special.is_empty() {
            return Err(ParametersError::NoPrimes);
        }
        let count = moduli.len() + special.len();
        if count > MAX_PRIMES {
            return Err(ParametersError::TooManyPrimes(count));
        }
        let primes: Vec<u64> = moduli.iter().chain(special).copied().collect();
        for (i, &modulus) in primes.iter().enumerate() {
            let ntt_friendly = modulus % (2 << log_n) == 1 && modulus >> MAX_PRIME_BITS == 0;
            if !ntt_friendly || !is_prime(modulus) {
                return Err(ParametersError::NotNttPrime { modulus, log_n });
            }
            if primes[..i].contains(&modulus) {
                return Err(ParametersError::Duplicate(modulus));
            }
        }
        if !(1..=moduli.len()).contains(&digits) {
            return Err(ParametersError::Digits { digits, moduli: moduli.len() });
        }
        let limit = max_log_qp(log_n, security).unwrap_or(0.0);
        let log_qp = log2_product(&primes);
        if log_qp > limit {
            return Err(ParametersError::Insecure { log_n, log_qp, limit, security });
        }
        let parameters = Self(spec);
        parameters.check_digits()?;
        Ok(parameters)
    }

    /// Chooses the primes nearest to the wanted sizes in bits: `moduli` from q0 up, then `special`.
    /// `digits` is the number of digits (`dnum`) of the whole chain.
    ///
    /// ```
    /// use pic_ckks_model::{Parameters, SecurityLevel};
    ///
    /// // N = 2^13: q0 of 45 bits and two levels of 30 bits, one special prime of 45 bits.
    /// let chain = [45.0, 30.0, 30.0];
    /// let parameters = Parameters::from_bits(13, &chain, &[45.0], 3, SecurityLevel::Bits128)?;
    /// assert_eq!(parameters.max_level(), 2);
    /// assert!((parameters.log_qp() - 150.0).abs() < 0.1);
    /// # Ok::<(), pic_ckks_model::ParametersError>(())
    /// ```
    ///
    /// # Errors
    /// [`ParametersError::Primes`] if there are not enough primes near a size, and the errors of
    /// [`Parameters::new`].
    pub fn from_bits(
        log_n: u32,
        moduli: &[f64],
        special: &[f64],
        digits: usize,
        security: SecurityLevel,
    ) -> Result<Self, ParametersError> {
        let mut taken = Vec::new();
        for &bits in special.iter().chain(moduli) {
            taken.extend(primes_near(bits, log_n, 1, &taken)?);
        }
        let moduli = taken.split_off(special.len());
        Self::new(ParametersSpec { log_n, moduli, special: taken, digits, security })
    }

    fn check_digits(&self) -> Result<(), ParametersError> {
        let special_bits = log2_product(self.special());
        for (digit, range) in self.digit_ranges(self.max_level()).enumerate() {
            let digit_bits = log2_product(&self.moduli()[range]);
            if digit_bits > special_bits + DIGIT_SLACK_BITS {
                return Err(ParametersError::DigitTooLarge { digit, digit_bits, special_bits });
            }
        }
        Ok(())
    }

    /// log2 of the ring degree N.
    pub fn log_n(&self) -> u32 {
        self.0.log_n
    }

    /// The ring degree N.
    pub fn degree(&self) -> usize {
        1 << self.0.log_n
    }

    /// Largest number of slots of a ciphertext, N/2.
    pub fn max_slots(&self) -> usize {
        self.degree() / 2
    }

    /// The modulus chain q0, q1, ….
    pub fn moduli(&self) -> &[u64] {
        &self.0.moduli
    }

    /// The special primes of key switching.
    pub fn special(&self) -> &[u64] {
        &self.0.special
    }

    /// Index, among the special primes, of the encapsulation prime, by which key switches to and
    /// from the ephemeral secret divide: the smallest that is a few times as large as q0, which
    /// keeps the noise small, otherwise the largest.
    pub fn encapsulation_prime(&self) -> usize {
        let special = || self.special().iter().enumerate();
        let large_enough = special().filter(|(_, p)| **p / 8 >= self.moduli()[0]);
        let chosen = large_enough.min_by_key(|(_, p)| **p).or(special().max_by_key(|(_, p)| **p));
        chosen.expect("validated parameters have a special prime").0
    }

    /// log2(q0·p), the size of the modulus of the ephemeral secret's keys, p being the
    /// encapsulation prime.
    pub fn log_encapsulation_modulus(&self) -> f64 {
        log2_product(&[self.moduli()[0], self.special()[self.encapsulation_prime()]])
    }

    /// Number of key-switching digits of the whole chain.
    pub fn digits(&self) -> usize {
        self.0.digits
    }

    /// The security claimed.
    pub fn security(&self) -> SecurityLevel {
        self.0.security
    }

    /// The highest level, one less than the number of moduli.
    pub fn max_level(&self) -> usize {
        self.0.moduli.len() - 1
    }

    /// Chain indices of each key-switching digit of a ciphertext at a level: consecutive groups of
    /// ⌈(L+1)/dnum⌉ primes, the last one cut at the level.
    pub fn digit_ranges(&self, level: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
        let limbs = level + 1;
        let size = self.digit_size();
        (0..limbs.div_ceil(size)).map(move |j| j * size..((j + 1) * size).min(limbs))
    }

    /// Number of chain primes in a full digit.
    pub fn digit_size(&self) -> usize {
        self.0.moduli.len().div_ceil(self.0.digits)
    }

    /// log2 of the whole modulus QP, on which security depends.
    pub fn log_qp(&self) -> f64 {
        log2_product(&self.0.moduli) + log2_product(&self.0.special)
    }

    /// log2 of the modulus q0 ⋯ q_level.
    pub fn log_q(&self, level: usize) -> f64 {
        log2_product(&self.0.moduli[..=level])
    }
}

fn log2_product(primes: &[u64]) -> f64 {
    primes.iter().map(|&q| libm::log2(q as f64)).sum()
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "N = 2^{}, log2 QP = {:.1} ({} + {} primes, {} digits), uniform ternary secret, {} security",
            self.log_n(),
            self.log_qp(),
            self.moduli().len(),
            self.special().len(),
            self.digits(),
            self.security(),
        )
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parameters({self}; moduli {:?}, special {:?})", self.moduli(), self.special())
    }
}

impl TryFrom<ParametersSpec> for Parameters {
    type Error = ParametersError;

    fn try_from(spec: ParametersSpec) -> Result<Self, ParametersError> {
        Self::new(spec)
    }
}

impl From<Parameters> for ParametersSpec {
    fn from(parameters: Parameters) -> Self {
        parameters.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Parameters {
        let moduli = [&[45.0][..], &[30.0; 8]].concat();
        Parameters::from_bits(14, &moduli, &[36.0; 3], 3, SecurityLevel::Bits128).unwrap()
    }

    fn refused(change: impl FnOnce(&mut ParametersSpec)) -> ParametersError {
        let mut spec = ParametersSpec::from(example());
        change(&mut spec);
        Parameters::new(spec).unwrap_err()
    }

    #[test]
    fn digits_partition_the_chain_at_every_level() {
        for digits in 1..=9 {
            let mut spec = ParametersSpec::from(example());
            (spec.digits, spec.security) = (digits, SecurityLevel::Insecure);
            spec.special = primes_near(49.5, 14, 6, &[]).unwrap();
            let parameters = Parameters::new(spec).unwrap();
            for level in 0..=parameters.max_level() {
                let covered: Vec<_> = parameters.digit_ranges(level).flatten().collect();
                assert_eq!(covered, (0..=level).collect::<Vec<_>>());
            }
            assert!(parameters.digit_ranges(8).len() <= digits);
        }
    }

    #[test]
    fn security_is_enforced_with_the_numbers() {
        let error = Parameters::from_bits(13, &[45.0; 4], &[49.0; 1], 4, SecurityLevel::Bits128)
            .unwrap_err();
        let ParametersError::Insecure { log_n: 13, limit: 214.0, log_qp, .. } = error else {
            panic!("{error}")
        };
        assert!((log_qp - 229.0).abs() < 0.1);
        assert!(matches!(
            Parameters::from_bits(10, &[20.0], &[20.0], 1, SecurityLevel::Bits256),
            Err(ParametersError::Insecure { limit: 0.0, .. })
        ));
        let text = example().to_string();
        for fact in ["2^14", "393.0", "ternary", "128-bit"] {
            assert!(text.contains(fact), "{text} lacks {fact}");
        }
    }

    #[test]
    fn malformed_specifications_are_refused() {
        use ParametersError as E;
        assert_eq!(refused(|s| s.log_n = 3), E::RingDegree(3));
        assert_eq!(refused(|s| s.log_n = u32::MAX), E::RingDegree(u32::MAX));
        assert_eq!(refused(|s| s.moduli.clear()), E::NoPrimes);
        assert_eq!(refused(|s| s.special.clear()), E::NoPrimes);
        assert_eq!(refused(|s| s.digits = 0), E::Digits { digits: 0, moduli: 9 });
        assert_eq!(refused(|s| s.digits = 10), E::Digits { digits: 10, moduli: 9 });
        assert!(matches!(refused(|s| s.digits = 2), E::DigitTooLarge { digit: 0, .. }));
        assert!(matches!(refused(|s| s.moduli[1] += 2), E::NotNttPrime { .. }));
        assert!(matches!(refused(|s| s.moduli[1] = (1 << 15) + 1), E::NotNttPrime { .. }));
        assert!(matches!(refused(|s| s.moduli[1] = s.special[0]), E::Duplicate(_)));
        assert_eq!(refused(|s| s.moduli = vec![65537; 200]), E::TooManyPrimes(203));
    }

    #[test]
    fn deserialisation_validates() {
        let good = postcard::to_stdvec(&example()).unwrap();
        assert_eq!(postcard::from_bytes::<Parameters>(&good).unwrap(), example());
        let mut spec = ParametersSpec::from(example());
        spec.digits = 0;
        let bad = postcard::to_stdvec(&spec).unwrap();
        assert!(postcard::from_bytes::<Parameters>(&bad).is_err());
    }
}
