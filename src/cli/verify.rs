//! `pic verify`: every step in one process, beside the plain network and the simulation.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use pic::{Answer, Artifact, Client, Progress, Server, machine};
use pic_ir::program::Program;
use pic_runtime::clear::Clear;
use serde::Serialize;

use super::comparison::{Comparison, plain_outputs};
use super::error::Failure;
use super::forecast::{Forecast, Machine};
use super::input::{Samples, read_labels};
use super::run::run_traced;
use super::simulate::{OutOfRange, out_of_range, warn_out_of_range};
use super::text::{bytes, count, or_dash, seconds};
use super::trace::{Layer, layers_table};
use super::{Session, reliability, values};

/// Make keys, encrypt, run and decrypt in one process, and compare with the plain network
///
/// Counts the samples that `pic encrypt` would refuse or warn of, and the answers that `pic decrypt` would mark. The measured
/// precision is that of the other answers.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic verify model.pic --input x.npy --count 5 --labels y.npy\n\n\
    Exit code: 3 if some answer is unreliable.")]
pub struct Arguments {
    /// The compiled model, not one of its parts
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
    /// Raw samples, .npy or .npz
    #[arg(long, value_name = "X.npy")]
    input: PathBuf,
    /// Take the first samples only
    #[arg(long, value_parser = values::count::<NonZeroUsize>, allow_negative_numbers = true)]
    count: Option<NonZeroUsize>,
    /// The class of each sample
    #[arg(long, value_name = "Y.npy")]
    labels: Option<PathBuf>,
}

/// The keys of `--json`.
#[derive(Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub comparison: Comparison,
    out_of_range: Vec<OutOfRange>,
    /// Time of a sample, on this machine.
    pub predicted: Forecast,
    pub seconds_per_sample: f64,
    /// Of the samples after the first, for which memory has yet to be fetched; of the first if alone.
    pub warm_seconds: f64,
    pub keygen_seconds: f64,
    pub peak_bytes: Option<u64>,
    pub predicted_precision_bits: f64,
    /// Of the stored output against the program without noise, over the answers that are reliable; none if they are
    /// equal, or no answer is reliable.
    pub measured_precision_bits: Option<f64>,
    layers: Vec<Layer>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let info = artifact.client()?;
    let mut samples = Samples::read(&arguments.input, &info.input.shape)?;
    let classes = info.output.shape.iter().product();
    let mut labels = read_labels(arguments.labels.as_deref(), samples.len(), classes)?;
    if let Some(first) = arguments.count {
        if first.get() > samples.len() {
            let found = count(samples.len(), "sample");
            session.warn(format_args!("`{}` holds {found} only", arguments.input.display()));
        }
        samples.truncate(first.get());
        labels.iter_mut().for_each(|labels| labels.truncate(first.get()));
    }
    let samples = samples.preprocessed(&info.preprocessing, &info.input.shape);
    let (report, _) = verify(&artifact, &samples, labels.as_deref(), session)?;
    session.print(&report, || text(&report))?;
    Ok(reliability(report.comparison.unreliable == 0))
}

/// The whole path for preprocessed samples, of which those are encrypted, too, that `pic encrypt` refuses; returns the
/// answers as well.
pub fn verify(
    artifact: &Artifact,
    samples: &[Vec<f32>],
    labels: Option<&[usize]>,
    session: &Session,
) -> Result<(Report, Vec<Answer>), Failure> {
    let here = Machine::detect(session)?;
    let (program, model) = (artifact.program()?, artifact.model()?);
    machine::reset_peak();

    session.progress.stage("keys", 0);
    let start = Instant::now();
    let client = Client::generate(artifact)?;
    let keys = client.make_evaluation_keys()?;
    let keygen_seconds = start.elapsed().as_secs_f64();

    let input = client.encrypt_out_of_range(samples)?;
    let server = Server::new(artifact, keys)?;
    let (answer, trace) = run_traced(&server, &input, session)?;
    let seconds_per_sample = trace.elapsed() / samples.len() as f64;
    let answers = client.decrypt_raw(&answer)?;
    let peak_bytes = machine::peak_bytes();

    session.progress.stage("compare", 0);
    let exact = Clear::new(&program).run(samples, None)?;
    let plain = plain_outputs(&model.network, samples);
    let report = Report {
        comparison: Comparison::new(client.info(), samples, &answers, &plain, labels),
        out_of_range: out_of_range(&program, &exact.outside),
        predicted: here.forecast(&program.predicted),
        seconds_per_sample,
        warm_seconds: trace.warm_seconds(),
        keygen_seconds,
        peak_bytes,
        predicted_precision_bits: program.predicted.precision_bits,
        measured_precision_bits: precision_bits(&program, &answers, &exact.outputs),
        layers: trace.layers(),
    };
    warn_out_of_range(&report.out_of_range, session);
    Ok((report, answers))
}

/// −log2 of the root mean square error of the stored output of reliable answers; none if there is no error, or no such
/// answer.
fn precision_bits(program: &Program, found: &[Answer], exact: &[Vec<f32>]) -> Option<f64> {
    let half_width = program.output_value().half_width;
    let reliable = found.iter().zip(exact).filter(|(answer, _)| answer.reliable);
    let pairs = reliable.flat_map(|(answer, exact)| answer.outputs.iter().zip(exact));
    let squares: Vec<f64> =
        pairs.map(|(a, b)| ((f64::from(*a) - f64::from(*b)) / half_width).powi(2)).collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    (mean > 0.0).then(|| -0.5 * mean.log2())
}

fn text(report: &Report) -> String {
    let left_out = match report.comparison.unreliable {
        0 => String::new(),
        answers => format!("; without {}", count(answers, "unreliable answer")),
    };
    format!(
        "{}precision    {} (predicted {:.1}{left_out})\ntime         {} a sample, keys {}\npredicted    {}\npeak memory  {}\n\n{}",
        report.comparison.text(),
        or_dash(report.measured_precision_bits, |b| format!("{b:.1} bits")),
        report.predicted_precision_bits,
        seconds(report.seconds_per_sample),
        seconds(report.keygen_seconds),
        report.predicted,
        or_dash(report.peak_bytes, bytes),
        layers_table(&report.layers)
    )
}
