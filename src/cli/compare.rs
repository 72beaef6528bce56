//! `pic compare`: a network compiled by every method, and how the programs do.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use pic::{Artifact, Compiler, Options};
use serde::Serialize;

use super::compile::{Imported, MethodName, Source};
use super::error::Failure;
use super::forecast::Forecast;
use super::input::{Samples, read_labels};
use super::simulate::simulate;
use super::text::{Table, bytes, or_dash, percent, seconds};
use super::verify::verify;
use super::{Session, values};

/// Compile a network by every method and compare the programs, encrypted and simulated
///
/// All methods have the same accuracy to keep, and share layouts, chains, bootstrapping, prices and
/// runtime. What they differ in is how polynomials, degrees and bootstraps are chosen.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic compare model.onnx --calibration x.npy --labels y.npy --input test_x.npy --input-labels test_y.npy")]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Raw samples to compare on: all are simulated, the first are encrypted
    #[arg(long, value_name = "X.npy")]
    input: PathBuf,
    /// The class of each of these samples
    #[arg(long, value_name = "Y.npy")]
    input_labels: Option<PathBuf>,
    /// Samples that are encrypted
    #[arg(long, value_name = "COUNT", default_value = "2", allow_negative_numbers = true)]
    #[arg(value_parser = values::count::<NonZeroUsize>)]
    encrypted: NonZeroUsize,
    /// The methods to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = MethodName::value_variants().to_vec())]
    methods: Vec<MethodName>,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    method: MethodName,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Program(Box<Figures>),
    /// Why the method has no program.
    Failed {
        error: String,
    },
}

#[derive(Serialize)]
struct Figures {
    /// Degree of each polynomial.
    degrees: Vec<usize>,
    bootstraps: usize,
    log_n: u32,
    compile_seconds: f64,
    /// Time of an encrypted sample, on this machine.
    predicted: Forecast,
    /// Of an encrypted sample.
    seconds: f64,
    /// Of client and server in one process.
    peak_bytes: Option<u64>,
    precision_bits: Option<f64>,
    /// Simulated over all samples.
    accuracy: Option<f64>,
    plain_accuracy: Option<f64>,
    agreement: Option<f64>,
    /// Encrypted samples to which the program in the clear gives the same class as the plain network.
    encrypted_agreement: Option<f64>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let compiler = arguments.source.compiler()?;
    let options = arguments.source.options()?;
    let Imported { shape, classes, .. } = arguments.source.network()?;
    let samples = Samples::read(&arguments.input, &shape)?;
    let labels = read_labels(arguments.input_labels.as_deref(), samples.len(), classes)?;
    let samples = samples.preprocessed(&options.preprocessing, &shape);
    let mut rows = Vec::new();
    for &method in &arguments.methods {
        let options = Options { strategy: method.into(), ..options.clone() };
        let compiler = compiler.clone().options(options);
        let figures = figures(&compiler, &samples, labels.as_deref(), &arguments, session);
        let outcome = match figures {
            Ok(figures) => Outcome::Program(Box::new(figures)),
            Err(failure) => Outcome::Failed { error: failure.to_string() },
        };
        rows.push(Row { method, outcome });
    }
    let report = Report { rows };
    session.print(&report, || text(&report))
}

fn figures(
    compiler: &Compiler,
    samples: &[Vec<f32>],
    labels: Option<&[usize]>,
    arguments: &Arguments,
    session: &Session,
) -> Result<Figures, Failure> {
    let start = Instant::now();
    let compiled = compiler.compile_with(&session.progress)?;
    let compile_seconds = start.elapsed().as_secs_f64();
    let degrees = compiled.activations.layers.iter().map(|layer| layer.degree()).collect();
    let bootstraps = compiled.plan.nodes.iter().filter(|n| n.bootstrapped.is_some()).count();
    let log_n = compiled.plan.parameters.log_n();
    let artifact: Artifact = Compiler::artifact(compiled)?;
    let simulated = simulate(&artifact, samples, labels, Some(0), session)?.comparison;
    let count = arguments.encrypted.get().min(samples.len());
    let labels = labels.map(|labels| &labels[..count]);
    let (verified, _) = verify(&artifact, &samples[..count], labels, session)?;
    Ok(Figures {
        degrees,
        bootstraps,
        log_n,
        compile_seconds,
        predicted: verified.predicted,
        seconds: verified.seconds_per_sample,
        peak_bytes: verified.peak_bytes,
        precision_bits: verified.measured_precision_bits,
        accuracy: simulated.accuracy,
        plain_accuracy: simulated.plain_accuracy,
        agreement: simulated.agreement,
        encrypted_agreement: verified.comparison.agreement,
    })
}

fn text(report: &Report) -> String {
    let mut table = Table::new(&[
        "method",
        "measured",
        "predicted",
        "accuracy",
        "agreement",
        "precision",
        "memory",
        "log N",
        "bootstraps",
        "degrees",
        "compile",
    ]);
    let mut notes = String::new();
    for Row { method, outcome } in &report.rows {
        let name = method.to_possible_value().expect("all methods have names");
        let figures = match outcome {
            Outcome::Program(figures) => figures,
            Outcome::Failed { error } => {
                notes += &format!("{}: {error}\n", name.get_name());
                continue;
            }
        };
        let degrees = figures.degrees.iter();
        let (least, most) = (degrees.clone().min(), degrees.max());
        table.row([
            name.get_name().to_owned(),
            seconds(figures.seconds),
            seconds(figures.predicted.seconds),
            or_dash(figures.accuracy, percent),
            or_dash(figures.agreement, percent),
            or_dash(figures.precision_bits, |bits| format!("{bits:.1} bits")),
            or_dash(figures.peak_bytes, bytes),
            figures.log_n.to_string(),
            figures.bootstraps.to_string(),
            or_dash(least.zip(most), |(least, most)| format!("{least}–{most}")),
            seconds(figures.compile_seconds),
        ]);
    }
    let plain = report.rows.iter().find_map(|row| match &row.outcome {
        Outcome::Program(figures) => figures.plain_accuracy,
        Outcome::Failed { .. } => None,
    });
    format!("{table}\nplain network: accuracy {}\n{notes}", or_dash(plain, percent))
}
