//! `pic compile`: from an ONNX file to an artifact.

use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use pic::data::{Samples, read_labels};
use pic::{
    CompileError, Compiled, Compiler, Options, PointSummary, Preprocessing, SensitivityForm,
};
use pic_ckks::model::SecurityLevel;
use pic_ckks::model::bootstrapping::EphemeralWeight;
use pic_compiler::frontend;
use pic_compiler::options::Task;
use pic_compiler::pass::Pass;
use pic_compiler::point_summary::worth_showing;
use pic_compiler::strategy::Strategy;
use pic_ir::cost::{CostModel, Target};
use pic_ir::network::Network;
use pic_ir::prediction::Fidelity;
use pic_runtime::input_file;
use pic_runtime::sharing::precision_needed;
use serde::Serialize;

use super::error::Failure;
use super::forecast::Machine;
use super::passes::{PassObserver, PassTime, timing_table};
use super::summary::Summary;
use super::text::{Table, fidelity, or_dash, percent, seconds};
use super::{Session, output, values};

/// Compile an ONNX network to a program for encrypted inputs
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic compile model.onnx --calibration x.npy --labels y.npy --max-accuracy-drop 0.5%")]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// How polynomials, degrees and bootstraps are chosen
    #[arg(long, value_enum, default_value_t, value_name = "METHOD", help_heading = "Goals")]
    method: MethodName,
    /// Where the artifact goes [default: beside the network, as MODEL.pic]
    #[arg(short, long, value_name = "MODEL.pic")]
    output: Option<PathBuf>,
    /// Also write the part for clients here: no weights
    #[arg(long, value_name = "FILE")]
    client_output: Option<PathBuf>,
    /// Also write the part for servers here: all that running and making keys take, nothing of the original network and the
    /// calibration profile
    #[arg(long, value_name = "FILE")]
    server_output: Option<PathBuf>,
    /// Print the front of latency against loss, some of its points simulated on calibration samples
    #[arg(long)]
    pareto: bool,
    /// Print a product of the compiler in place of the summary
    #[arg(long, value_name = "PRODUCT")]
    emit: Option<Emitted>,
    /// Print the time that each pass of the compiler took
    #[arg(long, conflicts_with = "emit")]
    timing: bool,
    /// Print on stderr what these passes make, each time that they run: `import`, `canonicalize`, `strip-final`, `isolate`,
    /// `ranges`, `linearize`, `equalize`, `profile`, `approximate`, `correct-losses`, `cost`, `allocate`, `refit`, `plan`,
    /// `lower`, `estimate`, `range-check` or `verify`
    #[arg(long, value_name = "PASS", value_delimiter = ',', value_parser = Pass::from_str)]
    dump_after: Vec<Pass>,
}

/// What is compiled, and to which ends.
#[derive(Args)]
pub struct Source {
    /// The network
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// Raw samples of what the network will see, .npy or .npz: a few hundred
    #[arg(long, value_name = "X.npy")]
    calibration: PathBuf,
    /// The class of each sample; without labels the network's own answers are taken
    #[arg(long, value_name = "Y.npy")]
    labels: Option<PathBuf>,
    /// Raw samples that the network was not trained on, and their classes if it is a classifier: accuracy is measured on
    /// them [default: half of the calibration samples]
    #[arg(long, value_names = ["X.npy", "Y.npy"], num_args = 1..=2)]
    validation: Vec<PathBuf>,
    #[command(flatten)]
    goals: Goals,
    #[command(flatten)]
    preprocessing: PreprocessingArguments,
}

