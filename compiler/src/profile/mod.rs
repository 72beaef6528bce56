//! Profiling: statistics of the input of each activation over a set of samples.
//!
//! One pass over the data, a batch at a time: memory does not depend on the number of samples.
//! How strongly the loss answers to each layer is measured in [`crate::sensitivity`] and stored
//! with the rest.

mod accumulator;

use pic_ckks_model::square;
use pic_ir::escape::Escaped;
use pic_ir::network::Network;
use pic_ir::profile::{LayerProfile, Profile, Sensitivity};
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::evaluate::{Batch, Evaluation, LANES, exact_layers};
use crate::progress::Advance;
use crate::sensitivity::{self, SensitivityOptions};
use accumulator::Accumulator;

/// Return period of [`LayerProfile::extreme`], in samples. For a ResNet-20 with degrees 15 and 7, fitted to 1,000
/// images, the input of one of 1,000 other images was 10⁵ outside an interval and exploded.
const RETURN_PERIOD: f64 = 1e6;

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

/// Resolution of histograms, and parameters of the sensitivities.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileOptions {
    /// Largest number of bins in the histogram of a layer.
    pub bins: usize,
    /// Largest number of bins in the histogram of a channel.
    pub channel_bins: usize,
    /// Parameters of the sensitivities.
    pub sensitivity: SensitivityOptions,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self { bins: 512, channel_bins: 128, sensitivity: SensitivityOptions::default() }
    }
}

/// Reason why samples give no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// There is only one sample, which shows no distribution.
    #[error("{samples} calibration sample is too few, give at least 2")]
    TooFewSamples {
        /// Number of samples given.
        samples: usize,
    },
    /// The input of a layer is not finite.
    #[error("the input of layer `{}` is infinite or not a number for some sample", Escaped(layer))]
    Overflow {
        /// Name of the layer.
        layer: String,
    },
}

/// Profiles every activation layer of the exact network, sensitivities included.
///
/// # Errors
/// [`ProfileError`].
pub fn profile(
    network: &Network,
    data: &Dataset,
    options: &ProfileOptions,
    progress: Advance,
) -> Result<Profile, ProfileError> {
    if data.len() < 2 {
        return Err(ProfileError::TooFewSamples { samples: data.len() });
    }
    let batches = data.batches().len() as u64;
    let total = batches + sensitivity::work(network, data, &options.sensitivity);
    let mut layers = inputs(network, data, options, &|done, _| progress(done, total))?;
    let spreads: Vec<f64> = layers.iter().map(|l| l.overall.variance.sqrt()).collect();
    let further = |done, _| progress(batches + done, total);
    let found = sensitivity::gradient(network, data, &spreads, &options.sensitivity, &further);
    for (layer, sensitivity) in layers.iter_mut().zip(found) {
        layer.sensitivity = sensitivity;
    }
    Ok(Profile { samples: data.len(), layers })
}

/// Profiles the inputs of every activation layer of the exact network; sensitivities are left at
/// zero.
///
/// # Errors
/// [`ProfileError::Overflow`].
pub fn inputs(
    network: &Network,
    data: &Dataset,
    options: &ProfileOptions,
    progress: Advance,
) -> Result<Vec<LayerProfile>, ProfileError> {
    let exact = exact_layers(network);
    let nodes = network.activations();
    let batches = data.batches().len() as u64;
    let mut collectors: Vec<_> =
        nodes.iter().map(|&(node, _)| Collector::new(network, node, options)).collect();
    for (done, batch) in data.batches().enumerate() {
        let evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), &exact);
        for (collector, &(node, _)) in collectors.iter_mut().zip(&nodes) {
            collector.add(evaluation.value(network.operands(node)[0]))?;
        }
        progress(done as u64 + 1, batches);
    }
    Ok(collectors.into_iter().map(Collector::finish).collect())
}

/// The running statistics of one layer.
pub(crate) struct Collector<'a> {
    name: &'a str,
    elements: usize,
    options: &'a ProfileOptions,
    channels: Vec<Accumulator>,
    /// Largest magnitude of each sample.
    maxima: Vec<f64>,
}

impl<'a> Collector<'a> {
    /// Collects the input of an activation node.
    pub(crate) fn new(
        network: &'a Network,
        node: petgraph::graph::NodeIndex,
        options: &'a ProfileOptions,
    ) -> Self {
        let node = &network.graph[node];
        let channels = node.shape.first().copied().unwrap_or(1);
        Self {
            name: &node.name,
            elements: node.len(),
            options,
            channels: vec![Accumulator::new(options.bins); channels],
            maxima: vec![],
        }
    }

    /// Adds the values of one batch.
    pub(crate) fn add(&mut self, batch: &Batch) -> Result<(), ProfileError> {
        let rows: Vec<&[f32]> = batch.used().collect();
        let per_channel = self.elements / self.channels.len();
        let finite = self
            .channels
            .par_iter_mut()
            .zip(rows.par_chunks(per_channel))
            .map(|(channel, rows)| channel.add(rows))
            .reduce(|| true, |a, b| a && b);
        self.add_maxima(batch)?;
        let overflow = || ProfileError::Overflow { layer: self.name.to_owned() };
        finite.then_some(()).ok_or_else(overflow)
    }

