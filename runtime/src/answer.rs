//! Decrypted answers: outputs, and whether they can be relied on.
//!
//! A value that leaves the interval of a polynomial gives a wrong answer which is finite and looks like any other. Most such answers
//! are larger than any that calibration saw, and are found here by that. An answer within the range is no proof that
//! nothing went wrong.
//!
//! Verdicts and classes are those of the *logits*, which the encrypted network yields, before the client applies what
//! stands behind them in the ONNX file, such as a Softmax ([`ClientInfo::postprocessing`]).

use crate::artifact::ClientInfo;

/// The outputs of one sample, and whether they can be relied on.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Outputs of the ONNX file: the logits after postprocessing. They carry no information if the answer is not reliable.
    pub outputs: Vec<f32>,
    /// Outputs of the encrypted network in real units, as they were decrypted; the same as `outputs` without
    /// postprocessing.
    pub logits: Vec<f32>,
    /// True if all logits are in the range of those of calibration samples ([`ClientInfo::output_range`]), and the
    /// range check, if the program has one, found no input of an activation outside its interval.
    pub reliable: bool,
    /// Ratio of the range check's sum to its limit, above one for answers in doubt; none if the program has no
    /// range check.
    pub range_check: Option<f64>,
}

impl Answer {
    /// The answer to one sample, from its decrypted logits and the decrypted sum of the range check, if the program
    /// has one; both are in real units. [`ClientInfo::is_reliable`] decides whether the answer is reliable.
    ///
    /// # Panics
    /// If there are not as many logits as the program has outputs.
    pub fn new(info: &ClientInfo, logits: Vec<f32>, range_check: Option<f64>) -> Self {
        let reliable = info.is_reliable(&logits, range_check);
        let outputs = info.postprocessing.apply(&info.output.shape, &logits);
        Self { outputs, logits, reliable, range_check: info.relative_range_check(range_check) }
    }

    /// Position of the largest logit, the first of equal ones; none if the answer is not reliable.
    pub fn class(&self) -> Option<usize> {
        self.ranking().first().copied()
    }

    /// Positions of all logits, the largest first; empty if the answer is not reliable.
    pub fn ranking(&self) -> Vec<usize> {
        if !self.reliable {
            return vec![];
        }
        let mut classes: Vec<usize> = (0..self.logits.len()).collect();
        classes.sort_by(|&a, &b| self.logits[b].total_cmp(&self.logits[a]));
        classes
    }
}

impl ClientInfo {
    /// Returns whether an answer is reliable: all logits are in [`ClientInfo::output_range`], and the sum of the range
    /// check, if there is one, is within its limit.
    pub fn is_reliable(&self, logits: &[f32], range_check: Option<f64>) -> bool {
        let [low, high] = self.output_range();
        let check = self.range_check.as_ref().zip(range_check);
        // Infinities and what is not a number are in no range.
        logits.iter().all(|&v| (low..=high).contains(&f64::from(v)))
            && check.is_none_or(|(part, sum)| !part.check.fails(sum))
    }

    /// Ratio of the range check's sum to its limit, rounded to steps that exceed the scheme's error.
    pub(crate) fn relative_range_check(&self, sum: Option<f64>) -> Option<f64> {
        let part = self.range_check.as_ref()?;
        sum.map(|sum| round(sum / part.check.limit, RANGE_CHECK_GRID))
    }

    /// Predicted standard deviation of the scheme's error in a logit, in real units.
    pub fn output_deviation(&self) -> f64 {
        self.output_encoding.half_width * (-self.predicted.precision_bits).exp2()
    }

    /// Step to which logits are rounded, in real units: the least power of two that is not below the predicted
    /// standard deviation of the scheme's error.
    ///
    /// Finer digits are that error: they say nothing of the answer, but something of the secret key. Rounding adds an
    /// error of its own of at most 0.58 of the deviation, which makes the whole at most 15 % (0.2 bits) larger;
    /// half the distance would still show a bit of the error, twice the distance cost a bit of the answer. Powers of
    /// two keep rounded values exact in single precision. Rounding alone does not make answers safe to
    /// share (values near the middle between two others still depend on the error): see `sharing`.
    pub fn output_grid(&self) -> f64 {
        self.output_deviation().log2().ceil().exp2()
    }

    /// Smallest and largest logit of a reliable answer: a quarter more than the largest magnitude of the plain
    /// network on calibration samples. If the program was made without calibration, the range that the output
    /// stores as [−1, 1].
    pub fn output_range(&self) -> [f64; 2] {
        match &self.calibration {
            Some(calibration) => [-calibration.largest_output, calibration.largest_output],
            None => {
                let encoding = &self.output_encoding;
                [encoding.center - encoding.half_width, encoding.center + encoding.half_width]
            }
        }
    }
}

/// Step to which the ratio of a range check's sum to its limit is rounded.
const RANGE_CHECK_GRID: f64 = 1.0 / 16.0;

/// The nearest multiple of `grid`.
pub(crate) fn round(value: f64, grid: f64) -> f64 {
    (value / grid).round_ties_even() * grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_not_reliable_have_no_class() {
        let logits = vec![0.0, 2.0, 2.0, -1.0];
        let answer = |reliable| Answer {
            outputs: vec![1.0],
            logits: logits.clone(),
            reliable,
            range_check: None,
        };
        assert_eq!(answer(true).class(), Some(1));
        assert_eq!(answer(true).ranking(), [1, 2, 0, 3]);
        assert_eq!((answer(false).class(), answer(false).ranking()), (None, vec![]));
    }
}
