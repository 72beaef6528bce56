//! Scales of channels before activations, so that one polynomial suits all channels.
//!
//! For `s > 0` and ReLU or leaky ReLU, `f(x) = s·f(x/s)`. The linear node before such an activation
//! divides each channel by its own `s`, the linear nodes behind multiply with it: weights change,
//! structure and answers do not (Nagel et al., *Data-free quantization through weight equalization*,
//! ICCV 2019, §4.1). Channels are scaled to the same largest magnitude, not to the same
//! spread: it is the largest input that decides how wide a polynomial's interval must be.

use petgraph::graph::NodeIndex;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Op};
use pic_ir::profile::LayerProfile;

use super::matrices::multiply;

/// Smallest scale of a channel, whose scale is otherwise the ratio of its largest magnitude to that of the layer.
const SMALLEST: f64 = 1e-2;

/// Scales channels so that all channels of an activation's input have equal ranges, where linear nodes before and
/// behind can take the scales. `layers` are the profiled inputs of the activations.
pub fn equalize(network: &Network, layers: &[LayerProfile]) -> Network {
    let mut scales: Vec<Option<Vec<f32>>> = vec![None; network.graph.node_count()];
    for ((node, function), layer) in network.activations().into_iter().zip(layers) {
        let operand = network.operands(node)[0];
        if function.is_positively_homogeneous() && takes_scales(network, operand, node) {
            let scale = channel_scales(layer);
            (scales[operand.index()], scales[node.index()]) = (Some(scale.clone()), Some(scale));
        }
    }
    let mut rescaled = network.clone();
    for node in network.graph.node_indices() {
        let Op::Linear { matrices, bias } = &mut rescaled.graph[node].op else { continue };
        for (matrix, operand) in matrices.iter_mut().zip(network.operands(node)) {
            if let Some(scale) = &scales[operand.index()] {
                *matrix = multiply(matrix.clone(), Matrix::Diagonal(scale.clone()));
            }
        }
        if let Some(scale) = &scales[node.index()] {
            let inverse: Vec<f32> = scale.iter().map(|s| 1.0 / s).collect();
            bias.iter_mut().flatten().zip(&inverse).for_each(|(b, inverse)| *b *= inverse);
            for matrix in matrices {
                *matrix = multiply(Matrix::Diagonal(inverse.clone()), matrix.clone());
            }
        }
    }
    debug_assert_eq!(rescaled.verify(), Ok(()));
    rescaled
}

/// Returns whether only linear nodes and the activation itself read the scaled values.
fn takes_scales(network: &Network, operand: NodeIndex, activation: NodeIndex) -> bool {
    let linear = |n: NodeIndex| matches!(network.graph[n].op, Op::Linear { .. });
    linear(operand)
        && ![operand, activation].contains(&network.output)
        && network.graph.neighbors(operand).all(|user| user == activation)
        && network.graph.neighbors(activation).all(linear)
}

/// Scale of each element, equal within a channel.
fn channel_scales(layer: &LayerProfile) -> Vec<f32> {
    let largest = layer.overall.max_abs().max(f64::MIN_POSITIVE);
    let per_channel = layer.elements / layer.channels.len();
    let scales = layer.channels.iter().map(|c| (c.max_abs() / largest).max(SMALLEST) as f32);
    scales.flat_map(|scale| std::iter::repeat_n(scale, per_channel)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::evaluate::{exact_layers, outputs};
    use crate::profile::{ProfileOptions, inputs};
    use crate::sample_networks::{dense, normal_samples, views};
    use pic_ir::function::Function;

    fn profiled(network: &Network, samples: &[&[f32]]) -> Vec<LayerProfile> {
        let data = Dataset::new(network, samples, None).unwrap();
        inputs(network, &data, &ProfileOptions::default(), &|_, _| {}).unwrap()
    }

    #[test]
    fn ranges_become_equal_and_answers_stay() {
        let samples = normal_samples(100, 6, 8);
        let samples = views(&samples);
        for function in [Function::Relu, Function::LeakyRelu { alpha: 0.1 }, Function::Abs] {
            let network = dense(&[6, 12, 12, 4], function, 4);
            let rescaled = equalize(&network, &profiled(&network, &samples));
            for layer in profiled(&rescaled, &samples) {
                for channel in &layer.channels {
                    let ratio = channel.max_abs() / layer.overall.max_abs();
                    assert!((ratio - 1.0).abs() < 1e-5, "{ratio}");
                }
            }
            let answers = |network: &Network| outputs(network, &samples, &exact_layers(network));
            for (before, after) in
                answers(&network).iter().flatten().zip(answers(&rescaled).iter().flatten())
            {
                assert!((before - after).abs() < 1e-4 * (1.0 + before.abs()), "{before} {after}");
            }
        }
    }

    #[test]
    fn other_activations_are_left_alone() {
        let samples = normal_samples(100, 6, 8);
        let samples = views(&samples);
        let network = dense(&[6, 12, 4], Function::Gelu, 4);
        let rescaled = equalize(&network, &profiled(&network, &samples));
        for (before, after) in network.graph.node_weights().zip(rescaled.graph.node_weights()) {
            assert_eq!(before, after);
        }
    }
}
