//! Checks of samples before they are encrypted or simulated.

use pic_ir::calibration::{Calibration, Unusual};

use crate::Error;
use crate::artifact::ClientInfo;

/// Largest magnitude of a stored input, `(x − center) / half_width`, that clients encrypt unless told otherwise.
///
/// It leaves no margin, because the half width holds one: it is a quarter more than the largest magnitude that calibration saw,
/// or, where a polynomial reads the input, the end of the polynomial's interval, which reaches what one sample in a
/// million would and beyond which the polynomial grows as fast as its degree allows.
pub const LARGEST_STORED_INPUT: f64 = 1.0;

impl ClientInfo {
    /// Refuses a preprocessed sample that the program cannot answer: of the wrong size, not finite, or with a value
    /// outside its [`ClientInfo::input_range`]. `index` is its position in a batch.
    ///
    /// # Errors
    /// [`Error::SampleLength`], [`Error::NotFinite`], [`Error::OutOfRange`].
    pub fn check_range(&self, index: usize, sample: &[f32]) -> Result<(), Error> {
        let encoding = &self.input_encoding;
        check_sample(index, sample, &self.input.shape, encoding.layout.len)?;
        let ranges = self.input_ranges();
        for (position, &value) in sample.iter().enumerate() {
            let [low, high] = match ranges[..] {
                [range] => range,
                _ => ranges[Calibration::channel_of(&self.input.shape, position)],
            };
            if !(low..=high).contains(&f64::from(value)) {
                return Err(Error::OutOfRange {
                    sample: index,
                    index: position,
                    value,
                    range: [low, high],
                    preprocessed: !self.preprocessing.is_identity(),
                });
            }
        }
        Ok(())
    }

    /// Smallest and largest value that clients encrypt unless told otherwise, over all channels.
    pub fn input_range(&self) -> [f64; 2] {
        let ranges = self.input_ranges();
        let low = ranges.iter().map(|range| range[0]).fold(f64::INFINITY, f64::min);
        [low, ranges.iter().map(|range| range[1]).fold(f64::NEG_INFINITY, f64::max)]
    }

    /// Smallest and largest value that clients encrypt, for each channel of the calibration samples, or for all
    /// elements. They are stored within [`LARGEST_STORED_INPUT`], and usual for the channel
    /// ([`Calibration::usual_elements`]).
    fn input_ranges(&self) -> Vec<[f64; 2]> {
        let encoding = &self.input_encoding;
        let reach = LARGEST_STORED_INPUT * encoding.half_width;
        let stored = [encoding.center - reach, encoding.center + reach];
        let Some(calibration) = &self.calibration else { return vec![stored] };
        let usual = (0..calibration.channels.len()).map(|c| calibration.usual_elements(c));
        usual.map(|[low, high]| [low.max(stored[0]), high.min(stored[1])]).collect()
    }

    /// Statistics in which a preprocessed sample is unlike all calibration samples: a reason to doubt its answer,
    /// and none to refuse it. Empty if the program was made without calibration samples, or the sample has another
    /// size.
    pub fn unusual(&self, sample: &[f32]) -> Vec<Unusual> {
        match &self.calibration {
            Some(calibration) if sample.len() == self.input_encoding.layout.len => {
                calibration.unusual(&self.input.shape, sample)
            }
            _ => vec![],
        }
    }
}

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
