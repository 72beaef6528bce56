//! Files that are read: samples and labels, checked against what a model expects.
//!
//! Values stay raw: preprocessing belongs to the model and is applied where it takes the samples.

use std::path::{Path, PathBuf};

use miette::Diagnostic;
use pic::Preprocessing;

use super::array::{Array, ArrayError, Elements};

/// Samples of equal shape, flattened.
#[derive(Debug)]
pub struct Samples {
    length: usize,
    values: Vec<f32>,
}

impl Samples {
    /// Reads one sample or a batch of samples of the given shape.
    pub fn read(path: &Path, shape: &[usize]) -> Result<Self, InputError> {
        let expected =
            |found: &[usize]| found.strip_suffix(shape).is_some_and(|batch| batch.len() <= 1);
        let array = Array::read(path, "x", expected).map_err(|source| match source {
            ArrayError::Shape { found } => {
                InputError::Shape { path: path.into(), found, expected: shape.to_vec() }
            }
            source => InputError::read(path, source),
        })?;
        Self::new(array, path, shape)
    }

    /// Takes one sample or a batch from an array; errors name the file it came from.
    pub fn new(array: Array, path: &Path, shape: &[usize]) -> Result<Self, InputError> {
        let file = || path.to_path_buf();
        let batch = match array.shape.strip_suffix(shape) {
            Some([]) => 1,
            Some([batch]) => *batch,
            _ => {
                let (found, expected) = (array.shape, shape.to_vec());
                return Err(InputError::Shape { path: file(), found, expected });
            }
        };
        let samples = Self { length: shape.iter().product(), values: array.into_reals() };
        if batch == 0 || samples.length == 0 {
            return Err(InputError::Empty { path: file() });
        }
        let finite = |sample: &[f32]| sample.iter().all(|v| v.is_finite());
        let bad = samples.iter().position(|s| !finite(s));
        match bad {
            Some(sample) => Err(InputError::NotFinite { path: file(), sample }),
            None => Ok(samples),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len() / self.length
    }

    /// The samples in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.length)
    }

    /// The samples as the network takes them.
    pub fn preprocessed(&self, preprocessing: &Preprocessing, shape: &[usize]) -> Vec<Vec<f32>> {
        let apply = |sample: &[f32]| {
            let mut sample = sample.to_vec();
            preprocessing.apply(shape, &mut sample);
            sample
        };
        self.iter().map(apply).collect()
    }

    /// Keeps one sample only.
    pub fn select(&mut self, path: &Path, index: usize) -> Result<(), InputError> {
        let samples = self.len();
        if index >= samples {
            return Err(InputError::Index { path: path.to_path_buf(), index, samples });
        }
        self.values.truncate((index + 1) * self.length);
        self.values.drain(..index * self.length);
        Ok(())
    }

    /// Keeps the first `count` samples, or all where there are fewer.
    pub fn truncate(&mut self, count: usize) {
        self.values.truncate(count.saturating_mul(self.length));
    }
}

/// Reads one label per sample, where a file is given, each one of so many classes.
pub fn read_labels(
    path: Option<&Path>,
    samples: usize,
    classes: usize,
) -> Result<Option<Vec<usize>>, InputError> {
    let read = |path: &Path| {
        let count = |shape: &[usize]| shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        let expected = |shape: &[usize]| count(shape) == Some(samples);
        let array = Array::read(path, "y", expected).map_err(|source| match source {
            ArrayError::Shape { found } => {
                let labels = count(&found).unwrap_or(usize::MAX);
                InputError::LabelCount { path: path.into(), labels, samples }
            }
            source => InputError::read(path, source),
        })?;
        let labels = labels(array, path, samples)?;
        // A network with a single output has no classes, and its labels are of no use.
        match labels.iter().position(|&label| classes > 1 && label >= classes) {
            Some(sample) => {
                let (path, label) = (path.into(), labels[sample]);
                Err(InputError::Class { path, sample, label, classes })
            }
            None => Ok(labels),
        }
    };
    path.map(read).transpose()
}

/// Takes one label per sample from an array; errors name the file it came from.
pub fn labels(array: Array, path: &Path, samples: usize) -> Result<Vec<usize>, InputError> {
    let integers = match array.elements {
        Elements::Integer(values) => values,
        Elements::Unsigned(values) => {
            values.into_iter().map(|v| i64::try_from(v).unwrap_or(i64::MAX)).collect()
        }
        Elements::Real(values) => {
            let whole = |v: &f32| if v.fract() == 0.0 { *v as i64 } else { -1 };
            values.iter().map(whole).collect()
        }
    };
    if integers.len() != samples {
        let (path, labels) = (path.to_path_buf(), integers.len());
        return Err(InputError::LabelCount { path, labels, samples });
    }
    let label = |(sample, value)| {
        usize::try_from(value).map_err(|_| InputError::Label { path: path.to_path_buf(), sample })
    };
    integers.into_iter().enumerate().map(label).collect()
}

