//! Why a file of samples or labels is refused.

use std::path::PathBuf;

use super::ArrayError;

/// Why a file of samples or labels is refused. Samples are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Missing, unreadable or not an array.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArrayError,
    },
    /// Neither one sample nor a batch.
    #[error("`{}` has shape {found:?}, the model takes {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Shape of its array.
        found: Vec<usize>,
        /// Shape of one sample.
        expected: Vec<usize>,
    },
    /// No samples.
    #[error("`{}` holds no samples", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An infinite value or NaN.
    #[error("`{}`: sample {sample} holds a value that is infinite or not a number", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The first such sample.
        sample: usize,
    },
    /// A sample beyond the last.
    #[error("there is no sample {index} in `{}`: it holds {samples}, counted from 0", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Sample asked for.
        index: usize,
        /// Samples in the file.
        samples: usize,
    },
    /// Not one label per sample.
    #[error("`{}` holds {labels} labels for {samples} samples", path.display())]
    LabelCount {
        /// The file.
        path: PathBuf,
        /// Labels found.
        labels: usize,
        /// Samples given.
        samples: usize,
    },
    /// Not a class index.
    #[error("`{}`: the label of sample {sample} is not a class index 0, 1, …", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The sample.
        sample: usize,
    },
    /// A class that the network does not have.
    #[error(
        "`{}`: the label of sample {sample} is {label}, and the network has {classes} classes, 0 to {}",
        path.display(), classes - 1
    )]
    Class {
        /// The file.
        path: PathBuf,
        /// The sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// Outputs of the network.
        classes: usize,
    },
}
