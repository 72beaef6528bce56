//! Errors of files of samples or labels.

use std::path::PathBuf;

use super::ArrayError;

/// Reason why a file of samples or labels is refused. Samples are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file is missing, unreadable or not an array.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: ArrayError,
    },
    /// The array is neither one sample nor a batch of them.
    #[error("`{}` has shape {found:?}, the model takes {expected:?}", path.display())]
    Shape {
        /// Path of the file.
        path: PathBuf,
        /// Shape of its array.
        found: Vec<usize>,
        /// Shape of one sample.
        expected: Vec<usize>,
    },
    /// The file holds no samples.
    #[error("`{}` holds no samples", path.display())]
    Empty {
        /// Path of the file.
        path: PathBuf,
    },
    /// A sample has an infinite value or NaN.
    #[error("`{}`: sample {sample} holds a value that is infinite or not a number", path.display())]
    NotFinite {
        /// Path of the file.
        path: PathBuf,
        /// Position of the first such sample.
        sample: usize,
    },
    /// The requested sample is beyond the last.
    #[error("there is no sample {index} in `{}`: it holds {samples}, counted from 0", path.display())]
    Index {
        /// Path of the file.
        path: PathBuf,
        /// Position of the requested sample.
        index: usize,
        /// Number of samples in the file.
        samples: usize,
    },
    /// The number of labels is not the number of samples.
    #[error("`{}` holds {labels} labels for {samples} samples", path.display())]
    LabelCount {
        /// Path of the file.
        path: PathBuf,
        /// Number of labels in the file.
        labels: usize,
        /// Number of samples.
        samples: usize,
    },
    /// A label is negative or not whole.
    #[error("`{}`: the label of sample {sample} is not a class index 0, 1, …", path.display())]
    Label {
        /// Path of the file.
        path: PathBuf,
        /// Position of the sample.
        sample: usize,
    },
    /// A label is a class that the network does not have.
    #[error(
        "`{}`: the label of sample {sample} is {label}, and the network has {classes} classes, 0 to {}",
        path.display(), classes - 1
    )]
    Class {
        /// Path of the file.
        path: PathBuf,
        /// Position of the sample.
        sample: usize,
        /// Label of the sample.
        label: usize,
        /// Number of outputs of the network.
        classes: usize,
    },
}
