//! Encoding of vectors of numbers as plaintext polynomials, and decoding.
//!
//! A vector of n = 2^k ≤ N/2 values is encoded as a polynomial in X^(N/2n), whose N/2 slots repeat
//! the vector periodically. Rotation of the slots by r to the left is the Galois element 5^r.

mod plaintext;
pub(crate) mod slots;

pub use num_complex::Complex64;
pub use plaintext::{CompactPlaintext, Plaintext};

use crate::context::check_scale;
use crate::ring::SecretPoly;
use crate::{Context, Error};

impl Context {
    /// Encodes real values at a scale, as a plaintext at a level.
    ///
    /// The number of values n is the slot count. Rounding to integers gives each slot a real error
    /// of standard deviation √(n/6) / scale.
    ///
    /// ```
    /// # use pic_ckks::Context;
    /// # use pic_ckks::model::{Parameters, SecurityLevel};
    /// # let parameters =
    /// #     Parameters::from_bits(10, &[48.0, 40.0], &[49.0], 2, SecurityLevel::Insecure)?;
    /// # let context = Context::new(parameters)?;
    /// let plaintext = context.encode(&[0.5, -1.0, 2.0, 3.0], 2f64.powi(40), 1)?;
    /// assert_eq!(plaintext.slots(), 4);
    /// assert!((context.decode(&plaintext)?[2] - 2.0).abs() < 1e-9);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SlotCount`] if the number of values is not a power of two up to N/2,
    /// [`Error::NotFinite`], [`Error::InvalidScale`], [`Error::LevelTooHigh`], and
    /// [`Error::CoefficientOverflow`] if the values do not fit the modulus at this scale.
    pub fn encode(&self, values: &[f64], scale: f64, level: usize) -> Result<Plaintext, Error> {
        self.encode_compact(values, scale)?.at_level(self, level)
    }

    /// Encodes complex values at a scale, as a plaintext at a level; see [`Context::encode`].
    ///
    /// # Errors
    /// The errors of [`Context::encode`].
    pub fn encode_complex(
        &self,
        values: &[Complex64],
        scale: f64,
        level: usize,
    ) -> Result<Plaintext, Error> {
        self.encode_compact_complex(values, scale)?.at_level(self, level)
    }

    /// Encodes real values as integer coefficients, from which a plaintext at any level can be made
    /// later.
    ///
    /// # Errors
    /// [`Error::SlotCount`], [`Error::NotFinite`], [`Error::InvalidScale`], and
    /// [`Error::CoefficientOverflow`] if a coefficient has more than 62 bits.
    pub fn encode_compact(&self, values: &[f64], scale: f64) -> Result<CompactPlaintext, Error> {
        self.check_values(values, |v| v.is_finite())?;
        self.encode_iter(values.iter().map(|&v| v.into()), scale)
    }

    /// Encodes complex values as integer coefficients; see [`Context::encode_compact`].
    ///
    /// # Errors
    /// The errors of [`Context::encode_compact`].
    pub fn encode_compact_complex(
        &self,
        values: &[Complex64],
        scale: f64,
    ) -> Result<CompactPlaintext, Error> {
        self.check_values(values, |v| v.is_finite())?;
        self.encode_iter(values.iter().copied(), scale)
    }

    /// Decodes the real parts of all slots.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the plaintext was made under another context.
    pub fn decode(&self, plaintext: &Plaintext) -> Result<Vec<f64>, Error> {
        Ok(self.decode_complex(plaintext)?.into_iter().map(|v| v.re).collect())
    }

    /// Decodes all slots as complex numbers.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the plaintext was made under another context.
    pub fn decode_complex(&self, plaintext: &Plaintext) -> Result<Vec<Complex64>, Error> {
        self.check_own(plaintext.context)?;
        let gap = self.parameters().max_slots() / plaintext.slots;
        let residues = SecretPoly::from(self.ring().coefficients(&plaintext.poly));
        let mut coefficients = self.ring().to_real(&residues, 0);
        for t in 0..2 * plaintext.slots {
            coefficients[t] = coefficients[t * gap] / plaintext.scale;
        }
        coefficients.truncate(2 * plaintext.slots);
        Ok(self.slot_transforms().get(plaintext.slots).values(&coefficients))
    }

    pub(crate) fn check_slots(&self, slots: usize) -> Result<(), Error> {
        let highest = self.parameters().max_slots();
        if slots.is_power_of_two() && slots <= highest {
            Ok(())
        } else {
            Err(Error::SlotCount { slots, highest })
        }
    }

