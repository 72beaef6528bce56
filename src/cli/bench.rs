//! `pic bench`: how fast this machine is against what it must reach, and the cost model that follows.

mod bootstrapping;
mod fit;
mod kernels;
mod measure;
mod operations;
mod table;
mod targets;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pic_ir::cost::CostModel;
use serde::Serialize;

use self::bootstrapping::Bootstrap;
use self::fit::fit;
use self::measure::{Figure, Stopwatch};
use super::error::Failure;
use super::{Session, output};

/// Time kernels, operations and bootstrapping on this machine and derive the constants of the cost
/// model
#[derive(Args)]
#[command(after_help = "Example:\n  pic bench --output cost.json\n  \
    pic compile model.onnx --calibration x.npy --cost cost.json")]
pub struct Arguments {
    /// Write the constants of the cost model here, for `pic compile --cost`; kernels and operations
    /// are then measured in any case
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measure this alone; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Ring degrees to measure, log2
    #[arg(long, value_name = "LOG2", num_args = 1.., default_values_t = [13, 14, 15, 16],
        value_parser = clap::value_parser!(u32).range(13..=16))]
    log_n: Vec<u32>,
    /// Seconds for each figure; the fastest of the runs that fit counts
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = super::values::seconds)]
    budget: f64,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// Transforms, base conversion and products, by the limb
    Kernels,
    /// Operations on ciphertexts, from which the cost model comes
    Operations,
    /// Bootstrapping to all levels and to fewer; takes up to 6 GiB of memory
    Bootstrapping,
}

/// The result; the keys of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    threads: usize,
    figures: &'a [Figure],
    bootstraps: &'a [Bootstrap],
    cost_model: Option<&'a CostModel>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let Arguments { output, only, log_n, budget } = arguments;
    let threads = rayon::current_num_threads();
    let stopwatch = Stopwatch::new(session, threads, Duration::from_secs_f64(budget))?;
    let needed = |part| part != Part::Bootstrapping && output.is_some();
    let wanted = |part| only.is_empty() || only.contains(&part) || needed(part);
    let mut figures = Vec::new();
    if wanted(Part::Kernels) {
        figures.extend(kernels::figures(&stopwatch, &log_n)?);
    }
    if wanted(Part::Operations) {
        figures.extend(operations::figures(&stopwatch, &log_n)?);
    }
    let figures: Vec<Figure> = figures.into_iter().map(|f| f.judged(threads)).collect();
    let mut bootstraps = Vec::new();
    if wanted(Part::Bootstrapping) {
        bootstraps = bootstrapping::bootstraps(&stopwatch, &log_n)?;
    }
    let fit = fit(&figures, threads);
    let cost_model = fit.as_ref().map(|fit| &fit.model);
    if let Some((path, model)) = output.as_ref().zip(cost_model) {
        output::write_json(path, model)?;
    }
    let report = Report { threads, figures: &figures, bootstraps: &bootstraps, cost_model };
    session.print(&report, || table::report(&figures, &bootstraps, fit.as_ref(), threads))
}
