//! Recognition of activations that exporters write as primitives.
//!
//! Nodes that scale by numbers, add numbers, multiply with each other and apply scalar functions,
//! and that all in all read one tensor, form one scalar function of it. Whatever the order in
//! which an exporter writes it, that function is known by its values: they are compared with
//! `c·f(t·x)` of the known activations `f` on a grid. Groups are searched upwards from each node.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use petgraph::graph::NodeIndex;
use pic_ir::function::Function;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Node, Op};

use super::eliminate_dead::eliminate_dead;
use crate::fit::density::kinks;

/// Largest number of nodes of a group.
const MAX_NODES: usize = 16;
/// Difference from a known function, relative to the value and to the largest one of moderate arguments (1 if that is
/// more), that can only be the rounding of f32 constants. Different functions of the list differ by more than 1e-4 somewhere.
const TOLERANCE: f64 = 1e-6;
/// Number of times that the place of a kink is halved.
const BISECTIONS: usize = 80;
/// Distance from a kink at which functions are compared, relative to its place (1 if that is less).
const NEAR_KINK: f64 = 1e-9;
/// A number that f32 rounds to infinity: a clip that reaches it has no bound.
const BEYOND: f64 = 1e39;

/// Replaces groups of elementwise nodes by the activation that they compute.
pub(crate) fn fuse_activations(network: &Network) -> Network {
    let mut names: HashSet<String> = network.graph.node_weights().map(|n| n.name.clone()).collect();
    let mut rewritten = Network { graph: Default::default(), output: network.output };
    let mut renamed: Vec<NodeIndex> = Vec::new();
    for index in network.graph.node_indices() {
        let operands = network.operands(index);
        let operands: Vec<_> = operands.iter().map(|o| renamed[o.index()]).collect();
        let mut result = rewritten.push(network.graph[index].clone(), &operands);
        // What is replaced stays until unused nodes are swept away.
        if let Some(found) = recognised(&rewritten, result) {
            let provenance =
                found.members.iter().flat_map(|m| rewritten.graph[*m].provenance.clone());
            let op = Op::Activation(found.function);
            let activation =
                Node { op, provenance: provenance.collect(), ..rewritten.graph[result].clone() };
            let mut scaled = |rewritten: &mut Network, x, value: f64| {
                let mut candidates = (1..).map(|k| format!("{}#scale{k}", activation.name));
                let free = candidates.find(|n| names.insert(n.clone()));
                let name = free.expect("numbers do not run out");
                let matrix = Matrix::Scalar { len: activation.len(), value: value as f32 };
                let op = Op::Linear { matrices: vec![matrix], bias: None };
                rewritten.push(Node { name, provenance: vec![], op, ..activation.clone() }, &[x])
            };
            let x = scaled(&mut rewritten, found.base, found.input_scale);
            let y = rewritten.push(activation.clone(), &[x]);
            result = scaled(&mut rewritten, y, found.output_scale);
        }
        renamed.push(result);
    }
    rewritten.output = renamed[network.output.index()];
    eliminate_dead(&rewritten)
}

/// A group that computes `output_scale · function(input_scale · base)`.
struct Recognised {
    base: NodeIndex,
    members: BTreeSet<NodeIndex>,
    function: Function,
    input_scale: f64,
    output_scale: f64,
}

/// The smallest group with the result `root` that is a known activation.
fn recognised(network: &Network, root: NodeIndex) -> Option<Recognised> {
    let mut steps = BTreeMap::from([(root, Step::new(network, root)?)]);
    let mut open: BTreeSet<NodeIndex> = network.operands(root).into_iter().collect();
    while steps.len() <= MAX_NODES {
        let base = open.pop_last()?;
        // A single nonlinear node is already what it is.
        let nonlinear = steps.values().filter(|s| !matches!(s, Step::Affine(..))).count();
        if open.is_empty()
            && nonlinear >= 2
            && let Some((function, input_scale, output_scale)) = known(&steps, base)
        {
            let members = steps.into_keys().collect();
            return Some(Recognised { base, members, function, input_scale, output_scale });
        }
        steps.insert(base, Step::new(network, base)?);
        open.extend(network.operands(base));
    }
    None
}

/// A node as arithmetic on single numbers.
enum Step {
    Affine(Vec<(NodeIndex, f64)>, f64),
    Product(NodeIndex, NodeIndex),
    Function(NodeIndex, Function),
}

impl Step {
    /// The node as arithmetic; none for nodes that treat elements differently or mix them.
    fn new(network: &Network, index: NodeIndex) -> Option<Self> {
        let operands = network.operands(index);
        match &network.graph[index].op {
            Op::Input => None,
            Op::Product => Some(Self::Product(operands[0], operands[1])),
            Op::Activation(function) => Some(Self::Function(operands[0], *function)),
            Op::Linear { matrices, bias } => {
                let factor = |m: &Matrix| match m {
                    Matrix::Scalar { value, .. } => Some(f64::from(*value)),
                    _ => None,
                };
                let terms = operands.into_iter().zip(matrices);
                let terms: Option<_> = terms.map(|(o, m)| Some((o, factor(m)?))).collect();
                let offset = bias.as_ref().map_or(0.0, |b| b[0]);
                let is_uniform = bias.iter().flatten().all(|&b| b == offset);
                Some(Self::Affine(terms?, f64::from(offset))).filter(|_| is_uniform)
            }
        }
    }
}