#[derive(Args)]
#[command(next_help_heading = "Goals")]
struct Goals {
    /// What the outputs are: those of classes, or numbers as of regressors, embeddings and autoencoders. They are taken
    /// before what the client applies, such as a final Softmax, ArgMax or Sigmoid [default: regression for a single
    /// output, else classification]
    #[arg(long, value_enum, value_name = "TASK")]
    task: Option<TaskName>,
    /// Largest expected loss of a classifier's accuracy against the plain network; without labels, largest share of samples
    /// that get another class [default: 0.5%, or the least that the latency budget allows]
    #[arg(long, value_name = "SHARE", value_parser = values::share)]
    max_accuracy_drop: Option<f64>,
    /// Largest root mean square error of outputs that are numbers, as a share of their standard deviation; no held-back
    /// sample has five times as much [default: 1%, or the least that the latency budget allows]
    #[arg(long, value_name = "SHARE", value_parser = values::share)]
    max_error: Option<f64>,
    /// Longest predicted latency of a sample, on the target
    #[arg(long, value_name = "TIME", value_parser = values::seconds)]
    latency_budget: Option<f64>,
    /// Bits of security: 128, 192 or 256
    #[arg(long, value_name = "BITS", default_value = "128", value_parser = values::security)]
    security: SecurityLevel,
    /// A bootstrap may fail, that is return a wrong value, with probability 2^-BITS: 10 to 256. Ask for 128 where
    /// others could provoke failures and see them [default: 60]
    #[arg(long, value_name = "BITS", value_parser = values::failure_bits)]
    failure: Option<f64>,
    /// Nonzero coefficients of the secret under which bootstrapping raises the modulus: 32, 48 or 64. More are the safer
    /// against attacks that are yet to be found, and take longer [default: 32]
    #[arg(long, value_name = "WEIGHT", value_parser = values::ephemeral_weight)]
    ephemeral_weight: Option<EphemeralWeight>,
    /// Least predicted precision of the output
    #[arg(long, value_name = "BITS", default_value_t = Options::default().min_precision_bits)]
    min_precision: f64,
    /// Compile for answers that others may see, so many under one secret key (`decrypt --share`): with as many bits of
    /// precision as hiding the scheme's error in them costs, beyond the 6 that remain. For 50 answers of 10 outputs these
    /// are 21.3, and 27.3 in all; four times as many answers or outputs cost one more
    #[arg(long, value_name = "ANSWERS", value_parser = values::count::<NonZeroU64>)]
    #[arg(allow_negative_numbers = true)]
    shareable: Option<NonZeroU64>,
    /// Most memory that the server may need
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory_limit: Option<u64>,
    /// How the loss that a polynomial causes is estimated
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    sensitivity: Sensitivity,
    /// Machine that will run the program: ifma, fma512, fma256 or portable kernels, and threads unless 2. The same
    /// target gives the same artifact everywhere [default: this machine]
    #[arg(long, value_name = "KERNELS[:THREADS]", value_parser = Target::from_str)]
    target: Option<Target>,
    /// Machine that will run the program, with the prices that `pic bench --output` measured on it
    #[arg(long, value_name = "COST.json", conflicts_with = "target")]
    cost: Option<PathBuf>,
    /// Also compute on the ciphertexts whether some activation's input left its interval: `decrypt` then says so
    #[arg(long)]
    range_check: bool,
    /// Seed of everything random in the compiler
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Stored in the artifact and applied wherever raw samples enter.
#[derive(Args)]
#[command(next_help_heading = "Preprocessing: (scale · raw − mean) / std")]
struct PreprocessingArguments {
    /// Factor of every raw value, as 1/255
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = values::factor)]
    #[arg(allow_hyphen_values = true)]
    scale: f64,
    /// One value, or one per channel, as 0.49,0.48,0.45
    #[arg(long, value_delimiter = ',', default_value = "0", allow_negative_numbers = true)]
    #[arg(value_parser = values::mean)]
    mean: Vec<f64>,
    /// One value, or one per channel
    #[arg(long, value_delimiter = ',', default_value = "1", allow_negative_numbers = true)]
    #[arg(value_parser = values::deviation)]
    std: Vec<f64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskName {
    Classification,
    Regression,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Sensitivity {
    /// By gradient statistics of the margin between classes
    #[default]
    Margin,
    /// By gradient statistics of the cross-entropy (OLA)
    Gradient,
    /// By putting each polynomial in place
    Measured,
}

/// Name of a [`Strategy`] on the command line.
#[derive(Clone, Copy, Debug, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MethodName {
    /// Degrees, bootstraps and levels in one optimisation
    #[default]
    Joint,
    /// The same, with one degree for all layers
    Uniform,
    /// Layerwise degrees as published (OLA), a bootstrap behind every activation
    Ola,
    /// Composite minimax polynomials of degrees 15, 15 and 27 for every ReLU
    Composite,
}

