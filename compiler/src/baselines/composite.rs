//! Baseline: ReLU as `x·(1 + sign(x))/2`, with a composition of minimax polynomials for the sign, as in work that
//! does not fit polynomials to a network ([`crate::strategy::Strategy::Composite`]).
//!
//! Degrees and construction are those of Lee et al., *Low-Complexity Deep Convolutional Neural Networks
//! on FHE Using Multiplexed Parallel Convolutions* (ICML 2022), §2.3: three polynomials of degrees 15, 15
//! and 27, each nearest to the sign on what the one before leaves of its domain.

use petgraph::graph::NodeIndex;
use pic_ckks_model::ChebyshevPlan;
use pic_ir::activations::Approximation;
use pic_ir::escape::Escaped;
use pic_ir::function::Function;
use pic_ir::network::{Network, Node, Op};
use pic_ir::profile::LayerProfile;

use super::minimax::{Minimax, sign};
use crate::fit::expansion::Form;
use crate::fit::{self, Candidate};

/// Degrees of the polynomials, in order of evaluation.
const DEGREES: [usize; 3] = [15, 15, 27];

/// Relative widening of the domains of the second and third polynomial, for errors of the scheme.
const ROOM: f64 = 1.0 / 256.0;

/// Function that the last polynomial approximates: it maps the sign to 0 or 1.
const GATE: Function = Function::HardSigmoid { alpha: 0.5, beta: 0.5 };

/// Reason why a network cannot use compositions.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompositeError {
    /// An activation is not a ReLU.
    #[error("the composite method knows relu only, `{}` is {function}", Escaped(layer))]
    Function {
        /// Name of the activation node.
        layer: String,
        /// Function of the activation.
        function: Function,
    },
}

/// Replaces each ReLU by the polynomials of two signs, the last polynomial and a product.
///
/// # Errors
/// [`CompositeError::Function`] for the first activation that is not a ReLU.
pub fn rewrite(network: &Network) -> Result<Network, CompositeError> {
    let input = &network.graph[network.input()];
    let mut result = Network::with_input(input.name.clone(), input.shape.clone());
    let mut image = vec![result.input()];
    for node in network.graph.node_indices().skip(1) {
        let source = network.graph[node].clone();
        let mut operands: Vec<NodeIndex> =
            network.operands(node).iter().map(|o| image[o.index()]).collect();
        let mut op = source.op.clone();
        match source.op {
            Op::Activation(Function::Relu) => {
                let mut gate = operands[0];
                for (name, f) in
                    [("sign", Function::Sign), ("sign2", Function::Sign), ("gate", GATE)]
                {
                    let name = format!("{}.{name}", source.name);
                    let stage = Node { name, op: Op::Activation(f), ..source.clone() };
                    gate = result.push(stage, &[gate]);
                }
                operands.push(gate);
                op = Op::Product;
            }
            Op::Activation(function) => {
                return Err(CompositeError::Function { layer: source.name, function });
            }
            _ => {}
        }
        image.push(result.push(Node { op, ..source }, &operands));
    }
    result.output = image[network.output.index()];
    debug_assert_eq!(result.verify(), Ok(()));
    Ok(result)
}

/// The only candidate of each activation of a network that [`rewrite`] made. `layers` profile the inputs of its
/// activations.
pub fn candidates(network: &Network, layers: &[LayerProfile]) -> Vec<Vec<Candidate>> {
    let composition = Composition::new();
    let margin = fit::FitOptions::default().margins[0];
    let stages = network.activations();
    let stages = stages.iter().zip(layers).enumerate();
    stages
        .map(|(k, (&(node, function), layer))| {
            let stage = k % DEGREES.len();
            let range = (margin * layer.overall.max_abs()).max(layer.extreme);
            let half_width = if stage == 0 { range } else { composition.half_widths[stage] };
            let Minimax { mut coefficients, error } = composition.stages[stage].clone();
            if function == GATE {
                coefficients.iter_mut().for_each(|c| *c *= 0.5);
                coefficients[0] = 0.5;
            }
            let plan = ChebyshevPlan::absorbing(&coefficients).expect("degrees are supported");
            let approximation = Approximation {
                name: network.graph[node].name.clone(),
                function,
                center: 0.0,
                half_width,
                stretch: 1.0,
                coefficients,
                error: error * error,
                loss: 0.0,
            };
            let form = Form::of(function);
            let (depth, counts) = (plan.depth(), plan.counts());
            vec![Candidate { form, depth, counts, approximation }]
        })
        .collect()
}

