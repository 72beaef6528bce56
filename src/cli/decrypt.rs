//! `pic decrypt`: the answers, by the client.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use pic::{Artifact, Client, EncryptedOutput};
use pic_compiler::dataset::prediction;
use serde::Serialize;

use super::error::Failure;
use super::{Session, output};

/// Decrypt answers and show the likeliest classes
///
/// Do not give exact decryptions to whoever ran the network: they tell of the secret key.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic decrypt model.pic --secret-key secret.key --input y.ct -o y.npy")]
pub struct Arguments {
    /// The compiled model, or its part for clients
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    secret_key: PathBuf,
    /// Encrypted answers
    #[arg(long, value_name = "Y.ct")]
    input: PathBuf,
    /// Write the outputs here
    #[arg(short, long, value_name = "Y.npy")]
    output: Option<PathBuf>,
}

/// Classes that are shown of an answer.
const SHOWN: usize = 3;

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    outputs: Vec<Vec<f32>>,
    /// Position of the largest output of each sample.
    top: Vec<usize>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    if let Some(path) = &arguments.output {
        output::check(&[path], &[&arguments.artifact, &arguments.secret_key, &arguments.input])?;
    }
    let artifact = Artifact::open(&arguments.artifact)?;
    let client = Client::open(&artifact, &arguments.secret_key)?;
    let outputs = client.decrypt(&EncryptedOutput::open(&arguments.input)?)?;
    if let Some(path) = &arguments.output {
        output::write_npy(path, &outputs, &client.info().output.shape)?;
    }
    let report = Report { top: outputs.iter().map(|o| prediction(o)).collect(), outputs };
    session.print(&report, || report.outputs.iter().enumerate().map(line).collect())
}

/// The likeliest classes of one sample with their values.
fn line((sample, output): (usize, &Vec<f32>)) -> String {
    let mut classes: Vec<usize> = (0..output.len()).collect();
    classes.sort_by(|&a, &b| output[b].total_cmp(&output[a]));
    let mut text = format!("sample {sample}: ");
    for (rank, &class) in classes.iter().take(SHOWN).enumerate() {
        let separator = if rank == 0 { "" } else { ", " };
        write!(text, "{separator}{class} ({:.4})", output[class]).expect("text grows");
    }
    text + "\n"
}