/// Values of all nodes of the group if `base` has the value `x`.
fn values(steps: &BTreeMap<NodeIndex, Step>, base: NodeIndex, x: f64) -> BTreeMap<NodeIndex, f64> {
    let mut values = BTreeMap::from([(base, x)]);
    for (&index, step) in steps {
        let value = match step {
            Step::Affine(terms, offset) => {
                terms.iter().map(|(o, factor)| values[o] * factor).sum::<f64>() + offset
            }
            Step::Product(a, b) => values[a] * values[b],
            Step::Function(o, function) => function.evaluate(values[o]),
        };
        values.insert(index, value);
    }
    values
}

/// Points close to where the group has a kink or a jump, on both sides of each: where an argument of one of its functions
/// passes a kink of that function between neighbouring points of a grid.
fn points_at_kinks(steps: &BTreeMap<NodeIndex, Step>, base: NodeIndex, grid: &[f64]) -> Vec<f64> {
    let mut points = vec![];
    for step in steps.values() {
        let Step::Function(operand, function) = step else { continue };
        let argument = |x: f64| values(steps, base, x)[operand];
        for kink in kinks(*function).into_iter().filter(|kink| kink.is_finite()) {
            let above = |x: f64| argument(x) > kink;
            for pair in grid.windows(2).filter(|pair| above(pair[0]) != above(pair[1])) {
                let (mut low, mut high) = (pair[0], pair[1]);
                for _ in 0..BISECTIONS {
                    let middle = 0.5 * (low + high);
                    if above(middle) == above(low) { low = middle } else { high = middle }
                }
                let near = NEAR_KINK * high.abs().max(1.0);
                points.extend([low - near, high + near]);
            }
        }
    }
    points
}

/// Known activation that the group computes, with the scales of its input and output; none if there is no such
/// activation.
fn known(steps: &BTreeMap<NodeIndex, Step>, base: NodeIndex) -> Option<(Function, f64, f64)> {
    let last = *steps.keys().next_back()?;
    let g = |x: f64| values(steps, base, x)[&last];
    let one = g(1.0);
    let leaky = Function::LeakyRelu { alpha: (-g(-1.0) / one) as f32 };
    let clip = Function::Clip { min: g(-BEYOND) as f32, max: g(BEYOND) as f32 };
    let elu = Function::Elu { alpha: -g(-BEYOND) as f32 };
    let fixed = [
        Function::Relu,
        Function::Abs,
        Function::Sigmoid,
        Function::Tanh,
        Function::Softplus,
        Function::Gelu,
        Function::GeluTanh,
        Function::HardSwish,
        Function::Mish,
        Function::Softsign,
        leaky,
        elu,
    ];
    let by_output_scale = fixed.into_iter().map(|f| (f, 1.0, one / f.evaluate(1.0)));
    // x·sigmoid(t·x) with any t: a silu of t·x.
    let slopes = steps.values().filter_map(|step| match step {
        Step::Affine(terms, _) if terms.len() == 1 => Some(terms[0].1),
        _ => None,
    });
    // Roots of reciprocals and the like, which have no values below zero.
    let exponent = libm::log2(g(2.0) / one) as f32;
    let power = (g(-1.0).is_nan()).then_some((Function::Power { exponent }, 1.0, one));
    let silu = |t: f64| (Function::Silu, t, one / Function::Silu.evaluate(t));
    let candidates = by_output_scale
        .chain(std::iter::once(1.0).chain(slopes).map(silu))
        .chain(std::iter::once((clip, 1.0, 1.0)))
        .chain(power);
    let small = (-128..=128).map(|k| f64::from(k) / 16.0);
    let large = [10.0, 16.0, 40.0, 1e3, 1e5, BEYOND].into_iter().flat_map(|x| [x, -x]);
    let tiny = (5..=60).map(|k| libm::exp2(-f64::from(k))).flat_map(|x| [x, -x]);
    let mut grid: Vec<f64> = small.chain(large).chain(tiny).collect();
    grid.sort_by(f64::total_cmp);
    // Primitives may overflow where the activation that they mean does not.
    let counts = |&(x, y): &(f64, f64)| y.is_finite() || x.abs() <= 8.0;
    let sampled = |points: &[f64]| -> Vec<(f64, f64)> {
        points.iter().map(|&x| (x, g(x))).filter(counts).collect()
    };
    let samples = sampled(&grid);
    let moderate = samples.iter().filter(|(x, y)| x.abs() <= 8.0 && y.is_finite());
    let scale = moderate.fold(0.0f64, |largest, (_, y)| largest.max(y.abs())).min(1.0);
    let agrees = |(f, t, c): &(Function, f64, f64), samples: &[(f64, f64)]| {
        samples.iter().all(|&(x, y)| {
            let found = c * f.evaluate(t * x);
            let is_same = found == y || (found.is_nan() && y.is_nan());
            is_same || (found - y).abs() <= TOLERANCE * (scale + y.abs())
        })
    };
    let normal = |value: f64| (value as f32).is_normal();
    let found = candidates
        .filter(|&(_, t, c)| normal(t) && normal(c))
        .find(|candidate| agrees(candidate, &samples))?;
    agrees(&found, &sampled(&points_at_kinks(steps, base, &grid))).then_some(found)
}