    /// Adds the values of one batch to the extreme, and to no other statistic.
    pub(crate) fn add_maxima(&mut self, batch: &Batch) -> Result<(), ProfileError> {
        let mut maxima = [0.0f32; LANES];
        for lanes in &batch.values {
            maxima.iter_mut().zip(lanes).for_each(|(max, x)| *max = max.max(x.abs()));
        }
        let maxima = &maxima[..batch.samples];
        self.maxima.extend(maxima.iter().copied().map(f64::from));
        let finite = maxima.iter().all(|max| max.is_finite());
        finite.then_some(()).ok_or_else(|| ProfileError::Overflow { layer: self.name.to_owned() })
    }

    /// The statistics collected; the sensitivity is left at zero.
    pub(crate) fn finish(self) -> LayerProfile {
        let mut overall = Accumulator::new(self.options.bins);
        self.channels.iter().for_each(|channel| overall.merge(channel));
        let channel_bins = self.options.channel_bins;
        LayerProfile {
            name: self.name.to_owned(),
            elements: self.elements,
            overall: overall.finish(self.options.bins),
            channels: self.channels.into_iter().map(|c| c.finish(channel_bins)).collect(),
            extreme: extreme(&self.maxima),
            sensitivity: Sensitivity { value: 0.0, standard_error: 0.0 },
        }
    }
}

/// Value that one maximum in [`RETURN_PERIOD`] exceeds, by a Gumbel distribution of the mean and variance of
/// `maxima` (Gumbel, *Statistics of Extremes*, 1958, §6.2.5): maxima of many elements have that shape where the
/// tails of the elements fall exponentially or faster.
pub(crate) fn extreme(maxima: &[f64]) -> f64 {
    let n = maxima.len() as f64;
    let mean = maxima.iter().sum::<f64>() / n;
    let variance = maxima.iter().map(|x| square(x - mean)).sum::<f64>() / n;
    let scale = (6.0 * variance).sqrt() / std::f64::consts::PI;
    let location = mean - EULER_GAMMA * scale;
    maxima.iter().copied().fold(location + scale * libm::log(RETURN_PERIOD), f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_networks::{normal_samples, two_layers, views};

    #[test]
    fn statistics_match_all_values_at_once() {
        let network = two_layers(3);
        let samples = normal_samples(150, 6, 11);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let profile = profile(&network, &data, &ProfileOptions::default(), &|_, _| {}).unwrap();
        assert_eq!(profile.samples, 150);

        let (node, _) = network.activations()[0];
        let operand = network.operands(node)[0];
        let exact = exact_layers(&network);
        let mut channels = vec![vec![]; 8];
        for sample in &samples {
            let evaluation = Evaluation::new(&network, Batch::from_samples(&[sample]), &exact);
            for (channel, x) in channels.iter_mut().zip(evaluation.value(operand).sample(0)) {
                channel.push(f64::from(x));
            }
        }
        let layer = &profile.layers[0];
        assert_eq!((layer.elements, layer.channels.len()), (8, 8));
        let all = channels.concat();
        let sets = [(&all, &layer.overall)].into_iter().chain(channels.iter().zip(&layer.channels));
        for (values, found) in sets {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|x| square(x - mean)).sum::<f64>() / n;
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!((found.count, found.min, found.max), (values.len() as u64, min, max));
            assert!((found.mean - mean).abs() < 1e-12);
            assert!((found.variance - variance).abs() < 1e-12);
            let h = &found.histogram;
            for (bin, &count) in h.counts.iter().enumerate() {
                let left = h.low + bin as f64 * h.width;
                let inside = |x: &&f64| (left..left + h.width).contains(*x);
                assert_eq!(values.iter().filter(inside).count() as u64, count);
            }
        }
    }

    #[test]
    fn extremes_are_those_of_the_distribution() {
        let gumbel = |k: usize| 3.0 - 0.5 * libm::log(-libm::log((k as f64 + 0.5) / 1000.0));
        let maxima: Vec<f64> = (0..1000).map(gumbel).collect();
        let expected = 3.0 - 0.5 * libm::log(-libm::log1p(-1e-6f64));
        assert!((extreme(&maxima) / expected - 1.0).abs() < 0.01, "{}", extreme(&maxima));
        assert_eq!(extreme(&[2.0, 2.0]), 2.0);
        // The largest value seen counts if the tail is heavier than that.
        let mut heavy = vec![1.0; 10_000];
        heavy.push(50.0);
        assert_eq!(extreme(&heavy), 50.0);
    }

    #[test]
    fn one_sample_is_refused() {
        let network = two_layers(3);
        let samples = normal_samples(1, 6, 1);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let refused = profile(&network, &data, &ProfileOptions::default(), &|_, _| {});
        assert_eq!(refused, Err(ProfileError::TooFewSamples { samples: 1 }));
    }

    #[test]
    fn overflow_names_the_layer() {
        let network = two_layers(3);
        let samples = vec![vec![f32::MAX; 6]; 2];
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let refused = profile(&network, &data, &ProfileOptions::default(), &|_, _| {});
        assert_eq!(refused, Err(ProfileError::Overflow { layer: "act0".into() }));
    }
}
