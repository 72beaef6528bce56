//! `pic bench`: how fast this machine is against what it must reach, and the cost model that follows.

mod bootstrapping;
mod figure;
mod fit;
mod goals;
mod kernels;
mod measure;
mod operations;
mod quick;
mod seconds;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pic_ckks::model::KernelSet;
use pic_ir::cost::CostModel;
use pic_runtime::machine;
use serde::Serialize;

use self::figure::{Bootstrap, Figure, Part};
use self::fit::fit;
use self::measure::Stopwatch;
use super::error::Failure;
use super::speed::Speed;
use super::{Session, output};

/// Time kernels, operations and bootstrapping on this machine and derive the constants of the cost
/// model
///
/// Each line is printed as soon as it is measured. Without options it ends within three minutes: what would take
/// longer is left out. How much slower or faster this machine is than the prices that are shipped for its kernels
/// is kept in the user's cache folder, by --quick and whenever the same operations are measured: the forecasts that
/// other commands print are scaled by it. What `pic compile` chooses does not depend on it.
#[derive(Args)]
#[command(after_help = "Example:\n  pic bench --quick\n  pic bench --output cost.json\n  \
    pic compile model.onnx --calibration x.npy --cost cost.json")]
pub struct Arguments {
    /// Only measure how fast this machine is, in a few seconds
    #[arg(long, conflicts_with_all = ["output", "only", "log_n", "all"])]
    quick: bool,
    /// Write the constants of the cost model here, for `pic compile --cost`; kernels and operations
    /// are then measured in any case
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measure this alone, however long it takes; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Ring degrees to measure, log2, however long it takes [default: 13 14 15 16]
    #[arg(long, value_name = "LOG2", num_args = 1.., value_parser = clap::value_parser!(u32).range(13..=16))]
    log_n: Vec<u32>,
    /// Measure everything, however long it takes
    #[arg(long)]
    all: bool,
    /// Seconds for each figure; the fastest of the runs that fit counts
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = super::values::seconds)]
    budget: f64,
}

/// When a benchmark without options begins nothing that would not be done by then: some time before it has to
/// end, as not all that it does is foreseen.
const LIMIT: Duration = Duration::from_secs(150);

/// The result; the keys of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    kernels: KernelSet,
    threads: usize,
    figures: &'a [Figure],
    bootstraps: &'a [Bootstrap],
    cost_model: Option<&'a CostModel>,
    /// Against the prices that are shipped.
    speed: Option<&'a Speed>,
}

/// Runs `pic bench`: measures, prints each figure when it is known, and writes the cost model if that is asked for.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let Arguments { quick: is_quick, output, only, log_n, all, budget } = arguments;
    let is_limited = only.is_empty() && log_n.is_empty() && !all && !is_quick;
    let log_n = if log_n.is_empty() { vec![13, 14, 15, 16] } else { log_n };
    output::check(output.as_deref().as_slice(), &[])?;
    let target = machine::target()?;
    let budget = Duration::from_secs_f64(budget);
    let stopwatch = Stopwatch::new(session, target, budget, is_limited.then_some(LIMIT))?;
    let needed = |part| part != Part::Bootstrapping && output.is_some();
    let wanted = |part| !is_quick && (only.is_empty() || only.contains(&part) || needed(part));

    session.say(table::heading(target))?;
    if is_quick || wanted(Part::Kernels) || wanted(Part::Operations) {
        session.say(table::figures_heading(target.threads))?;
    }
    let mut figures = Vec::new();
    if is_quick {
        figures = operations::quick(&stopwatch)?;
    }
    if wanted(Part::Kernels) {
        figures.extend(kernels::figures(&stopwatch, &log_n)?);
    }
    if wanted(Part::Operations) {
        figures.extend(operations::figures(&stopwatch, &log_n)?);
    }
    let mut bootstraps = Vec::new();
    if wanted(Part::Bootstrapping) {
        bootstraps = bootstrapping::bootstraps(&stopwatch, &log_n)?;
    }

    // Too few operations for constants of their own.
    let fit = if is_quick { None } else { fit(&figures, target) };
    let cost_model = fit.as_ref().map(|fit| &fit.model);
    if let Some((path, model)) = output.as_ref().zip(cost_model) {
        output::write_json(path, model)?;
    }
    let speed = quick::speed(&figures, target);
    let kept = speed.as_ref().map(|speed| keep(speed, session));
    let report = Report {
        kernels: target.kernels,
        threads: target.threads,
        figures: &figures,
        bootstraps: &bootstraps,
        cost_model,
        speed: speed.as_ref(),
    };
    let text =
        || fit.as_ref().map(table::cost_model).unwrap_or_default() + &kept.unwrap_or_default();
    session.print(&report, text)
}

/// Keeps a measurement for other commands, and says so.
fn keep(speed: &Speed, session: &Session) -> String {
    let Speed { factor, gain, threads, .. } = speed;
    let place = speed.store().unwrap_or_else(|failure| {
        session.warn(failure);
        None
    });
    let place = place.map_or("nowhere".into(), |path| path.display().to_string());
    format!(
        "\nmeasured factor {factor:.2}: one thread takes so many times what the shipped prices say;\n\
         {threads} threads are {gain:.2} times as fast as one. Kept in {place}\n"
    )
}