impl From<MethodName> for Strategy {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Joint => Self::Joint,
            MethodName::Uniform => Self::Uniform,
            MethodName::Ola => Self::Ola,
            MethodName::Composite => Self::Composite,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Emitted {
    Network,
    Profile,
    Activations,
    Plan,
    Program,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    front: Option<Vec<Point>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniform: Option<Vec<Point>>,
    /// Times of the passes, with `--timing` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    timing: Option<Vec<PassTime>>,
}

#[derive(Serialize)]
struct Point {
    seconds: f64,
    loss: f64,
    degrees: Vec<usize>,
    log_n: u32,
    levels: usize,
    bootstraps: usize,
    /// Result of the simulation on held-back calibration samples; none if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<Simulated>,
}

#[derive(Serialize)]
struct Simulated {
    fidelity: Fidelity,
    /// Share of samples to which the plain network gives the same class; none if the outputs are numbers.
    agreement: Option<f64>,
    /// Root mean square change of margins, relative to the mean margin; none if the outputs are numbers.
    margin_change: Option<f64>,
}

/// Points of the front that `--pareto` simulates, beside those that the search tries anyway.
const SIMULATED_POINTS: usize = 8;

/// Runs `pic compile`: compiles the network, writes the artifact and prints a summary, or the product that `--emit`
/// names.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| arguments.source.model.with_extension("pic"));
    let parts = arguments.client_output.iter().chain(&arguments.server_output);
    let outputs: Vec<&Path> = std::iter::once(&output).chain(parts).map(PathBuf::as_path).collect();
    output::check(&outputs, &arguments.source.files())?;
    let simulated_points = if arguments.pareto { SIMULATED_POINTS } else { 0 };
    let strategy = arguments.method.into();
    let options = Options { strategy, simulated_points, ..arguments.source.options()? };
    let observer = PassObserver::new(&session.progress, &arguments.dump_after);
    let compiled = arguments.source.compiler()?.options(options).compile_with(&observer)?;
    let timing = arguments.timing.then(|| observer.times());
    let printed = match arguments.emit {
        Some(product) => Printed::Emitted(emit(&compiled, product)),
        None => Printed::Report {
            points: arguments
                .pareto
                .then(|| (points(worth_showing(&compiled.front)), points(&compiled.uniform))),
            notes: [compiled.notes.clone(), arguments.source.goals.without_effect(&compiled)]
                .concat(),
        },
    };

    let artifact = Compiler::artifact(compiled)?;
    artifact.write(&output)?;
    if let Some(path) = &arguments.client_output {
        artifact.write_client_only(path)?;
    }
    if let Some(path) = &arguments.server_output {
        artifact.write_server_only(path)?;
    }
    match printed {
        Printed::Emitted((value, text)) => session.print(&value, || text),
        Printed::Report { points, notes } => {
            let (front, uniform) = points.unzip();
            let summary = Summary::new(&artifact, &Machine::detect(session)?)?;
            let report = Report { summary, notes, front, uniform, timing };
            session.print(&report, || text(&report, &output))
        }
    }
}

/// A network as a file, the shape of its input and the number of its outputs.
pub struct Imported {
    /// Content of the ONNX file.
    pub onnx: Vec<u8>,
    /// Extents of the input of one sample.
    pub shape: Vec<usize>,
    /// Number of elements of the output.
    pub classes: usize,
}

