//! Reader of nodes and their graph.

use petgraph::graph::NodeIndex;
use pic_ir::network::{Network, Node, Op};

use crate::cursor::{Cursor, ParseError};
use crate::matrix::{function, matrix, reals};

pub(crate) fn network(cursor: &mut Cursor) -> Result<Network, ParseError> {
    let mut network = Network { graph: Default::default(), output: NodeIndex::end() };
    let mut operands = Vec::new();
    while !cursor.eat("output") {
        let expected = format!("`%{}` or `output`", network.graph.node_count());
        let start = cursor.clone();
        if !cursor.eat("%") || cursor.integer() != Ok(network.graph.node_count()) {
            return Err(start.error(expected));
        }
        let (node, of_node) = node(cursor)?;
        network.graph.add_node(node);
        operands.push(of_node);
    }
    // An operand may be younger than its user, which the verifier refuses.
    for (user, of_node) in operands.into_iter().enumerate() {
        for (position, Operand { index, place }) in of_node.into_iter().enumerate() {
            if index >= network.graph.node_count() {
                return Err(place.error("a node of the network"));
            }
            let (operand, user) = (NodeIndex::new(index), NodeIndex::new(user));
            network.graph.add_edge(operand, user, position as u32);
        }
    }
    network.output = NodeIndex::new(operand(cursor)?.index);
    Ok(network)
}

/// An operand as it is written, with its place for errors.
struct Operand<'a> {
    index: usize,
    place: Cursor<'a>,
}

fn operand<'a>(cursor: &mut Cursor<'a>) -> Result<Operand<'a>, ParseError> {
    let place = cursor.clone();
    cursor.expect("%")?;
    let index: u32 = cursor.integer()?;
    Ok(Operand { index: index as usize, place })
}

/// Reads a node behind its number.
fn node<'a>(cursor: &mut Cursor<'a>) -> Result<(Node, Vec<Operand<'a>>), ParseError> {
    cursor.expect(":")?;
    let shape = cursor.list(["[", "]"], Cursor::integer)?;
    cursor.expect("=")?;
    let (op, operands) = operation(cursor)?;
    cursor.expect(";")?;
    let name = cursor.string()?;
    let mut provenance = Vec::new();
    if cursor.eat("from") {
        provenance.push(cursor.string()?);
        while cursor.eat(",") {
            provenance.push(cursor.string()?);
        }
    }
    Ok((Node { name, provenance, op, shape }, operands))
}

fn operation<'a>(cursor: &mut Cursor<'a>) -> Result<(Op, Vec<Operand<'a>>), ParseError> {
    let start = cursor.clone();
    let op = match cursor.word() {
        "linear" => return linear(cursor),
        "input" => Op::Input,
        "product" => Op::Product,
        name => match function(name, cursor)? {
            Some(function) => Op::Activation(function),
            None => return Err(start.error("`input`, `linear`, `product` or a function")),
        },
    };
    let mut operands = Vec::new();
    while !cursor.starts_with(";") {
        operands.push(operand(cursor)?);
    }
    Ok((op, operands))
}

fn linear<'a>(cursor: &mut Cursor<'a>) -> Result<(Op, Vec<Operand<'a>>), ParseError> {
    let (mut matrices, mut operands) = (vec![], vec![]);
    while !cursor.starts_with(";") && !cursor.starts_with("+") {
        matrices.push(matrix(cursor)?);
        cursor.expect("·")?;
        operands.push(operand(cursor)?);
    }
    let mut bias = None;
    if cursor.eat("+") {
        cursor.expect("bias")?;
        bias = Some(reals(cursor)?);
    }
    Ok((Op::Linear { matrices, bias }, operands))
}
