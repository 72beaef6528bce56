//! Preprocessing: the affine map from raw inputs, for instance bytes of an image, to the inputs that the network
//! expects.
//!
//! Kept in the artifact and applied wherever raw inputs enter, so that every command takes the
//! same files.

use serde::{Deserialize, Serialize};

/// The map `(scale · raw − mean[channel]) / std[channel]`; channels are the first axis of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Factor of every raw value, for instance 1/255.
    pub scale: f64,
    /// One mean for all channels, or one per channel.
    pub mean: Vec<f64>,
    /// One standard deviation for all channels, or one per channel.
    pub std: Vec<f64>,
}

impl Default for Preprocessing {
    /// The identity.
    fn default() -> Self {
        Self { scale: 1.0, mean: vec![0.0], std: vec![1.0] }
    }
}

impl Preprocessing {
    /// Checks that the constants are usable and fit a sample of this shape.
    ///
    /// # Errors
    /// [`PreprocessingError`].
    pub fn verify(&self, shape: &[usize]) -> Result<(), PreprocessingError> {
        let channels = shape.first().copied().unwrap_or(1);
        for (name, list) in [("mean", &self.mean), ("std", &self.std)] {
            if list.len() != 1 && list.len() != channels {
                return Err(PreprocessingError::Channels { name, found: list.len(), channels });
            }
        }
        let finite = self.mean.iter().chain(&self.std).chain([&self.scale]).all(|v| v.is_finite());
        if !finite || self.std.iter().any(|&s| s <= 0.0) {
            return Err(PreprocessingError::Values);
        }
        Ok(())
    }

    /// True if the map is the identity.
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0
            && self.mean.iter().all(|&mean| mean == 0.0)
            && self.std.iter().all(|&std| std == 1.0)
    }

    /// Applies the map to flattened samples of the given shape.
    ///
    /// # Errors
    /// The errors of [`Preprocessing::verify`].
    pub fn applied(
        &self,
        shape: &[usize],
        samples: &[&[f32]],
    ) -> Result<Vec<Vec<f32>>, PreprocessingError> {
        self.verify(shape)?;
        let mut applied: Vec<Vec<f32>> = samples.iter().map(|sample| sample.to_vec()).collect();
        applied.iter_mut().for_each(|sample| self.apply(shape, sample));
        Ok(applied)
    }

    /// Applies the map in place to a flattened sample of the given shape.
    pub fn apply(&self, shape: &[usize], sample: &mut [f32]) {
        let channels = shape.first().copied().unwrap_or(1);
        let area = (sample.len() / channels).max(1);
        for (channel, values) in sample.chunks_mut(area).enumerate() {
            let of = |list: &[f64]| list[if list.len() == 1 { 0 } else { channel }];
            let (mean, std) = (of(&self.mean), of(&self.std));
            values.iter_mut().for_each(|v| *v = ((f64::from(*v) * self.scale - mean) / std) as f32);
        }
    }
}

/// Reason why preprocessing constants are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreprocessingError {
    /// The number of constants is neither one nor the number of channels.
    #[error("{found} values of {name} for {channels} channels: give one, or one per channel")]
    Channels {
        /// Name of the constants: `mean` or `std`.
        name: &'static str,
        /// Number of constants given.
        found: usize,
        /// Number of channels of the input.
        channels: usize,
    },
    /// A constant is not finite, or a standard deviation is not positive.
    #[error("scale, mean and std must be finite, std positive")]
    Values,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_per_channel() {
        let p = Preprocessing { scale: 0.5, mean: vec![1.0, 2.0], std: vec![2.0, 4.0] };
        p.verify(&[2, 1, 2]).unwrap();
        let mut sample = [4.0, 2.0, 12.0, 4.0];
        p.apply(&[2, 1, 2], &mut sample);
        assert_eq!(sample, [0.5, 0.0, 1.0, 0.0]);
        assert!(p.verify(&[3, 1, 2]).is_err());
        assert!(Preprocessing { std: vec![0.0], ..p }.verify(&[2]).is_err());
    }
}
