//! Planning: layouts, levels and parameters for a network whose activations have candidate polynomials.
//!
//! For every ring that could serve, layouts are chosen, operations are priced at every level, and
//! the OLA dynamic program ([`crate::ola`]) yields the front of latency against loss. Which point
//! of the merged front to take is decided by the driver ([`crate::compile`]), which can measure accuracy.

mod layouts;
mod separate;
mod setting;
mod structure;

pub use layouts::{LayoutPlanner, Layouts, Transform};
pub use separate::separate;
pub use setting::{HEADROOM_BITS, Setting};
pub use structure::structure;

use pic_ckks_model::work::{Counter, Work};
use pic_ckks_model::{ChebyshevPlan, Parameters, ParametersError};
use pic_ir::activations::Activations;
use pic_ir::cost::{CostModel, linear};
use pic_ir::network::{Network, Op};
use pic_ir::plan::{NodePlan, Plan};

use crate::ola::{Alternative, Instance};

/// The dynamic program's instance for a network under a setting: one step per node but the input.
///
/// `candidates[k]` are the evaluation plans of the polynomials that activation layer `k` may use,
/// each with the loss that the polynomial adds.
pub fn instance(
    network: &Network,
    candidates: &[Vec<(&ChebyshevPlan, f64)>],
    layouts: &Layouts,
    setting: &Setting,
    levels: usize,
    cost: &CostModel,
) -> Result<Instance, ParametersError> {
    let parameters = setting.parameters(levels)?;
    let counter = Counter::new(&parameters, 0..0);
    let seconds = |work: &dyn Fn(usize) -> Work, depth: usize| -> Vec<f64> {
        let at = |level| if level < depth { f64::INFINITY } else { cost.seconds(work(level)) };
        (0..=levels).map(at).collect()
    };
    let mut layers = candidates.iter();
    let mut steps = Vec::new();
    for index in network.graph.node_indices().skip(1) {
        let ciphertexts = layouts.of[index.index()].ciphertexts(parameters.log_n() - 1);
        let fixed = |time| vec![Alternative { depth: 1, loss: 0.0, time }];
        steps.push(match &network.graph[index].op {
            Op::Input => unreachable!("a verified network has one input, its first node"),
            Op::Product => fixed(seconds(&|level| counter.product(level) * ciphertexts, 1)),
            Op::Linear { .. } => {
                let t = layouts.transforms[index.index()]
                    .as_ref()
                    .expect("linear nodes have transforms");
                fixed(seconds(&|level| linear(&counter, &t.steps, t.outputs, t.folds, level), 1))
            }
            Op::Activation(_) => {
                let alternative = |&(plan, loss): &(&ChebyshevPlan, f64)| {
                    let work = |level| counter.polynomial(plan, level) * ciphertexts;
                    let depth = plan.depth();
                    Alternative { depth, loss, time: seconds(&work, depth as usize) }
                };
                layers
                    .next()
                    .expect("one list of candidates per layer")
                    .iter()
                    .map(alternative)
                    .collect()
            }
        });
    }
    Ok(Instance { structure: structure(network), steps, max_level: levels as u32 })
}

/// The lowest level at which each node's value can stand, with the output at level 0.
pub fn levels(network: &Network, activations: &Activations) -> Vec<usize> {
    let mut depths = Vec::new();
    let mut layers = activations.layers.iter();
    for node in network.graph.node_weights() {
        depths.push(match node.op {
            Op::Input => 0,
            Op::Linear { .. } | Op::Product => 1,
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                pic_ckks_model::chebyshev::depth(&layer.coefficients) as usize
            }
        });
    }
    let mut levels = vec![0; depths.len()];
    for index in network.graph.node_indices().rev() {
        for operand in network.operands(index) {
            let needed = levels[index.index()] + depths[index.index()];
            levels[operand.index()] = needed.max(levels[operand.index()]);
        }
    }
    levels
}

/// How the values of each node are stored: `(center, half_width)`.
///
/// Operands of activations are stored as the polynomials want them; other linear values and the
/// input are divided by the largest magnitude that calibration saw (`magnitudes`, one per node).
pub fn normalisation(
    network: &Network,
    activations: &Activations,
    magnitudes: &[f64],
) -> Vec<(f64, f64)> {
    let mut stored = vec![(0.0, 1.0); magnitudes.len()];
    let mut layers = activations.layers.iter();
    for index in network.graph.node_indices() {
        let operands = network.operands(index);
        match network.graph[index].op {
            Op::Input | Op::Linear { .. } => {
                let magnitude = magnitudes[index.index()];
                stored[index.index()] = (0.0, if magnitude > 0.0 { magnitude } else { 1.0 });
            }
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                stored[operands[0].index()] = (layer.center, layer.half_width);
            }
            Op::Product => {
                stored[index.index()].1 = operands.iter().map(|o| stored[o.index()].1).product();
            }
        }
    }
    stored
}

/// Puts the decisions together. The chain is exactly as long as the network needs.
pub fn plan(
    network: &Network,
    activations: &Activations,
    layouts: &Layouts,
    setting: &Setting,
    magnitudes: &[f64],
) -> Result<Plan, ParametersError> {
    let levels = levels(network, activations);
    let parameters: Parameters = setting.parameters(levels[network.input().index()])?;
    let scale = setting.log_scale.exp2();
    let stored = normalisation(network, activations, magnitudes);
    let mut nodes: Vec<NodePlan> = Vec::new();
    for index in network.graph.node_indices() {
        let i = index.index();
        let scale = match network.graph[index].op {
            Op::Product => {
                let operands: f64 =
                    network.operands(index).iter().map(|o| nodes[o.index()].scale).product();
                operands / parameters.moduli()[levels[i] + 1] as f64
            }
            _ => scale,
        };
        nodes.push(NodePlan {
            name: network.graph[index].name.clone(),
            layout: layouts.of[i].clone(),
            level: levels[i],
            scale,
            center: stored[i].0,
            half_width: stored[i].1,
            step: layouts.transforms[i].as_ref().map(|t| t.steps.step),
        });
    }
    Ok(Plan { parameters, nodes })
}