/// The polynomials in order of evaluation, each on the domain that the one before it leaves.
struct Composition {
    stages: Vec<Minimax>,
    half_widths: Vec<f64>,
}

impl Composition {
    /// Chooses the gap around zero, relative to the range, to equal the error of the composition. The error of the
    /// ReLU is then half of both, inside and outside the gap.
    fn new() -> Self {
        let (mut wide, mut narrow) = (-6.0f64, -20.0f64);
        for _ in 0..20 {
            let middle = 0.5 * (wide + narrow);
            let last = Self::with_gap(libm::exp2(middle)).stages.pop().expect("there are stages");
            if last.error < libm::exp2(middle) { wide = middle } else { narrow = middle }
        }
        Self::with_gap(libm::exp2(wide))
    }

    fn with_gap(gap: f64) -> Self {
        let (mut low, mut high) = (gap, 1.0);
        let (mut stages, mut half_widths) = (vec![], vec![]);
        for degree in DEGREES {
            let stage = sign(degree, low, high);
            half_widths.push(high);
            (low, high) = (1.0 - stage.error, (1.0 + stage.error) * (1.0 + ROOM));
            stages.push(stage);
        }
        Self { stages, half_widths }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::evaluate::{Layer, exact_layers, outputs};
    use crate::profile;
    use crate::sample_networks::{dense, normal_samples, views};

    #[test]
    fn the_network_means_the_same_and_the_composition_is_near() {
        let network = dense(&[6, 16, 16, 4], Function::Relu, 9);
        let samples = normal_samples(200, 6, 3);
        let samples = views(&samples);
        let rewritten = rewrite(&network).unwrap();
        let plain = outputs(&network, &samples, &exact_layers(&network));
        assert_eq!(outputs(&rewritten, &samples, &exact_layers(&rewritten)), plain);

        let data = Dataset::new(&rewritten, &samples, None).unwrap();
        let options = profile::ProfileOptions::default();
        let layers = profile::inputs(&rewritten, &data, &options, &|_, _| {}).unwrap();
        let candidates = candidates(&rewritten, &layers);
        let layers: Vec<_> =
            candidates.iter().map(|l| Layer::Approximate(&l[0].approximation)).collect();
        let found = outputs(&rewritten, &samples, &layers);
        let range = plain.iter().flatten().fold(0.0f32, |a, x| a.max(x.abs()));
        for (found, plain) in found.iter().flatten().zip(plain.iter().flatten()) {
            assert!((found - plain).abs() < 5e-3 * range, "{found} {plain}");
        }
    }

    /// In the gap and outside, by composing cosines: 2^-10.5 of the range.
    #[test]
    fn the_error_is_half_the_gap() {
        let composition = Composition::new();
        let evaluate = |mut x: f64| {
            for (stage, half_width) in composition.stages.iter().zip(&composition.half_widths) {
                let u = x / half_width;
                let term = |(k, c): (usize, &f64)| c * libm::cos(k as f64 * libm::acos(u));
                x = stage.coefficients.iter().enumerate().map(term).sum();
            }
            x
        };
        let error = |k: i32| {
            let x = f64::from(k) / 50_000.0;
            (x.max(0.0) - 0.5 * x * (1.0 + evaluate(x))).abs()
        };
        let largest = (-50_000..=50_000).map(error).fold(0.0, f64::max);
        let half_gap = 0.5 * composition.stages[2].error;
        assert!((0.9..1.1).contains(&(largest / half_gap)), "{largest} {half_gap}");
        assert!((-11.0..-10.0).contains(&libm::log2(largest)), "2^{}", libm::log2(largest));
    }

    #[test]
    fn other_activations_are_refused() {
        let network = dense(&[4, 4, 2], Function::Gelu, 1);
        let CompositeError::Function { layer, function } = rewrite(&network).unwrap_err();
        let (node, _) = network.activations()[0];
        assert_eq!((layer, function), (network.graph[node].name.clone(), Function::Gelu));
    }
}
