//! Planning: layouts, levels, bootstraps and parameters for a network whose activations have candidate
//! polynomials.
//!
//! For every chain that could serve, layouts are chosen, operations are priced at every level, and
//! the OLA dynamic program ([`crate::ola`]) yields the front of latency against loss: degrees,
//! places of bootstraps and the levels they restore at once. Which point of the merged front to take is
//! decided by `search`, which can measure accuracy.

mod chain;
mod layouts;
mod leveled;
mod series_parallel;

pub use chain::{BOOTSTRAPPING_LOG_NS, ModulusChain};
pub use layouts::{LayoutPlanner, Layouts, Transform};
pub use leveled::{HEADROOM_BITS, LeveledParameters};
pub use series_parallel::{BootstrapPlacement, SeriesParallel, series_parallel};

use petgraph::graph::NodeIndex;
use pic_ckks_model::chebyshev::{folded_coefficient, folded_depth};
use pic_ckks_model::work::{Counter, Work};
use pic_ckks_model::{ChebyshevPlan, ParametersError};
use pic_ir::activations::{Activations, Approximation};
use pic_ir::cost::{CostModel, linear};
use pic_ir::network::{Network, Op};
use pic_ir::plan::{NodePlan, Plan};

use crate::fit;
use crate::ola::{Alternative, Effect, Instance, Solution};

/// The dynamic program's instance for a network on a chain with `levels` levels.
///
/// Step `k` is node `k + 1`; the steps behind those bootstrap values, or let them be, as
/// `series_parallel` says. `candidates[k]` are the evaluation plans of the polynomials that activation layer
/// `k` may use, each with the loss that the polynomial adds.
pub fn instance(
    network: &Network,
    series_parallel: &SeriesParallel,
    candidates: &[Vec<(&ChebyshevPlan, f64)>],
    layouts: &Layouts,
    chain: &ModulusChain,
    levels: usize,
    cost: &CostModel,
) -> Result<Instance, ParametersError> {
    let parameters = chain.parameters(levels)?;
    let counter = Counter::new(&parameters, 0..0);
    let ciphertexts =
        |node: NodeIndex| layouts.of[node.index()].ciphertexts(parameters.log_n() - 1);
    let alternative = |depth: usize, loss: f64, work: &dyn Fn(usize) -> Work| {
        let at = |level: usize| match level < depth {
            true => f64::INFINITY,
            false => cost.seconds(work(chain.base() + level)),
        };
        let time = (0..=levels).map(at).collect();
        Alternative { effect: Effect::Consume(depth as u32), loss, time }
    };
    let mut layers = candidates.iter();
    let mut steps = Vec::new();
    for index in network.graph.node_indices().skip(1) {
        steps.push(match &network.graph[index].op {
            Op::Input => unreachable!("a verified network has one input, its first node"),
            Op::Product => {
                vec![alternative(1, 0.0, &|level| counter.product(level) * ciphertexts(index))]
            }
            Op::Linear { .. } => {
                let t = layouts.transforms[index.index()]
                    .as_ref()
                    .expect("linear nodes have transforms");
                let work = |level| linear(&counter, &t.counts(), t.folds, level);
                vec![alternative(1, 0.0, &work)]
            }
            Op::Activation(_) => {
                let list = layers.next().expect("one list of candidates per layer");
                let candidate = |&(plan, loss): &(&ChebyshevPlan, f64)| {
                    let work = |level| counter.polynomial(plan, level) * ciphertexts(index);
                    alternative(plan.depth() as usize, loss, &work)
                };
                list.iter().map(candidate).collect()
            }
        });
    }
    let seconds = chain.bootstrapping_seconds(cost);
    for &node in &series_parallel.refreshed {
        let nothing =
            Alternative { effect: Effect::Consume(0), loss: 0.0, time: vec![0.0; levels + 1] };
        // From level 0: what is above is dropped for free.
        let restore = |(target, &seconds): (usize, &f64)| Alternative {
            effect: Effect::Restore(target as u32),
            loss: 0.0,
            time: vec![seconds * ciphertexts(node) as f64],
        };
        let restore = seconds.iter().enumerate().skip(1).map(restore);
        let optional = (!series_parallel.always).then_some(nothing);
        steps.push(optional.into_iter().chain(restore).collect());
    }
    Ok(Instance { structure: series_parallel.structure.clone(), steps, max_level: levels as u32 })
}

/// Which nodes' values a solution bootstraps, by node index.
pub fn bootstrapped(
    network: &Network,
    series_parallel: &SeriesParallel,
    solution: &Solution,
) -> Vec<bool> {
    let mut bootstrapped = vec![false; network.graph.node_count()];
    let first = network.graph.node_count() - 1;
    for (node, choice) in series_parallel.refreshed.iter().zip(&solution.choices[first..]) {
        bootstrapped[node.index()] = series_parallel.always || choice.alternative > 0;
    }
    bootstrapped
}

/// Levels of a node's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Where it is computed.
    pub computed: usize,
    /// Where its users find it: higher, if it is bootstrapped.
    pub used: usize,
}

