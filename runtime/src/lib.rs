//! Artifacts, keys, clients and servers, and execution of programs.
//!
//! | module | subject |
//! |---|---|
//! | [`answer`] | decrypted outputs, and whether they can be relied on |
//! | [`artifact`] | what the compiler hands out, in parts for clients, servers and owners |
//! | `client` | makes keys, encrypts, decrypts (feature `client`) |
//! | `sharing` | decrypted answers for others to see (feature `client`) |
//! | `server` | runs programs on ciphertexts (feature `server`) |
//! | [`engine`] | what a program does, operation by operation |
//! | [`clear`], `ckks` | the two engines |
//! | [`container`] | the format of all files |
//! | [`input_file`], [`output_file`] | other files, read and written whole |
//! | [`sample`] | which samples a program can answer |
//! | [`machine`] | kernels, threads and memory of this process and its machine |
//!
//! The network format and the compiler are not known here: a [`pic_ir::program::Program`] is all
//! that comes from them.

pub mod answer;
pub mod artifact;
#[cfg(any(feature = "client", feature = "server"))]
mod ciphertexts;
#[cfg(feature = "server")]
pub mod ckks;
pub mod clear;
#[cfg(feature = "client")]
pub mod client;
pub mod container;
mod decode;
pub mod engine;
mod error;
#[cfg(any(feature = "client", feature = "server"))]
mod evaluation_keys;
pub mod input_file;
#[cfg(any(feature = "client", feature = "server"))]
mod key_binding;
pub mod machine;
pub mod output_file;
pub mod sample;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "client")]
pub mod sharing;

pub use answer::Answer;
pub use artifact::{Artifact, ClientInfo, Model};
#[cfg(any(feature = "client", feature = "server"))]
pub use ciphertexts::{Encrypted, EncryptedInput, EncryptedOutput};
#[cfg(feature = "client")]
pub use client::Client;
pub use container::ProgramHash;
pub use error::Error;
#[cfg(any(feature = "client", feature = "server"))]
pub use evaluation_keys::{EvaluationKeyFile, KeySizes};
#[cfg(feature = "server")]
pub use server::{Server, ServerBuilder};

/// A server has what evaluates:
///
/// ```
/// use pic_ckks::{Context, EvaluationKeys, Evaluator};
/// ```
///
/// but nothing that holds a secret, encrypts or decrypts:
///
/// ```compile_fail,E0432
/// use pic_ckks::SecretKey;
/// ```
/// ```compile_fail,E0432
/// use pic_ckks::PublicKey;
/// ```
/// ```compile_fail,E0432
/// use pic_ckks::secret_rng;
/// ```
/// ```compile_fail,E0432
/// use pic_ckks::ring::sample::ternary;
/// ```
/// ```compile_fail,E0432
/// use pic_runtime::Client;
/// ```
#[cfg(all(doctest, feature = "server", not(feature = "client")))]
struct ServersHaveNoSecret;
