//! A network as the series–parallel arrangement that the dynamic program solves.
//!
//! Step `k` is node `k + 1`: every node but the input. Networks that are not series–parallel (skips
//! that cross) fall back to a chain of all nodes in order, which asks for more levels than needed and
//! is therefore safe.

use petgraph::algo::dominators::{Dominators, simple_fast};
use petgraph::graph::NodeIndex;
use petgraph::visit::Reversed;
use pic_ir::network::Network;

use crate::ola::Structure;

/// The arrangement of all nodes but the input.
pub fn structure(network: &Network) -> Structure {
    let joins = simple_fast(Reversed(&network.graph), network.output);
    let mut visits = vec![0usize; network.graph.node_count()];
    let parts = region(network, &joins, network.input(), None, &mut visits);
    match parts {
        Some(parts) if visits[1..].iter().all(|&v| v == 1) => Structure::Series(parts),
        _ => Structure::Series(
            (1..network.graph.node_count()).map(|n| Structure::Step(n - 1)).collect(),
        ),
    }
}

/// What lies between `from`, which has been placed, and `to` or the output.
fn region(
    network: &Network,
    joins: &Dominators<NodeIndex>,
    from: NodeIndex,
    to: Option<NodeIndex>,
    visits: &mut [usize],
) -> Option<Vec<Structure>> {
    let mut parts = Vec::new();
    let mut node = from;
    loop {
        let mut users: Vec<_> = network.graph.neighbors(node).collect();
        users.sort_unstable();
        users.dedup();
        let next = match users[..] {
            [] => return (to.is_none() && node == network.output).then_some(parts),
            [user] => user,
            _ => {
                let join = joins.immediate_dominator(node)?;
                let mut branches = Vec::new();
                for user in users {
                    let mut branch = Vec::new();
                    if user != join {
                        branch.push(step(user, visits)?);
                        branch.extend(region(network, joins, user, Some(join), visits)?);
                    }
                    branches.push(Structure::Series(branch));
                }
                parts.push(Structure::Parallel(branches));
                join
            }
        };
        if Some(next) == to {
            return Some(parts);
        }
        parts.push(step(next, visits)?);
        node = next;
    }
}

/// Places a node; a second visit means that branches cross.
fn step(node: NodeIndex, visits: &mut [usize]) -> Option<Structure> {
    visits[node.index()] += 1;
    (visits[node.index()] == 1).then_some(Structure::Step(node.index() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Structure::{Parallel, Series, Step};
    use pic_ir::matrix::Matrix;
    use pic_ir::network::{Node, Op};

    /// Edges by node index, each list the operands of the next node.
    fn network(operands: &[&[usize]]) -> Network {
        let mut network = Network::with_input("x", vec![1]);
        for (k, list) in operands.iter().enumerate() {
            let op = Op::Linear { matrices: vec![Matrix::identity(1); list.len()], bias: None };
            let list: Vec<_> = list.iter().map(|&o| NodeIndex::new(o)).collect();
            network.push(Node { name: format!("n{k}"), origin: vec![], op, shape: vec![1] }, &list);
        }
        network.verify().unwrap();
        network
    }

    #[test]
    fn residual_blocks_are_parallel() {
        // x → 1 → 2 → 3(2, 1) → 4(3, x)
        let found = structure(&network(&[&[0], &[1], &[2, 1], &[3, 0]]));
        let inner = Parallel(vec![Series(vec![Step(1)]), Series(vec![])]);
        let outer = Series(vec![Step(0), inner, Step(2)]);
        assert_eq!(found, Series(vec![Parallel(vec![outer, Series(vec![])]), Step(3)]));
    }

    #[test]
    fn crossing_skips_fall_back_to_a_chain() {
        // 1(x), 2(1), 3(1, 2), 4(2, 3): the skips 1→3 and 2→4 cross.
        let found = structure(&network(&[&[0], &[1], &[1, 2], &[2, 3]]));
        assert_eq!(found, Series((0..4).map(Step).collect()));
    }
}
