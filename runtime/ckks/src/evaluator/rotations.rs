//! Rotations and conjugation of the slots: a key switch followed by a Galois automorphism.

use rayon::prelude::*;

use super::Evaluator;
use crate::keys::{Decomposition, SwitchingKey};
use crate::ring::Basis;
use crate::{Ciphertext, Error};

impl Evaluator {
    /// Rotates the slots by `rotation` to the left, or to the right if it is negative: slot j of
    /// the result is slot j + `rotation` of the operand.
    ///
    /// ```
    /// # let (_context, evaluator, encrypt, decrypt) =
    /// #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest_setup.rs"));
    /// let a = encrypt(&[1.0, 2.0, 3.0, 4.0]);
    /// let rotated = evaluator.rotate(&a, 1)?;
    /// let values = decrypt(&rotated);
    /// assert!((values[0] - 2.0).abs() < 1e-5 && (values[3] - 1.0).abs() < 1e-5);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::MissingRotationKey`], [`Error::KeyLevel`].
    pub fn rotate(&self, a: &Ciphertext, rotation: i64) -> Result<Ciphertext, Error> {
        self.context.check_own(a.context)?;
        match self.keys.rotation(&self.context, rotation, a.slots)? {
            None => Ok(a.clone()),
            Some((element, key)) => self.automorphism(a, element, key),
        }
    }

    /// Rotates one ciphertext by several steps, with one decomposition into digits for all of them
    /// (hoisting: Halevi and Shoup, "Faster Homomorphic Linear Transformations in HElib", 2018).
    ///
    /// # Errors
    /// The errors of [`Evaluator::rotate`].
    pub fn rotate_hoisted(
        &self,
        a: &Ciphertext,
        rotations: &[i64],
    ) -> Result<Vec<Ciphertext>, Error> {
        self.context.check_own(a.context)?;
        let keys = rotations
            .iter()
            .map(|&r| self.keys.rotation(&self.context, r, a.slots))
            .collect::<Result<Vec<_>, Error>>()?;
        let rotates = keys.iter().any(Option::is_some);
        let digits = rotates.then(|| Decomposition::new(&self.context, &a.c1));
        let rotate = |key: Option<(u64, &SwitchingKey)>| {
            let (Some((element, key)), Some(digits)) = (key, &digits) else { return Ok(a.clone()) };
            let (c0, c1) = key.switch_decomposed(&self.context, digits, &a.c0, element)?;
            Ok(Ciphertext { c0, c1, ..*a })
        };
        keys.into_par_iter().map(rotate).collect()
    }

    /// Returns the complex conjugate of every slot.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::MissingConjugationKey`], [`Error::KeyLevel`].
    pub fn conjugate(&self, a: &Ciphertext) -> Result<Ciphertext, Error> {
        self.context.check_own(a.context)?;
        let (element, key) = self.keys.conjugation(&self.context)?;
        self.automorphism(a, element, key)
    }

    /// Returns Σ_{i < count} of `a` rotated by i·step: log2(count) rotations if `count` is a power
    /// of two.
    ///
    /// It needs keys for the rotations step·2^k and, if `count` is not a power of two, for step
    /// times the sums of the lower binary digits of `count`.
    ///
    /// # Errors
    /// The errors of [`Evaluator::rotate`], and [`Error::NoOperands`] if `count` is zero.
    pub fn rotate_and_sum(
        &self,
        a: &Ciphertext,
        step: i64,
        count: u32,
    ) -> Result<Ciphertext, Error> {
        // The sign stays, so that keys are found as they were requested; nothing overflows.
        let step = step % a.slots as i64;
        let mut block = a.clone();
        let (mut sum, mut summed): (Option<Ciphertext>, i64) = (None, 0);
        for k in 0..u32::BITS - count.leading_zeros() {
            let size = 1i64 << k;
            if k > 0 {
                let other = self.rotate(&block, step * (size / 2))?;
                self.add_assign(&mut block, &other)?;
            }
            if count >> k & 1 == 1 {
                sum = Some(match sum {
                    None => block.clone(),
                    Some(sum) => self.add(&sum, &self.rotate(&block, step * summed)?)?,
                });
                summed += size;
            }
        }
        sum.ok_or(Error::NoOperands("rotate-and-sum"))
    }

    fn automorphism(
        &self,
        a: &Ciphertext,
        element: u64,
        key: &SwitchingKey,
    ) -> Result<Ciphertext, Error> {
        let addends = [Some(&a.c0), None];
        let (c0, c1) = key.switch(&self.context, &a.c1, addends, Basis::EMPTY, element)?;
        Ok(Ciphertext { c0, c1, ..*a })
    }
}
