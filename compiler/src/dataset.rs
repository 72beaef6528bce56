//! Data sets: samples that have been checked against a network, and the answers that it should give.
//!
//! Profiling, sensitivities and measurements take a [`Dataset`] and need not check again. Reading
//! files is not done here.

use pic_ir::network::Network;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::evaluate::LANES;

/// Input samples of the network's length without infinities or NaN, with or without labels.
#[derive(Clone, Copy, Debug)]
pub struct Dataset<'a> {
    samples: &'a [&'a [f32]],
    labels: Option<&'a [usize]>,
    objective: Objective,
}

/// Raw samples, flattened, before preprocessing, and their classes if they are known.
#[derive(Clone, Copy, Debug)]
pub struct RawSamples<'a> {
    /// The samples.
    pub samples: &'a [&'a [f32]],
    /// The class of each sample.
    pub labels: Option<&'a [usize]>,
}

/// Function of the outputs by which sensitivities are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// The cross-entropy of the softmax of a classifier's outputs, as in the OLA paper.
    #[default]
    CrossEntropy,
    /// The margin between the two classes that the plain network ranks highest. Unlike the
    /// cross-entropy it does not saturate on samples that the network has been trained on.
    Margin,
    /// A sum of the outputs with random signs, for outputs that are numbers. Its mean square change is the sum of the
    /// squared changes of all outputs. (The squared error itself has no first-order change.)
    Values,
}

/// Reason why samples or labels cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// The list of samples is empty.
    #[error("there are no samples")]
    Empty,
    /// A sample has the wrong number of elements.
    #[error("sample {sample} has {found} elements, the network takes {expected}")]
    Length {
        /// Position of the sample, from 0.
        sample: usize,
        /// Number of elements that the network takes.
        expected: usize,
        /// Number of elements of the sample.
        found: usize,
    },
    /// A sample has an infinite element or one that is not a number.
    #[error("sample {sample}: element {element} is infinite or not a number")]
    NotFinite {
        /// Position of the sample, from 0.
        sample: usize,
        /// Position of the element, from 0.
        element: usize,
    },
    /// The number of labels is not the number of samples.
    #[error("{samples} samples have {labels} labels")]
    LabelCount {
        /// Number of samples.
        samples: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label is not a class of the network.
    #[error("sample {sample} has label {label}, the network has {classes} classes")]
    Label {
        /// Position of the sample, from 0.
        sample: usize,
        /// Label of the sample.
        label: usize,
        /// Number of elements of the network's output.
        classes: usize,
    },
}

impl<'a> Dataset<'a> {
    /// Checks samples and labels. Labels are classes, by index of the output element.
    ///
    /// # Errors
    /// [`DatasetError`], with the first sample or label that does not fit the network.
    pub fn new(
        network: &Network,
        samples: &'a [&'a [f32]],
        labels: Option<&'a [usize]>,
    ) -> Result<Self, DatasetError> {
        if samples.is_empty() {
            return Err(DatasetError::Empty);
        }
        let expected = network.graph[network.input()].len();
        for (sample, values) in samples.iter().enumerate() {
            if values.len() != expected {
                return Err(DatasetError::Length { sample, expected, found: values.len() });
            }
            if let Some(element) = values.iter().position(|x| !x.is_finite()) {
                return Err(DatasetError::NotFinite { sample, element });
            }
        }
        if let Some(labels) = labels {
            if labels.len() != samples.len() {
                let (samples, labels) = (samples.len(), labels.len());
                return Err(DatasetError::LabelCount { samples, labels });
            }
            let classes = network.graph[network.output].len();
            if let Some(sample) = labels.iter().position(|&label| label >= classes) {
                return Err(DatasetError::Label { sample, label: labels[sample], classes });
            }
        }
        Ok(Self { samples, labels, objective: Objective::default() })
    }

    /// Number of samples; never zero.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// The samples, each flattened.
    pub fn samples(&self) -> &'a [&'a [f32]] {
        self.samples
    }

    /// Replaces the objective by which sensitivities are measured.
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { objective, ..self }
    }

    /// Function of the outputs for one sample, by which changes are measured, given the plain network's output.
    pub fn objective_of(&self, sample: usize, plain: &[f32]) -> SampleObjective {
        match self.objective {
            Objective::Margin => {
                let (best, second) = two_best(plain);
                SampleObjective::Margin { best, second }
            }
            Objective::CrossEntropy => SampleObjective::Class(self.class(sample, plain)),
            Objective::Values => SampleObjective::Values { seed: sample as u64 },
        }
    }

    /// The right class of a sample: its label, or the class of the plain network's output if there are no labels.
    pub fn class(&self, sample: usize, plain: &[f32]) -> usize {
        self.labels.map_or_else(|| prediction(plain), |labels| labels[sample])
    }

    /// Returns whether there are labels.
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// The first `count` samples, at least one, or all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.clamp(1, self.len());
        let labels = self.labels.map(|l| &l[..count]);
        Self { samples: &self.samples[..count], labels, ..*self }
    }

    /// The data set in order, cut into parts of [`LANES`] samples, of which the last may have fewer.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Self> {
        let Self { samples, labels, objective } = *self;
        (0..samples.len().div_ceil(LANES)).map(move |k| {
            let range = k * LANES..((k + 1) * LANES).min(samples.len());
            let labels = labels.map(|l| &l[range.clone()]);
            Self { samples: &samples[range], labels, objective }
        })
    }
}

