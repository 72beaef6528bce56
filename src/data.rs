//! Samples and labels from numpy's files, `.npy` and `.npz`, checked against what a model takes.
//!
//! Values stay raw: preprocessing belongs to the model, and [`Samples::preprocessed`] applies it.
//!
//! ```no_run
//! use pic::{Artifact, data};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let info = Artifact::open("model.pic".as_ref())?.client()?;
//! let samples = data::Samples::read("test_x.npy", &info.input.shape)?;
//! let classes = info.output.shape.iter().product();
//! let labels = data::read_labels("test_y.npy", samples.count(), classes)?;
//! let inputs = samples.preprocessed(&info.preprocessing)?;
//! # assert_eq!(inputs.len(), labels.len());
//! # Ok(()) }
//! ```

mod array;
mod error;
mod labels;
mod samples;

pub use array::ArrayError;
pub use error::DataError;
pub use labels::{labels_from_bytes, read_labels};
pub use samples::Samples;

#[cfg(test)]
mod test_files {
    use std::path::PathBuf;

    use ndarray::{ArrayD, IxDyn};
    use ndarray_npy::{WritableElement, write_npy};

    /// A file with an array.
    pub fn file<T>(folder: &tempfile::TempDir, shape: &[usize], values: Vec<T>) -> PathBuf
    where
        T: WritableElement,
    {
        let path = folder.path().join("array.npy");
        write_npy(&path, &ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()).unwrap();
        path
    }
}
