//! Evaluation of a compiled network: [`simulate()`] without encryption, [`verify()`] on ciphertexts, [`compare()`]
//! by several strategies. Each compares with the plain network, which the model owner's artifact holds.
//!
//! Nothing is printed here; [`crate::Progress`] is told how far the work is.

#[cfg(all(feature = "client", feature = "server"))]
mod compare;
mod comparison;
mod simulate;
#[cfg(all(feature = "client", feature = "server"))]
mod trace;
#[cfg(all(feature = "client", feature = "server"))]
mod verify;

use std::num::NonZeroUsize;

use pic_compiler::evaluate::{exact_layers, outputs};
use pic_ir::network::Network;

#[cfg(all(feature = "client", feature = "server"))]
pub use compare::{MethodError, MethodReport, compare};
pub use comparison::Comparison;
pub use simulate::{OutOfRange, RangeChecked, Simulated, simulate};
#[cfg(all(feature = "client", feature = "server"))]
pub use trace::{Layer, Operations, Trace, TracedStep, operations, run_traced};
#[cfg(all(feature = "client", feature = "server"))]
pub use verify::{Verified, verify};

/// Preprocessed samples to evaluate a network on, at least one, and the class of each if it is known.
///
/// ```
/// use pic::evaluation::TestSet;
///
/// let samples = [vec![0.0, 1.0], vec![1.0, 0.0]];
/// let test = TestSet::new(&samples, Some(&[1, 0]))?;
/// assert_eq!(test.samples().len(), 2);
/// assert!(TestSet::new(&samples, Some(&[1])).is_err());
/// # Ok::<(), pic::evaluation::TestSetError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TestSet<'a> {
    samples: &'a [Vec<f32>],
    labels: Option<&'a [usize]>,
}

impl<'a> TestSet<'a> {
    /// Takes preprocessed samples, and the index of the class of each.
    ///
    /// # Errors
    /// [`TestSetError`].
    pub fn new(samples: &'a [Vec<f32>], labels: Option<&'a [usize]>) -> Result<Self, TestSetError> {
        if samples.is_empty() {
            return Err(TestSetError::Empty);
        }
        match labels {
            Some(labels) if labels.len() != samples.len() => {
                let (labels, samples) = (labels.len(), samples.len());
                Err(TestSetError::LabelCount { labels, samples })
            }
            _ => Ok(Self { samples, labels }),
        }
    }

    /// The samples.
    pub fn samples(&self) -> &'a [Vec<f32>] {
        self.samples
    }

    /// The class of each sample, if it is known.
    pub fn labels(&self) -> Option<&'a [usize]> {
        self.labels
    }

    /// The first `count` samples, or all if there are fewer.
    pub fn first(&self, count: NonZeroUsize) -> Self {
        let count = count.get().min(self.samples.len());
        Self { samples: &self.samples[..count], labels: self.labels.map(|labels| &labels[..count]) }
    }
}

/// Reason why samples are no test set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TestSetError {
    /// The list of samples is empty.
    #[error("there are no samples to evaluate the network on")]
    Empty,
    /// The number of labels is not the number of samples.
    #[error("there are {labels} labels for {samples} samples")]
    LabelCount {
        /// Number of labels.
        labels: usize,
        /// Number of samples.
        samples: usize,
    },
}

/// Outputs of the plain network for each sample (preprocessed, of the shape that the network takes), before the
/// client's postprocessing.
pub fn plain_outputs(network: &Network, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let samples: Vec<&[f32]> = samples.iter().map(|s| &s[..]).collect();
    outputs(network, &samples, &exact_layers(network))
}
