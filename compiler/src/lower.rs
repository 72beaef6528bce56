//! From a planned network to the program that runs it.
//!
//! Every decision has been made; this pass only puts network, polynomials and plan together.

use petgraph::graph::NodeIndex;
use pic_ir::activations::Activations;
use pic_ir::network::{Network, Op};
use pic_ir::plan::Plan;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::program::{self, KeyPlan, Port, Prediction, Program, Value};

/// Puts a program together. Its prediction is left empty.
///
/// The network must be separated ([`crate::plan::separate`]), its output the last node, and plan and
/// activations must fit it; the result is verified by the caller.
pub fn lower(
    network: &Network,
    activations: &Activations,
    plan: &Plan,
    preprocessing: Preprocessing,
) -> Program {
    let mut layers = activations.layers.iter();
    let value = |index: NodeIndex| {
        let (node, plan) = (&network.graph[index], &plan.nodes[index.index()]);
        let operands: Vec<u32> = network.operands(index).iter().map(|o| o.index() as u32).collect();
        let op = match &node.op {
            Op::Input => program::Op::Input,
            Op::Product => program::Op::Product { operands: [operands[0], operands[1]] },
            Op::Activation(_) => {
                let layer = layers.next().expect("activations fit the network");
                program::Op::Polynomial {
                    operand: operands[0],
                    coefficients: layer.coefficients.clone(),
                }
            }
            Op::Linear { matrices, bias } => program::Op::Linear {
                operands,
                matrices: matrices.clone(),
                bias: bias.clone(),
                step: plan.step.expect("linear nodes have a step"),
            },
        };
        Value {
            name: node.name.clone(),
            op,
            layout: plan.layout.clone(),
            level: plan.level,
            scale: plan.scale,
            center: plan.center,
            half_width: plan.half_width,
        }
    };
    let longest = plan.nodes.iter().map(|n| n.layout.log_period).max().unwrap_or(0);
    let values: Vec<Value> = network.graph.node_indices().map(value).collect();
    let port = |index: NodeIndex| {
        let node = &network.graph[index];
        Port { name: node.name.clone(), shape: node.shape.clone() }
    };
    let mut program = Program {
        parameters: plan.parameters.clone(),
        log_slots: longest.min(plan.parameters.log_n() - 1),
        input: port(network.input()),
        output: port(network.output),
        preprocessing,
        values,
        keys: KeyPlan::default(),
        predicted: Prediction::default(),
    };
    program.keys = program.required_keys();
    program
}
