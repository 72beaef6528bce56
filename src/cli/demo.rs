//! `pic demo`: the whole path on an embedded network, by the calls that the other commands make.

use std::time::Instant;

use clap::Args;
use pic::Compiler;
use pic::data::{DataError, Samples, labels_from_bytes};
use pic::evaluation::{self, TestSet, plain_outputs};
use pic_compiler::dataset::prediction;
use serde::Serialize;

use super::comparison::warn_out_of_range;
use super::error::Failure;
use super::forecast::Machine;
use super::summary::Summary;
use super::text::{Table, bytes, or_dash, seconds};
use super::verify::Report as Verified;
use super::{Session, values};

/// Compile an embedded network and classify a handwritten digit without seeing it
///
/// The network was trained on the handwritten digits of UCI's optical recognition data set; the
/// digit shown is one that it has never seen. See examples/digits.
#[derive(Args)]
#[command(after_help = "Example:\n  pic demo --index 7")]
pub struct Arguments {
    /// Which of the test digits
    #[arg(long, default_value_t = 0, value_parser = values::index, allow_negative_numbers = true)]
    index: usize,
}

/// A file of `examples/digits`, with its name.
macro_rules! example {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../examples/digits/", $name)).as_slice())
    };
}

const SHAPE: [usize; 3] = [1, 8, 8];
const CLASSES: usize = 10;
/// The largest pixel.
const WHITE: f32 = 16.0;

/// Number of classifications of the digit, so that the time is not that of the first run alone.
const RUNS: usize = 3;

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    compiled: Summary,
    label: usize,
    /// Class of the digit; null if the answer is unreliable.
    answer: Option<usize>,
    plain_answer: usize,
    outputs: Vec<f32>,
    plain_outputs: Vec<f32>,
    verified: Verified,
    compile_seconds: f64,
    seconds: f64,
}

/// Runs `pic demo`: compiles the embedded network and compares encrypted runs on one digit with the plain network.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let start = Instant::now();
    let (name, images) = example!("test_x.npy");
    let mut digits = Samples::from_bytes(images, name, &SHAPE)?;
    let test_classes = classes(example!("test_y.npy"), &digits)?;
    digits.select(arguments.index)?;
    let label = test_classes[arguments.index];

    let (name, images) = example!("calibration_x.npy");
    let calibration = Samples::from_bytes(images, name, &SHAPE)?;
    let labels = classes(example!("calibration_y.npy"), &calibration)?;
    let (_, onnx) = example!("cnn_relu.onnx");
    let compiler = Compiler::from_bytes(onnx).calibration(calibration.iter()).labels(labels);
    let compiled = compiler.compile_with(&session.progress)?;
    let network = compiled.network.clone();
    let artifact = Compiler::artifact(compiled)?;
    let here = Machine::detect(session)?;
    let summary = Summary::new(&artifact, &here)?;
    let compile_seconds = start.elapsed().as_secs_f64();
    session.say(format_args!("compiled in {}\n{summary}\n", seconds(compile_seconds)))?;

    let digit: Vec<Vec<f32>> = digits.iter().map(<[f32]>::to_vec).collect();
    session.say(format_args!("the client encrypts this digit:\n{}\n", draw(&digit[0])))?;

    let (repeated, labels) = (vec![digit[0].clone(); RUNS], [label; RUNS]);
    let test = TestSet::new(&repeated, Some(&labels))?;
    let verified = evaluation::verify(&artifact, test, &session.progress)?;
    warn_out_of_range(&verified.out_of_range, session);
    let answer = verified.answers[0].clone();
    let plain = plain_outputs(&network, &digit);
    let report = Report {
        compiled: summary,
        label,
        answer: answer.class(),
        plain_answer: prediction(&plain[0]),
        outputs: answer.logits,
        plain_outputs: plain[0].clone(),
        verified: Verified::new(verified, &here),
        compile_seconds,
        seconds: start.elapsed().as_secs_f64(),
    };
    session.print(&report, || text(&report))
}

fn classes((name, bytes): (&str, &[u8]), samples: &Samples) -> Result<Vec<usize>, DataError> {
    labels_from_bytes(bytes, name, samples.count(), CLASSES)
}

/// An image in shades of block characters, two to a pixel.
fn draw(image: &[f32]) -> String {
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let shade = |&pixel: &f32| {
        let step = (pixel / WHITE * (SHADES.len() - 1) as f32).round();
        SHADES[(step as usize).min(SHADES.len() - 1)]
    };
    let row = |pixels: &[f32]| {
        let cells: String = pixels.iter().map(shade).flat_map(|c| [c, c]).collect();
        format!("    {cells}\n")
    };
    image.chunks(SHAPE[2]).map(row).collect()
}

fn text(report: &Report) -> String {
    let mut table = Table::new(&["class", "encrypted", "plain"]);
    for (class, (a, b)) in report.outputs.iter().zip(&report.plain_outputs).enumerate() {
        table.row([class.to_string(), format!("{a:.4}"), format!("{b:.4}")]);
    }
    let Verified { comparison, predicted, warm_seconds, keygen_seconds, peak_bytes, .. } =
        &report.verified;
    format!(
        "{table}\nanswer       {} (plain network {}, label {})\nlargest error {:.2e}, {} bits of \
         precision (predicted {:.1})\ntime         {} for the encrypted run; predicted {}\n             {} for keys, {} for everything\n\
         peak memory  {}\n",
        report.answer.map_or_else(|| "unreliable".into(), |class| class.to_string()),
        report.plain_answer,
        report.label,
        comparison.max_error,
        or_dash(report.verified.measured_precision_bits, |b| format!("{b:.1}")),
        report.verified.predicted_precision_bits,
        seconds(*warm_seconds),
        predicted,
        seconds(*keygen_seconds),
        seconds(report.seconds),
        or_dash(*peak_bytes, bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_drawn_in_shades() {
        let mut image = vec![0.0; 64];
        image[1] = WHITE;
        image[8] = WHITE / 2.0;
        let drawn = draw(&image);
        assert_eq!(drawn.lines().count(), 8);
        assert!(drawn.starts_with("      ██"));
        assert!(drawn.lines().nth(1).unwrap().starts_with("    ▒▒"));
    }

    #[test]
    fn the_embedded_arrays_fit() {
        let (name, images) = example!("test_x.npy");
        let digits = Samples::from_bytes(images, name, &SHAPE).unwrap();
        assert_eq!(classes(example!("test_y.npy"), &digits).unwrap().len(), digits.count());
    }
}
