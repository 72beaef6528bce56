//! Functions with a kink or a step at zero by compositions of polynomials: a ReLU is `x·(1 + sign(x))/2`, with a
//! composition of minimax polynomials for the sign.
//!
//! Each polynomial of a composition squares the accuracy of the one before it, where one polynomial of twice the degree is
//! only twice as accurate. So compositions are what is left where single polynomials are not accurate enough
//! ([`worst`]); they take more levels. As a method of their own ([`crate::strategy::Strategy::Composite`]) they stand for work
//! that does not fit polynomials to a network.
//!
//! Degrees and construction are those of Lee et al., *Low-Complexity Deep Convolutional Neural Networks
//! on FHE Using Multiplexed Parallel Convolutions* (ICML 2022), §2.3: three polynomials of degrees 15, 15
//! and 27, each nearest to the sign on what the one before leaves of its domain. Functions that jump have a fourth, because
//! all of their error is near the jump.

mod minimax;

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use pic_ckks_model::ChebyshevPlan;
use pic_ir::activations::Approximation;
use pic_ir::escape::Escaped;
use pic_ir::function::Function;
use pic_ir::network::{Network, Node, Op};
use pic_ir::profile::LayerProfile;

use crate::fit::expansion::Form;
use crate::fit::{self, Candidate};
use minimax::{Minimax, sign};

/// Degrees of the polynomials, in order of evaluation, for functions with a kink.
const DEGREES: &[usize] = &[15, 15, 27];

/// Degrees for functions with a jump.
const JUMP_DEGREES: &[usize] = &[15, 15, 15, 27];

/// Relative widening of the domains behind the first polynomial, for errors of the scheme.
const ROOM: f64 = 1.0 / 256.0;

/// Reason why an activation has no composition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompositeError {
    /// The activation has no kink or jump at zero, or another one, too.
    #[error(
        "there are compositions for functions with a kink or jump at zero only, `{}` is {function}",
        Escaped(layer)
    )]
    Function {
        /// Name of the activation node.
        layer: String,
        /// Function of the activation.
        function: Function,
    },
}

/// How a function follows from the sign.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Gate {
    /// Value of the last polynomial where the sign is −1; it is 1 where the sign is 1.
    low: f32,
    /// True if the operand is multiplied with it.
    is_factor: bool,
}

impl Gate {
    fn of(function: Function) -> Option<Self> {
        Some(match function {
            Function::Relu => Self { low: 0.0, is_factor: true },
            Function::LeakyRelu { alpha } if (-1.0..1.0).contains(&alpha) => {
                Self { low: alpha, is_factor: true }
            }
            Function::Abs => Self { low: -1.0, is_factor: true },
            Function::Step => Self { low: 0.0, is_factor: false },
            Function::Sign => Self { low: -1.0, is_factor: false },
            _ => return None,
        })
    }

    fn degrees(self) -> &'static [usize] {
        if self.is_factor { DEGREES } else { JUMP_DEGREES }
    }

    /// The function that the last polynomial stands for: it maps the signs −1 and 1 to the gate's values.
    fn function(self) -> Function {
        if self.low == -1.0 { Function::Sign } else { Function::Clip { min: self.low, max: 1.0 } }
    }
}

/// A network in which compositions stand for some of the activations.
#[derive(Clone, Debug)]
pub struct Composed {
    /// The network.
    pub network: Network,
    /// Number of compositions.
    pub compositions: usize,
    /// The activations that are polynomials of compositions.
    stages: BTreeMap<NodeIndex, Stage>,
}

/// A polynomial of a composition.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// Position in the composition.
    index: usize,
    gate: Gate,
}

impl Composed {
    /// The network as it is, without compositions.
    pub fn none(network: Network) -> Self {
        Self { network, compositions: 0, stages: BTreeMap::new() }
    }

    /// Replaces every activation by polynomials of two or three signs, the last polynomial, and the product with the operand
    /// if the function is not a step itself.
    ///
    /// # Errors
    /// [`CompositeError::Function`] for the first activation that has no composition.
    pub fn everywhere(network: &Network) -> Result<Self, CompositeError> {
        for (node, function) in network.activations() {
            if Gate::of(function).is_none() {
                let layer = network.graph[node].name.clone();
                return Err(CompositeError::Function { layer, function });
            }
        }
        Ok(Self::at(network, &composable(network)))
    }

