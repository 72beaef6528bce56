//! Ciphertexts: their data, and operations that need no key.

use crate::context::{ContextId, lowered, top};
use crate::ring::{Basis, Poly, sample};
use crate::{Context, Error};

/// An encryption `(c0, c1)` of `m = c0 + c1·s`, in the NTT domain.
///
/// The value of a slot is that of m divided by the scale. The basis is a set of primes of the
/// chain; a ciphertext on {q0, …, ql} is at level l.
#[derive(Debug, Clone)]
pub struct Ciphertext {
    pub(crate) c0: Poly,
    pub(crate) c1: Poly,
    pub(crate) scale: f64,
    pub(crate) slots: usize,
    pub(crate) context: ContextId,
}

impl Ciphertext {
    /// The index of the highest prime of the basis.
    pub fn level(&self) -> usize {
        top(self.basis())
    }

    /// The set of primes for which the ciphertext has limbs.
    pub fn basis(&self) -> Basis {
        self.c0.basis()
    }

    /// The exact factor between values and encoded integers.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The number of slots n; the N/2 slots of the ring repeat their values with period n.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Drops the highest primes until the ciphertext is at `level`. Values and scale are unchanged.
    ///
    /// # Errors
    /// [`Error::LevelsExhausted`] if the ciphertext is below that level already.
    pub fn drop_to_level(&mut self, level: usize) -> Result<(), Error> {
        let basis = Basis::from_indices(self.basis().iter().filter(|&i| i <= level));
        if level > self.level() || basis.is_empty() {
            let (operation, needed) = ("dropping", level);
            return Err(Error::LevelsExhausted { operation, needed, level: self.level() });
        }
        self.restrict(basis);
        Ok(())
    }

    /// Replaces the scale, which multiplies all values by old scale over new scale without an
    /// operation.
    ///
    /// # Errors
    /// [`Error::InvalidScale`] if the scale is not a finite number above zero.
    pub fn set_scale(&mut self, scale: f64) -> Result<(), Error> {
        crate::context::check_scale(scale)?;
        self.scale = scale;
        Ok(())
    }

    pub(crate) fn restrict(&mut self, basis: Basis) {
        self.c0.restrict(basis);
        self.c1.restrict(basis);
    }

    /// The basis after `count` levels have been consumed.
    pub(crate) fn basis_below(
        &self,
        count: usize,
        operation: &'static str,
    ) -> Result<Basis, Error> {
        if count >= self.basis().len() {
            let level = self.basis().len() - 1;
            return Err(Error::LevelsExhausted { operation, needed: count, level });
        }
        Ok(lowered(self.basis(), count))
    }
}

/// A fresh secret-key encryption whose uniform half c1 is stored as a seed: half the size of a
/// [`Ciphertext`].
#[derive(Debug, Clone)]
pub struct SeededCiphertext {
    pub(crate) c0: Poly,
    pub(crate) seed: [u8; sample::SEED_BYTES],
    pub(crate) scale: f64,
    pub(crate) slots: usize,
    pub(crate) context: ContextId,
}

impl SeededCiphertext {
    /// Expands the seed to the uniform polynomial c1.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the ciphertext was made under another context.
    pub fn expand(self, context: &Context) -> Result<Ciphertext, Error> {
        context.check_own(self.context)?;
        let Self { c0, seed, scale, slots, context: id } = self;
        let c1 = context.ring().uniform(&seed, c0.basis(), c0.domain());
        Ok(Ciphertext { c0, c1, scale, slots, context: id })
    }
}
