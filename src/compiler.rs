//! Facade of the compiler: an ONNX file and samples in, an artifact out.
//!
//! The passes are [`pic_compiler`]'s; decided here is only what a program is priced for where nobody says:
//! the machine that compiles.

use std::io;
use std::path::{Path, PathBuf};

use pic_compiler::compile::{Compiled, compile};
use pic_compiler::dataset::RawSamples;
use pic_compiler::error::CompileError;
use pic_compiler::layerwise::Measurement;
use pic_compiler::options::{Options, Task};
use pic_compiler::progress::Progress;
use pic_compiler::strategy::Strategy;
use pic_ir::cost::{CostModel, Target};
use pic_ir::preprocessing::Preprocessing;
use pic_runtime::artifact::{Artifact, CompileFacts, Model};
use pic_runtime::{input_file, machine};

/// Compiler of one network, with its options.
///
/// The fastest program is another on every kind of machine. It is chosen for the machine that compiles, as
/// [`machine::target`] describes it, unless [`Compiler::target`] names another; so does `pic compile`. The same
/// target gives the same artifact on every machine.
///
/// ```no_run
/// use pic::Compiler;
/// use pic::data::Samples;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let samples = Samples::read("calibration_x.npy", &[1, 8, 8])?;
/// let compiler = Compiler::from_onnx("model.onnx")?.calibration(samples.iter());
/// let artifact = compiler.max_accuracy_drop(0.01).target("ifma:2".parse()?).compile()?;
/// artifact.write("model.pic".as_ref())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Compiler {
    onnx: Vec<u8>,
    calibration: LabelledSamples,
    validation: Option<LabelledSamples>,
    options: Options,
}

/// Raw, flattened samples, and their classes if they are known.
#[derive(Clone, Debug, Default)]
struct LabelledSamples {
    samples: Vec<Vec<f32>>,
    labels: Option<Vec<usize>>,
}

impl LabelledSamples {
    fn views(&self) -> Vec<&[f32]> {
        self.samples.iter().map(|sample| &sample[..]).collect()
    }
}

