//! `pic simulate`: a compiled network without encryption, beside the plain one.

use std::path::PathBuf;

use clap::Args;
use pic::{Answer, Artifact, Progress, machine};
use pic_ir::memory::least_clear_bytes;
use pic_ir::precision;
use pic_ir::program::{Program, RangeCheck, ValueId};
use pic_runtime::clear::{Clear, Noise, Simulation};
use serde::Serialize;

use super::Session;
use super::comparison::{Comparison, plain_outputs};
use super::error::Failure;
use super::input::{Samples, read_labels};
use super::text::{count, figure, percent};

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
pub struct Report {
    #[serde(flatten)]
    pub comparison: Comparison,
    out_of_range: Vec<OutOfRange>,
    /// None if the program has no range check.
    range_check: Option<RangeChecked>,
}

/// What the range check says of the samples.
#[derive(Debug, Serialize)]
pub struct RangeChecked {
    /// How many it finds in doubt.
    failing: usize,
    /// The largest sum, relative to the limit.
    largest: f64,
    /// The median, relative to the limit.
    median: f64,
}

/// An activation layer and the share of its inputs outside the interval of its polynomial.
#[derive(Debug, Serialize)]
pub struct OutOfRange {
    layer: String,
    share: f64,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let info = artifact.client()?;
    let samples = Samples::read(&arguments.input, &info.input.shape)?;
    let classes = info.output.shape.iter().product();
    let labels = read_labels(arguments.labels.as_deref(), samples.len(), classes)?;
    let samples = samples.preprocessed(&info.preprocessing, &info.input.shape);
    let seed = (!arguments.without_noise).then_some(arguments.seed);
    let report = simulate(&artifact, &samples, labels.as_deref(), seed, session)?;
    session.print(&report, || {
        report.comparison.text() + &report.range_check.as_ref().map(text).unwrap_or_default()
    })
}

fn text(check: &RangeChecked) -> String {
    let &RangeChecked { failing, largest, median } = check;
    format!(
        "range check  {} in doubt; sums in units of the limit (encrypted, a huge one wraps around to any value): \
         largest {}, median {}\n",
        count(failing, "sample"),
        figure(largest),
        figure(median)
    )
}

/// Simulates preprocessed samples, with errors of encryption if there is a seed for them.
pub fn simulate(
    artifact: &Artifact,
    samples: &[Vec<f32>],
    labels: Option<&[usize]>,
    seed: Option<u64>,
    session: &Session,
) -> Result<Report, Failure> {
    let (program, model, info) = (artifact.program()?, artifact.model()?, artifact.client()?);
    machine::require_memory("simulating this program", least_clear_bytes(&program))?;
    session.progress.stage("simulate", 0);
    let std = noise_deviations(&program);
    let noise = seed.map(|seed| Noise { std: &std, seed });
    let simulation = Clear::new(&program).run(samples, noise)?;
    let plain = plain_outputs(&model.network, samples);
    let sums = simulation.range_checks.iter().copied().map(Some).chain(std::iter::repeat(None));
    let outputs = simulation.outputs.iter().zip(sums);
    let answers: Vec<Answer> =
        outputs.map(|(outputs, sum)| Answer::new(&info, outputs.clone(), sum)).collect();
    let report = Report {
        comparison: Comparison::new(&info, samples, &answers, &plain, labels),
        out_of_range: out_of_range(&program, &simulation.outside),
        range_check: program.range_check.map(|check| range_checked(check, &simulation)),
    };
    warn_out_of_range(&report.out_of_range, session);
    Ok(report)
}

/// Standard deviation of the error that each operation adds under encryption.
fn noise_deviations(program: &Program) -> Vec<f64> {
    precision::errors(program).iter().map(|e| e.own.sqrt()).collect()
}

fn range_checked(check: RangeCheck, simulation: &Simulation) -> RangeChecked {
    let mut sums = simulation.range_checks.clone();
    sums.sort_by(f64::total_cmp);
    let relative = |index: usize| sums.get(index).map_or(0.0, |sum| sum / check.limit);
    RangeChecked {
        failing: sums.iter().filter(|&&sum| check.fails(sum)).count(),
        largest: relative(sums.len().saturating_sub(1)),
        median: relative(sums.len() / 2),
    }
}

/// The layers of a simulation by name.
pub fn out_of_range(program: &Program, outside: &[(ValueId, f64)]) -> Vec<OutOfRange> {
    let layer = |&(id, share): &(ValueId, f64)| OutOfRange {
        layer: program.values[id as usize].name.clone(),
        share,
    };
    outside.iter().map(layer).collect()
}

/// Says which layers saw inputs that calibration had not led to expect.
pub fn warn_out_of_range(layers: &[OutOfRange], session: &Session) {
    for OutOfRange { layer, share } in layers.iter().filter(|l| l.share > 0.0) {
        session.warn(format_args!(
            "{} of the inputs of `{layer}` are outside the range of its polynomial; \
             calibrate with samples like these",
            percent(*share)
        ));
    }
}
