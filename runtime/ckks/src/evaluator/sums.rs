//! Sums and differences of ciphertexts. They consume no level and keep the scale.

use super::{Evaluator, check_scales, check_slots};
use crate::{Ciphertext, Error, Plaintext};

impl Evaluator {
    /// Returns `a + b`.
    ///
    /// ```
    /// # let (_context, evaluator, encrypt, decrypt) =
    /// #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest_setup.rs"));
    /// let (a, b) = (encrypt(&[1.0, 2.0, 3.0, 4.0]), encrypt(&[0.5, 0.5, 0.5, 0.5]));
    /// let sum = evaluator.add(&a, &b)?;
    /// assert!((decrypt(&sum)[3] - 4.5).abs() < 1e-5);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelMismatch`], [`Error::ScaleMismatch`],
    /// [`Error::SlotsMismatch`].
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        let mut sum = a.clone();
        self.add_assign(&mut sum, b)?;
        Ok(sum)
    }

    /// Adds `b` to `a`.
    ///
    /// # Errors
    /// The errors of [`Evaluator::add`].
    pub fn add_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<(), Error> {
        self.check_pair(a, b)?;
        check_scales(a.scale, b.scale)?;
        self.context.ring().add_assign(&mut a.c0, &b.c0);
        self.context.ring().add_assign(&mut a.c1, &b.c1);
        Ok(())
    }

    /// Returns `a − b`.
    ///
    /// # Errors
    /// The errors of [`Evaluator::add`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        let mut difference = a.clone();
        self.sub_assign(&mut difference, b)?;
        Ok(difference)
    }

    /// Subtracts `b` from `a`.
    ///
    /// # Errors
    /// The errors of [`Evaluator::add`].
    pub fn sub_assign(&self, a: &mut Ciphertext, b: &Ciphertext) -> Result<(), Error> {
        self.check_pair(a, b)?;
        check_scales(a.scale, b.scale)?;
        self.context.ring().sub_assign(&mut a.c0, &b.c0);
        self.context.ring().sub_assign(&mut a.c1, &b.c1);
        Ok(())
    }

    /// Returns `−a`.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
    pub fn negate(&self, a: &Ciphertext) -> Result<Ciphertext, Error> {
        self.context.check_own(a.context)?;
        let mut negated = a.clone();
        self.context.ring().neg_assign(&mut negated.c0);
        self.context.ring().neg_assign(&mut negated.c1);
        Ok(negated)
    }

    /// Adds a plaintext to `a`. The plaintext may be at a higher level.
    ///
    /// # Errors
    /// The errors of [`Evaluator::add`].
    pub fn add_plain_assign(&self, a: &mut Ciphertext, plaintext: &Plaintext) -> Result<(), Error> {
        self.check_plain(a, plaintext)?;
        check_scales(a.scale, plaintext.scale)?;
        self.context.ring().add_assign(&mut a.c0, &plaintext.poly);
        Ok(())
    }

    /// Subtracts a plaintext from `a`. The plaintext may be at a higher level.
    ///
    /// # Errors
    /// The errors of [`Evaluator::add`].
    pub fn sub_plain_assign(&self, a: &mut Ciphertext, plaintext: &Plaintext) -> Result<(), Error> {
        self.check_plain(a, plaintext)?;
        check_scales(a.scale, plaintext.scale)?;
        self.context.ring().sub_assign(&mut a.c0, &plaintext.poly);
        Ok(())
    }

    /// Adds a real constant to every slot.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::CoefficientOverflow`], [`Error::NotFinite`].
    pub fn add_constant_assign(&self, a: &mut Ciphertext, constant: f64) -> Result<(), Error> {
        self.context.check_own(a.context)?;
        let residues = self.scalar(constant, a.scale, a.basis())?;
        self.context.ring().add_scalars_assign(&mut a.c0, &residues);
        Ok(())
    }

    /// Refuses a plaintext that differs from the ciphertext in context, scale or slots, or lacks
    /// primes of it.
    pub(super) fn check_plain(&self, a: &Ciphertext, plaintext: &Plaintext) -> Result<(), Error> {
        self.context.check_own(a.context)?;
        self.context.check_own(plaintext.context)?;
        check_slots(a.slots, plaintext.slots)?;
        if a.basis().is_subset(plaintext.basis()) {
            Ok(())
        } else {
            let right = crate::context::top(plaintext.basis());
            Err(Error::LevelMismatch { left: a.level(), right })
        }
    }
}
