//! `pic simulate`: a compiled network without encryption, beside the plain one.

use std::path::PathBuf;

use clap::Args;
use pic::Artifact;
use pic::data::{Samples, read_labels};
use pic::evaluation::{self, Comparison, OutOfRange, RangeChecked, TestSet};
use serde::Serialize;

use super::Session;
use super::comparison::{self, warn_out_of_range};
use super::error::Failure;
use super::text::{count, figure};

/// Run a compiled model without encryption and compare it with the plain network
///
/// Computes what the encrypted program computes, with random errors as large as those that
/// encryption would add. Counts the samples that `pic encrypt` would refuse or warn of, and the answers that `pic decrypt`
/// would mark.
#[derive(Args)]
#[command(after_help = "Example:\n  pic simulate model.pic --input x.npy --labels y.npy")]
pub struct Arguments {
    /// The compiled model, not one of its parts
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
    /// Raw samples, .npy or .npz
    #[arg(long, value_name = "X.npy")]
    input: PathBuf,
    /// The class of each sample
    #[arg(long, value_name = "Y.npy")]
    labels: Option<PathBuf>,
    /// Leave out the errors of encryption
    #[arg(long)]
    without_noise: bool,
    /// Seed of the errors
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    out_of_range: &'a [OutOfRange],
    /// Sums of the range check; null if the program has no range check.
    range_check: Option<&'a RangeChecked>,
}

/// Runs `pic simulate`: runs the program on samples without encryption and prints the comparison with the plain
/// network.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let info = artifact.client()?;
    let samples = Samples::read(&arguments.input, &info.input.shape)?;
    let classes = info.output.shape.iter().product();
    let labels = arguments.labels.map(|path| read_labels(path, samples.count(), classes));
    let labels = labels.transpose()?;
    let samples = samples.preprocessed(&info.preprocessing)?;
    let seed = (!arguments.without_noise).then_some(arguments.seed);
    let test = TestSet::new(&samples, labels.as_deref())?;
    let simulated = evaluation::simulate(&artifact, test, seed, &session.progress)?;
    warn_out_of_range(&simulated.out_of_range, session);
    let report = Report {
        comparison: &simulated.comparison,
        out_of_range: &simulated.out_of_range,
        range_check: simulated.range_check.as_ref(),
    };
    session.print(&report, || {
        comparison::text(report.comparison) + &report.range_check.map(text).unwrap_or_default()
    })
}

fn text(check: &RangeChecked) -> String {
    let &RangeChecked { failing, largest, median, .. } = check;
    format!(
        "range check  {} in doubt; sums in units of the limit (encrypted, a huge one wraps around to any value): \
         largest {}, median {}\n",
        count(failing, "sample"),
        figure(largest),
        figure(median)
    )
}
