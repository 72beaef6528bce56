//! `pic compare`: a network compiled by every method, and how the programs do.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pic::Strategy;
use pic::data::{Samples, read_labels};
use pic::evaluation::{self, MethodReport, TestSet};
use serde::Serialize;

use super::comparison::warn_out_of_range;
use super::compile::{Imported, MethodName, Source};
use super::error::Failure;
use super::forecast::{Forecast, Machine};
use super::text::{Table, bytes, or_dash, percent, seconds};
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
    /// Reason why the strategy has no program.
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
    /// Seconds of an encrypted sample.
    seconds: f64,
    /// Peak memory of client and server in one process.
    peak_bytes: Option<u64>,
    precision_bits: Option<f64>,
    /// Simulated over all samples.
    accuracy: Option<f64>,
    plain_accuracy: Option<f64>,
    agreement: Option<f64>,
    /// Encrypted samples to which the program in the clear gives the same class as the plain network.
    encrypted_agreement: Option<f64>,
}

/// Runs `pic compare`: compiles and evaluates the network by every method and prints a table, a line for each.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let compiler = arguments.source.compiler()?;
    let options = arguments.source.options()?;
    let Imported { shape, classes, .. } = arguments.source.network()?;
    let samples = Samples::read(&arguments.input, &shape)?;
    let labels = arguments.input_labels.map(|path| read_labels(path, samples.count(), classes));
    let labels = labels.transpose()?;
    let samples = samples.preprocessed(&options.preprocessing)?;
    let here = Machine::detect(session)?;
    let test = TestSet::new(&samples, labels.as_deref())?;
    let methods: Vec<Strategy> = arguments.methods.iter().copied().map(Strategy::from).collect();
    let compiler = compiler.options(options);
    let reports =
        evaluation::compare(&compiler, &methods, test, arguments.encrypted, &session.progress);
    let row = |(&method, (_, report)): (&MethodName, (Strategy, Result<_, _>))| {
        let outcome = match report {
            Ok(report) => Outcome::Program(Box::new(figures(report, &here, session))),
            Err(error) => Outcome::Failed { error: Failure::from(error).to_string() },
        };
        Row { method, outcome }
    };
    let report = Report { rows: arguments.methods.iter().zip(reports).map(row).collect() };
    session.print(&report, || text(&report))
}

fn figures(report: MethodReport, here: &Machine, session: &Session) -> Figures {
    let MethodReport { simulated, verified, .. } = report;
    warn_out_of_range(&simulated.out_of_range, session);
    warn_out_of_range(&verified.out_of_range, session);
    Figures {
        degrees: report.degrees,
        bootstraps: report.bootstraps,
        log_n: report.log_n,
        compile_seconds: report.compile_seconds,
        predicted: here.forecast(&verified.predicted),
        seconds: verified.seconds_per_sample,
        peak_bytes: verified.peak_bytes,
        precision_bits: verified.measured_precision_bits,
        accuracy: simulated.comparison.accuracy,
        plain_accuracy: simulated.comparison.plain_accuracy,
        agreement: simulated.comparison.agreement,
        encrypted_agreement: verified.comparison.agreement,
    }
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
