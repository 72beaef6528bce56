//! The compiler as a library user meets it: an ONNX file and samples in, an artifact out.
//!
//! The passes are [`pic_compiler`]'s; nothing is decided here.

use std::path::{Path, PathBuf};
use std::{fs, io};

use pic_compiler::compile::{CompileError, Compiled, Options, Progress, compile};
use pic_ir::preprocessing::Preprocessing;
use pic_runtime::artifact::{Artifact, CompileFacts, Model};

/// Compiles one network.
#[derive(Clone, Debug)]
pub struct Compiler {
    onnx: Vec<u8>,
    samples: Vec<Vec<f32>>,
    labels: Option<Vec<usize>>,
    options: Options,
}

impl Compiler {
    /// A network in an ONNX file.
    ///
    /// # Errors
    /// [`CompilerError::Read`].
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Self, CompilerError> {
        let path = path.as_ref();
        let read = fs::read(path);
        let onnx = read.map_err(|source| CompilerError::Read { path: path.into(), source })?;
        Ok(Self::from_bytes(onnx))
    }

    /// A network in the bytes of an ONNX file.
    pub fn from_bytes(onnx: impl Into<Vec<u8>>) -> Self {
        Self { onnx: onnx.into(), samples: Vec::new(), labels: None, options: Options::default() }
    }

    /// Raw samples, flattened, of what the network will see: a few hundred.
    pub fn calibration<S: AsRef<[f32]>>(mut self, samples: impl IntoIterator<Item = S>) -> Self {
        self.samples = samples.into_iter().map(|s| s.as_ref().to_vec()).collect();
        self
    }

    /// The class of each sample. Without labels the network's own answers are taken.
    pub fn labels(mut self, labels: impl Into<Vec<usize>>) -> Self {
        self.labels = Some(labels.into());
        self
    }

    /// How raw samples become what the network expects.
    pub fn preprocessing(mut self, preprocessing: Preprocessing) -> Self {
        self.options.preprocessing = preprocessing;
        self
    }

    /// Largest loss of accuracy against the plain network, as a fraction: 0.005 is half a point.
    pub fn max_accuracy_drop(mut self, share: f64) -> Self {
        self.options.max_accuracy_drop = Some(share);
        self
    }

    /// Longest predicted latency of a sample, seconds.
    pub fn latency_budget(mut self, seconds: f64) -> Self {
        self.options.latency_budget = Some(seconds);
        self
    }

    /// All options at once, in place of those set before.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Compiles.
    ///
    /// # Errors
    /// [`CompilerError::Compile`], [`CompilerError::Artifact`].
    pub fn compile(&self) -> Result<Artifact, CompilerError> {
        Ok(Self::artifact(self.compile_with(&())?)?)
    }

    /// Compiles and returns every product of the compiler; `progress` is told how far it is.
    ///
    /// # Errors
    /// Those of [`compile`].
    pub fn compile_with(&self, progress: &dyn Progress) -> Result<Compiled, CompileError> {
        let samples: Vec<&[f32]> = self.samples.iter().map(|s| &s[..]).collect();
        compile(&self.onnx, &samples, self.labels.as_deref(), &self.options, progress)
    }

    /// Packs what the compiler made.
    ///
    /// # Errors
    /// Those of [`Artifact::new`].
    pub fn artifact(compiled: Compiled) -> Result<Artifact, pic_runtime::Error> {
        let measured = compiled.measured.classification;
        let facts = CompileFacts {
            compiler: env!("CARGO_PKG_VERSION").into(),
            plain_accuracy: measured.map(|m| m.plain_accuracy),
            calibrated_accuracy: measured.map(|m| m.accuracy),
        };
        let Compiled { program, network, activations, profile, .. } = compiled;
        Artifact::new(&program, Some(&Model { network, activations, profile, facts }))
    }
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum CompilerError {
    /// The ONNX file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The network cannot be compiled as asked.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The artifact cannot be made.
    #[error(transparent)]
    Artifact(#[from] pic_runtime::Error),
}
