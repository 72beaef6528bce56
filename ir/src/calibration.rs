//! Statistics of the calibration samples, by which a client recognises inputs and answers that the program was not
//! made for.
//!
//! Kept are a few statistics of whole samples, as the interval from the least to the greatest seen, and one bound of
//! the answers. They are made from the samples as the network takes them (preprocessed). A sample whose
//! statistics lie elsewhere is unusual, which is no proof that its answer is wrong; one that is usual can still be
//! nothing like the samples.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Distance beyond the interval seen at calibration that a statistic may have without being unusual, on either
/// side, as a multiple of the interval's length.
///
/// Of n samples of the same kind, two more in n + 1 leave the interval itself. A quarter of the
/// interval is 1.5 standard deviations of a normal statistic of 500 samples, which brings that to one in 10⁵, and a
/// factor of 5 where tails fall exponentially.
pub const WIDENING: f64 = 0.25;

/// Fewest elements of a channel for statistics of its own; if channels are smaller, the whole sample counts as one.
const LEAST_ELEMENTS: usize = 16;

/// Relative difference between two computations of a statistic that rounding to single precision may cause.
const ROUNDING: f64 = 1e-6;

/// Statistics of the calibration samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of calibration samples.
    pub samples: usize,
    /// Root mean square of all elements of a sample.
    pub norm: Seen,
    /// One entry per channel (first axis of the sample); a single entry for all elements if channels have fewer
    /// than 16.
    pub channels: Vec<Channel>,
    /// Magnitude that no answer to a sample of the same kind should have: a quarter more than the largest that the
    /// plain network gave for the samples to which polynomials were fitted. In real units.
    pub largest_output: f64,
}

/// Statistics of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Interval of the single elements.
    pub elements: Seen,
    /// Mean of the elements.
    pub mean: Seen,
    /// Standard deviation of the elements about their mean.
    pub deviation: Seen,
}

/// The interval of the values that a statistic had.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Smallest value seen.
    pub low: f64,
    /// Largest value seen.
    pub high: f64,
}

/// A statistic of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Root mean square of all elements.
    Norm,
    /// Mean of a channel.
    Mean {
        /// Channel index, from 0.
        channel: usize,
    },
    /// Standard deviation of a channel.
    Deviation {
        /// Channel index, from 0.
        channel: usize,
    },
}

/// A statistic of a sample that is unlike those of the calibration samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unusual {
    /// The statistic in question.
    pub statistic: Statistic,
    /// Value of the statistic for this sample.
    pub value: f64,
    /// Interval of the statistic over the calibration samples.
    pub seen: Seen,
}

impl Calibration {
    /// Computes the statistics of row-major flattened samples of a shape. `largest_output` becomes the field of
    /// that name.
    ///
    /// # Panics
    /// Without samples.
    pub fn new(shape: &[usize], samples: &[&[f32]], largest_output: f64) -> Self {
        let of = |sample: &&[f32]| Moments::new(shape, sample);
        let mut moments = samples.iter().map(of);
        let first = moments.next().expect("there are calibration samples");
        let channel = |c: &ChannelMoments| Channel {
            elements: c.elements,
            mean: Seen::once(c.mean),
            deviation: Seen::once(c.deviation),
        };
        let mut found = Self {
            samples: samples.len(),
            norm: Seen::once(first.norm),
            channels: first.channels.iter().map(channel).collect(),
            largest_output,
        };
        for Moments { norm, channels } in moments {
            found.norm.include(norm);
            for (seen, channel) in found.channels.iter_mut().zip(channels) {
                seen.elements.include(channel.elements.low);
                seen.elements.include(channel.elements.high);
                seen.mean.include(channel.mean);
                seen.deviation.include(channel.deviation);
            }
        }
        found
    }

    /// Returns whether these values can be the statistics of samples of a shape: finite, and with its number of
    /// channels.
    pub fn is_sound(&self, shape: &[usize]) -> bool {
        let of_channel =
            |c: &Channel| c.elements.is_sound() && c.mean.is_sound() && c.deviation.is_sound();
        self.samples > 0
            && self.channels.len() == channels(shape)
            && self.norm.is_sound()
            && self.channels.iter().all(of_channel)
            && self.largest_output.is_finite()
            && self.largest_output >= 0.0
    }

