//! The secret key, and what only its owner can do.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::masking::{error, mask, uniform};
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
        let mut poly = SecretPoly::from(ciphertext.c0.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Domain;
    use crate::ring::sample::secret_rng;
    use crate::test_support::context;

    /// What was decrypted must not come to light in a polynomial that is sent to someone.
    #[test]
    fn decryption_leaves_nothing_in_recycled_memory() {
        let context = context(10, 3);
        let (ring, mut rng) = (context.ring(), secret_rng().unwrap());
        let secret = SecretKey::generate(&context, &mut rng);
        let message = context.encode(&[0.5, -0.25, 3.0, 1.0], 2f64.powi(30), 2).unwrap();
        let encrypted = secret.encrypt(&message, &mut rng).unwrap().expand(&context).unwrap();
        drop(message);

        let decrypted = secret.decrypt(&encrypted).unwrap();
        let coefficients = ring.coefficients(&decrypted.poly);
        let limbs = decrypted.poly.limbs().chain(coefficients.limbs());
        let plain: Vec<Vec<u64>> = limbs.map(|(_, limb)| limb.to_vec()).collect();
        drop(SecretPoly::from(coefficients));
        let values = context.decode(&decrypted).unwrap();
        assert!((values[2] - 3.0).abs() < 1e-4);
        drop(decrypted);

        // Enough to have all that was ever given back.
        let recycled: Vec<_> =
            (0..64).map(|_| ring.scratch(ring.basis(), Domain::Coefficient)).collect();
        for (_, limb) in recycled.iter().flat_map(|poly| poly.limbs()) {
            assert!(!plain.iter().any(|plain| plain == limb));
        }
    }
}
