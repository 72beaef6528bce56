//! Keys: the secret key, the public key, and evaluation keys.
//!
//! Types and functions that hold or need a secret exist with feature `client` only: `generation`,
//! `masking`, `public` and `secret`.

mod encapsulation;
mod evaluation;
mod expected;
#[cfg(feature = "client")]
mod generation;
#[cfg(feature = "client")]
mod masking;
mod names;
#[cfg(feature = "client")]
mod public;
#[cfg(feature = "client")]
mod secret;
mod switching;

pub(crate) use encapsulation::{EncapsulationKeys, Pair};
pub use evaluation::EvaluationKeys;
pub(crate) use expected::{Expected, Found};
#[cfg(feature = "client")]
pub use generation::KeyGeneration;
pub(crate) use names::RELINEARIZATION;
pub use names::{KeyName, KeySetFault};
#[cfg(feature = "client")]
pub use public::PublicKey;
#[cfg(feature = "client")]
pub use secret::SecretKey;
pub(crate) use switching::{Decomposition, SwitchingKey};
