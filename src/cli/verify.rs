//! `pic verify`: every step in one process, beside the plain network and the simulation.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pic::Artifact;
use pic::data::{Samples, read_labels};
use pic::evaluation::{self, Comparison, Layer, OutOfRange, TestSet, Verified};
use serde::Serialize;

use super::comparison::{self, warn_out_of_range};
use super::error::Failure;
use super::forecast::{Forecast, Machine};
use super::text::{bytes, count, or_dash, seconds};
use super::trace::layers_table;
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
    /// Comparison of the answers with those of the plain network.
    #[serde(flatten)]
    pub comparison: Comparison,
    out_of_range: Vec<OutOfRange>,
    /// Predicted time of a sample, on this machine.
    pub predicted: Forecast,
    seconds_per_sample: f64,
    /// Seconds per sample without the first one, during which memory is still being allocated; those of the first
    /// if there is no other.
    pub warm_seconds: f64,
    /// Time to make the secret key and the evaluation keys, seconds.
    pub keygen_seconds: f64,
    /// Peak memory of client and server in one process, bytes; null if the system does not tell.
    pub peak_bytes: Option<u64>,
    /// Predicted precision of the stored output, bits.
    pub predicted_precision_bits: f64,
    /// Precision over the reliable answers, bits; null if there is no error, or no answer is reliable.
    pub measured_precision_bits: Option<f64>,
    layers: Vec<Layer>,
}

impl Report {
    /// Report of a verification, with the forecast for this machine.
    pub fn new(verified: Verified, here: &Machine) -> Self {
        Self {
            comparison: verified.comparison,
            out_of_range: verified.out_of_range,
            predicted: here.forecast(&verified.predicted),
            seconds_per_sample: verified.seconds_per_sample,
            warm_seconds: verified.warm_seconds,
            keygen_seconds: verified.keygen_seconds,
            peak_bytes: verified.peak_bytes,
            predicted_precision_bits: verified.predicted.precision_bits,
            measured_precision_bits: verified.measured_precision_bits,
            layers: verified.layers,
        }
    }
}

/// Runs `pic verify`: runs the program on encrypted samples and prints the comparison with the plain network. The exit
/// code tells whether all answers are reliable.
pub fn run(arguments: Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let info = artifact.client()?;
    let mut samples = Samples::read(&arguments.input, &info.input.shape)?;
    let classes = info.output.shape.iter().product();
    let labels = arguments.labels.map(|path| read_labels(path, samples.count(), classes));
    let mut labels = labels.transpose()?;
    if let Some(first) = arguments.count {
        if first.get() > samples.count() {
            let found = count(samples.count(), "sample");
            session.warn(format_args!("`{}` holds {found} only", arguments.input.display()));
        }
        samples.truncate(first);
        labels.iter_mut().for_each(|labels| labels.truncate(first.get()));
    }
    let samples = samples.preprocessed(&info.preprocessing)?;
    let here = Machine::detect(session)?;
    let test = TestSet::new(&samples, labels.as_deref())?;
    let verified = evaluation::verify(&artifact, test, &session.progress)?;
    warn_out_of_range(&verified.out_of_range, session);
    let report = Report::new(verified, &here);
    session.print(&report, || text(&report))?;
    Ok(reliability(report.comparison.unreliable == 0))
}

fn text(report: &Report) -> String {
    let left_out = match report.comparison.unreliable {
        0 => String::new(),
        answers => format!("; without {}", count(answers, "unreliable answer")),
    };
    format!(
        "{}precision    {} (predicted {:.1}{left_out})\ntime         {} a sample, keys {}\npredicted    {}\npeak memory  {}\n\n{}",
        comparison::text(&report.comparison),
        or_dash(report.measured_precision_bits, |b| format!("{b:.1} bits")),
        report.predicted_precision_bits,
        seconds(report.seconds_per_sample),
        seconds(report.keygen_seconds),
        report.predicted,
        or_dash(report.peak_bytes, bytes),
        layers_table(&report.layers)
    )
}
