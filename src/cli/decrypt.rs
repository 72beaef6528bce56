//! `pic decrypt`: the answers, by the client.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pic::{Answer, Artifact, Client, ClientInfo, EncryptedInput, EncryptedOutput};
use pic_ir::program::RangeCheck;
use pic_runtime::sharing::SharedAnswers;
use serde::Serialize;

use super::error::Failure;
use super::text::figure;
use super::{Session, output, reliability, values};

/// Decrypt answers and show the likeliest classes
///
/// Outputs are those of the ONNX file: a final Softmax and whatever else `inspect` lists for the client is applied to what
/// was decrypted, the logits. Classes are ranked by logits, which JSON has as `logits` where they are not the outputs. The
/// value beside a class is its output, such as its probability, or its logit if there is not one output for each class.
///
/// An answer is marked as unreliable if it is beyond the range of those to calibration samples or fails the program's
/// range check: it has no class, null in JSON, and its outputs are not shown. The exit code is then 3. The usual reason
/// is an input unlike those for which the model was calibrated.
///
/// Logits are rounded to the digits that the error of encryption leaves. Even so, do not give them to whoever ran the
/// network, because the error depends on the secret key and could reveal it. --share adds noise that hides the error,
/// if the model was compiled for that (`compile --shareable`), and counts the answers that have been shared in the file
/// FILE.*.shared, which is to be kept beside the secret key.
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
    #[arg(value_parser = values::count::<NonZeroUsize>, allow_negative_numbers = true)]
    top: Option<NonZeroUsize>,
    /// For others to see: with noise that hides the secret key as long as no more than so many answers are shared
    /// under it
    #[arg(long, value_name = "ANSWERS", conflicts_with = "raw")]
    #[arg(value_parser = values::count::<NonZeroU64>, allow_negative_numbers = true)]
    share: Option<NonZeroU64>,
}

/// Classes that are shown of an answer.
const SHOWN: usize = 3;

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    /// Outputs of the ONNX file: null for those of unreliable answers; absent with `--top`.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<Vec<f32>>>,
    /// Outputs of the encrypted network, from which the client computes the others; absent where they are the same, and
    /// with `--top`.
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<Vec<Vec<f32>>>,
    /// With `--top`, the likeliest classes; none of unreliable answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<Vec<usize>>>,
    /// Position of the largest logit of each sample; null if the answer is unreliable.
    top: Vec<Option<usize>>,
    /// True for each answer in the range of those to calibration samples about which the range check has no doubt.
    reliable: Vec<bool>,
    /// Ratio of each range check's sum to its limit; empty or null if the program has no range check.
    range_check: Vec<Option<f64>>,
    /// Numbers of shared answers, with `--share` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<Shared>,
}

/// Numbers of answers under the secret key that others may see.
#[derive(Serialize)]
struct Shared {
    /// Number of answers shared so far, with these.
    answers: u64,
    limit: u64,
    /// Number of answers that may still be shared.
    remaining: u64,
}

impl Shared {
    fn count(counter: &SharedAnswers, limit: u64) -> Result<Self, Failure> {
        let answers = counter.count()?;
        Ok(Self { answers, limit, remaining: limit.saturating_sub(answers) })
    }
}

/// Runs `pic decrypt`: decrypts the answers, writes their outputs if that is asked for, and prints their classes. The
/// exit code tells whether all answers are reliable.
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
    let (answers, shared) = match (arguments.share, arguments.raw) {
        (Some(limit), _) => {
            let counter = client.shared_answers(&arguments.secret_key);
            let answers = client.decrypt_for_sharing(&encrypted, limit.get(), &counter)?;
            (answers, Some(Shared::count(&counter, limit.get())?))
        }
        (None, true) => (client.decrypt_raw(&encrypted)?, None),
        (None, false) => (client.decrypt(&encrypted)?, None),
    };
    let shown = |part: fn(&Answer) -> &Vec<f32>| -> Vec<Vec<f32>> {
        let of = |answer: &Answer| match answer.reliable || arguments.raw {
            true => part(answer).clone(),
            false => vec![f32::NAN; part(answer).len()],
        };
        answers.iter().map(of).collect()
    };
    let outputs = shown(|answer| &answer.outputs);
    if let Some(path) = &arguments.output {
        output::write_npy(path, &outputs, &client.info().outputs_shape()?)?;
    }
    let has_logits = arguments.top.is_none() && !client.info().postprocessing.is_identity();
    let first = |answer: &Answer, top: NonZeroUsize| {
        answer.ranking().into_iter().take(top.get()).collect::<Vec<_>>()
    };
    let report = Report {
        outputs: arguments.top.is_none().then_some(outputs),
        logits: has_logits.then(|| shown(|answer| &answer.logits)),
        classes: arguments.top.map(|top| answers.iter().map(|a| first(a, top)).collect()),
        top: answers.iter().map(Answer::class).collect(),
        reliable: answers.iter().map(|answer| answer.reliable).collect(),
        range_check: answers.iter().map(|answer| answer.range_check).collect(),
        shared,
    };
    session.print(&report, || {
        text(&answers, &arguments, client.info())
            + &report.shared.as_ref().map(shared_text).unwrap_or_default()
    })?;
    Ok(reliability(report.reliable.iter().all(|&reliable| reliable)))
}

