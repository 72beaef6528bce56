//! Gives every activation an operand that can absorb its change of variable.
//!
//! An encrypted polynomial takes its operand in [−1, 1]. The linear node before it is encoded to
//! deliver that, and later linear nodes undo it for free; an activation, a product or the
//! network's answer cannot. After this pass the operand of every activation is a linear node, and
//! the other users of that node are linear too.

use petgraph::graph::NodeIndex;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Node, Op};

/// Returns an equivalent network in which the operand of every activation is a linear node of its own. The node is
/// copied if it has users that need real units, and inserted if there is none.
pub fn isolate(network: &Network) -> Network {
    let input = &network.graph[network.input()];
    let mut result = Network::with_input(input.name.clone(), input.shape.clone());
    let mut image = vec![result.input()];
    for node in network.graph.node_indices().skip(1) {
        let source = &network.graph[node];
        let mut operands: Vec<NodeIndex> = network.operands(node);
        if matches!(source.op, Op::Activation(_)) && !absorbs(network, operands[0], node) {
            let operand = &network.graph[operands[0]];
            let name = format!("{}.operand", source.name);
            let copied = matches!(operand.op, Op::Linear { .. });
            let (op, from) = if copied {
                (operand.op.clone(), network.operands(operands[0]))
            } else {
                (
                    Op::Linear { matrices: vec![Matrix::identity(operand.len())], bias: None },
                    operands,
                )
            };
            let from: Vec<_> = from.iter().map(|&o| image[o.index()]).collect();
            let isolated = Node {
                name,
                provenance: operand.provenance.clone(),
                op,
                shape: operand.shape.clone(),
            };
            let isolated = result.push(isolated, &from);
            image.push(result.push(source.clone(), &[isolated]));
            continue;
        }
        operands.iter_mut().for_each(|o| *o = image[o.index()]);
        image.push(result.push(source.clone(), &operands));
    }
    result.output = image[network.output.index()];
    result
}

/// Returns whether `operand` can be stored on the interval of `activation`. If several activations read it, the
/// first has it, and the others get copies.
fn absorbs(network: &Network, operand: NodeIndex, activation: NodeIndex) -> bool {
    let linear = |n: NodeIndex| matches!(network.graph[n].op, Op::Linear { .. });
    let later = |n: NodeIndex| n > activation && matches!(network.graph[n].op, Op::Activation(_));
    let mut users = network.graph.neighbors(operand);
    linear(operand) && users.all(|user| user == activation || linear(user) || later(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{exact_layers, outputs};
    use pic_ir::function::Function;

    #[test]
    fn every_activation_gets_a_linear_operand_and_the_meaning_stays() {
        let mut network = Network::with_input("x", vec![3]);
        let x = network.input();
        let node =
            |name: &str, op| Node { name: name.into(), provenance: vec![], op, shape: vec![3] };
        let weights = vec![1.0, -2.0, 0.5, 0.25, 3.0, -1.0, 0.5, 0.5, 0.5];
        let dense = Matrix::Dense { outer: 1, rows: 3, cols: 3, inner: 1, weights };
        let a = network.push(node("a", Op::Activation(Function::Relu)), &[x]);
        let fc = network.push(node("fc", Op::Linear { matrices: vec![dense], bias: None }), &[a]);
        let tanh = network.push(node("tanh", Op::Activation(Function::Tanh)), &[fc]);
        let silu = network.push(node("silu", Op::Activation(Function::Silu)), &[fc]);
        let product = network.push(node("product", Op::Product), &[tanh, silu]);
        network.push(node("gelu", Op::Activation(Function::Gelu)), &[product]);
        let isolated = isolate(&network);
        isolated.verify().unwrap();
        for (activation, _) in isolated.activations() {
            assert!(absorbs(&isolated, isolated.operands(activation)[0], activation));
        }
        let sample: &[f32] = &[0.5, -1.0, 2.0];
        let run = |n: &Network| outputs(n, &[sample], &exact_layers(n));
        assert_eq!(run(&network), run(&isolated));
        assert_eq!(isolate(&isolated).to_string(), isolated.to_string());
    }
}
