//! `pic encrypt`: samples to ciphertexts, by the client.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use pic::data::Samples;
use pic::{Artifact, Client, ClientInfo, machine};
use serde::Serialize;

use super::error::Failure;
use super::text::{bytes, count, seconds};
use super::{Session, output, values};

/// Encrypt one sample or a batch
///
/// Samples outside the range that the model was calibrated for are refused: they would get wrong answers that look
/// like any other. Samples that are only unlike those of calibration are encrypted, with a warning.
///
/// The part of the model for clients suffices.
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
    #[arg(long, value_parser = values::index, allow_negative_numbers = true)]
    index: Option<usize>,
    /// Encrypt samples outside the range that the model was calibrated for, too
    #[arg(long)]
    allow_out_of_range: bool,
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
    /// Warnings about samples that are unlike those of calibration.
    warnings: Vec<String>,
}

/// Warnings that are given in full: of a batch that is unlike calibration throughout, the first ones say enough.
const MOST_WARNINGS: usize = 10;

/// Runs `pic encrypt`: encrypts samples to a file, and warns of those that are unlike the calibration samples.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let start = Instant::now();
    let Arguments { artifact, secret_key, input, output, .. } = &arguments;
    output::check(&[output], &[artifact, secret_key, input])?;
    let artifact = Artifact::open(&arguments.artifact)?;
    let client = Client::open(&artifact, &arguments.secret_key)?;
    let info = client.info();
    let mut samples = Samples::read(&arguments.input, &info.input.shape)?;
    if let Some(index) = arguments.index {
        samples.select(index)?;
    }
    let needed = client.encrypted_bytes(samples.count());
    machine::require_memory("encrypting so many samples", needed)?;
    let prepared = samples.preprocessed(&info.preprocessing)?;
    let encrypted = if arguments.allow_out_of_range {
        client.encrypt_out_of_range(&prepared)?
    } else {
        client.encrypt(&prepared)?
    };
    let warnings = warnings(info, &prepared);
    warnings.iter().for_each(|warning| session.warn(warning));
    encrypted.write(&arguments.output)?;
    let report = Report {
        samples: samples.count(),
        bytes: encrypted.as_bytes().len(),
        seconds: start.elapsed().as_secs_f64(),
        warnings,
    };
    session.print(&report, || {
        format!(
            "{} encrypted to {} ({}) in {}\n",
            count(report.samples, "sample"),
            arguments.output.display(),
            bytes(report.bytes as u64),
            seconds(report.seconds)
        )
    })
}

/// Warnings for the samples' owner.
fn warnings(info: &ClientInfo, samples: &[Vec<f32>]) -> Vec<String> {
    let of_sample = |(index, sample): (usize, &Vec<f32>)| {
        let range = info.check_range(index, sample).err().map(|error| error.to_string());
        let unusual: Vec<String> =
            info.unusual(sample).iter().map(|unusual| unusual.to_string()).collect();
        let unusual = (!unusual.is_empty()).then(|| {
            format!("sample {index} is unlike the calibration samples: {}", unusual.join("; "))
        });
        range.into_iter().chain(unusual)
    };
    let mut warnings: Vec<String> = samples.iter().enumerate().flat_map(of_sample).collect();
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(format!("{} of this kind", count(more, "more warning")));
    }
    warnings
}
