//! Products of ciphertexts with plaintexts, scalars and ciphertexts; relinearisation and rescaling.

use super::{Evaluator, check_scales, check_slots};
use crate::context::{ContextId, check_scale, top};
use crate::ring::{Basis, Domain, Poly};
use crate::{Ciphertext, Error, Plaintext};

/// A product of two ciphertexts before relinearisation, of degree 2 in the secret: `d0 + d1·s +
/// d2·s²`.
///
/// A sum of products is cheapest if it is added in this form and relinearised once.
#[derive(Debug, Clone)]
pub struct Degree2Ciphertext {
    d0: Poly,
    d1: Poly,
    d2: Poly,
    scale: f64,
    slots: usize,
    context: ContextId,
}

impl Evaluator {
    /// Returns `a · plaintext` at the product of the scales, not rescaled. The plaintext may be at
    /// a higher level.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelMismatch`] if the plaintext is at a lower level,
    /// [`Error::SlotsMismatch`], [`Error::ScaleOverflow`].
    pub fn multiply_plain(
        &self,
        a: &Ciphertext,
        plaintext: &Plaintext,
    ) -> Result<Ciphertext, Error> {
        self.check_plain(a, plaintext)?;
        let scale = a.scale * plaintext.scale;
        self.check_capacity(scale, a.basis())?;
        let mut product = Ciphertext { scale, ..a.clone() };
        self.context.ring().mul_assign(&mut product.c0, &plaintext.poly);
        self.context.ring().mul_assign(&mut product.c1, &plaintext.poly);
        Ok(product)
    }

    /// Returns `a · scalar`, not rescaled. The scalar is rounded to an integer at `scale`,
    /// by which the scale of `a` is multiplied; an integer scalar can have scale 1.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::InvalidScale`], [`Error::NotFinite`],
    /// [`Error::CoefficientOverflow`], [`Error::ScaleOverflow`].
    pub fn multiply_scalar(
        &self,
        a: &Ciphertext,
        scalar: f64,
        scale: f64,
    ) -> Result<Ciphertext, Error> {
        self.context.check_own(a.context)?;
        check_scale(scale)?;
        self.check_capacity(a.scale * scale, a.basis())?;
        let residues = self.scalar(scalar, scale, a.basis())?;
        let mut product = Ciphertext { scale: a.scale * scale, ..a.clone() };
        self.context.ring().mul_scalars_assign(&mut product.c0, &residues);
        self.context.ring().mul_scalars_assign(&mut product.c1, &residues);
        Ok(product)
    }

    /// Returns `a · b`, relinearised but not rescaled, at the product of the scales.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelMismatch`], [`Error::SlotsMismatch`],
    /// [`Error::ScaleOverflow`], [`Error::MissingRelinearizationKey`], [`Error::KeyLevel`].
    pub fn multiply(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        self.relinearize(&self.tensor(a, b)?)
    }

    /// Returns `a · b`, relinearised and rescaled with one division, at scale `a.scale·b.scale/q`
    /// for the highest prime q, one level lower.
    ///
    /// ```
    /// # let (_context, evaluator, encrypt, decrypt) =
    /// #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest_setup.rs"));
    /// let (a, b) = (encrypt(&[1.0, 2.0, 3.0, 4.0]), encrypt(&[0.5, 0.5, 2.0, -1.0]));
    /// let product = evaluator.multiply_rescale(&a, &b)?;
    /// assert_eq!(product.level(), a.level() - 1);
    /// assert!((decrypt(&product)[2] - 6.0).abs() < 1e-5);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`Evaluator::multiply`], and [`Error::LevelsExhausted`] at level 0.
    pub fn multiply_rescale(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        self.relinearize_rescale(&self.tensor(a, b)?)
    }

