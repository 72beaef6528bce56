//! The secret key, and what only its owner can do.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{error, mask, uniform};
use crate::ring::{SecretPoly, sample};
use crate::{Ciphertext, Context, Error, Plaintext, SeededCiphertext};

/// A uniform ternary secret. Zeroised on drop; never printed, never serialised by derive.
pub struct SecretKey {
    context: Arc<Context>,
    coefficients: Zeroizing<Vec<i8>>,
    /// NTT domain, on all primes.
    poly: SecretPoly,
}

impl SecretKey {
    /// Draws a secret.
    pub fn generate(context: &Arc<Context>, rng: &mut impl CryptoRng) -> Self {
        let coefficients = sample::ternary(rng, context.ring().degree());
        Self::from_coefficients(context, coefficients)
    }

    pub(crate) fn from_coefficients(
        context: &Arc<Context>,
        coefficients: Zeroizing<Vec<i8>>,
    ) -> Self {
        let ring = context.ring();
        let mut poly = SecretPoly::from(ring.from_signed(&coefficients, ring.basis()));
        ring.ntt(&mut poly);
        Self { context: Arc::clone(context), coefficients, poly }
    }

    /// The context it was made under.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Encrypts: `(m + e − a·s, a)`, the uniform a kept as a seed.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
    pub fn encrypt(
        &self,
        plaintext: &Plaintext,
        rng: &mut impl CryptoRng,
    ) -> Result<SeededCiphertext, Error> {
        self.context.check_own(plaintext.context)?;
        let ring = self.context.ring();
        let (seed, a) = uniform(ring, plaintext.basis(), rng);
        let mut message = error(ring, plaintext.basis(), rng);
        ring.add_assign(&mut message, &plaintext.poly);
        let c0 = mask(ring, message, &a, &self.poly);
        let Plaintext { scale, slots, context, .. } = *plaintext;
        Ok(SeededCiphertext { c0, seed, scale, slots, context })
    }

    /// Decrypts: `c0 + c1·s`, the message with its noise.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Result<Plaintext, Error> {
        self.context.check_own(ciphertext.context)?;
        let mut poly = ciphertext.c0.clone();
        self.context.ring().mul_add_assign(&mut poly, &ciphertext.c1, &self.poly);
        let Ciphertext { scale, slots, context, .. } = *ciphertext;
        Ok(Plaintext { poly, scale, slots, context })
    }

    pub(crate) fn coefficients(&self) -> &[i8] {
        &self.coefficients
    }

    pub(super) fn poly(&self) -> &SecretPoly {
        &self.poly
    }
}