/// Output on stdout.
enum Printed {
    Emitted((serde_json::Value, String)),
    Report { points: Option<(Vec<Point>, Vec<Point>)>, notes: Vec<String> },
}

impl Source {
    /// The files that are read.
    fn files(&self) -> Vec<&Path> {
        let optional = self.labels.iter().chain(&self.validation).chain(&self.goals.cost);
        [&self.model, &self.calibration].into_iter().chain(optional).map(PathBuf::as_path).collect()
    }

    /// A compiler that has read the network and the samples.
    pub fn compiler(&self) -> Result<Compiler, Failure> {
        let Imported { onnx, shape, classes } = self.network()?;
        let samples = Samples::read(&self.calibration, &shape)?;
        let read = |path| read_labels(path, samples.count(), classes);
        let labels = self.labels.as_ref().map(read).transpose()?;
        let mut compiler = Compiler::from_bytes(onnx).calibration(samples.iter());
        if let Some(labels) = labels {
            compiler = compiler.labels(labels);
        }
        if let [path, labels @ ..] = &self.validation[..] {
            let samples = Samples::read(path, &shape)?;
            let read = |path: &PathBuf| read_labels(path, samples.count(), classes);
            let labels = labels.first().map(read).transpose()?;
            compiler = compiler.validation(samples.iter(), labels);
        }
        Ok(compiler)
    }

    /// The precision that hiding the scheme's error in shared answers takes, if they are to be shared.
    fn sharing_precision(&self) -> Result<f64, Failure> {
        let Some(answers) = self.goals.shareable else { return Ok(0.0) };
        let (_, network) = self.import()?;
        Ok(precision_needed(answers.get(), network.graph[network.output].len()))
    }

    /// The network as a file, and what it takes and gives.
    pub fn network(&self) -> Result<Imported, Failure> {
        let (onnx, network) = self.import()?;
        let shape = network.graph[network.input()].shape.clone();
        Ok(Imported { onnx, shape, classes: network.graph[network.output].len() })
    }

    fn import(&self) -> Result<(Vec<u8>, Network), Failure> {
        let onnx = input_file::read(&self.model);
        let onnx = onnx.map_err(|e| Failure::file("read", &self.model, &e))?;
        let network = frontend::import(&onnx).map_err(CompileError::from)?.network;
        Ok((onnx, network))
    }

    /// The options that were given, with the default method.
    pub fn options(&self) -> Result<Options, Failure> {
        let Self { goals, preprocessing, .. } = self;
        Ok(Options {
            task: goals.task.map(|task| match task {
                TaskName::Classification => Task::Classification,
                TaskName::Regression => Task::Regression,
            }),
            max_accuracy_drop: goals.max_accuracy_drop,
            max_error: goals.max_error,
            latency_budget: goals.latency_budget,
            security: goals.security,
            failure_bits: goals.failure.unwrap_or(Options::default().failure_bits),
            ephemeral_weight: goals.ephemeral_weight.unwrap_or_default(),
            min_precision_bits: goals.min_precision.max(self.sharing_precision()?),
            cost: match goals.cost.as_deref() {
                Some(path) => Some(read_cost(path)?),
                None => goals.target.map(CostModel::of),
            },
            preprocessing: Preprocessing {
                scale: preprocessing.scale,
                mean: preprocessing.mean.clone(),
                std: preprocessing.std.clone(),
            },
            seed: goals.seed,
            sensitivity: match goals.sensitivity {
                Sensitivity::Margin => SensitivityForm::Margin,
                Sensitivity::Gradient => SensitivityForm::Gradient,
                Sensitivity::Measured => SensitivityForm::Measured,
            },
            memory_limit: goals.memory_limit,
            range_check: goals.range_check,
            ..Options::default()
        })
    }
}