    /// Statistics of a sample that lie outside the intervals seen at calibration, widened by [`WIDENING`].
    ///
    /// ```
    /// use pic_ir::calibration::{Calibration, Statistic};
    ///
    /// let samples: [&[f32]; 2] = [&[0.0, 2.0], &[0.0, 4.0]];
    /// let calibration = Calibration::new(&[2], &samples, 1.0);
    /// assert_eq!(calibration.unusual(&[2], &[0.0, 3.0]), []);
    /// let unusual = calibration.unusual(&[2], &[3.0, 3.0]);
    /// assert!(unusual.iter().any(|u| u.statistic == Statistic::Mean { channel: 0 }));
    /// ```
    pub fn unusual(&self, shape: &[usize], sample: &[f32]) -> Vec<Unusual> {
        let Moments { norm, channels } = Moments::new(shape, sample);
        let mut found = vec![Unusual { statistic: Statistic::Norm, value: norm, seen: self.norm }];
        for (channel, (seen, own)) in self.channels.iter().zip(channels).enumerate() {
            let statistic = Statistic::Mean { channel };
            found.push(Unusual { statistic, value: own.mean, seen: seen.mean });
            let statistic = Statistic::Deviation { channel };
            found.push(Unusual { statistic, value: own.deviation, seen: seen.deviation });
        }
        found.retain(|u| !u.seen.is_near(u.value));
        found
    }

    /// Interval `[low, high]` in which elements of a channel count as usual: the interval seen at calibration,
    /// widened by [`WIDENING`].
    ///
    /// ```
    /// use pic_ir::calibration::Calibration;
    ///
    /// let calibration = Calibration::new(&[2], &[&[0.0, 2.0], &[0.0, 4.0]], 1.0);
    /// let [low, high] = calibration.usual_elements(0);
    /// assert!((low + 1.0).abs() < 1e-5 && (high - 5.0).abs() < 1e-5);
    /// ```
    pub fn usual_elements(&self, channel: usize) -> [f64; 2] {
        self.channels[channel].elements.widened()
    }

    /// Index of the channel to which an element of a flattened sample of a shape belongs.
    pub fn channel_of(shape: &[usize], element: usize) -> usize {
        let len: usize = shape.iter().product();
        element / (len / channels(shape)).max(1)
    }
}

impl Seen {
    fn once(value: f64) -> Self {
        Self { low: value, high: value }
    }

    fn include(&mut self, value: f64) {
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
    }

    fn is_sound(&self) -> bool {
        self.low.is_finite() && self.high.is_finite() && self.low <= self.high
    }

    fn widened(&self) -> [f64; 2] {
        let rounding = ROUNDING * self.low.abs().max(self.high.abs());
        let beyond = WIDENING * (self.high - self.low) + rounding;
        [self.low - beyond, self.high + beyond]
    }

    fn is_near(&self, value: f64) -> bool {
        let [low, high] = self.widened();
        (low..=high).contains(&value)
    }
}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statistic {
            Statistic::Norm => f.write_str("root mean square")?,
            Statistic::Mean { channel } => write!(f, "mean of channel {channel}")?,
            Statistic::Deviation { channel } => {
                write!(f, "standard deviation of channel {channel}")?
            }
        }
        let Seen { low, high } = self.seen;
        write!(f, " {:.4}, calibration saw {low:.4} to {high:.4}", self.value)
    }
}

/// Statistics of one sample.
struct Moments {
    norm: f64,
    channels: Vec<ChannelMoments>,
}

struct ChannelMoments {
    elements: Seen,
    mean: f64,
    deviation: f64,
}

impl Moments {
    fn new(shape: &[usize], sample: &[f32]) -> Self {
        let area = (sample.len() / channels(shape)).max(1);
        let channels = sample.chunks(area).map(|values| {
            let count = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
            let squares = values.iter().map(|&v| (f64::from(v) - mean) * (f64::from(v) - mean));
            let deviation = (squares.sum::<f64>() / count).sqrt();
            let mut elements = Seen::once(f64::from(values[0]));
            values.iter().for_each(|&v| elements.include(f64::from(v)));
            ChannelMoments { elements, mean, deviation }
        });
        let squares = sample.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let norm = (squares / sample.len().max(1) as f64).sqrt();
        Self { norm, channels: channels.collect() }
    }
}

