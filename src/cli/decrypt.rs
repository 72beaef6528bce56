//! `pic decrypt`: the answers, by the client.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pic::{Answer, Artifact, Client, ClientInfo, EncryptedInput, EncryptedOutput};
use serde::Serialize;

use super::error::Failure;
use super::{Session, UNRELIABLE, output};

/// Decrypt answers and show the likeliest classes
///
/// An answer beyond the range of those to calibration samples is marked as unreliable: it has no class, null in
/// JSON, and its outputs are not shown. The exit code is then 3. The usual reason is an input unlike those for which the
/// model was calibrated. Do not give exact decryptions to whoever ran the network: they tell of the secret
/// key.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic decrypt model.pic --secret-key secret.key --input y.ct -o y.npy\n\n\
    Exit code: 3 if some answer is unreliable.")]
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
    /// Refuse answers to other samples than these. This finds mistakes, not a server that lies
    #[arg(long, value_name = "X.ct")]
    question: Option<PathBuf>,
    /// Write the outputs here; those of unreliable answers as NaN
    #[arg(short, long, value_name = "Y.npy")]
    output: Option<PathBuf>,
    /// Show and write the outputs of unreliable answers, too
    #[arg(long)]
    raw: bool,
}

/// Classes that are shown of an answer.
const SHOWN: usize = 3;

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    /// Null for those of unreliable answers.
    outputs: Vec<Vec<f32>>,
    /// Position of the largest output of each sample; none if the answer is unreliable.
    top: Vec<Option<usize>>,
    /// Whether each answer is in the range of those to calibration samples.
    reliable: Vec<bool>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let client = Client::open(&artifact, &arguments.secret_key)?;
    let encrypted = EncryptedOutput::open(&arguments.input)?;
    if let Some(question) = &arguments.question {
        encrypted.check_question(&EncryptedInput::open(question)?)?;
    }
    let answers = client.decrypt(&encrypted)?;
    let shown = |answer: &Answer| match answer.reliable || arguments.raw {
        true => answer.outputs.clone(),
        false => vec![f32::NAN; answer.outputs.len()],
    };
    let report = Report {
        outputs: answers.iter().map(shown).collect(),
        top: answers.iter().map(Answer::class).collect(),
        reliable: answers.iter().map(|answer| answer.reliable).collect(),
    };
    if let Some(path) = &arguments.output {
        output::write_npy(path, &report.outputs, &client.info().output.shape)?;
    }
    session.print(&report, || text(&answers, &report, client.info(), arguments.raw))?;
    let all = report.reliable.iter().all(|&reliable| reliable);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(UNRELIABLE) })
}

fn text(answers: &[Answer], report: &Report, info: &ClientInfo, raw: bool) -> String {
    let line = |(sample, answer): (usize, &Answer)| match (answer.reliable, raw) {
        (true, _) => format!("sample {sample}: {}\n", classes(answer)),
        (false, true) => format!("sample {sample}: unreliable {:?}\n", report.outputs[sample]),
        (false, false) => {
            let [low, high] = info.output_range();
            format!(
                "sample {sample}: unreliable: outputs are not within {low:.4} and {high:.4}, as those of \
                 calibration samples are; was the input like them?\n"
            )
        }
    };
    answers.iter().enumerate().map(line).collect()
}

/// The likeliest classes of a reliable answer with their values.
fn classes(answer: &Answer) -> String {
    let class = |&class: &usize| format!("{class} ({:.4})", answer.outputs[class]);
    answer.ranking().iter().take(SHOWN).map(class).collect::<Vec<_>>().join(", ")
}
