//! `pic run`: the server's job.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use pic::evaluation::{Layer, Operations, operations, run_traced};
use pic::{Artifact, EncryptedInput, EvaluationKeyFile, Progress, Server, machine};
use serde::Serialize;

use super::error::Failure;
use super::forecast::{Forecast, Machine};
use super::text::{bytes, count, or_dash, seconds};
use super::trace::{chrome, layers_table, operations_table};
use super::{Session, output, values};

/// Run a compiled model on encrypted samples
///
/// The part of the model for servers suffices.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic run model.pic --evaluation-keys evaluation.keys --input x.ct -o y.ct")]
pub struct Arguments {
    /// The compiled model, or its part for servers
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
    /// The evaluation keys of the client who encrypted the samples
    #[arg(long, value_name = "FILE")]
    evaluation_keys: PathBuf,
    /// Encrypted samples
    #[arg(long, value_name = "X.ct")]
    input: PathBuf,
    /// Where the encrypted answers go
    #[arg(short, long, value_name = "Y.ct")]
    output: PathBuf,
    /// Most memory to use: encoded constants beyond it are held in a smaller form that takes longer
    /// to use [default: what is available]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory: Option<u64>,
    /// Write the time of every layer here, in Chrome's trace format
    #[arg(long, value_name = "TRACE.json")]
    trace: Option<PathBuf>,
    /// Print the time and levels of every layer
    #[arg(long)]
    layers: bool,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    samples: usize,
    /// Predicted time of one sample on this machine.
    predicted: Forecast,
    /// Time of the run, without reading keys and preparing constants, in seconds.
    seconds: f64,
    preparation_seconds: f64,
    peak_bytes: Option<u64>,
    operations: Vec<Operations>,
    /// Time of each layer, with `--layers` only.
    layers: Option<Vec<Layer>>,
}

/// Runs `pic run`: runs the program on encrypted samples, writes the encrypted answers and prints where the time went.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let start = Instant::now();
    let Arguments { artifact, evaluation_keys, input, output, trace, .. } = &arguments;
    let outputs: Vec<&Path> = std::iter::once(output).chain(trace).map(PathBuf::as_path).collect();
    output::check(&outputs, &[artifact, evaluation_keys, input])?;
    let here = Machine::detect(session)?;
    let artifact = Artifact::open(&arguments.artifact)?;
    let input = EncryptedInput::open(&arguments.input)?;
    session.progress.stage("prepare", 0);
    let keys = EvaluationKeyFile::open(&arguments.evaluation_keys)?;
    let mut server = Server::builder(&artifact);
    if let Some(bytes) = arguments.memory {
        server = server.memory_limit(bytes);
    }
    let server = server.build(keys)?;
    let preparation_seconds = start.elapsed().as_secs_f64();

    let (answer, trace) = run_traced(&server, &input, &session.progress)?;
    let seconds_run = trace.seconds();
    answer.write(&arguments.output)?;
    if let Some(path) = &arguments.trace {
        output::write_trace(path, &chrome(&trace))?;
    }
    let layers = trace.layers();
    let report = Report {
        samples: answer.samples(),
        predicted: here.forecast(&server.program().predicted),
        seconds: seconds_run,
        preparation_seconds,
        peak_bytes: machine::peak_bytes(),
        operations: operations(&layers),
        layers: arguments.layers.then_some(layers),
    };
    session.print(&report, || text(&report))
}

fn text(report: &Report) -> String {
    let layers = report.layers.as_deref().map(layers_table);
    format!(
        "{} in {} after {} of preparation; peak memory {}\npredicted {}\n\none sample:\n{}{}",
        count(report.samples, "sample"),
        seconds(report.seconds),
        seconds(report.preparation_seconds),
        or_dash(report.peak_bytes, bytes),
        report.predicted,
        operations_table(&report.operations),
        layers.map_or_else(String::new, |table| format!("\n{table}"))
    )
}
