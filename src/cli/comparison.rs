//! Outputs of a compiled network beside those of the plain one.

use pic::{Answer, ClientInfo};
use pic_compiler::dataset::prediction;
use pic_compiler::evaluate::{exact_layers, outputs};
use pic_ir::network::Network;
use serde::Serialize;

use super::text::{count, or_dash, percent};

/// How two sets of outputs compare; keys of `--json`. Shares are of samples, from 0 to 1.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Samples compared.
    pub samples: usize,
    /// Share of right answers; none without labels.
    pub accuracy: Option<f64>,
    /// Share of right answers of the plain network; none without labels.
    pub plain_accuracy: Option<f64>,
    /// Share of samples to which both give the same class; none for a single output.
    pub agreement: Option<f64>,
    /// Largest difference of any output; infinite (null in JSON) if an output overflowed.
    pub max_error: f64,
    /// Answers beyond the range of those to calibration samples: `pic decrypt` shows no class of them, and here they count
    /// as wrong.
    pub unreliable: usize,
    /// Samples beyond the range that the model was calibrated for: `pic encrypt` refuses them.
    pub refused: usize,
    /// Other samples that are unlike those of calibration: `pic encrypt` warns of them.
    pub unusual: usize,
}

impl Comparison {
    /// Compares the answers to samples (preprocessed) with the outputs of the plain network.
    pub fn new(
        info: &ClientInfo,
        samples: &[Vec<f32>],
        answers: &[Answer],
        plain: &[Vec<f32>],
        labels: Option<&[usize]>,
    ) -> Self {
        let (accepted, refused): (Vec<_>, Vec<_>) =
            samples.iter().partition(|sample| info.check_range(0, sample).is_ok());
        let unusual = accepted.iter().filter(|sample| !info.unusual(sample).is_empty()).count();
        Self { refused: refused.len(), unusual, ..Self::of_answers(answers, plain, labels) }
    }

    fn of_answers(answers: &[Answer], plain: &[Vec<f32>], labels: Option<&[usize]>) -> Self {
        let classified = plain.iter().all(|o| o.len() > 1);
        let (ours, theirs): (Vec<_>, Vec<_>) = (
            answers.iter().map(Answer::class).collect(),
            plain.iter().map(|o| prediction(o)).collect(),
        );
        let right = |classes: &[usize]| {
            let same = ours.iter().zip(classes).filter(|(ours, class)| **ours == Some(**class));
            same.count() as f64 / answers.len() as f64
        };
        let plainly_right = |labels: &[usize]| {
            let same = theirs.iter().zip(labels).filter(|(a, b)| a == b).count();
            same as f64 / theirs.len() as f64
        };
        let found = answers.iter().flat_map(|answer| &answer.outputs);
        let difference = |(a, b): (&f32, &f32)| {
            let difference = (f64::from(*a) - f64::from(*b)).abs();
            if difference.is_nan() { f64::INFINITY } else { difference }
        };
        let labels = labels.filter(|_| classified);
        Self {
            samples: answers.len(),
            accuracy: labels.map(right),
            plain_accuracy: labels.map(plainly_right),
            agreement: classified.then(|| right(&theirs)),
            max_error: found.zip(plain.iter().flatten()).map(difference).fold(0.0, f64::max),
            unreliable: answers.iter().filter(|answer| !answer.reliable).count(),
            refused: 0,
            unusual: 0,
        }
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        format!(
            "samples      {}\naccuracy     {} (plain network {})\nagreement    {}\nlargest error {:.2e}\n{}",
            self.samples,
            or_dash(self.accuracy, percent),
            or_dash(self.plain_accuracy, percent),
            or_dash(self.agreement, percent),
            self.max_error,
            self.out_of_range()
        )
    }

    /// What clients would be told.
    fn out_of_range(&self) -> String {
        format!(
            "refused      {} that `pic encrypt` refuses\n\
             unusual      {} that `pic encrypt` warns of\n\
             unreliable   {} that `pic decrypt` marks, counted as wrong\n",
            count(self.refused, "sample"),
            count(self.unusual, "sample"),
            count(self.unreliable, "answer")
        )
    }
}

/// Outputs of the plain network.
pub fn plain_outputs(network: &Network, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let samples: Vec<&[f32]> = samples.iter().map(|s| &s[..]).collect();
    outputs(network, &samples, &exact_layers(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(outputs: [f32; 2]) -> Answer {
        Answer { outputs: outputs.into(), reliable: true, range_check: None }
    }

    #[test]
    fn shares_and_errors() {
        let found = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]].map(answer);
        let plain = [vec![1.0, 0.5], vec![0.0, 2.0], vec![0.0, 1.0], vec![0.0, 1.0]];
        let c = Comparison::of_answers(&found, &plain, Some(&[0, 1, 1, 0]));
        assert_eq!(c.accuracy, Some(0.5));
        assert_eq!(c.plain_accuracy, Some(0.75));
        assert_eq!(c.agreement, Some(0.75));
        assert_eq!((c.max_error, c.unreliable), (2.0, 0));
        let one = |value| [Answer { outputs: vec![value], reliable: true, range_check: None }];
        let single = Comparison::of_answers(&one(1.0), &[vec![1.5]], None);
        let overflowed = Comparison::of_answers(&one(f32::NAN), &[vec![1.5]], None);
        assert_eq!(overflowed.max_error, f64::INFINITY);
        assert_eq!((single.agreement, single.accuracy, single.max_error), (None, None, 0.5));
    }

    #[test]
    fn answers_that_are_not_reliable_are_wrong() {
        let unreliable = Answer { reliable: false, ..answer([1.0, 0.0]) };
        let plain = [vec![1.0, 0.0], vec![1.0, 0.0]];
        let c = Comparison::of_answers(&[answer([1.0, 0.0]), unreliable], &plain, Some(&[0, 0]));
        assert_eq!((c.accuracy, c.agreement, c.unreliable), (Some(0.5), Some(0.5), 1));
        assert_eq!(c.plain_accuracy, Some(1.0));
        assert!(c.text().contains("1 answer that `pic decrypt` marks"), "{}", c.text());
    }
}
