//! Removal of linear nodes that only copy their operand, and of nodes that nothing uses.

use petgraph::Direction::Incoming;
use petgraph::graph::NodeIndex;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Node, Op};

/// Drops copies and unused nodes; the input always stays.
///
/// A copy may carry another shape than its operand (a reshape). If it is the output, its shape is
/// part of the meaning and moves to the operand, unless that is the input.
pub(crate) fn eliminate_dead(network: &Network) -> Network {
    let mut graph = network.graph.clone();
    let mut source: Vec<NodeIndex> = graph.node_indices().collect();
    for index in graph.node_indices() {
        if is_copy(&graph[index]) {
            let operand = source[network.operands(index)[0].index()];
            if index != network.output || graph[operand].shape == graph[index].shape {
                source[index.index()] = operand;
            } else if operand != network.input() {
                graph[operand].shape = graph[index].shape.clone();
                source[index.index()] = operand;
            }
        }
    }
    let output = source[network.output.index()];
    let mut needed = vec![false; source.len()];
    let mut stack = vec![network.input(), output];
    while let Some(index) = stack.pop() {
        if !std::mem::replace(&mut needed[index.index()], true) {
            let operands = network.graph.neighbors_directed(index, Incoming);
            stack.extend(operands.map(|operand| source[operand.index()]));
        }
    }
    let mut swept = Network { graph: Default::default(), output };
    let mut renamed = vec![NodeIndex::end(); source.len()];
    for index in network.graph.node_indices().filter(|i| needed[i.index()]) {
        let operand = |o: NodeIndex| renamed[source[o.index()].index()];
        let operands: Vec<_> = network.operands(index).into_iter().map(operand).collect();
        renamed[index.index()] = swept.push(graph[index].clone(), &operands);
    }
    swept.output = renamed[output.index()];
    swept
}

fn is_copy(node: &Node) -> bool {
    match &node.op {
        Op::Linear { matrices, bias: None } => {
            matches!(matrices[..], [Matrix::Scalar { value: 1.0, .. }])
        }
        _ => false,
    }
}
