//! Densities of the inputs of an activation, which can be stretched and integrated.
//!
//! Integration is by Gauss–Legendre panels that end at every kink of the activation and of the
//! density. Nothing here knows of polynomials.

use pic_ckks_model::square;
use pic_ir::function::Function;
use pic_ir::profile::Histogram;

/// A probability density on the real line.
#[derive(Clone, Debug, PartialEq)]
pub enum Density {
    /// A normal density.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation, positive.
        std: f64,
    },
    /// Constant on each interval of a histogram.
    Histogram(Histogram),
    /// A weighted sum of densities; the weights need not sum to one.
    Mixture(Vec<(f64, Density)>),
}

/// A point of a quadrature rule; its weight includes the density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Abscissa.
    pub x: f64,
    /// Weight: the probability that the node stands for.
    pub weight: f64,
}

/// Reach of a normal density in standard deviations. Beyond it, its product with the square of a polynomial of
/// degree 127 is below the rounding error of the whole integral.
const NORMAL_REACH: f64 = 22.0;

/// Smallest number of panels across the range of a histogram, or across twice [`NORMAL_REACH`] standard deviations
/// of a normal density.
const PANELS: f64 = 256.0;

/// Positive abscissae and weights of the 6-point Gauss–Legendre rule on \[−1, 1\]
/// (Abramowitz and Stegun, table 25.4).
const GAUSS: [(f64, f64); 3] = [
    (0.238_619_186_083_196_9, 0.467_913_934_572_691),
    (0.661_209_386_466_264_5, 0.360_761_573_048_138_6),
    (0.932_469_514_203_152, 0.171_324_492_379_170_34),
];

impl Density {
    /// The density after multiplying every distance from `about` by `factor`.
    pub fn stretched(&self, factor: f64, about: f64) -> Self {
        let stretch = |x: f64| about + factor * (x - about);
        match self {
            Self::Normal { mean, std } => Self::Normal { mean: stretch(*mean), std: factor * std },
            Self::Histogram(h) => Self::Histogram(Histogram {
                low: stretch(h.low),
                width: factor * h.width,
                counts: h.counts.clone(),
            }),
            Self::Mixture(parts) => {
                Self::Mixture(parts.iter().map(|(w, d)| (*w, d.stretched(factor, about))).collect())
            }
        }
    }

    /// A quadrature rule for `∫_support density(x) g(x) dx`, with panels that end where `function` has a kink.
    /// Weights sum to one unless the density is zero on the whole support.
    pub fn nodes(&self, support: (f64, f64), function: Function) -> Vec<Node> {
        let mut nodes = vec![];
        self.add_nodes(1.0, support, &kinks(function), &mut nodes);
        let total: f64 = nodes.iter().map(|n| n.weight).sum();
        nodes.iter_mut().for_each(|n| n.weight /= total);
        nodes
    }

    fn add_nodes(&self, share: f64, support: (f64, f64), kinks: &[f64], nodes: &mut Vec<Node>) {
        match self {
            Self::Normal { mean, std } => {
                let (low, high) = (mean - NORMAL_REACH * std, mean + NORMAL_REACH * std);
                let width = (high - low) / PANELS;
                let scale = share / (std * (2.0 * std::f64::consts::PI).sqrt());
                let density = |x: f64| scale * libm::exp(-0.5 * square((x - mean) / std));
                let span = (low.max(support.0), high.min(support.1));
                add_panels(span, width, kinks, density, nodes);
            }
            Self::Histogram(h) => {
                let total = h.counts.iter().sum::<u64>() as f64;
                let width = h.width * h.counts.len() as f64 / PANELS;
                for (bin, &count) in h.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
                    let left = h.low + bin as f64 * h.width;
                    let density = share * count as f64 / (total * h.width);
                    let span = (left.max(support.0), (left + h.width).min(support.1));
                    add_panels(span, width, kinks, |_| density, nodes);
                }
            }
            Self::Mixture(parts) => {
                for (part_share, part) in parts {
                    part.add_nodes(share * part_share, support, kinks, nodes);
                }
            }
        }
    }
}