    fn check_values<T>(&self, values: &[T], is_finite: impl Fn(&T) -> bool) -> Result<(), Error> {
        self.check_slots(values.len())?;
        match values.iter().position(|v| !is_finite(v)) {
            Some(index) => Err(Error::NotFinite { index }),
            None => Ok(()),
        }
    }

    fn encode_iter(
        &self,
        values: impl ExactSizeIterator<Item = Complex64>,
        scale: f64,
    ) -> Result<CompactPlaintext, Error> {
        check_scale(scale)?;
        let transform = self.slot_transforms().get(values.len());
        CompactPlaintext::round(self, &transform.coefficients(values, scale), scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::context;
    use proptest::prelude::*;

    fn values(slots: usize, seed: u64, size: f64) -> Vec<Complex64> {
        let unit =
            |i: u64| ((i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64) / (1u64 << 53) as f64;
        (0..slots as u64)
            .map(|j| Complex64 {
                re: size * (2.0 * unit(seed ^ (2 * j + 1)) - 1.0),
                im: size * (2.0 * unit(seed ^ (2 * j + 77_777)) - 1.0),
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn decoding_undoes_encoding(log_slots in 0u32..=9, log_scale in 20f64..58.0, seed: u64) {
            let context = context(10, 3);
            let slots = 1 << log_slots;
            let scale = log_scale.exp2();
            let values = values(slots, seed, 8.0);
            // Six standard deviations of the rounding, and what f64 itself cannot hold.
            let bound = 6.0 * (slots as f64 / 6.0).sqrt() / scale + 8.0 * 1e-14;
            let plaintext = context.encode_complex(&values, scale, 2).unwrap();
            for (a, b) in values.iter().zip(context.decode_complex(&plaintext).unwrap()) {
                prop_assert!((a - b).norm() < bound, "{a} {b} {bound}");
            }
            let reals: Vec<f64> = values.iter().map(|v| v.re).collect();
            let plaintext = context.encode(&reals, scale, 2).unwrap();
            for (a, b) in reals.iter().zip(context.decode_complex(&plaintext).unwrap()) {
                prop_assert!((b - a).norm() < bound);
            }
        }
    }

    #[test]
    fn sparse_vectors_repeat_over_all_slots() {
        let context = context(10, 2);
        let sparse = [0.5, -1.25, 3.0, 0.75];
        let plaintext = context.encode(&sparse, 2f64.powi(30), 1).unwrap();
        let full = Plaintext { slots: 512, ..plaintext };
        for (j, value) in context.decode(&full).unwrap().iter().enumerate() {
            assert!((value - sparse[j % 4]).abs() < 1e-7);
        }
    }

    #[test]
    fn rotation_is_the_galois_element_of_five() {
        let context = context(10, 2);
        for slots in [512, 16] {
            let values = values(slots, 5, 1.0);
            let plaintext = context.encode_complex(&values, 2f64.powi(30), 1).unwrap();
            let rotated = context.ring().automorphism(&plaintext.poly, 125);
            let rotated = Plaintext { poly: rotated.into(), ..plaintext };
            for (j, value) in context.decode_complex(&rotated).unwrap().iter().enumerate() {
                assert!((value - values[(j + 3) % slots]).norm() < 1e-6);
            }
        }
    }

    #[test]
    fn unusable_values_are_refused() {
        let context = context(10, 1);
        let refused = |values: &[f64], scale: f64| context.encode(values, scale, 0).unwrap_err();
        assert_eq!(refused(&[], 1e9), Error::SlotCount { slots: 0, highest: 512 });
        assert_eq!(refused(&[0.0; 3], 1e9), Error::SlotCount { slots: 3, highest: 512 });
        assert_eq!(refused(&[0.0; 1024], 1e9), Error::SlotCount { slots: 1024, highest: 512 });
        assert_eq!(refused(&[0.0, f64::NAN], 1e9), Error::NotFinite { index: 1 });
        assert_eq!(refused(&[f64::INFINITY], 1e9), Error::NotFinite { index: 0 });
        assert_eq!(refused(&[1.0], -1.0), Error::InvalidScale(-1.0));
        assert!(matches!(refused(&[1.0], f64::NAN), Error::InvalidScale(_)));
        for value in [1e6, 1e200] {
            let error = refused(&[value], 2f64.powi(40));
            assert!(matches!(error, Error::CoefficientOverflow { .. }), "{error}");
        }
        assert_eq!(
            context.encode(&[1.0], 1e9, 1).unwrap_err(),
            Error::LevelTooHigh { level: 1, highest: 0 }
        );
    }
}