impl Compiler {
    /// Reads a network from an ONNX file.
    ///
    /// # Errors
    /// [`CompilerError::Read`], also for pipes, devices and empty files.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Self, CompilerError> {
        let path = path.as_ref();
        let read = input_file::read(path);
        let onnx = read.map_err(|source| CompilerError::Read { path: path.into(), source })?;
        Ok(Self::from_bytes(onnx))
    }

    /// Takes a network from the bytes of an ONNX file.
    pub fn from_bytes(onnx: impl Into<Vec<u8>>) -> Self {
        Self {
            onnx: onnx.into(),
            calibration: LabelledSamples::default(),
            validation: None,
            options: Options::default(),
        }
    }

    /// Sets the calibration samples: a few hundred raw, flattened samples like those to come.
    pub fn calibration<S: AsRef<[f32]>>(mut self, samples: impl IntoIterator<Item = S>) -> Self {
        self.calibration.samples = samples.into_iter().map(|s| s.as_ref().to_vec()).collect();
        self
    }

    /// Sets the class of each calibration sample. Without labels the network's own answers count as right.
    pub fn labels(mut self, labels: impl Into<Vec<usize>>) -> Self {
        self.calibration.labels = Some(labels.into());
        self
    }

    /// Sets other raw, flattened samples on which accuracy is measured, and the class of each. Without them it is measured
    /// on half of the calibration samples, which says little of new ones if the network was trained on them.
    pub fn validation<S: AsRef<[f32]>>(
        mut self,
        samples: impl IntoIterator<Item = S>,
        labels: Option<Vec<usize>>,
    ) -> Self {
        let samples = samples.into_iter().map(|s| s.as_ref().to_vec()).collect();
        self.validation = Some(LabelledSamples { samples, labels });
        self
    }

    /// Sets what the outputs are. By default several outputs are those of classes, and a single one is a number.
    pub fn task(mut self, task: Task) -> Self {
        self.options.task = Some(task);
        self
    }

    /// Sets the map from raw samples to the network's inputs.
    pub fn preprocessing(mut self, preprocessing: Preprocessing) -> Self {
        self.options.preprocessing = preprocessing;
        self
    }

    /// Sets the largest expected loss of a classifier's accuracy against the plain network, as a fraction: 0.005 is half a
    /// percentage point.
    pub fn max_accuracy_drop(mut self, share: f64) -> Self {
        self.options.max_accuracy_drop = Some(share);
        self
    }

    /// Sets the largest root mean square error of outputs that are numbers, as a fraction of their standard deviation.
    pub fn max_error(mut self, share: f64) -> Self {
        self.options.max_error = Some(share);
        self
    }

    /// Sets the machine that will run the program, with the prices that are shipped for it.
    pub fn target(self, target: Target) -> Self {
        self.cost(CostModel::of(target))
    }

    /// Sets the machine that will run the program, with its measured prices.
    pub fn cost(mut self, cost: CostModel) -> Self {
        self.options.cost = Some(cost);
        self
    }

    /// Sets the longest predicted latency of a sample, in seconds on the machine that will run the program.
    pub fn latency_budget(mut self, seconds: f64) -> Self {
        self.options.latency_budget = Some(seconds);
        self
    }

    /// Sets the strategy by which polynomials, degrees and bootstraps are chosen; the default is
    /// [`Strategy::Joint`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.options.strategy = strategy;
        self
    }

    /// Adds a range check to the program: a second output that tells whether some activation's input left its
    /// interval, in which case the answer is wrong.
    pub fn range_check(mut self) -> Self {
        self.options.range_check = true;
        self
    }

    /// Sets all options, in place of those set before.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Compiles the network to an artifact.
    ///
    /// # Errors
    /// Every variant of [`CompilerError`] but [`CompilerError::Read`].
    pub fn compile(&self) -> Result<Artifact, CompilerError> {
        Self::artifact(self.compile_with(&())?).map_err(CompilerError::Artifact)
    }

    /// Compiles and returns every product of the compiler, with reports to `progress`.
    ///
    /// # Errors
    /// [`CompilerError::Compile`], [`CompilerError::Machine`].
    pub fn compile_with(&self, progress: &dyn Progress) -> Result<Compiled, CompilerError> {
        let here = || machine::target().map(CostModel::of).map_err(CompilerError::Machine);
        let cost = self.options.cost.map_or_else(here, Ok)?;
        let options = Options { cost: Some(cost), ..self.options.clone() };
        let (seen, others) = (
            self.calibration.views(),
            self.validation.as_ref().map(|data| (data.views(), data.labels.as_deref())),
        );
        let calibration = RawSamples { samples: &seen, labels: self.calibration.labels.as_deref() };
        let validation =
            others.as_ref().map(|(samples, labels)| RawSamples { samples, labels: *labels });
        Ok(compile(&self.onnx, calibration, validation, &options, progress)?)
    }

    /// Packs the products of the compiler into an artifact.
    ///
    /// # Errors
    /// The errors of [`Artifact::calibrated`].
    pub fn artifact(compiled: Compiled) -> Result<Artifact, pic_runtime::Error> {
        let Measurement { unseen, outside, .. } = compiled.measured;
        let facts =
            CompileFacts { compiler: env!("CARGO_PKG_VERSION").into(), held_back: unseen, outside };
        let Compiled { program, network, activations, profile, calibration, .. } = compiled;
        let model = Model { network, activations, profile, facts };
        Artifact::calibrated(&program, &calibration, Some(&model))
    }
}

/// Reason why there is no artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompilerError {
    /// The ONNX file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The network cannot be compiled as asked.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The kernel set of this machine is not known.
    #[error(transparent)]
    Machine(pic_runtime::Error),
    /// The artifact cannot be made.
    #[error(transparent)]
    Artifact(pic_runtime::Error),
}
