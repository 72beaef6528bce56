//! Outputs of a compiled network beside those of the plain one.

use pic_compiler::dataset::prediction;
use pic_compiler::evaluate::{exact_layers, outputs};
use pic_ir::network::Network;
use serde::Serialize;

use super::text::{or_dash, percent};

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
}

impl Comparison {
    /// Compares outputs with those of the plain network.
    pub fn new(found: &[Vec<f32>], plain: &[Vec<f32>], labels: Option<&[usize]>) -> Self {
        let classes = |outputs: &[Vec<f32>]| -> Option<Vec<usize>> {
            let classified = outputs.iter().all(|o| o.len() > 1);
            classified.then(|| outputs.iter().map(|o| prediction(o)).collect())
        };
        let (ours, theirs) = (classes(found), classes(plain));
        let share = |a: Option<&[usize]>, b: Option<&[usize]>| {
            let (a, b) = a.zip(b)?;
            let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
            Some(same as f64 / a.len() as f64)
        };
        let pairs = found.iter().flatten().zip(plain.iter().flatten());
        let difference = |(a, b): (&f32, &f32)| {
            let difference = (f64::from(*a) - f64::from(*b)).abs();
            if difference.is_nan() { f64::INFINITY } else { difference }
        };
        Self {
            samples: found.len(),
            accuracy: share(ours.as_deref(), labels),
            plain_accuracy: share(theirs.as_deref(), labels),
            agreement: share(ours.as_deref(), theirs.as_deref()),
            max_error: pairs.map(difference).fold(0.0, f64::max),
        }
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        format!(
            "samples      {}\naccuracy     {} (plain network {})\nagreement    {}\nlargest error {:.2e}\n",
            self.samples,
            or_dash(self.accuracy, percent),
            or_dash(self.plain_accuracy, percent),
            or_dash(self.agreement, percent),
            self.max_error
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

    #[test]
    fn shares_and_errors() {
        let found = [vec![1.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 1.0]];
        let plain = [vec![1.0, 0.5], vec![0.0, 2.0], vec![0.0, 1.0], vec![0.0, 1.0]];
        let c = Comparison::new(&found, &plain, Some(&[0, 1, 1, 0]));
        assert_eq!(c.accuracy, Some(0.5));
        assert_eq!(c.plain_accuracy, Some(0.75));
        assert_eq!(c.agreement, Some(0.75));
        assert_eq!(c.max_error, 2.0);
        let single = Comparison::new(&[vec![1.0]], &[vec![1.5]], None);
        let overflowed = Comparison::new(&[vec![f32::NAN]], &[vec![1.5]], None);
        assert_eq!(overflowed.max_error, f64::INFINITY);
        assert_eq!((single.agreement, single.accuracy, single.max_error), (None, None, 0.5));
    }
}
