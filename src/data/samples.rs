//! Raw samples of a model's input shape.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use pic_ir::preprocessing::{Preprocessing, PreprocessingError};

use super::DataError;
use super::array::{Array, ArrayError};

/// One or more raw samples of equal shape, with finite values.
///
/// ```
/// use pic::data::Samples;
///
/// let mut samples = Samples::read("examples/digits/test_x.npy", &[1, 8, 8])?;
/// samples.truncate(3.try_into().unwrap());
/// assert_eq!(samples.count(), 3);
/// assert!(samples.iter().all(|sample| sample.len() == 64));
/// # Ok::<(), pic::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Samples {
    /// File of the samples, which errors name.
    path: PathBuf,
    shape: Vec<usize>,
    /// All samples, one after the other, each flattened in C order.
    values: Vec<f32>,
}

impl Samples {
    /// Reads a file that holds one sample of the given shape, or a batch of them along one more axis in front. In an
    /// archive (`.npz`) it is the array named `x`, or the only one.
    ///
    /// The shape in the file is compared before anything else is read.
    ///
    /// # Errors
    /// [`DataError::Read`], [`DataError::Shape`], [`DataError::Empty`], [`DataError::NotFinite`].
    pub fn read(path: impl AsRef<Path>, shape: &[usize]) -> Result<Self, DataError> {
        let path = path.as_ref();
        let array = Array::read(path, "x", |found| samples_in(found, shape).is_some());
        Self::new(array, path, shape)
    }

    /// Reads samples as [`Samples::read`] does from the content of a `.npy` file. Errors call the file `name`.
    ///
    /// # Errors
    /// The errors of [`Samples::read`].
    pub fn from_bytes(
        bytes: &[u8],
        name: impl AsRef<Path>,
        shape: &[usize],
    ) -> Result<Self, DataError> {
        let array = Array::decode(bytes, |found| samples_in(found, shape).is_some());
        Self::new(array, name.as_ref(), shape)
    }

    fn new(
        array: Result<Array, ArrayError>,
        path: &Path,
        shape: &[usize],
    ) -> Result<Self, DataError> {
        let path = path.to_path_buf();
        let array = match array {
            Ok(array) => array,
            Err(ArrayError::Shape { found }) => {
                return Err(DataError::Shape { path, found, expected: shape.to_vec() });
            }
            Err(source) => return Err(DataError::Read { path, source }),
        };
        let samples = Self { path, shape: shape.to_vec(), values: array.into_reals() };
        if samples.values.is_empty() {
            return Err(DataError::Empty { path: samples.path });
        }
        let bad = samples.iter().position(|sample| sample.iter().any(|value| !value.is_finite()));
        match bad {
            Some(sample) => Err(DataError::NotFinite { path: samples.path, sample }),
            None => Ok(samples),
        }
    }

    /// Number of samples, at least one.
    pub fn count(&self) -> usize {
        self.values.len() / self.length()
    }

    /// Raw samples in order, each flattened in C order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.length())
    }

    /// Samples after preprocessing, each flattened in C order.
    ///
    /// # Errors
    /// The errors of [`Preprocessing::verify`]: constants for another number of channels than the samples have.
    pub fn preprocessed(
        &self,
        preprocessing: &Preprocessing,
    ) -> Result<Vec<Vec<f32>>, PreprocessingError> {
        preprocessing.verify(&self.shape)?;
        let apply = |sample: &[f32]| {
            let mut sample = sample.to_vec();
            preprocessing.apply(&self.shape, &mut sample);
            sample
        };
        Ok(self.iter().map(apply).collect())
    }

    /// Keeps one sample alone, counted from 0.
    ///
    /// # Errors
    /// [`DataError::Index`].
    pub fn select(&mut self, index: usize) -> Result<(), DataError> {
        let (samples, length) = (self.count(), self.length());
        if index >= samples {
            return Err(DataError::Index { path: self.path.clone(), index, samples });
        }
        self.values.truncate((index + 1) * length);
        self.values.drain(..index * length);
        Ok(())
    }

    /// Keeps the first `count` samples, or all where there are fewer.
    pub fn truncate(&mut self, count: NonZeroUsize) {
        self.values.truncate(count.get().saturating_mul(self.length()));
    }

    /// Number of values of one sample.
    fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Number of samples of a shape that an array of another shape holds; none if it holds no such samples.
fn samples_in(array: &[usize], shape: &[usize]) -> Option<usize> {
    match array.strip_suffix(shape)? {
        [] => Some(1),
        [batch] => Some(*batch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_files::file;
    use super::*;

    #[test]
    fn one_sample_and_batches_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(&folder, &[1, 2], vec![1u8, 2]);
        assert_eq!(Samples::read(&one, &[1, 2]).unwrap().count(), 1);
        let three = file(&folder, &[3, 1, 2], (0..6).collect::<Vec<u8>>());
        let mut samples = Samples::read(&three, &[1, 2]).unwrap();
        assert_eq!(samples.iter().collect::<Vec<_>>(), [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]);
        assert!(matches!(samples.select(3), Err(DataError::Index { samples: 3, .. })));
        samples.select(1).unwrap();
        assert_eq!(samples.iter().collect::<Vec<_>>(), [[2.0, 3.0]]);
    }

    #[test]
    fn preprocessing_has_to_fit() {
        let folder = tempfile::tempdir().unwrap();
        let samples = Samples::read(file(&folder, &[1, 2], vec![1u8, 2]), &[1, 2]).unwrap();
        let halved = Preprocessing { scale: 0.5, ..Preprocessing::default() };
        assert_eq!(samples.preprocessed(&halved).unwrap(), [[0.5, 1.0]]);
        let two_channels = Preprocessing { mean: vec![0.0, 1.0], ..halved };
        assert!(samples.preprocessed(&two_channels).is_err());
    }

    #[test]
    fn unfit_samples_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shape = |shape: &[usize]| {
            Samples::read(file(&folder, &[2, 3], vec![0f32; 6]), shape).unwrap_err()
        };
        assert!(matches!(shape(&[2]), DataError::Shape { .. }));
        assert!(matches!(shape(&[2, 2, 3]), DataError::Shape { .. }));
        let nan = file(&folder, &[2, 2], vec![0.0, 1.0, f32::NAN, 0.0]);
        assert!(matches!(Samples::read(&nan, &[2]), Err(DataError::NotFinite { sample: 1, .. })));
        // Finite as f64, infinite as f32.
        let large = file(&folder, &[1, 1], vec![1e300f64]);
        assert!(matches!(Samples::read(&large, &[1]), Err(DataError::NotFinite { .. })));
        let empty = file(&folder, &[0, 1], Vec::<f32>::new());
        assert!(matches!(Samples::read(&empty, &[1]), Err(DataError::Empty { .. })));
        // An input without elements has no samples either.
        let no_elements = file(&folder, &[2, 0], Vec::<f32>::new());
        assert!(matches!(Samples::read(&no_elements, &[0]), Err(DataError::Empty { .. })));
        let missing = folder.path().join("missing.npy");
        assert!(matches!(Samples::read(&missing, &[1]), Err(DataError::Read { .. })));
    }
}