    /// Replaces those of the given activations that have a composition.
    pub fn at(network: &Network, chosen: &BTreeSet<NodeIndex>) -> Self {
        let input = &network.graph[network.input()];
        let mut result = Network::with_input(input.name.clone(), input.shape.clone());
        let (mut stages, mut compositions) = (BTreeMap::new(), 0);
        let mut image = vec![result.input()];
        for node in network.graph.node_indices().skip(1) {
            let source = network.graph[node].clone();
            let operands: Vec<NodeIndex> =
                network.operands(node).iter().map(|o| image[o.index()]).collect();
            let gate = match source.op {
                Op::Activation(function) if chosen.contains(&node) => Gate::of(function),
                _ => None,
            };
            let Some(gate) = gate else {
                image.push(result.push(source, &operands));
                continue;
            };
            compositions += 1;
            let mut value = operands[0];
            let last = gate.degrees().len() - 1;
            for index in 0..=last {
                let (name, function) = match index {
                    _ if index == last && !gate.is_factor => (source.name.clone(), gate.function()),
                    _ if index == last => (format!("{}.gate", source.name), gate.function()),
                    _ => (format!("{}.sign{}", source.name, index + 1), Function::Sign),
                };
                let stage = Node { name, op: Op::Activation(function), ..source.clone() };
                value = result.push(stage, &[value]);
                stages.insert(value, Stage { index, gate });
            }
            if gate.is_factor {
                value = result.push(Node { op: Op::Product, ..source }, &[operands[0], value]);
            }
            image.push(value);
        }
        result.output = image[network.output.index()];
        debug_assert_eq!(result.verify(), Ok(()));
        Self { network: result, compositions, stages }
    }

    /// Puts the only candidate of each polynomial of a composition in the place of those that were fitted. `layers` profile
    /// the inputs of the network's activations.
    pub fn replace_candidates(&self, candidates: &mut [Vec<Candidate>], layers: &[LayerProfile]) {
        let compositions: BTreeMap<usize, Composition> = [DEGREES, JUMP_DEGREES]
            .into_iter()
            .filter(|degrees| self.stages.values().any(|s| s.gate.degrees() == *degrees))
            .map(|degrees| (degrees.len(), Composition::new(degrees)))
            .collect();
        let activations = self.network.activations();
        for ((&(node, function), layer), list) in activations.iter().zip(layers).zip(candidates) {
            let Some(&Stage { index, gate }) = self.stages.get(&node) else { continue };
            let composition = &compositions[&gate.degrees().len()];
            let half_width = if index == 0 { reach(layer) } else { composition.half_widths[index] };
            let Minimax { mut coefficients, error } = composition.stages[index].clone();
            if index + 1 == gate.degrees().len() {
                let low = f64::from(gate.low);
                coefficients.iter_mut().for_each(|c| *c *= 0.5 * (1.0 - low));
                coefficients[0] = 0.5 * (1.0 + low);
            }
            let plan = ChebyshevPlan::absorbing(&coefficients).expect("degrees are supported");
            let approximation = Approximation {
                name: self.network.graph[node].name.clone(),
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
            *list = vec![Candidate { form, depth, counts, approximation, stage: Some(index) }];
        }
    }
}

/// The first polynomial of a composition, for the inputs that arrive behind other polynomials: on an interval that holds
/// them, too.
pub fn widened(approximation: &Approximation, layer: &LayerProfile) -> Approximation {
    let half_width = approximation.half_width.max(layer.extreme);
    Approximation { half_width, ..approximation.clone() }
}

fn reach(layer: &LayerProfile) -> f64 {
    let margin = fit::FitOptions::default().margins[0];
    (margin * layer.overall.max_abs()).max(layer.extreme)
}

/// The activations that have a composition.
pub fn composable(network: &Network) -> BTreeSet<NodeIndex> {
    let activations = network.activations().into_iter();
    activations
        .filter(|(_, function)| Gate::of(*function).is_some())
        .map(|(node, _)| node)
        .collect()
}

/// The activations to compose so that what the others cost is at most `share` of the whole loss, with each layer's
/// most accurate candidate: as few as possible, those that cost most first.
pub fn worst(network: &Network, candidates: &[Vec<Candidate>], share: f64) -> BTreeSet<NodeIndex> {
    let least = |list: &Vec<Candidate>| {
        list.iter().map(|c| c.approximation.loss).fold(f64::INFINITY, f64::min)
    };
    let layers = network.activations().into_iter().map(|(node, _)| node);
    let mut losses: Vec<(f64, NodeIndex)> = candidates.iter().map(least).zip(layers).collect();
    losses.sort_by(|a, b| b.0.total_cmp(&a.0));
    // What cannot be measured costs most.
    losses.iter_mut().for_each(|(loss, _)| *loss = loss.min(f64::MAX.sqrt()));
    let all: f64 = losses.iter().map(|(loss, _)| loss).sum();
    let (composable, mut left) = (composable(network), all);
    let mut chosen = BTreeSet::new();
    for (loss, node) in losses.into_iter().filter(|(_, node)| composable.contains(node)) {
        if left > share * all {
            left -= loss;
            chosen.insert(node);
        }
    }
    chosen
}

/// The polynomials in order of evaluation, each on the domain that the one before it leaves.
struct Composition {
    stages: Vec<Minimax>,
    half_widths: Vec<f64>,
}

impl Composition {
    /// Chooses the gap around zero, relative to the range, to equal the error of the composition. The error of the
    /// ReLU is then half of both, inside and outside the gap.
    fn new(degrees: &[usize]) -> Self {
        // Each polynomial narrows the gap by some four bits. With a wider one the last has nothing left to do.
        let (mut wide, mut narrow) = (6.0 - 4.0 * degrees.len() as f64, -20.0);
        for _ in 0..20 {
            let middle = 0.5 * (wide + narrow);
            let last = Self::with_gap(degrees, libm::exp2(middle)).stages.pop();
            let last = last.expect("there are polynomials");
            if last.error < libm::exp2(middle) { wide = middle } else { narrow = middle }
        }
        Self::with_gap(degrees, libm::exp2(wide))
    }

