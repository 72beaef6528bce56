//! `pic`, a private inference compiler: ONNX networks on encrypted inputs.
//!
//! A model owner compiles a network to an [`Artifact`]. A [`Client`] makes keys, encrypts inputs and
//! decrypts answers. A [`Server`] runs the network on ciphertexts and can decrypt nothing.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use pic::data::Samples;
//! use pic::{Client, Compiler, Server};
//!
//! // The model owner, with the ONNX file and samples of what it will see.
//! let samples = Samples::read("examples/digits/calibration_x.npy", &[1, 8, 8])?;
//! let compiler = Compiler::from_onnx("examples/digits/mlp_sigmoid.onnx")?.calibration(samples.iter());
//! let artifact = compiler.max_accuracy_drop(0.02).compile()?;
//!
//! // The client.
//! let client = Client::generate(&artifact)?;
//! let keys = client.make_evaluation_keys()?;
//! let images = samples.preprocessed(&client.info().preprocessing)?;
//! let question = client.encrypt(&images[..1])?;
//!
//! // The server.
//! let server = Server::new(&artifact, keys)?;
//! let answer = server.run(&question)?;
//!
//! // The client again.
//! let answer = &client.decrypt(&answer)?[0];
//! assert_eq!(answer.outputs.len(), 10);
//! // Inputs unlike the calibration samples may get answers that mean nothing.
//! assert!(answer.reliable && answer.class().is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! | feature | for |
//! |---|---|
//! | `client` | [`Client`]: neither the compiler nor the ONNX library is linked |
//! | `server` | [`Server`] |
//! | `compiler` | [`Compiler`], and [`evaluation`]: simulating programs; with `client` and `server` also running and comparing them |
//! | `data` | [`data`]: samples and labels from numpy's files |
//! | `build` | `pic::build`: compiling in a build script with the installed command |
//! | `cli` | the `pic` command |
//!
//! All are on by default. A client takes `default-features = false, features = ["client"]`, a build
//! script `features = ["build"]`.

#![forbid(unsafe_code)]

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "compiler")]
mod compiler;
#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "compiler")]
pub mod evaluation;

#[cfg(feature = "compiler")]
pub use compiler::{Compiler, CompilerError};
#[cfg(feature = "compiler")]
pub use pic_compiler::compile::Compiled;
#[cfg(feature = "compiler")]
pub use pic_compiler::error::CompileError;
#[cfg(feature = "compiler")]
pub use pic_compiler::options::{Options, SensitivityForm, Task};
#[cfg(feature = "compiler")]
pub use pic_compiler::point_summary::PointSummary;
#[cfg(feature = "compiler")]
pub use pic_compiler::progress::Progress;
#[cfg(feature = "compiler")]
pub use pic_compiler::strategy::Strategy;
#[cfg(any(feature = "client", feature = "server", feature = "compiler"))]
pub use pic_ir::cost::{CostModel, Target};
#[cfg(any(feature = "client", feature = "server", feature = "compiler"))]
pub use pic_ir::prediction::Fidelity;
#[cfg(any(feature = "client", feature = "server", feature = "compiler"))]
pub use pic_ir::preprocessing::Preprocessing;
#[cfg(feature = "client")]
pub use pic_runtime::Client;
#[cfg(feature = "server")]
pub use pic_runtime::engine::Step;
#[cfg(any(feature = "client", feature = "server", feature = "compiler"))]
pub use pic_runtime::{Answer, Artifact, ClientInfo, Error, Model, machine};
#[cfg(any(feature = "client", feature = "server"))]
pub use pic_runtime::{EncryptedInput, EncryptedOutput, EvaluationKeyFile, KeySizes};
#[cfg(feature = "server")]
pub use pic_runtime::{Server, ServerBuilder};

/// The artifact that the build script compiled from `NAME.onnx`, embedded in the executable:
/// `include_artifact!("NAME")` is a `Result<pic::Artifact, pic::Error>`. See `pic::build`.
#[macro_export]
macro_rules! include_artifact {
    ($name:literal) => {
        $crate::Artifact::from_bytes(
            include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".pic")).as_slice(),
        )
    };
}

/// Compiles and runs the example of the README.
#[cfg(all(doctest, feature = "client", feature = "server", feature = "compiler"))]
#[doc = include_str!("../README.md")]
struct Readme;