/// Function of the outputs for one sample, by which changes are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SampleObjective {
    /// A class; the loss is the cross-entropy of the softmax of the outputs.
    Class(usize),
    /// The plain network's two highest classes; the loss is minus the margin between them.
    Margin {
        /// The highest.
        best: usize,
        /// The second highest.
        second: usize,
    },
    /// All outputs; the loss is their sum with signs drawn from the seed.
    Values {
        /// Seed of the signs.
        seed: u64,
    },
}

impl SampleObjective {
    /// Loss of an output; infinite if the output has an element that is infinite or not a number.
    pub fn loss(self, output: &[f32]) -> f64 {
        if output.iter().any(|y| !y.is_finite()) {
            return f64::INFINITY;
        }
        match self {
            Self::Margin { best, second } => f64::from(output[second]) - f64::from(output[best]),
            Self::Class(class) => {
                let top = f64::from(output[prediction(output)]);
                let sum: f64 = output.iter().map(|&y| libm::exp(f64::from(y) - top)).sum();
                libm::log(sum) + top - f64::from(output[class])
            }
            Self::Values { seed } => {
                let mut signs = ChaCha8Rng::seed_from_u64(seed);
                let signed =
                    |&y: &f32| if signs.next_u32() & 1 == 1 { f64::from(y) } else { -f64::from(y) };
                output.iter().map(signed).sum()
            }
        }
    }
}

/// Position of the largest output, the first of equal ones; numbers rank above NaN.
pub fn prediction(output: &[f32]) -> usize {
    let mut best = 0;
    for (k, &y) in output.iter().enumerate() {
        if y > output[best] || (output[best].is_nan() && !y.is_nan()) {
            best = k;
        }
    }
    best
}

/// The indices of the two largest of at least two outputs.
fn two_best(outputs: &[f32]) -> (usize, usize) {
    let best = prediction(outputs);
    let others = (0..outputs.len()).filter(|&k| k != best);
    let second = others.max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]));
    (best, second.expect("there are at least two outputs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_samples_and_labels_are_refused() {
        let network = Network::with_input("x", vec![2]);
        let check = |samples: &[&[f32]], labels: Option<&[usize]>| {
            Dataset::new(&network, samples, labels).map(|d| d.len())
        };
        let good: &[&[f32]] = &[&[1.0, 2.0], &[3.0, 4.0]];
        assert_eq!(check(good, Some(&[0, 1])), Ok(2));
        assert_eq!(check(&[], None), Err(DatasetError::Empty));
        let short = Err(DatasetError::Length { sample: 1, expected: 2, found: 1 });
        assert_eq!(check(&[&[1.0, 2.0], &[3.0]], None), short);
        let nan = Err(DatasetError::NotFinite { sample: 0, element: 1 });
        assert_eq!(check(&[&[1.0, f32::NAN]], None), nan);
        let count = Err(DatasetError::LabelCount { samples: 2, labels: 1 });
        assert_eq!(check(good, Some(&[0])), count);
        let label = Err(DatasetError::Label { sample: 1, label: 2, classes: 2 });
        assert_eq!(check(good, Some(&[0, 2])), label);
    }

    #[test]
    fn cross_entropy_of_known_outputs() {
        let objective = SampleObjective::Class(1);
        let expected = libm::log(1.0 + 2.0 * libm::exp(-3f64));
        assert!((objective.loss(&[0.0, 3.0, 0.0]) - expected).abs() < 1e-12);
        // Far apart: no overflow. Not a number: infinite, not poisonous.
        assert!((objective.loss(&[1e4, 0.0, 0.0]) - 1e4).abs() < 1e-9);
        assert_eq!(objective.loss(&[f32::NAN, 0.0, 0.0]), f64::INFINITY);
        assert_eq!(prediction(&[f32::NAN, 1.0, 2.0, 2.0]), 2);
    }
}
