//! Replaces activations that are linear on what was seen by linear nodes, which are exact and take no level of their
//! own: ReLUs whose inputs all have one sign, sigmoids in saturation, inputs that never change.

use pic_ir::function::Function;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Op};
use pic_ir::profile::LayerProfile;

use super::{canonicalize, isolate};

/// Share of the range seen by which an activation must be linear beyond each end of it.
const RESERVE: f64 = 0.25;

/// Number of intervals between the points at which functions are compared with straight lines.
const INTERVALS: usize = 256;

/// Largest distance from a straight line, relative to the function's largest value: the rounding of single precision.
const ROUNDING: f64 = 1.2e-7;

/// Returns the network without the activations that are linear on the ranges of their inputs, and somewhat beyond. There
/// is one range for each activation, in order of evaluation.
pub fn linearize(network: &Network, ranges: &[LayerProfile]) -> Network {
    let mut result = network.clone();
    let mut changed = false;
    for (&(node, function), layer) in network.activations().iter().zip(ranges) {
        let (low, high) = widened(layer);
        if let Some((slope, offset)) = line(function, low, high) {
            let len = network.graph[node].len();
            let matrices = vec![Matrix::Scalar { len, value: slope as f32 }];
            let bias = (offset != 0.0).then(|| vec![offset as f32; len]);
            result.graph[node].op = Op::Linear { matrices, bias };
            changed = true;
        }
    }
    if changed { isolate(&canonicalize(&result)) } else { result }
}

/// The range seen with a reserve at both ends, up to the extreme at the end of larger magnitude. A single value stays
/// one.
fn widened(layer: &LayerProfile) -> (f64, f64) {
    let (min, max) = (layer.overall.min, layer.overall.max);
    if min == max {
        return (min, max);
    }
    let reserve = RESERVE * (max - min);
    match max.abs() >= min.abs() {
        true => (min - reserve, (max + reserve).max(layer.extreme)),
        false => ((min - reserve).min(-layer.extreme), max + reserve),
    }
}

/// Slope and offset of the straight line that a function is from `low` to `high`; none if it is none.
fn line(function: Function, low: f64, high: f64) -> Option<(f64, f64)> {
    let (first, last) = (function.evaluate(low), function.evaluate(high));
    if !first.is_finite() || !last.is_finite() {
        return None;
    }
    if low == high {
        return Some((0.0, first));
    }
    let slope = (last - first) / (high - low);
    // Functions that fall to zero do so relative to what they are elsewhere.
    let scale = low.abs().max(high.abs()).min(1.0);
    let most = ROUNDING * first.abs().max(last.abs()).max(scale);
    let is_near = |k: usize| {
        let x = low + (high - low) * k as f64 / INTERVALS as f64;
        (function.evaluate(x) - (first + slope * (x - low))).abs() <= most
    };
    // A slope that changes no value is rounding, too.
    let slope_counts = (slope * (high - low)).abs() > most;
    let line = if slope_counts { (slope, first - slope * low) } else { (0.0, first) };
    (0..=INTERVALS).all(is_near).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile_network;
    use crate::dataset::RawSamples;
    use crate::evaluate::{exact_layers, outputs};
    use crate::options::Options;
    use crate::sample_networks::{dense, normal_samples, views};

    /// A network of two dense layers, the first of which has its weights multiplied and a number added to its biases.
    fn shifted(function: Function, factor: f32, offset: f32) -> Network {
        let mut network = dense(&[6, 8, 4], function, 7);
        let (node, _) = network.activations()[0];
        let operand = network.operands(node)[0];
        let Op::Linear { matrices, bias } = &mut network.graph[operand].op else {
            panic!("linear")
        };
        let Matrix::Dense { weights, .. } = &mut matrices[0] else { panic!("dense") };
        weights.iter_mut().for_each(|w| *w *= factor);
        bias.as_mut().unwrap().iter_mut().for_each(|b| *b += offset);
        network
    }

    /// Inputs of one sign, in saturation, or constant; slopes of 0 and 1.
    #[test]
    fn degenerate_layers_compile_without_polynomials() {
        for (function, factor, offset) in [
            (Function::Relu, 1.0, 40.0),
            (Function::Relu, 1.0, -40.0),
            (Function::Relu, 0.0, 0.5),
            (Function::Relu, 0.0, 0.0),
            (Function::Sigmoid, 1.0, 40.0),
            (Function::Sigmoid, 1.0, -40.0),
            (Function::LeakyRelu { alpha: 1.0 }, 1.0, 0.0),
            (Function::LeakyRelu { alpha: 0.0 }, 1.0, -40.0),
            (Function::Clip { min: -1.0, max: 1.0 }, 1.0, 40.0),
        ] {
            let network = shifted(function, factor, offset);
            let samples = normal_samples(60, 6, 3);
            let samples = views(&samples);
            let calibration = RawSamples { samples: &samples, labels: None };
            let name = format!("{function:?} {factor} {offset}");
            let compiled = compile_network(&network, calibration, None, &Options::default(), &())
                .expect(&name);
            // Biases of a constant layer differ, so that its elements have a range.
            if factor != 0.0 {
                assert!(compiled.activations.layers.is_empty(), "{name}");
            }
            let plain = outputs(&network, &samples, &exact_layers(&network));
            let layers: Vec<_> = compiled
                .activations
                .layers
                .iter()
                .map(crate::evaluate::Layer::Approximate)
                .collect();
            let found = outputs(&compiled.corrected, &samples, &layers);
            for (a, b) in plain.iter().flatten().zip(found.iter().flatten()) {
                assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{name}: {a} {b}");
            }
        }
    }

    #[test]
    fn lines_are_told_from_curves() {
        let close = |found: Option<(f64, f64)>, (slope, offset): (f64, f64)| {
            let (a, b) = found.unwrap();
            assert!((a - slope).abs() < 1e-12 && (b - offset).abs() < ROUNDING, "{a} {b}");
        };
        let leaky = Function::LeakyRelu { alpha: 0.25 };
        close(line(Function::Relu, 0.1, 7.0), (1.0, 0.0));
        close(line(Function::Relu, -7.0, -0.1), (0.0, 0.0));
        close(line(leaky, -7.0, -0.1), (0.25, 0.0));
        close(line(Function::LeakyRelu { alpha: 1.0 }, -7.0, 3.0), (1.0, 0.0));
        close(line(Function::Clip { min: 0.0, max: 6.0 }, 7.0, 90.0), (0.0, 6.0));
        close(
            line(Function::HardSigmoid { alpha: 0.2, beta: 0.5 }, -2.0, 2.0),
            (0.2f32.into(), 0.5),
        );
        close(line(Function::Sigmoid, 20.0, 60.0), (0.0, 1.0));
        close(line(Function::Sigmoid, -60.0, -20.0), (0.0, 0.0));
        close(line(Function::Sigmoid, 1.0, 1.0), (0.0, Function::Sigmoid.evaluate(1.0)));
        close(line(Function::Relu, 0.0, 0.0), (0.0, 0.0));
        for (function, low, high) in [
            (Function::Relu, -0.01, 7.0),
            (leaky, -0.01, 7.0),
            (Function::Sigmoid, 10.0, 60.0),
            (Function::Sigmoid, -0.1, 0.1),
            (Function::Relu, -1e-6, 1e-6),
            (Function::Gelu, 0.0, 9.0),
            (Function::Sign, -1.0, 1.0),
        ] {
            assert_eq!(line(function, low, high), None, "{function:?} {low} {high}");
        }
    }
}
