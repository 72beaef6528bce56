//! Checks of the samples that callers hand in.

use crate::Error;

/// Refuses samples of the wrong size and values that are not finite. `index` is the sample's
/// position in its batch, `len` the number of elements of an input of this shape.
pub(crate) fn check_sample(
    index: usize,
    sample: &[f32],
    shape: &[usize],
    len: usize,
) -> Result<(), Error> {
    if sample.len() != len {
        return Err(Error::SampleLength {
            sample: index,
            found: sample.len(),
            expected: len,
            shape: shape.to_vec(),
        });
    }
    match sample.iter().position(|v| !v.is_finite()) {
        Some(position) => {
            Err(Error::NotFinite { sample: index, index: position, value: sample[position] })
        }
        None => Ok(()),
    }
}