/// The lowest levels at which each node's value can stand, with the output at level 0.
pub fn levels(network: &Network, activations: &Activations, bootstrapped: &[bool]) -> Vec<Levels> {
    let mut depths = Vec::new();
    let mut layers = activations.layers.iter();
    for node in network.graph.node_weights() {
        depths.push(match node.op {
            Op::Input => 0,
            Op::Linear { .. } | Op::Product => 1,
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                folded_depth(&layer.coefficients) as usize
            }
        });
    }
    let mut levels = vec![Levels::default(); depths.len()];
    for index in network.graph.node_indices().rev() {
        let own = &mut levels[index.index()];
        own.computed = if bootstrapped[index.index()] { 0 } else { own.used };
        let needed = own.computed + depths[index.index()];
        for operand in network.operands(index) {
            let used = &mut levels[operand.index()].used;
            *used = needed.max(*used);
        }
    }
    levels
}

/// How the values of each node are stored: `(center, half_width)`.
///
/// Operands of activations are stored as the polynomials want them; other linear values, the input and
/// what is bootstrapped are divided by the largest magnitude that calibration saw (`magnitudes`, one per
/// node).
pub fn normalisation(
    network: &Network,
    activations: &Activations,
    bootstrapped: &[bool],
    magnitudes: &[f64],
) -> Vec<(f64, f64)> {
    let mut stored: Vec<Option<(f64, f64)>> = vec![None; magnitudes.len()];
    let mut layers = activations.layers.iter().rev();
    for index in network.graph.node_indices().rev() {
        let magnitude = magnitudes[index.index()];
        let divided = (0.0, if magnitude > 0.0 { magnitude } else { 1.0 });
        match network.graph[index].op {
            Op::Input | Op::Linear { .. } => {
                stored[index.index()].get_or_insert(divided);
            }
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                let own = if bootstrapped[index.index()] { divided } else { (0.0, 1.0) };
                let &mut (_, divisor) = stored[index.index()].get_or_insert(own);
                let operand = network.operands(index)[0];
                let width = interval(layer, fit::LEAST_FOLDED * divisor);
                stored[operand.index()] = Some((layer.center, width));
            }
            Op::Product => {}
        }
    }
    for index in network.graph.node_indices() {
        if let Op::Product = network.graph[index].op {
            let width = |o: &NodeIndex| stored[o.index()].map_or(1.0, |(_, width)| width);
            let widths = network.operands(index).iter().map(width).product();
            stored[index.index()] = Some((0.0, widths));
        }
    }
    stored.into_iter().map(|stored| stored.expect("every node is visited")).collect()
}

/// Half the width on which a polynomial's operand is stored: a folded coefficient must not be less than
/// `least`, and grows with the interval. Linear nodes, which alone read such a value, take any scale, but
/// their constants are encoded the more coarsely, the larger it is.
fn interval(layer: &Approximation, least: f64) -> f64 {
    let folded = folded_coefficient(&layer.coefficients);
    let lacking = folded.map_or(1.0, |folded| least / folded.abs());
    layer.half_width * libm::pow(lacking.max(1.0), 1.0 / layer.degree() as f64)
}

/// Puts the decisions together. Without bootstrapping the chain is exactly as long as the network needs.
pub fn plan(
    network: &Network,
    activations: &Activations,
    layouts: &Layouts,
    chain: &ModulusChain,
    bootstrapped: &[bool],
    magnitudes: &[f64],
) -> Result<Plan, ParametersError> {
    let levels = levels(network, activations, bootstrapped);
    let parameters = chain.parameters(levels[network.input().index()].used)?;
    let scale = libm::exp2(chain.log_scale());
    let stored = normalisation(network, activations, bootstrapped, magnitudes);
    let mut nodes: Vec<NodePlan> = Vec::new();
    let mut layers = activations.layers.iter();
    for index in network.graph.node_indices() {
        let i = index.index();
        let Levels { computed, used } = levels[i];
        let found = |o: &NodeIndex| match &nodes[o.index()] {
            NodePlan { bootstrapped: Some(_), .. } => {
                chain.bootstrapping().expect("there are bootstraps").output_scale()
            }
            node => node.scale,
        };
        let operands = network.operands(index);
        let level = chain.base() + computed;
        let scale = match network.graph[index].op {
            Op::Product => {
                let scales: f64 = operands.iter().map(found).product();
                scales / parameters.moduli()[level + 1] as f64
            }
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                let half_width = nodes[operands[0].index()].half_width;
                let coefficients = layer.coefficients_on(half_width, stored[i].1);
                let plan = ChebyshevPlan::folded(&coefficients).expect("fits have plans");
                let level = level + plan.depth() as usize;
                plan.output_scale(found(&operands[0]), level, parameters.moduli()).unwrap_or(scale)
            }
            _ => scale,
        };
        nodes.push(NodePlan {
            name: network.graph[index].name.clone(),
            layout: layouts.of[i].clone(),
            level,
            scale,
            center: stored[i].0,
            half_width: stored[i].1,
            schedule: layouts.transforms[i].as_ref().map(|t| t.steps.schedule),
            bootstrapped: bootstrapped[i].then_some(chain.base() + used),
        });
    }
    Ok(Plan { parameters, bootstrapping: chain.bootstrapping().cloned(), nodes })
}
