//! CKKS: homomorphic encryption of approximate numbers.
//!
//! A vector of up to N/2 real or complex numbers becomes a ciphertext, on which sums, products,
//! rotations, linear transforms and polynomials are evaluated without any secret (Cheon, Kim, Kim
//! and Song, "Homomorphic Encryption for Arithmetic of Approximate Numbers", 2017, in its residue
//! number form).
//!
//! | module | subject |
//! |---|---|
//! | [`model`] | parameters, security, primes, evaluation plans, noise: known without running |
//! | [`ring`] | polynomial arithmetic |
//! | [`Context`] | parameters with precomputations; encoding and decoding |
//! | [`SecretKey`], [`PublicKey`], [`EvaluationKeys`] | the three roles |
//! | [`Evaluator`] | every operation on ciphertexts |
//! | [`Bootstrapper`] | new levels for used-up ciphertexts |
//!
//! Feature `client`, on by default, is everything that holds a secret: without it there are no types for secret and
//! public keys, and nothing encrypts or decrypts.
//!
//! # Decryptions are not to be shared
//! CKKS decryption reveals the noise together with the value. Whoever sees exact decryptions of
//! ciphertexts they know or chose can recover the secret key (Li and Micciancio, "On the Security
//! of Homomorphic Encryption on Approximate Numbers", 2021). Keep decrypted values with the owner
//! of the key, or round them well above the noise before passing them on.
//!
//! # Example
//! ```
//! use pic_ckks::model::{Parameters, SecurityLevel};
//! use pic_ckks::{Context, EvaluationKeys, Evaluator, KeyRequest, SecretKey, secret_rng};
//! use std::sync::Arc;
//!
//! let parameters =
//!     Parameters::from_bits(13, &[45.0, 30.0, 30.0], &[45.0], 3, SecurityLevel::Bits128)?;
//! let context = Context::new(parameters)?;
//! let mut rng = secret_rng()?;
//!
//! // The client.
//! let secret = SecretKey::generate(&context, &mut rng);
//! let request = KeyRequest { relinearization: Some(2), ..KeyRequest::default() };
//! let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;
//! let scale = 2f64.powi(30);
//! let message = context.encode(&[0.5, -1.0, 2.0, 3.0], scale, 2)?;
//! let encrypted = secret.encrypt(&message, &mut rng)?.expand(&context)?;
//!
//! // The server.
//! let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys))?;
//! let squared = evaluator.multiply_rescale(&encrypted, &encrypted)?;
//!
//! // The client again.
//! let result = context.decode(&secret.decrypt(&squared)?)?;
//! assert!((result[3] - 9.0).abs() < 1e-3);
//! # Ok::<(), pic_ckks::Error>(())
//! ```

mod bootstrapping;
mod ciphertext;
mod context;
mod encoding;
mod error;
mod evaluator;
mod keys;
pub mod ring;
mod serialization;

pub use bootstrapping::Bootstrapper;
pub use ciphertext::{Ciphertext, SeededCiphertext};
pub use context::Context;
pub use encoding::{CompactPlaintext, Complex64, Plaintext};
pub use error::{Error, FormatError};
pub use evaluator::{
    ComplexPart, Degree2Ciphertext, Evaluator, LinearTransform, Term, TransformShape,
};
pub use keys::{EvaluationKeys, KeyName, KeySetFault};
#[cfg(feature = "client")]
pub use keys::{KeyGeneration, PublicKey, SecretKey};
pub use model::KeyRequest;
pub use model::op_counts::Hoisting;
pub use pic_ckks_model as model;
#[cfg(feature = "client")]
pub use ring::sample::secret_rng;

#[cfg(test)]
mod test_support;
