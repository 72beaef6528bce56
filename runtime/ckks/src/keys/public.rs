//! The public key: encryption without the secret.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::SecretKey;
use super::masking::{error, mask, uniform};
use crate::ring::{Poly, SecretPoly, sample};
use crate::{Ciphertext, Context, Error, Plaintext};

/// The public key: an encryption of zero `(e − a·s, a)` on the whole chain.
#[derive(Debug, Clone)]
pub struct PublicKey {
    pub(crate) context: Arc<Context>,
    pub(crate) b: Poly,
    pub(crate) a: Poly,
    pub(crate) seed: [u8; sample::SEED_BYTES],
}

impl PublicKey {
    /// Generates a public key of a secret.
    pub fn generate(secret: &SecretKey, rng: &mut impl CryptoRng) -> Self {
        let context = Arc::clone(secret.context());
        let ring = context.ring();
        let basis = ring.basis().difference(context.special_basis());
        let (seed, a) = uniform(ring, basis, rng);
        let b = mask(ring, error(ring, basis, rng), &a, secret.poly());
        Self { b, a, seed, context }
    }

    /// Encrypts a plaintext as `(b·u + e0 + m, a·u + e1)` with a fresh ternary u, at the level and
    /// scale of the plaintext.
    ///
    /// ```
    /// # use pic_ckks::model::{Parameters, SecurityLevel};
    /// # use pic_ckks::{Context, PublicKey, SecretKey, secret_rng};
    /// # let parameters =
    /// #     Parameters::from_bits(10, &[48.0, 40.0], &[49.0], 2, SecurityLevel::Insecure)?;
    /// # let context = Context::new(parameters)?;
    /// # let mut rng = secret_rng()?;
    /// # let secret = SecretKey::generate(&context, &mut rng);
    /// let public = PublicKey::generate(&secret, &mut rng);
    /// let message = context.encode(&[0.5, -1.0], 2f64.powi(40), 1)?;
    /// let encrypted = public.encrypt(&message, &mut rng)?;
    /// let decrypted = context.decode(&secret.decrypt(&encrypted)?)?;
    /// assert!((decrypted[1] + 1.0).abs() < 1e-5);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the plaintext was made under another context.
    pub fn encrypt(
        &self,
        plaintext: &Plaintext,
        rng: &mut impl CryptoRng,
    ) -> Result<Ciphertext, Error> {
        self.context.check_own(plaintext.context)?;
        let (ring, basis) = (self.context.ring(), plaintext.basis());
        let mut u = SecretPoly::from(ring.from_signed(&sample::ternary(rng, ring.degree()), basis));
        ring.ntt(&mut u);
        let mut c0 = error(ring, basis, rng);
        ring.add_assign(&mut c0, &plaintext.poly);
        ring.mul_add_assign(&mut c0, &self.b, &u);
        let mut c1 = error(ring, basis, rng);
        ring.mul_add_assign(&mut c1, &self.a, &u);
        let Plaintext { scale, slots, context, .. } = *plaintext;
        Ok(Ciphertext { c0, c1, scale, slots, context })
    }
}