fn shared_text(Shared { answers, limit, remaining }: &Shared) -> String {
    format!(
        "{answers} of {limit} answers under this secret key have been shared, {remaining} remain\n"
    )
}

fn text(answers: &[Answer], arguments: &Arguments, info: &ClientInfo) -> String {
    // No more digits than the values have.
    let digits = match arguments.raw {
        true => RAW_DIGITS,
        false => (-info.output_grid().log10()).ceil().clamp(0.0, RAW_DIGITS as f64) as usize,
    };
    let line = |(sample, answer): (usize, &Answer)| match (answer.reliable, arguments.raw) {
        (true, _) => {
            format!("sample {sample}: {}\n", classes(answer, info, arguments.top, digits))
        }
        (false, true) => {
            format!("sample {sample}: unreliable: {}; {:?}\n", doubt(answer, info), answer.outputs)
        }
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

/// The likeliest classes of a reliable answer, with their values unless only so many classes are asked for: outputs if
/// there is one for each class, as probabilities, else logits.
fn classes(answer: &Answer, info: &ClientInfo, top: Option<NonZeroUsize>, digits: usize) -> String {
    let values = match info.postprocessing.keeps_positions() {
        true => &answer.outputs,
        false => &answer.logits,
    };
    let class = |&class: &usize| match top {
        Some(_) => class.to_string(),
        None => format!("{class} ({:.digits$})", values[class]),
    };
    let count = top.map_or(SHOWN, NonZeroUsize::get);
    answer.ranking().iter().take(count).map(class).collect::<Vec<_>>().join(", ")
}

/// Reason why an answer is not reliable.
fn doubt(answer: &Answer, info: &ClientInfo) -> String {
    let [low, high] = info.output_range();
    let check = info.range_check.as_ref().map(|part| part.check);
    reasons(answer, [low, high], check)
}

/// Reason why an answer is not reliable, by the range of logits and the range check.
fn reasons(answer: &Answer, [low, high]: [f64; 2], check: Option<RangeCheck>) -> String {
    let outside = answer.logits.iter().any(|&v| !(low..=high).contains(&f64::from(v)));
    let outputs = format!(
        "outputs are not within {low:.4} and {high:.4}, as those of calibration samples are"
    );
    let layers = "some layer's values left the range of those of calibration samples";
    match (check, answer.range_check) {
        // Shared: the sum is not shown, and neither are outputs.
        (Some(_), None) => format!("{outputs}, or {layers}"),
        (Some(check), Some(sum)) => {
            let layers = format!("{layers} (range check at {} times its limit)", figure(sum));
            match (outside, check.fails(sum * check.limit)) {
                (true, false) => outputs,
                (true, true) => format!("{outputs}, and {layers}"),
                (false, _) => layers,
            }
        }
        (None, _) => outputs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_told() {
        let answer = |logit: f32, range_check| Answer {
            outputs: vec![],
            logits: vec![0.0, logit],
            reliable: false,
            range_check,
        };
        let check = RangeCheck { first: 0, limit: 2.0 };
        let told = |output, sum, check| {
            let text = reasons(&answer(output, sum), [-1.0, 1.0], check);
            (text.contains("not within -1.0000 and 1.0000"), text.contains("some layer's values"))
        };
        assert_eq!(told(2.0, None, None), (true, false));
        assert_eq!(told(2.0, Some(0.5), Some(check)), (true, false));
        assert_eq!(told(0.5, Some(1.5), Some(check)), (false, true));
        assert_eq!(told(2.0, Some(1.5), Some(check)), (true, true));
        assert_eq!(told(f32::NAN, None, Some(check)), (true, true));
        // Just beyond the limit, and rounded to it.
        assert_eq!(told(0.5, Some(1.0), Some(check)), (false, true));
        let huge = reasons(&answer(0.5, Some(1e90)), [-1.0, 1.0], Some(check));
        assert!(huge.contains("1.00e90 times"), "{huge}");
    }
}
