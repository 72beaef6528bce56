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
    if low == high {
        return Some((0.0, first));
    }
    let slope = (last - first) / (high - low);
    let most = ROUNDING * first.abs().max(last.abs());
    let is_near = |k: usize| {
        let x = low + (high - low) * k as f64 / INTERVALS as f64;
        (function.evaluate(x) - (first + slope * (x - low))).abs() <= most
    };
    // A slope that changes no value is rounding, too.
    let slope_counts = (slope * (high - low)).abs() > most;
    (0..=INTERVALS).all(is_near).then(|| match slope_counts {
        true => (slope, first - slope * low),
        false => (0.0, first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_from_curves() {
        let close = |found: Option<(f64, f64)>, (slope, offset): (f64, f64)| {
            let (a, b) = found.unwrap();
            assert!((a - slope).abs() < 1e-12 && (b - offset).abs() < 1e-12, "{a} {b}");
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
        close(line(Function::Sigmoid, 1.0, 1.0), (0.0, Function::Sigmoid.evaluate(1.0)));
        close(line(Function::Relu, 0.0, 0.0), (0.0, 0.0));
        for (function, low, high) in [
            (Function::Relu, -0.01, 7.0),
            (leaky, -0.01, 7.0),
            (Function::Sigmoid, 10.0, 60.0),
            (Function::Sigmoid, -0.01, 0.01),
            (Function::Gelu, 0.0, 9.0),
            (Function::Sign, -1.0, 1.0),
        ] {
            assert_eq!(line(function, low, high), None, "{function:?} {low} {high}");
        }
    }
}
