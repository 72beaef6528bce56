//! The secret key: key generation, encryption and decryption.

use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::masking::{error, mask, uniform};
use crate::ring::{SecretPoly, sample};
use crate::{Ciphertext, Context, Error, Plaintext, SeededCiphertext};

/// A uniform ternary secret s. It is zeroised on drop, never formatted, and serialised only by
/// [`SecretKey::to_bytes`].
pub struct SecretKey {
    context: Arc<Context>,
    coefficients: Zeroizing<Vec<i8>>,
    /// The secret in the NTT domain, on all primes of chain and special primes.
    poly: SecretPoly,
}

impl SecretKey {
    /// Draws a uniform ternary secret.
    ///
    /// ```
    /// use pic_ckks::model::{Parameters, SecurityLevel};
    /// use pic_ckks::{Context, SecretKey, secret_rng};
    ///
    /// let chain = [45.0, 30.0, 30.0];
    /// let parameters = Parameters::from_bits(13, &chain, &[45.0], 3, SecurityLevel::Bits128)?;
    /// let context = Context::new(parameters)?;
    /// let secret = SecretKey::generate(&context, &mut secret_rng()?);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
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

    /// The context under which the secret was drawn.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Encrypts a plaintext as `(m + e − a·s, a)`, with the uniform a kept as a seed, at the level
    /// and scale of the plaintext.
    ///
    /// ```
    /// # use pic_ckks::model::{Parameters, SecurityLevel};
    /// # use pic_ckks::{Context, SecretKey, secret_rng};
    /// # let parameters =
    /// #     Parameters::from_bits(10, &[48.0, 40.0], &[49.0], 2, SecurityLevel::Insecure)?;
    /// # let context = Context::new(parameters)?;
    /// # let mut rng = secret_rng()?;
    /// # let secret = SecretKey::generate(&context, &mut rng);
    /// let message = context.encode(&[0.5, -1.0], 2f64.powi(40), 1)?;
    /// let encrypted = secret.encrypt(&message, &mut rng)?.expand(&context)?;
    /// assert_eq!(encrypted.level(), 1);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the plaintext was made under another context.
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

    /// Decrypts a ciphertext to `c0 + c1·s`, the message with its noise. The noise reveals the
    /// secret to whoever also knows the ciphertext: see [the crate
    /// documentation](crate#decryptions-are-not-to-be-shared).
    ///
    /// ```
    /// # use pic_ckks::model::{Parameters, SecurityLevel};
    /// # use pic_ckks::{Context, SecretKey, secret_rng};
    /// # let parameters =
    /// #     Parameters::from_bits(10, &[48.0, 40.0], &[49.0], 2, SecurityLevel::Insecure)?;
    /// # let context = Context::new(parameters)?;
    /// # let mut rng = secret_rng()?;
    /// # let secret = SecretKey::generate(&context, &mut rng);
    /// # let message = context.encode(&[0.5, -1.0], 2f64.powi(40), 1)?;
    /// # let encrypted = secret.encrypt(&message, &mut rng)?.expand(&context)?;
    /// let decrypted = context.decode(&secret.decrypt(&encrypted)?)?;
    /// assert!((decrypted[0] - 0.5).abs() < 1e-6);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the ciphertext was made under another context.
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

    /// Decrypted data must not reappear in a polynomial that is sent to someone.
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