/// Why a file of samples or labels is refused.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum InputError {
    /// Missing, unreadable or not an array.
    #[error("cannot read `{}`", path.display())]
    #[diagnostic(
        code(pic::input::read),
        help("save arrays with numpy: np.save(\"x.npy\", x) or np.savez(\"data.npz\", x=x, y=y)")
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArrayError,
    },
    /// Neither one sample nor a batch.
    #[error("`{}` has shape {found:?}, the model takes {expected:?}", path.display())]
    #[diagnostic(
        code(pic::input::shape),
        help("give one sample of shape {expected:?}, or a batch with one more axis in front")
    )]
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
    #[diagnostic(code(pic::input::empty))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An infinite value or NaN.
    #[error("`{}`: sample {sample} holds a value that is infinite or not a number", path.display())]
    #[diagnostic(
        code(pic::input::not_finite),
        help("remove such samples, or replace the values: numpy.nan_to_num")
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The first such sample, counted from 0.
        sample: usize,
    },
    /// `--index` beyond the end.
    #[error("there is no sample {index} in `{}`: it holds {samples}, counted from 0", path.display())]
    #[diagnostic(code(pic::input::index))]
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
    #[diagnostic(code(pic::input::labels), help("give one label per sample, in the same order"))]
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
    #[diagnostic(code(pic::input::label))]
    Label {
        /// The file.
        path: PathBuf,
        /// The sample, counted from 0.
        sample: usize,
    },
    /// A class that the network does not have.
    #[error(
        "`{}`: the label of sample {sample} is {label}, and the network has {classes} classes, 0 to {}",
        path.display(), classes - 1
    )]
    #[diagnostic(code(pic::input::label), help("check that labels and network belong together"))]
    Class {
        /// The file.
        path: PathBuf,
        /// The sample, counted from 0.
        sample: usize,
        /// Its label.
        label: usize,
        /// Outputs of the network.
        classes: usize,
    },
}

impl InputError {
    /// The file is not an array.
    pub fn read(path: &Path, source: ArrayError) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};
    use ndarray_npy::write_npy;

    use super::*;

    fn file<T>(folder: &tempfile::TempDir, shape: &[usize], values: Vec<T>) -> PathBuf
    where
        T: ndarray_npy::WritableElement,
    {
        let path = folder.path().join("array.npy");
        write_npy(&path, &ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()).unwrap();
        path
    }

    #[test]
    fn one_sample_and_batches_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(&folder, &[1, 2], vec![1u8, 2]);
        assert_eq!(Samples::read(&one, &[1, 2]).unwrap().len(), 1);
        let three = file(&folder, &[3, 1, 2], (0..6).collect::<Vec<u8>>());
        let mut samples = Samples::read(&three, &[1, 2]).unwrap();
        assert_eq!(samples.iter().collect::<Vec<_>>(), [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]);
        assert!(matches!(samples.select(&three, 3), Err(InputError::Index { samples: 3, .. })));
        samples.select(&three, 1).unwrap();
        assert_eq!(samples.iter().collect::<Vec<_>>(), [[2.0, 3.0]]);
    }

    #[test]
    fn unfit_samples_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shape = |shape: &[usize]| {
            Samples::read(&file(&folder, &[2, 3], vec![0f32; 6]), shape).unwrap_err()
        };
        assert!(matches!(shape(&[2]), InputError::Shape { .. }));
        assert!(matches!(shape(&[2, 2, 3]), InputError::Shape { .. }));
        let nan = file(&folder, &[2, 2], vec![0.0, 1.0, f32::NAN, 0.0]);
        assert!(matches!(Samples::read(&nan, &[2]), Err(InputError::NotFinite { sample: 1, .. })));
        // Finite as f64, infinite as f32.
        let large = file(&folder, &[1, 1], vec![1e300f64]);
        assert!(matches!(Samples::read(&large, &[1]), Err(InputError::NotFinite { .. })));
        let empty = file(&folder, &[0, 1], Vec::<f32>::new());
        assert!(matches!(Samples::read(&empty, &[1]), Err(InputError::Empty { .. })));
        let missing = folder.path().join("missing.npy");
        assert!(matches!(Samples::read(&missing, &[1]), Err(InputError::Read { .. })));
    }

    #[test]
    fn labels_are_class_indices() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path, samples| read_labels(Some(path), samples, 256);
        let labels = file(&folder, &[2], vec![3i64, 0]);
        assert_eq!(read(&labels, 2).unwrap(), Some(vec![3, 0]));
        assert!(matches!(read(&labels, 3), Err(InputError::LabelCount { .. })));
        let bytes = file(&folder, &[2], vec![3u8, 255]);
        assert_eq!(read(&bytes, 2).unwrap(), Some(vec![3, 255]));
        let negative = file(&folder, &[2], vec![0i64, -1]);
        assert!(matches!(read(&negative, 2), Err(InputError::Label { sample: 1, .. })));
        let fraction = file(&folder, &[1], vec![0.5f32]);
        assert!(matches!(read(&fraction, 1), Err(InputError::Label { sample: 0, .. })));
        let beyond = file(&folder, &[3], vec![9u64, 10, u64::MAX]);
        let error = read_labels(Some(&beyond), 3, 10).unwrap_err();
        assert!(matches!(error, InputError::Class { sample: 1, label: 10, classes: 10, .. }));
        assert_eq!(read_labels(Some(&beyond), 3, 1).unwrap().unwrap()[1], 10);
    }
}
