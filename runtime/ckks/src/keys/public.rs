//! The public key: anyone can encrypt with it.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::SecretKey;
use super::masking::{error, mask, uniform};
use crate::ring::{Poly, SecretPoly, sample};
use crate::{Ciphertext, Context, Error, Plaintext};

/// An encryption of zero, `(e − a·s, a)`, on the whole chain.
#[derive(Debug, Clone)]
pub struct PublicKey {
    pub(crate) context: Arc<Context>,
    pub(crate) b: Poly,
    pub(crate) a: Poly,
    pub(crate) seed: [u8; sample::SEED_BYTES],
}

impl PublicKey {
    /// Makes the public key of a secret.
    pub fn generate(secret: &SecretKey, rng: &mut impl CryptoRng) -> Self {
        let context = Arc::clone(secret.context());
        let ring = context.ring();
        let basis = ring.basis().difference(context.special_basis());
        let (seed, a) = uniform(ring, basis, rng);
        let b = mask(ring, error(ring, basis, rng), &a, secret.poly());
        Self { b, a, seed, context }
    }

    /// Encrypts: `(b·u + e0 + m, a·u + e1)` with a fresh ternary u.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
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
