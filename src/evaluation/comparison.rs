//! Comparison of a compiled network's outputs with those of the plain one.

use pic_compiler::dataset::prediction;
use pic_runtime::{Answer, ClientInfo};
use serde::Serialize;

use super::TestSet;

/// Comparison of two sets of outputs, both before the client's postprocessing. Shares are of samples, from 0 to 1.
/// Serialised it has the keys of `pic simulate --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Number of samples compared.
    pub samples: usize,
    /// Share of right answers; none without labels.
    pub accuracy: Option<f64>,
    /// Share of right answers of the plain network; none without labels.
    pub plain_accuracy: Option<f64>,
    /// Share of samples to which both networks give one class; none for a single output.
    pub agreement: Option<f64>,
    /// Largest difference of any output; infinite (null in JSON) if an output overflowed.
    pub max_error: f64,
    /// Number of unreliable answers ([`Answer::reliable`]). They have no class, and count as wrong.
    pub unreliable: usize,
    /// Number of samples outside the range that the model was calibrated for, which a client refuses to encrypt
    /// ([`ClientInfo::check_range`]).
    pub refused: usize,
    /// Number of other samples that are unlike those of calibration ([`ClientInfo::unusual`]).
    pub unusual: usize,
}

impl Comparison {
    /// Compares the answers to the samples of a test set with the outputs of the plain network.
    pub(super) fn new(
        info: &ClientInfo,
        test: TestSet<'_>,
        answers: &[Answer],
        plain: &[Vec<f32>],
    ) -> Self {
        let (accepted, refused): (Vec<_>, Vec<_>) =
            test.samples().iter().partition(|sample| info.check_range(0, sample).is_ok());
        let unusual = accepted.iter().filter(|sample| !info.unusual(sample).is_empty()).count();
        let refused = refused.len();
        Self { refused, unusual, ..Self::of_answers(answers, plain, test.labels()) }
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
        let found = answers.iter().flat_map(|answer| &answer.logits);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(logits: [f32; 2]) -> Answer {
        Answer { outputs: vec![], logits: logits.into(), reliable: true, range_check: None }
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
        let one = |value| [Answer { logits: vec![value], ..answer([0.0; 2]) }];
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
    }
}