    fn with_gap(degrees: &[usize], gap: f64) -> Self {
        let (mut low, mut high) = (gap, 1.0);
        let (mut stages, mut half_widths) = (vec![], vec![]);
        for &degree in degrees {
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
        for function in [Function::Relu, Function::LeakyRelu { alpha: 0.3 }, Function::Abs] {
            check_composition(function);
        }
    }

    fn check_composition(function: Function) {
        let network = dense(&[6, 16, 16, 4], function, 9);
        let samples = normal_samples(200, 6, 3);
        let samples = views(&samples);
        let composed = Composed::everywhere(&network).unwrap();
        let rewritten = &composed.network;
        let plain = outputs(&network, &samples, &exact_layers(&network));
        assert_eq!(outputs(rewritten, &samples, &exact_layers(rewritten)), plain);

        let data = Dataset::new(rewritten, &samples, None).unwrap();
        let options = profile::ProfileOptions::default();
        let layers = profile::inputs(rewritten, &data, &options, &|_, _| {}).unwrap();
        let mut candidates = vec![vec![]; layers.len()];
        composed.replace_candidates(&mut candidates, &layers);
        let layers: Vec<_> =
            candidates.iter().map(|l| Layer::Approximate(&l[0].approximation)).collect();
        let found = outputs(rewritten, &samples, &layers);
        let range = plain.iter().flatten().fold(0.0f32, |a, x| a.max(x.abs()));
        for (found, plain) in found.iter().flatten().zip(plain.iter().flatten()) {
            assert!((found - plain).abs() < 5e-3 * range, "{found} {plain}");
        }
    }

    /// In the gap and outside, by composing cosines: 2^-10.5 of the range, and 2^-14 of the longer composition.
    #[test]
    fn the_error_is_half_the_gap() {
        check_error(DEGREES, -11.0..-10.0);
        check_error(JUMP_DEGREES, -15.5..-13.5);
    }

    fn check_error(degrees: &[usize], expected: std::ops::Range<f64>) {
        let composition = Composition::new(degrees);
        let evaluate = |mut x: f64| {
            for (stage, half_width) in composition.stages.iter().zip(&composition.half_widths) {
                let u = x / half_width;
                let term = |(k, c): (usize, &f64)| c * libm::cos(k as f64 * libm::acos(u));
                x = stage.coefficients.iter().enumerate().map(term).sum();
            }
            x
        };
        let error = |k: i32| {
            // Finer near zero.
            let x = libm::pow(f64::from(k) / 50_000.0, 3.0);
            (x.max(0.0) - 0.5 * x * (1.0 + evaluate(x))).abs()
        };
        let largest = (-50_000..=50_000).map(error).fold(0.0, f64::max);
        let half_gap = 0.5 * composition.stages[degrees.len() - 1].error;
        assert!((0.9..1.1).contains(&(largest / half_gap)), "{largest} {half_gap}");
        assert!(expected.contains(&libm::log2(largest)), "2^{}", libm::log2(largest));
    }

    #[test]
    fn other_activations_are_refused() {
        let steep = dense(&[4, 4, 2], Function::LeakyRelu { alpha: 2.0 }, 1);
        assert!(Composed::everywhere(&steep).is_err());
        let network = dense(&[4, 4, 2], Function::Gelu, 1);
        let CompositeError::Function { layer, function } =
            Composed::everywhere(&network).unwrap_err();
        let (node, _) = network.activations()[0];
        assert_eq!((layer, function), (network.graph[node].name.clone(), Function::Gelu));
    }
}
