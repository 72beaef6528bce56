//! `pic encrypt`: samples to ciphertexts, by the client.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use pic::{Artifact, Client};
use serde::Serialize;

use super::error::Failure;
use super::input::Samples;
use super::text::{bytes, seconds};
use super::{Session, output};

/// Encrypt one sample or a batch
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic encrypt model.pic --secret-key secret.key --input x.npy --index 3 -o x.ct")]
pub struct Arguments {
    /// The compiled model, or its part for clients
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    secret_key: PathBuf,
    /// Raw samples, .npy or .npz
    #[arg(long, value_name = "X.npy")]
    input: PathBuf,
    /// Encrypt only this sample of the batch, counted from 0
    #[arg(long)]
    index: Option<usize>,
    /// Where the ciphertexts go
    #[arg(short, long, value_name = "X.ct")]
    output: PathBuf,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    samples: usize,
    bytes: usize,
    seconds: f64,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let start = Instant::now();
    let Arguments { artifact, secret_key, input, output, .. } = &arguments;
    output::check(&[output], &[artifact, secret_key, input])?;
    let artifact = Artifact::open(&arguments.artifact)?;
    let client = Client::open(&artifact, &arguments.secret_key)?;
    let info = client.info();
    let mut samples = Samples::read(&arguments.input, &info.input.shape)?;
    if let Some(index) = arguments.index {
        samples.select(&arguments.input, index)?;
    }
    Failure::unless_memory("encrypting so many samples", client.encrypted_bytes(samples.len()))?;
    let encrypted =
        client.encrypt(&samples.preprocessed(&info.preprocessing, &info.input.shape))?;
    encrypted.write(&arguments.output)?;
    let report = Report {
        samples: samples.len(),
        bytes: encrypted.as_bytes().len(),
        seconds: start.elapsed().as_secs_f64(),
    };
    session.print(&report, || {
        format!(
            "{} samples encrypted to {} ({}) in {}\n",
            report.samples,
            arguments.output.display(),
            bytes(report.bytes as u64),
            seconds(report.seconds)
        )
    })
}
