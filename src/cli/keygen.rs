//! `pic keygen`: the keys of a client for one program.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use pic::{Artifact, Client, KeySizes, Progress, machine};
use serde::Serialize;

use super::error::Failure;
use super::text::{bytes, seconds};
use super::{Session, output};

/// Make keys for a compiled model
///
/// The secret key stays with the client. The evaluation keys go to the server; they decrypt nothing. The part of the
/// model for clients suffices.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic keygen model.pic --secret-key secret.key --evaluation-keys evaluation.keys")]
pub struct Arguments {
    /// The compiled model, or its part for clients
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
    /// Where the secret key goes, readable by you alone
    #[arg(long, value_name = "FILE")]
    secret_key: PathBuf,
    /// Where the evaluation keys go
    #[arg(long, value_name = "FILE")]
    evaluation_keys: PathBuf,
    /// Replace an existing secret key: what was encrypted with it is lost
    #[arg(long)]
    force: bool,
    /// Make keys even if memory or disk do not seem to suffice
    #[arg(long)]
    yes: bool,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    program_hash: String,
    key_bytes: u64,
    seconds: f64,
}

/// Runs `pic keygen`: makes a client's secret key and evaluation keys and writes a file of each.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let start = Instant::now();
    output::check(&[&arguments.evaluation_keys], &[&arguments.artifact])?;
    output::check_no_input(&arguments.secret_key, &[&arguments.artifact])?;
    let artifact = Artifact::open(&arguments.artifact)?;
    let Arguments { secret_key, evaluation_keys, force, yes, .. } = &arguments;
    Client::check_key_pair(secret_key, evaluation_keys, *force)?;
    [secret_key, evaluation_keys].into_iter().try_for_each(|path| output::check_folder(path))?;
    let sizes = artifact.client()?.key_sizes();
    if !yes {
        check_sizes(sizes, evaluation_keys)?;
    }
    session.say(format_args!(
        "making evaluation keys: {}, and {} of memory meanwhile\n",
        bytes(sizes.file_bytes),
        bytes(sizes.making_bytes)
    ))?;
    let client = Client::generate(&artifact)?;
    session.progress.stage("evaluation keys", 0);
    client.write_key_pair(secret_key, evaluation_keys, *force)?;
    let size = std::fs::metadata(&arguments.evaluation_keys);
    let report = Report {
        program_hash: artifact.program_hash().to_string(),
        key_bytes: size.map_err(|e| Failure::file("read", &arguments.evaluation_keys, &e))?.len(),
        seconds: start.elapsed().as_secs_f64(),
    };
    session.print(&report, || {
        format!(
            "secret key       {}\nevaluation keys  {} ({})\ntime             {}\n",
            arguments.secret_key.display(),
            arguments.evaluation_keys.display(),
            bytes(report.key_bytes),
            seconds(report.seconds)
        )
    })
}

/// Refuses keys that fit neither memory nor disk: which ones are made is written in the model's file.
fn check_sizes(sizes: KeySizes, evaluation_keys: &Path) -> Result<(), Failure> {
    let memory = machine::available_bytes().unwrap_or(u64::MAX);
    let disk = output::free_bytes(evaluation_keys).unwrap_or(u64::MAX);
    if sizes.making_bytes > memory || sizes.file_bytes > disk {
        return Err(Failure::key_sizes(sizes, memory, disk));
    }
    Ok(())
}
