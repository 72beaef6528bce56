//! `pic decrypt`: the answers, by the client.

use std::num::{NonZeroU64, NonZeroUsize};
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
/// model was calibrated.
///
/// Outputs are rounded to what the program can tell. Even so do not give them to whoever ran the network: they tell
/// of the secret key. --share adds noise that hides the key, if the model was compiled for that (`compile --shareable`), and
/// counts how many answers have been shared beside the key, in FILE.*.shared, which is to be kept with it.
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
    /// Every digit of the outputs, and those of unreliable answers, too
    #[arg(long)]
    raw: bool,
    /// Show only so many likeliest classes, without their values
    #[arg(long, value_name = "CLASSES", conflicts_with_all = ["output", "raw"])]
    top: Option<NonZeroUsize>,
    /// For others to see: with noise that hides the secret key as long as no more than so many answers are shared
    /// under it
    #[arg(long, value_name = "ANSWERS", conflicts_with = "raw")]
    share: Option<NonZeroU64>,
}

/// Classes that are shown of an answer.
const SHOWN: usize = 3;

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    /// Null for those of unreliable answers; absent with `--top`.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<Vec<f32>>>,
    /// With `--top`, the likeliest classes; none of unreliable answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<Vec<usize>>>,
    /// Position of the largest output of each sample; none if the answer is unreliable.
    top: Vec<Option<usize>>,
    /// Whether each answer is in the range of those to calibration samples, and the range check found nothing.
    reliable: Vec<bool>,
    /// The sum of each range check over its limit; none if the program has no range check.
    range_check: Vec<Option<f64>>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<ExitCode, Failure> {
    if let Some(path) = &arguments.output {
        let Arguments { artifact, secret_key, input, question, .. } = &arguments;
        let inputs = [artifact, secret_key, input].into_iter().chain(question);
        output::check(&[path], &inputs.map(PathBuf::as_path).collect::<Vec<_>>())?;
    }
    let artifact = Artifact::open(&arguments.artifact)?;
    let client = Client::open(&artifact, &arguments.secret_key)?;
    let encrypted = EncryptedOutput::open(&arguments.input)?;
    if let Some(question) = &arguments.question {
        encrypted.check_question(&EncryptedInput::open(question)?)?;
    }
    let answers = match (arguments.share, arguments.raw) {
        (Some(answers), _) => {
            let counter = client.shared_answers(&arguments.secret_key);
            client.decrypt_for_sharing(&encrypted, answers.get(), &counter)?
        }
        (None, true) => client.decrypt_raw(&encrypted)?,
        (None, false) => client.decrypt(&encrypted)?,
    };
    let shown = |answer: &Answer| match answer.reliable || arguments.raw {
        true => answer.outputs.clone(),
        false => vec![f32::NAN; answer.outputs.len()],
    };
    let outputs: Vec<Vec<f32>> = answers.iter().map(shown).collect();
    if let Some(path) = &arguments.output {
        output::write_npy(path, &outputs, &client.info().output.shape)?;
    }
    let first = |answer: &Answer, top: NonZeroUsize| {
        answer.ranking().into_iter().take(top.get()).collect::<Vec<_>>()
    };
    let report = Report {
        outputs: arguments.top.is_none().then_some(outputs),
        classes: arguments.top.map(|top| answers.iter().map(|a| first(a, top)).collect()),
        top: answers.iter().map(Answer::class).collect(),
        reliable: answers.iter().map(|answer| answer.reliable).collect(),
        range_check: answers.iter().map(|answer| answer.range_check).collect(),
    };
    session.print(&report, || text(&answers, &arguments, client.info()))?;
    let all = report.reliable.iter().all(|&reliable| reliable);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(UNRELIABLE) })
}

fn text(answers: &[Answer], arguments: &Arguments, info: &ClientInfo) -> String {
    // No more digits than the values have.
    let digits = match arguments.raw {
        true => RAW_DIGITS,
        false => (-info.output_grid().log10()).ceil().clamp(0.0, RAW_DIGITS as f64) as usize,
    };
    let line = |(sample, answer): (usize, &Answer)| match (answer.reliable, arguments.raw) {
        (true, _) => format!("sample {sample}: {}\n", classes(answer, arguments.top, digits)),
        (false, true) => format!("sample {sample}: unreliable {:?}\n", answer.outputs),
        (false, false) => {
            format!(
                "sample {sample}: unreliable: {}; was the input like them?\n",
                doubt(answer, info)
            )
        }
    };
    answers.iter().enumerate().map(line).collect()
}

/// Digits of single precision behind the point, of numbers about 1.
const RAW_DIGITS: usize = 7;

/// The likeliest classes of a reliable answer, with their values unless only so many classes are asked for.
fn classes(answer: &Answer, top: Option<NonZeroUsize>, digits: usize) -> String {
    let class = |&class: &usize| match top {
        Some(_) => class.to_string(),
        None => format!("{class} ({:.digits$})", answer.outputs[class]),
    };
    let count = top.map_or(SHOWN, NonZeroUsize::get);
    answer.ranking().iter().take(count).map(class).collect::<Vec<_>>().join(", ")
}

/// Why an answer is not reliable.
fn doubt(answer: &Answer, info: &ClientInfo) -> String {
    let [low, high] = info.output_range();
    if answer.outputs.iter().all(|&v| (low..=high).contains(&f64::from(v)))
        && let Some(sum) = answer.range_check
    {
        return format!(
            "some layer's values left the range of those of calibration samples (range check at {sum:.2} of its limit)"
        );
    }
    format!("outputs are not within {low:.4} and {high:.4}, as those of calibration samples are")
}