impl Goals {
    /// Options that were given and have had no effect.
    fn without_effect(&self, compiled: &Compiled) -> Vec<String> {
        let given = [
            ("--failure", self.failure.is_some()),
            ("--ephemeral-weight", self.ephemeral_weight.is_some()),
        ];
        let idle =
            given.iter().filter(|(_, given)| *given && compiled.program.bootstrapping.is_none());
        idle.map(|(name, _)| format!("{name} has no effect: the program has no bootstraps"))
            .collect()
    }
}

fn read_cost(path: &Path) -> Result<CostModel, Failure> {
    let text = input_file::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let help = "make one with `pic bench --output cost.json`";
    let cost: CostModel =
        serde_json::from_slice(&text).map_err(|e| Failure::new("pic::cost", &e, help))?;
    if cost.is_sound() {
        return Ok(cost);
    }
    let error = io::Error::other(format!("`{}` has prices that no machine has", path.display()));
    Err(Failure::new("pic::cost", &error, help))
}

fn emit(compiled: &Compiled, product: Emitted) -> (serde_json::Value, String) {
    fn both(product: &(impl Serialize + ToString)) -> (serde_json::Value, String) {
        let value = serde_json::to_value(product).expect("products encode as JSON");
        (value, product.to_string())
    }
    match product {
        Emitted::Network => both(&compiled.network),
        Emitted::Profile => both(&compiled.profile),
        Emitted::Activations => both(&compiled.activations),
        Emitted::Plan => both(&compiled.plan),
        Emitted::Program => both(&*compiled.program),
    }
}

fn points<'a>(front: impl IntoIterator<Item = &'a PointSummary>) -> Vec<Point> {
    let point = |p: &PointSummary| Point {
        seconds: p.seconds,
        loss: p.loss,
        degrees: p.degrees.clone(),
        log_n: p.log_n,
        levels: p.levels,
        bootstraps: p.bootstraps,
        simulated: p.measured.map(|measured| Simulated {
            fidelity: measured.fidelity,
            agreement: measured.classification.map(|c| c.agreement),
            margin_change: measured.classification.map(|c| c.margin_deviation),
        }),
    };
    front.into_iter().map(point).collect()
}

fn text(report: &Report, output: &Path) -> String {
    let mut text = format!("artifact     {}\n{}", output.display(), report.summary);
    for note in &report.notes {
        text += &format!("\nnote: {note}\n");
    }
    let target = report.summary.target();
    let fronts = [("layerwise degrees", &report.front), ("one degree for all", &report.uniform)];
    for (title, points) in fronts {
        let Some(points) = points else { continue };
        let mut table = Table::new(&[
            "latency",
            "loss",
            "expected",
            "agreement",
            "margins",
            "log N",
            "levels",
            "bootstraps",
            "degrees",
        ]);
        for p in points {
            let degrees: Vec<String> = p.degrees.iter().map(usize::to_string).collect();
            table.row([
                seconds(p.seconds),
                format!("{:.3e}", p.loss),
                or_dash(p.simulated.as_ref().map(|s| s.fidelity), fidelity),
                or_dash(p.simulated.as_ref().and_then(|s| s.agreement), percent),
                or_dash(p.simulated.as_ref().and_then(|s| s.margin_change), percent),
                p.log_n.to_string(),
                p.levels.to_string(),
                p.bootstraps.to_string(),
                degrees.join(" "),
            ]);
        }
        text += &format!(
            "\n{title}; latency on {target} and loss predicted, the rest simulated on held-back samples:\n{table}"
        );
    }
    if let Some(times) = &report.timing {
        text += &format!("\n{}", timing_table(times));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_the_defaults() {
        assert_eq!(Options::default().failure_bits, 60.0);
        assert_eq!(EphemeralWeight::default().get(), 32);
        let flooding = precision_needed(50, 10) - 6.0;
        assert_eq!(format!("{flooding:.1}, {:.1}", precision_needed(50, 10)), "21.3, 27.3");
        assert!((precision_needed(200, 10) - precision_needed(50, 10) - 1.0).abs() < 1e-9);
    }
}
