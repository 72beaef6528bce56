//! Labels: the class of each sample, as an index.

use std::path::Path;

use super::DataError;
use super::array::{Array, ArrayError, Elements};

/// Reads the labels of `samples` samples, each below the number of classes. In an archive (`.npz`) they are the
/// array named `y`, or the only one. With a single class, which is a network with one output, labels may be any
/// index.
///
/// # Errors
/// [`DataError::Read`], [`DataError::LabelCount`], [`DataError::Label`], [`DataError::Class`].
pub fn read_labels(
    path: impl AsRef<Path>,
    samples: usize,
    classes: usize,
) -> Result<Vec<usize>, DataError> {
    let path = path.as_ref();
    let array = Array::read(path, "y", |shape| elements(shape) == Some(samples));
    labels(array, path, samples, classes)
}

/// Reads labels as [`read_labels`] does from the content of a `.npy` file. Errors call the file `name`.
///
/// # Errors
/// The errors of [`read_labels`].
pub fn labels_from_bytes(
    bytes: &[u8],
    name: impl AsRef<Path>,
    samples: usize,
    classes: usize,
) -> Result<Vec<usize>, DataError> {
    let array = Array::decode(bytes, |shape| elements(shape) == Some(samples));
    labels(array, name.as_ref(), samples, classes)
}

fn labels(
    array: Result<Array, ArrayError>,
    path: &Path,
    samples: usize,
    classes: usize,
) -> Result<Vec<usize>, DataError> {
    let path = path.to_path_buf();
    let array = match array {
        Ok(array) => array,
        Err(ArrayError::Shape { found }) => {
            let labels = elements(&found).unwrap_or(usize::MAX);
            return Err(DataError::LabelCount { path, labels, samples });
        }
        Err(source) => return Err(DataError::Read { path, source }),
    };
    let indices = indices(array.elements);
    let mut labels = Vec::with_capacity(samples);
    for (sample, label) in indices.into_iter().enumerate() {
        match label {
            None => return Err(DataError::Label { path, sample }),
            // A network with a single output has no classes, and its labels are of no use.
            Some(label) if classes > 1 && label >= classes => {
                return Err(DataError::Class { path, sample, label, classes });
            }
            Some(label) => labels.push(label),
        }
    }
    Ok(labels)
}

/// Class indices of numbers; none for numbers that are negative or not whole.
fn indices(elements: Elements) -> Vec<Option<usize>> {
    match elements {
        Elements::Integer(values) => {
            values.into_iter().map(|value| usize::try_from(value).ok()).collect()
        }
        Elements::Unsigned(values) => {
            values.into_iter().map(|value| usize::try_from(value).ok()).collect()
        }
        Elements::Real(values) => {
            let whole = |value: &f32| value.fract() == 0.0 && *value >= 0.0;
            values.into_iter().map(|value| whole(&value).then_some(value as usize)).collect()
        }
    }
}

/// Number of elements of an array of this shape; none if it overflows.
fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b))
}

#[cfg(test)]
mod tests {
    use super::super::test_files::file;
    use super::*;

    #[test]
    fn labels_are_class_indices() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path, samples| read_labels(path, samples, 256);
        let labels = file(&folder, &[2], vec![3i64, 0]);
        assert_eq!(read(&labels, 2).unwrap(), [3, 0]);
        assert!(matches!(read(&labels, 3), Err(DataError::LabelCount { .. })));
        let bytes = file(&folder, &[2], vec![3u8, 255]);
        assert_eq!(read(&bytes, 2).unwrap(), [3, 255]);
        let negative = file(&folder, &[2], vec![0i64, -1]);
        assert!(matches!(read(&negative, 2), Err(DataError::Label { sample: 1, .. })));
        let fraction = file(&folder, &[1], vec![0.5f32]);
        assert!(matches!(read(&fraction, 1), Err(DataError::Label { sample: 0, .. })));
        let beyond = file(&folder, &[3], vec![9u64, 10, u64::MAX]);
        let error = read_labels(&beyond, 3, 10).unwrap_err();
        assert!(matches!(error, DataError::Class { sample: 1, label: 10, classes: 10, .. }));
        assert_eq!(read_labels(&beyond, 3, 1).unwrap()[1], 10);
    }
}