/// Splits a span at the kinks and into panels of at most `width`, and adds the nodes of each.
fn add_panels(
    (low, high): (f64, f64),
    width: f64,
    kinks: &[f64],
    density: impl Fn(f64) -> f64,
    nodes: &mut Vec<Node>,
) {
    let mut left = low;
    for end in kinks.iter().copied().filter(|&k| low < k && k < high).chain([high]) {
        if end <= left {
            continue;
        }
        let panels = ((end - left) / width).ceil().max(1.0);
        let half = 0.5 * (end - left) / panels;
        for panel in 0..panels as usize {
            let middle = left + (2 * panel + 1) as f64 * half;
            for (abscissa, weight) in GAUSS {
                for x in [middle - half * abscissa, middle + half * abscissa] {
                    nodes.push(Node { x, weight: weight * half * density(x) });
                }
            }
        }
        left = end;
    }
}

/// Points in ascending order at which a function or its first derivative jumps.
pub(crate) fn kinks(function: Function) -> Vec<f64> {
    match function {
        Function::Relu
        | Function::LeakyRelu { .. }
        | Function::Elu { .. }
        | Function::Sign
        | Function::Step
        | Function::Abs
        | Function::Softsign => vec![0.0],
        Function::ThresholdedRelu { alpha } => vec![f64::from(alpha)],
        Function::Shrink { lambda, .. } => vec![-f64::from(lambda), f64::from(lambda)],
        Function::HardSwish => vec![-3.0, 3.0],
        Function::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (f64::from(alpha), f64::from(beta));
            let mut ends = vec![-beta / alpha, (1.0 - beta) / alpha];
            ends.sort_by(f64::total_cmp);
            ends
        }
        Function::Clip { min, max } => vec![f64::from(min), f64::from(max)],
        Function::Sigmoid
        | Function::Tanh
        | Function::Gelu
        | Function::GeluTanh
        | Function::Silu
        | Function::Softplus
        | Function::Erf
        | Function::Exp
        | Function::Log
        | Function::Power { .. }
        | Function::Sin
        | Function::Cos
        | Function::Tan
        | Function::Asin
        | Function::Acos
        | Function::Atan
        | Function::Sinh
        | Function::Cosh
        | Function::Asinh
        | Function::Acosh
        | Function::Atanh
        | Function::Mish => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(nodes: &[Node], power: u32) -> f64 {
        nodes.iter().map(|n| n.weight * libm::pow(n.x, power.into())).sum()
    }

    /// E X^(2k) = (2k − 1)!! and E|X|^(2k+1) = √(2/π)·2^k·k! for a standard normal X.
    #[test]
    fn normal_moments_to_high_order() {
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        let nodes = Density::Normal { mean: 0.0, std: 1.0 }.nodes(all, Function::Relu);
        let (mut even, mut odd) = (1.0, (2.0 / std::f64::consts::PI).sqrt());
        for k in 1..=60 {
            even *= f64::from(2 * k - 1);
            odd *= f64::from(2 * k);
            assert!((moment(&nodes, 2 * k) / even - 1.0).abs() < 1e-12);
            let power = f64::from(2 * k + 1);
            let halves: f64 = nodes.iter().map(|n| n.weight * libm::pow(n.x.abs(), power)).sum();
            assert!((halves / odd - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn stretching_scales_the_spread_about_a_point() {
        let histogram = Histogram { low: -1.0, width: 0.5, counts: vec![1, 0, 4, 3, 2] };
        let normal = Density::Normal { mean: 2.0, std: 0.3 };
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        for density in [
            Density::Histogram(histogram.clone()),
            Density::Mixture(vec![(0.5, Density::Histogram(histogram)), (0.5, normal)]),
        ] {
            let plain = density.nodes(all, Function::Gelu);
            let mean = moment(&plain, 1);
            let variance = moment(&plain, 2) - mean * mean;
            let stretched = density.stretched(1.5, mean).nodes(all, Function::Gelu);
            assert!((moment(&stretched, 1) - mean).abs() < 1e-12);
            let wider = moment(&stretched, 2) - mean * mean;
            assert!((wider / variance - 2.25).abs() < 1e-12);
        }
    }

    #[test]
    fn the_support_cuts_off() {
        let histogram = Histogram { low: 0.0, width: 1.0, counts: vec![1, 1, 2] };
        let nodes = Density::Histogram(histogram).nodes((0.5, 2.5), Function::Gelu);
        // Half of bin 0, all of bin 1, half of bin 2: weights 1/2, 1, 1.
        assert!((moment(&nodes, 1) - (0.5 * 0.75 + 1.5 + 2.25) / 2.5).abs() < 1e-14);
        assert!(nodes.iter().all(|n| (0.5..2.5).contains(&n.x)));
    }
}
