//! Calibration samples in two parts: one to fit to, the other held back.

use pic_ir::network::Network;

use crate::dataset::{Dataset, DatasetError};

/// One in this many calibration samples is held back to measure accuracy.
const HELD_BACK: usize = 2;

/// Preprocessed samples in two parts.
pub struct Split<'a> {
    fitting: Part<'a>,
    held_back: Part<'a>,
}

struct Part<'a> {
    samples: Vec<&'a [f32]>,
    labels: Option<Vec<usize>>,
}

impl<'a> Split<'a> {
    /// Splits preprocessed samples: every second one is held back. If there are too few, all are in both parts.
    pub fn new(samples: &[&'a [f32]], labels: Option<&[usize]>) -> Self {
        let (mut held_back, mut fitting): (Vec<usize>, Vec<usize>) =
            (0..samples.len()).partition(|k| k % HELD_BACK == HELD_BACK - 1);
        if samples.len() < 2 * HELD_BACK {
            fitting = (0..samples.len()).collect();
            held_back = fitting.clone();
        }
        let part = |indices: Vec<usize>| Part {
            samples: indices.iter().map(|&k| samples[k]).collect(),
            labels: labels.map(|labels| indices.iter().map(|&k| labels[k]).collect()),
        };
        Self { fitting: part(fitting), held_back: part(held_back) }
    }

    /// The samples to fit to.
    ///
    /// # Errors
    /// If they do not fit the network.
    pub fn fitting(&self, network: &Network) -> Result<Dataset<'_>, DatasetError> {
        self.fitting.dataset(network)
    }

    /// The samples on which accuracy is measured.
    ///
    /// # Errors
    /// If they do not fit the network.
    pub fn held_back(&self, network: &Network) -> Result<Dataset<'_>, DatasetError> {
        self.held_back.dataset(network)
    }
}

impl Part<'_> {
    fn dataset(&self, network: &Network) -> Result<Dataset<'_>, DatasetError> {
        Dataset::new(network, &self.samples, self.labels.as_deref())
    }
}
