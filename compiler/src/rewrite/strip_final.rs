//! Leaves the activations at the end of a network to the client, which computes them exactly and at no cost.
//!
//! Classes are decided on what was encrypted: an activation that does not keep the order of a classifier's outputs, such as a
//! SiLU, stays. Outputs that it makes equal, as a ReLU makes all negative ones, still differ before it. Functions that have no
//! value for some numbers stay, too: next to a pole the scheme's error would be an error of any size.

use pic_ir::network::{Network, Op};
use pic_ir::postprocessing::{Postprocessing, Step};

use super::eliminate_dead::eliminate_dead;
use crate::options::Task;

/// Returns the network without its final activations, and those as steps for the client.
pub fn strip_final(mut network: Network, task: Task) -> (Network, Postprocessing) {
    let mut steps = vec![];
    // Whatever else reads the operand of the last node leads nowhere.
    while let Op::Activation(function) = network.graph[network.output].op
        && (task == Task::Regression || function.is_non_decreasing())
        && function.domain_around(0.0) == (f64::NEG_INFINITY, f64::INFINITY)
    {
        let operand = network.operands(network.output)[0];
        let shape = &network.graph[network.output].shape;
        if *shape != network.graph[operand].shape {
            steps.push(Step::Reshape { shape: shape.clone() });
        }
        steps.push(Step::Activation(function));
        network.output = operand;
    }
    steps.reverse();
    match steps.is_empty() {
        true => (network, Postprocessing::default()),
        false => (eliminate_dead(&network), Postprocessing { steps }),
    }
}
