//! Lowering: network, polynomials and plan become the program that runs them.
//!
//! Every decision has been made; this pass only puts network, polynomials and plan together.

use petgraph::graph::NodeIndex;
use pic_ckks_model::KeyRequest;
use pic_ir::activations::Activations;
use pic_ir::network::{Network, Op};
use pic_ir::plan::Plan;
use pic_ir::postprocessing::Postprocessing;
use pic_ir::prediction::Prediction;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::program::{self, Port, Program, Value};

/// Builds the program, with empty keys and prediction and without postprocessing.
///
/// The operand of every activation is a linear node ([`crate::rewrite::isolate`]) or lies in the interval of its polynomial as
/// it is, as in [`crate::composition`]. The network's output is its last node; plan and activations fit it. The caller
/// verifies the result.
pub fn lower(
    network: &Network,
    activations: &Activations,
    plan: &Plan,
    preprocessing: Preprocessing,
) -> Program {
    let mut layers = activations.layers.iter();
    let mut values: Vec<Value> = Vec::new();
    // The value that users of each node find.
    let mut found: Vec<u32> = Vec::new();
    for (index, node_plan) in network.graph.node_indices().zip(&plan.nodes) {
        let node = &network.graph[index];
        let operands: Vec<u32> = network.operands(index).iter().map(|o| found[o.index()]).collect();
        let op = match &node.op {
            Op::Input => program::Op::Input,
            Op::Product => program::Op::Product { operands: [operands[0], operands[1]] },
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                let half_width = values[operands[0] as usize].half_width;
                program::Op::Polynomial {
                    operand: operands[0],
                    coefficients: layer.coefficients_on(half_width, node_plan.half_width),
                }
            }
            Op::Linear { matrices, bias } => program::Op::Linear {
                operands,
                matrices: matrices.clone(),
                bias: bias.clone(),
                schedule: node_plan.schedule.expect("linear nodes have a schedule"),
            },
        };
        let value = Value {
            name: node.name.clone(),
            op,
            layout: node_plan.layout.clone(),
            level: node_plan.level,
            scale: node_plan.scale,
            center: node_plan.center,
            half_width: node_plan.half_width,
        };
        let computed = values.len() as u32;
        values.push(value.clone());
        if let (Some(level), Some(bootstrapping)) = (node_plan.bootstrapped, &plan.bootstrapping) {
            values.push(Value {
                name: format!("{}.bootstrap", node.name),
                op: program::Op::Bootstrap { operand: computed },
                level,
                scale: bootstrapping.output_scale(),
                ..value
            });
        }
        found.push(values.len() as u32 - 1);
    }
    let longest = plan.nodes.iter().map(|n| n.layout.log_period).max().unwrap_or(0);
    let port = |index: NodeIndex| {
        let node = &network.graph[index];
        Port { name: node.name.clone(), shape: node.shape.clone() }
    };
    Program {
        parameters: plan.parameters.clone(),
        log_slots: longest.min(plan.parameters.log_n() - 1),
        input: port(network.input()),
        output: port(network.output),
        preprocessing,
        postprocessing: Postprocessing::default(),
        values,
        range_check: None,
        bootstrapping: plan.bootstrapping.clone(),
        keys: KeyRequest::default(),
        predicted: Prediction::default(),
    }
}
