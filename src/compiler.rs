//! The compiler as a library user meets it: an ONNX file and samples in, an artifact out.
//!
//! The passes are [`pic_compiler`]'s; decided here is only what a program is priced for where nobody says:
//! the machine that compiles.

use std::io;
use std::path::{Path, PathBuf};

use pic_compiler::compile::{Compiled, compile};
use pic_compiler::error::CompileError;
use pic_compiler::layerwise::Measurement;
use pic_compiler::options::Options;
use pic_compiler::progress::Progress;
use pic_compiler::strategy::Strategy;
use pic_ir::cost::{CostModel, Target};
use pic_ir::preprocessing::Preprocessing;
use pic_runtime::artifact::{Artifact, CompileFacts, Model};
use pic_runtime::{input_file, machine};

/// Compiles one network.
///
/// The fastest program is another on every kind of machine. It is chosen for the machine that compiles, as
/// [`machine::target`] describes it, unless [`Compiler::target`] names another; so does `pic compile`. The same
/// target gives the same artifact on every machine.
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
    /// [`CompilerError::Read`], also for pipes, devices and empty files.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Self, CompilerError> {
        let path = path.as_ref();
        let read = input_file::read(path);
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

    /// The machine that will run the program.
    pub fn target(self, target: Target) -> Self {
        self.cost(CostModel::of(target))
    }

    /// The same, with prices of its own in place of those that are shipped.
    pub fn cost(mut self, cost: CostModel) -> Self {
        self.options.cost = Some(cost);
        self
    }

    /// Longest predicted latency of a sample, seconds on the machine that will run the program.
    pub fn latency_budget(mut self, seconds: f64) -> Self {
        self.options.latency_budget = Some(seconds);
        self
    }

    /// How polynomials, degrees and bootstraps are chosen, [`Strategy::Joint`] unless another is named.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.options.strategy = strategy;
        self
    }

    /// A second answer that says whether some activation's input left its interval, which makes the first one wrong.
    pub fn range_check(mut self) -> Self {
        self.options.range_check = true;
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
    /// Every variant of [`CompilerError`] but [`CompilerError::Read`].
    pub fn compile(&self) -> Result<Artifact, CompilerError> {
        Self::artifact(self.compile_with(&())?).map_err(CompilerError::Artifact)
    }

    /// Compiles and returns every product of the compiler; `progress` is told how far it is.
    ///
    /// # Errors
    /// [`CompilerError::Compile`], [`CompilerError::Machine`].
    pub fn compile_with(&self, progress: &dyn Progress) -> Result<Compiled, CompilerError> {
        let here = || machine::target().map(CostModel::of).map_err(CompilerError::Machine);
        let cost = self.options.cost.map_or_else(here, Ok)?;
        let options = Options { cost: Some(cost), ..self.options.clone() };
        let samples: Vec<&[f32]> = self.samples.iter().map(|s| &s[..]).collect();
        Ok(compile(&self.onnx, &samples, self.labels.as_deref(), &options, progress)?)
    }

    /// Packs what the compiler made.
    ///
    /// # Errors
    /// Those of [`Artifact::calibrated`].
    pub fn artifact(compiled: Compiled) -> Result<Artifact, pic_runtime::Error> {
        let Measurement { unseen, outside, classification: measured, .. } = compiled.measured;
        let facts = CompileFacts {
            compiler: env!("CARGO_PKG_VERSION").into(),
            plain_accuracy: measured.map(|m| m.plain_accuracy),
            calibrated_accuracy: measured.map(|m| m.accuracy),
            held_back: unseen,
            outside,
        };
        let Compiled { program, network, activations, profile, calibration, .. } = compiled;
        let model = Model { network, activations, profile, facts };
        Artifact::calibrated(&program, &calibration, Some(&model))
    }
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// What this machine is cannot be told.
    #[error(transparent)]
    Machine(pic_runtime::Error),
    /// The artifact cannot be made.
    #[error(transparent)]
    Artifact(pic_runtime::Error),
}
