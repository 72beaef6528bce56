//! Planning: levels, scales, normalization and parameters for a network whose degrees, bootstraps and
//! layouts have been chosen (`crate::allocate`).

use petgraph::graph::NodeIndex;
use pic_ckks_model::chebyshev::absorbed_coefficient;
use pic_ckks_model::op_counts::OpCounter;
use pic_ckks_model::unit_costs::hoisting;
use pic_ckks_model::{ChebyshevPlan, ParametersError};
use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::{Network, Op};
use pic_ir::normalization::Normalization;
use pic_ir::plan::{NodePlan, Plan};
use pic_ir::transform::Schedule;

use crate::chain::ModulusChain;
use crate::fit;
use crate::layouts::Layouts;
use crate::levels::{Levels, levels};

/// Normalization of every node's value, by node index.
///
/// The operand of an activation is stored on the interval of its polynomial. Other linear values, the
/// input, bootstrapped values and activations that a product reads are divided by the largest magnitude that
/// calibration saw (`magnitudes`, one per node).
fn normalizations(
    network: &Network,
    activations: &Activations,
    bootstrapped: &[bool],
    magnitudes: &[f64],
) -> Vec<Normalization> {
    let divided = |half_width| Normalization { center: 0.0, half_width };
    let mut stored: Vec<Option<Normalization>> = vec![None; magnitudes.len()];
    let mut layers = activations.layers.iter().rev();
    for index in network.graph.node_indices().rev() {
        let magnitude = magnitudes[index.index()];
        let magnitude = if magnitude > 0.0 { magnitude } else { 1.0 };
        match network.graph[index].op {
            Op::Input | Op::Linear { .. } => {
                stored[index.index()].get_or_insert(divided(magnitude));
            }
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                let mut users = network.graph.neighbors(index);
                let is_multiplied = users.any(|n| network.graph[n].op == Op::Product);
                let is_divided = bootstrapped[index.index()] || is_multiplied;
                let own = divided(if is_divided { magnitude } else { 1.0 });
                let divisor = stored[index.index()].get_or_insert(own).half_width;
                let operand = network.operands(index)[0];
                let half_width = interval(layer, fit::LEAST_ABSORBED * divisor);
                stored[operand.index()] = Some(Normalization { center: layer.center, half_width });
            }
            Op::Product => {}
        }
    }
    for index in network.graph.node_indices() {
        if let Op::Product = network.graph[index].op {
            let width = |o: &NodeIndex| stored[o.index()].map_or(1.0, |stored| stored.half_width);
            let widths = network.operands(index).iter().map(width).product();
            stored[index.index()] = Some(divided(widths));
        }
    }
    stored.into_iter().map(|stored| stored.expect("every node is visited")).collect()
}

/// Half width with which a polynomial's operand is stored. A folded coefficient must not be less than `least`, and
/// grows with the interval. Linear nodes, which alone read such a value, take any scale, but
/// their constants are encoded the more coarsely, the larger it is.
fn interval(layer: &Approximation, least: f64) -> f64 {
    let folded = absorbed_coefficient(&layer.coefficients);
    let lacking = folded.map_or(1.0, |folded| least / folded.abs());
    layer.half_width * libm::pow(lacking.max(1.0), 1.0 / layer.degree() as f64)
}

/// Assigns level, scale and normalization to every node, and chooses the parameters. Without bootstrapping the chain
/// is exactly as long as the network needs.
///
/// Both slices have one element per node, by node index: `bootstrapped` is true where the node's value is
/// bootstrapped, `magnitudes` is the largest magnitude of its value over the calibration samples (0 counts as 1).
///
/// # Errors
/// [`ParametersError`] if there are no primes or no security for the chain.
///
/// # Panics
/// If a value is bootstrapped on a chain without bootstrapping, or `activations` are not those of the network.
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
    let counter = OpCounter::new(&parameters, 0..0);
    let stored = normalizations(network, activations, bootstrapped, magnitudes);
    let mut nodes: Vec<NodePlan> = Vec::new();
    let mut layers = activations.layers.iter();
    for index in network.graph.node_indices() {
        let i = index.index();
        let Levels { computed, used } = levels[i];
        let found = |o: &NodeIndex| match &nodes[o.index()] {
            NodePlan { bootstrapped: Some(_), .. } => chain
                .bootstrapping()
                .expect("only chains with bootstrapping bootstrap")
                .output_scale(),
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
                let coefficients = layer.coefficients_on(half_width, stored[i].half_width);
                let plan =
                    ChebyshevPlan::absorbing(&coefficients).expect("fitted polynomials have plans");
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
            center: stored[i].center,
            half_width: stored[i].half_width,
            schedule: layouts.transforms[i].as_ref().map(|t| Schedule {
                bsgs: t.steps.schedule,
                hoisting: hoisting(&counter, &t.counts(), level + 1),
            }),
            bootstrapped: bootstrapped[i].then_some(chain.base() + used),
        });
    }
    Ok(Plan { parameters, bootstrapping: chain.bootstrapping().cloned(), nodes })
}