/// Number of channels: the extent of the first axis if every channel has at least [`LEAST_ELEMENTS`] elements, else
/// 1.
fn channels(shape: &[usize]) -> usize {
    match shape {
        [channels, rest @ ..] if rest.iter().product::<usize>() >= LEAST_ELEMENTS => {
            (*channels).max(1)
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_definition() {
        let repeat = |x: [[f32; 2]; 2]| x.map(|pair| pair.repeat(8)).concat();
        let a = repeat([[1.0, 3.0], [0.0, 0.0]]);
        let b = repeat([[2.0, 2.0], [-4.0, 4.0]]);
        let found = Calibration::new(&[2, 16], &[&a, &b], 7.0);
        let seen = |low, high| Seen { low, high };
        assert_eq!(found.samples, 2);
        let channel = |elements, mean, deviation| Channel { elements, mean, deviation };
        let first = channel(seen(1.0, 3.0), seen(2.0, 2.0), seen(0.0, 1.0));
        let second = channel(seen(-4.0, 4.0), seen(0.0, 0.0), seen(0.0, 4.0));
        assert_eq!(found.channels, [first, second]);
        let near = |[low, high]: [f64; 2], expected: [f64; 2]| {
            assert!((low - expected[0]).abs() < 1e-5 && (high - expected[1]).abs() < 1e-5);
        };
        near(found.usual_elements(0), [0.5, 3.5]);
        near(found.usual_elements(1), [-6.0, 6.0]);
        assert_eq!([0, 15, 16, 31].map(|e| Calibration::channel_of(&[2, 16], e)), [0, 0, 1, 1]);
        assert_eq!(found.norm, seen((10.0f64 / 4.0).sqrt(), (40.0f64 / 4.0).sqrt()));
        assert!(found.is_sound(&[2, 4, 4]) && !found.is_sound(&[32]) && !found.is_sound(&[2, 3]));
    }

    #[test]
    fn what_was_seen_is_usual_and_a_quarter_more_is_the_limit() {
        let samples: Vec<[f32; 2]> = vec![[-1.0, 1.0], [-3.0, 3.0]];
        let views: Vec<&[f32]> = samples.iter().map(|s| &s[..]).collect();
        let calibration = Calibration::new(&[2], &views, 1.0);
        let unusual = |x: f32| {
            let found = calibration.unusual(&[2], &[-x, x]);
            found.iter().map(|u| u.statistic).collect::<Vec<_>>()
        };
        // Norm and standard deviation were from 1 to 3, so that 0.5 to 3.5 is usual.
        for x in [1.0, 2.0, 3.0, 0.51, 3.49] {
            assert_eq!(unusual(x), [], "{x}");
        }
        for x in [0.49, 3.51, 100.0] {
            assert_eq!(unusual(x), [Statistic::Norm, Statistic::Deviation { channel: 0 }], "{x}");
        }
        // The mean was always 0.
        let shifted = calibration.unusual(&[2], &[-1.0, 1.1]);
        assert_eq!(shifted.len(), 1);
        let text = shifted[0].to_string();
        assert_eq!(text, "mean of channel 0 0.0500, calibration saw 0.0000 to 0.0000");
    }

    #[test]
    fn nonsense_is_not_sound() {
        let good = Calibration::new(&[2], &[&[1.0, 2.0]], 1.0);
        assert!(good.is_sound(&[2]));
        let bad = |change: &dyn Fn(&mut Calibration)| {
            let mut calibration = good.clone();
            change(&mut calibration);
            assert!(!calibration.is_sound(&[2]), "{calibration:?}");
        };
        bad(&|c| c.samples = 0);
        bad(&|c| c.channels.clear());
        bad(&|c| c.norm.low = f64::NAN);
        bad(&|c| c.channels[0].elements.low = 2.5);
        bad(&|c| c.channels[0].mean.high = f64::INFINITY);
        bad(&|c| c.channels[0].deviation.low = 100.0);
        bad(&|c| c.largest_output = -1.0);
        bad(&|c| c.largest_output = f64::NAN);
    }
}
