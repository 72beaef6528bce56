//! The second representation: statistics of every activation layer's input over the calibration samples.
//!
//! Layers are the activation nodes in order of evaluation ([`crate::network::Network::activations`]).

use std::fmt;

use crate::escape::Escaped;
use serde::{Deserialize, Serialize};

/// Statistics of every activation layer's input over the calibration samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Number of calibration samples that were run.
    pub samples: usize,
    /// One entry per activation layer.
    pub layers: Vec<LayerProfile>,
}

/// Statistics of the input of one activation layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerProfile {
    /// Name of the activation node.
    pub name: String,
    /// Number of elements of the layer's input, per sample.
    pub elements: usize,
    /// Statistics over all elements.
    pub overall: Statistics,
    /// Statistics of each channel (first axis of the tensor).
    pub channels: Vec<Statistics>,
    /// Return level of the input's magnitude: the largest element exceeds it in an estimated one of 10⁶ samples. It
    /// is at least the largest magnitude seen.
    pub extreme: f64,
    /// Sensitivity of the loss to errors in this layer's output.
    pub sensitivity: Sensitivity,
}

/// Moments, extremes and histogram of a set of real values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Number of values.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Variance (population).
    pub variance: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Counts of values over `[min, max]`.
    pub histogram: Histogram,
}

/// Counts over adjacent intervals of equal width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Left end of the first interval.
    pub low: f64,
    /// Width of each interval.
    pub width: f64,
    /// Number of values in each interval, from the lowest interval up.
    pub counts: Vec<u64>,
}

/// Sensitivity `A = Σ_j E[(∂L/∂a_j)²]` of a layer: the factor between its approximation error and the variance of
/// the loss (the objective of OLA, Lee et al. 2023).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Estimate of `A`.
    pub value: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
}

impl Statistics {
    /// Largest magnitude seen.
    pub fn max_abs(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }
}

/// One line per layer.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "profile over {} samples", self.samples)?;
        for layer in &self.layers {
            let s = &layer.overall;
            writeln!(
                f,
                "{}: {} elements, mean {:.4}, std {:.4}, range [{:.4}, {:.4}], sensitivity {:.4e} ± {:.1e}",
                Escaped(&layer.name),
                layer.elements,
                s.mean,
                s.variance.sqrt(),
                s.min,
                s.max,
                layer.sensitivity.value,
                layer.sensitivity.standard_error
            )?;
        }
        Ok(())
    }
}