    /// Returns `a · b` before relinearisation, at the product of the scales.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelMismatch`], [`Error::SlotsMismatch`],
    /// [`Error::ScaleOverflow`].
    pub fn tensor(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Degree2Ciphertext, Error> {
        self.check_pair(a, b)?;
        self.tensor_on(a.basis(), a, b)
    }

    /// [`Evaluator::tensor`] on the primes of a basis; the operands may have more primes.
    pub(super) fn tensor_on(
        &self,
        basis: Basis,
        a: &Ciphertext,
        b: &Ciphertext,
    ) -> Result<Degree2Ciphertext, Error> {
        let scale = a.scale * b.scale;
        self.check_capacity(scale, basis)?;
        let [d0, d1, d2] = self.context.ring().tensor(basis, (&a.c0, &a.c1), (&b.c0, &b.c1));
        Ok(Degree2Ciphertext { d0, d1, d2, scale, slots: a.slots, context: a.context })
    }

    /// Doubles a degree-2 ciphertext, exactly.
    pub(super) fn double_degree2_assign(&self, a: &mut Degree2Ciphertext) {
        let two = vec![2; a.d0.basis().len()];
        for poly in [&mut a.d0, &mut a.d1, &mut a.d2] {
            self.context.ring().mul_scalars_assign(poly, &two);
        }
    }

    /// Adds `b` to `a`, both degree-2 ciphertexts.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelMismatch`], [`Error::ScaleMismatch`],
    /// [`Error::SlotsMismatch`].
    pub fn add_degree2_assign(
        &self,
        a: &mut Degree2Ciphertext,
        b: &Degree2Ciphertext,
    ) -> Result<(), Error> {
        self.context.check_own(a.context)?;
        self.context.check_own(b.context)?;
        check_slots(a.slots, b.slots)?;
        check_scales(a.scale, b.scale)?;
        if a.d0.basis() != b.d0.basis() {
            return Err(Error::LevelMismatch { left: top(a.d0.basis()), right: top(b.d0.basis()) });
        }
        let ring = self.context.ring();
        for (a, b) in [(&mut a.d0, &b.d0), (&mut a.d1, &b.d1), (&mut a.d2, &b.d2)] {
            ring.add_assign(a, b);
        }
        Ok(())
    }

    /// Relinearises a product: a key switch brings it back to degree 1 in the secret, without
    /// rescaling.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::MissingRelinearizationKey`], [`Error::KeyLevel`].
    pub fn relinearize(&self, product: &Degree2Ciphertext) -> Result<Ciphertext, Error> {
        self.relinearize_and_drop(product, Basis::EMPTY)
    }

    /// Relinearises and rescales a product, with one division for both.
    ///
    /// # Errors
    /// The errors of [`Evaluator::relinearize`], and [`Error::LevelsExhausted`] at level 0.
    pub fn relinearize_rescale(&self, product: &Degree2Ciphertext) -> Result<Ciphertext, Error> {
        let basis = product.d0.basis();
        if basis.len() < 2 {
            let (operation, needed) = ("rescaling", 1);
            return Err(Error::LevelsExhausted { operation, needed, level: basis.len() - 1 });
        }
        self.relinearize_and_drop(product, Basis::single(top(basis)))
    }

    fn relinearize_and_drop(
        &self,
        product: &Degree2Ciphertext,
        dropped: Basis,
    ) -> Result<Ciphertext, Error> {
        self.context.check_own(product.context)?;
        let key = self.keys.relinearization()?;
        let addends = [Some(&product.d0), Some(&product.d1)];
        let (c0, c1) = key.switch(&self.context, &product.d2, addends, dropped, 1)?;
        let Degree2Ciphertext { scale, slots, context, .. } = *product;
        Ok(Ciphertext {
            c0,
            c1,
            scale: dropped.iter().fold(scale, |scale, i| scale / self.context.prime(i)),
            slots,
            context,
        })
    }

    /// Divides a ciphertext by its highest prime q and drops q: values are unchanged, the scale is
    /// divided by q, the level is one lower.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelsExhausted`] at level 0.
    pub fn rescale(&self, a: Ciphertext) -> Result<Ciphertext, Error> {
        self.context.check_own(a.context)?;
        a.basis_below(1, "rescaling")?;
        let (ring, dropped) = (self.context.ring(), a.level());
        let Ciphertext { c0, c1, scale, slots, context } = a;
        let (c0, c1) = rayon::join(|| ring.rescale(c0, dropped), || ring.rescale(c1, dropped));
        let scale = scale / self.context.prime(dropped);
        Ok(Ciphertext { c0, c1, scale, slots, context })
    }

    /// Multiplies every slot by the imaginary unit, exactly.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
    pub fn multiply_imaginary_unit_assign(&self, a: &mut Ciphertext) -> Result<(), Error> {
        self.context.check_own(a.context)?;
        self.context.ring().mul_imaginary_unit_assign(&mut a.c0);
        self.context.ring().mul_imaginary_unit_assign(&mut a.c1);
        Ok(())
    }

    /// Adds `Σ coefficient·a` to `sum`, with each coefficient encoded at the scale of the sum over
    /// that of its ciphertext. The terms may be at higher levels.
    pub(super) fn add_combination_assign(
        &self,
        sum: &mut Ciphertext,
        terms: &[(&Ciphertext, f64)],
    ) -> Result<(), Error> {
        self.add_combined_polys([&mut sum.c0, &mut sum.c1], sum.scale, terms)
    }

    /// [`Evaluator::add_combination_assign`] for a sum of degree 2.
    pub(super) fn add_combination_to_tensor(
        &self,
        sum: &mut Degree2Ciphertext,
        terms: &[(&Ciphertext, f64)],
    ) -> Result<(), Error> {
        self.add_combined_polys([&mut sum.d0, &mut sum.d1], sum.scale, terms)
    }

    fn add_combined_polys(
        &self,
        [sum0, sum1]: [&mut Poly; 2],
        scale: f64,
        terms: &[(&Ciphertext, f64)],
    ) -> Result<(), Error> {
        let (mut terms0, mut terms1) = (Vec::new(), Vec::new());
        for &(a, coefficient) in terms {
            let residues = self.scalar(coefficient, scale / a.scale, sum0.basis())?;
            terms0.push((&a.c0, residues.clone()));
            terms1.push((&a.c1, residues));
        }
        self.context.ring().add_combination_assign(sum0, &terms0);
        self.context.ring().add_combination_assign(sum1, &terms1);
        Ok(())
    }

    /// Adds a constant to every slot of a degree-2 ciphertext.
    pub(super) fn add_constant_to_tensor(
        &self,
        sum: &mut Degree2Ciphertext,
        constant: f64,
    ) -> Result<(), Error> {
        let residues = self.scalar(constant, sum.scale, sum.d0.basis())?;
        self.context.ring().add_scalars_assign(&mut sum.d0, &residues);
        Ok(())
    }

    /// A transparent encryption of zero, as the start of a sum.
    pub(super) fn zero(&self, like: &Ciphertext, basis: Basis, scale: f64) -> Ciphertext {
        let zero = || self.context.ring().zero(basis, Domain::Ntt);
        Ciphertext { c0: zero(), c1: zero(), scale, ..*like }
    }

    /// Residues of round(value·scale) modulo each prime of a basis, whose modulus must hold the
    /// integer.
    pub(super) fn scalar(&self, value: f64, scale: f64, basis: Basis) -> Result<Vec<u64>, Error> {
        /// Largest log2 of the integer, below the range of `i128`.
        const MAX_BITS: f64 = 126.0;
        if !value.is_finite() {
            return Err(Error::NotFinite { index: 0 });
        }
        let scaled = (value * scale).round();
        let (bits, capacity) =
            (scaled.abs().log2(), MAX_BITS.min(self.context.log_modulus(basis) - 1.0));
        if bits >= capacity {
            return Err(Error::CoefficientOverflow { bits, capacity });
        }
        Ok(self.context.residues(scaled as i128, basis))
    }
}
