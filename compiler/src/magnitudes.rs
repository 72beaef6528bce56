//! Largest magnitudes of values over calibration samples, which normalize values that no polynomial reads.

use pic_ir::network::Network;

use crate::dataset::Dataset;
use crate::evaluate::{Batch, Evaluation, Layer};

/// Ratio of the assumed largest magnitude to the one seen at calibration.
const MARGIN: f64 = 1.25;

/// The largest magnitude of every node's value over samples, with a margin; by node index.
pub fn magnitudes(network: &Network, layers: &[Layer], samples: &Dataset) -> Vec<f64> {
    let mut largest = vec![0.0f64; network.graph.node_count()];
    for batch in samples.batches() {
        let evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), layers);
        for (node, largest) in network.graph.node_indices().zip(&mut largest) {
            let values = evaluation.value(node).used().flatten();
            *largest = values.fold(*largest, |a, &v| a.max(f64::from(v).abs()));
        }
    }
    largest.iter().map(|m| m * MARGIN).collect()
}
