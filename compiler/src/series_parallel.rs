//! Series–parallel arrangement of a network's steps, which the dynamic program takes.
//!
//! Step `k` is node `k + 1`: every node but the input. Behind a node whose value can be bootstrapped comes
//! a step that does so or not. Networks that are not series–parallel (skips that cross) fall back to a
//! chain of all nodes in order, which asks for more levels than needed and is therefore safe;
//! bootstraps are then possible only where nothing else is alive.

use std::collections::BTreeSet;

use petgraph::algo::dominators::{Dominators, simple_fast};
use petgraph::graph::NodeIndex;
use petgraph::visit::{EdgeRef, Reversed};
use pic_ir::network::{Network, Op};

use crate::ola::Structure;

/// Arrangement of the steps of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesParallel {
    /// Arrangement of one step per node but the input, and one per node of `refreshed`.
    pub structure: Structure,
    /// The nodes whose values may be bootstrapped. Products are not among them: their magnitude is
    /// what their operands make it.
    pub refreshed: Vec<NodeIndex>,
    /// True if all nodes of `refreshed` are bootstrapped in any case.
    pub always: bool,
    /// True if the network is not series–parallel, so that all nodes are one chain.
    pub is_chain: bool,
}

/// Places where the values of a network may be bootstrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootstrapPlacement {
    /// No value is bootstrapped.
    None,
    /// Behind every linear node, and behind activations with users that are not linear. Polynomials whose leading
    /// coefficient is folded into their scale lose precision where that scale is given, as it is in front of
    /// bootstrapping.
    All,
    /// Behind every activation, and always.
    Activations,
}

/// The series–parallel arrangement of all nodes but the input.
pub fn series_parallel(network: &Network, placement: BootstrapPlacement) -> SeriesParallel {
    let (structure, branching) = structure(network);
    let alone = |node: NodeIndex| {
        branching
            || network.graph.edge_references().all(|e| e.source() >= node || e.target() <= node)
    };
    let is_place = |node: NodeIndex| match placement {
        BootstrapPlacement::None => false,
        BootstrapPlacement::All => match network.graph[node].op {
            Op::Linear { .. } => true,
            Op::Activation(_) => !network.takes_any_scale(node),
            Op::Input | Op::Product => false,
        },
        BootstrapPlacement::Activations => matches!(network.graph[node].op, Op::Activation(_)),
    };
    let refreshed: Vec<NodeIndex> = network
        .graph
        .node_indices()
        .filter(|&n| is_place(n) && n != network.output && alone(n))
        .collect();
    let first = network.graph.node_count() - 1;
    let step = |k: usize| match refreshed.iter().position(|n| n.index() == k + 1) {
        Some(place) => Structure::Series(vec![Structure::Step(k), Structure::Step(first + place)]),
        None => Structure::Step(k),
    };
    let always = placement == BootstrapPlacement::Activations;
    SeriesParallel { structure: replace(structure, &step), refreshed, always, is_chain: !branching }
}

/// Replaces each step of a structure by another structure.
fn replace(structure: Structure, step: &impl Fn(usize) -> Structure) -> Structure {
    let all = |parts: Vec<Structure>| parts.into_iter().map(|part| replace(part, step)).collect();
    match structure {
        Structure::Step(k) => step(k),
        Structure::Series(parts) => Structure::Series(all(parts)),
        Structure::Parallel(branches) => Structure::Parallel(all(branches)),
    }
}

/// Structure of the nodes' steps, and whether it has true branches instead of a single chain.
fn structure(network: &Network) -> (Structure, bool) {
    let joins = simple_fast(Reversed(&network.graph), network.output);
    let mut visits = vec![0usize; network.graph.node_count()];
    let parts = region(network, &joins, users(network, network.input()), None, &mut visits);
    match parts {
        Some(parts) if visits[1..].iter().all(|&v| v == 1) => (Structure::Series(parts), true),
        _ => {
            let chain = (1..network.graph.node_count()).map(|n| Structure::Step(n - 1));
            (Structure::Series(chain.collect()), false)
        }
    }
}

fn users(network: &Network, node: NodeIndex) -> Vec<NodeIndex> {
    let mut users: Vec<_> = network.graph.neighbors(node).collect();
    users.sort_unstable();
    users.dedup();
    users
}

/// Structure of the nodes from `first`, which all read what has been placed, up to `to` or the output.
fn region(
    network: &Network,
    joins: &Dominators<NodeIndex>,
    mut first: Vec<NodeIndex>,
    to: Option<NodeIndex>,
    visits: &mut [usize],
) -> Option<Vec<Structure>> {
    let mut parts = Vec::new();
    loop {
        let next = match first[..] {
            // Only the output has no users.
            [] => return to.is_none().then_some(parts),
            [user] => user,
            _ => {
                let join = common_join(joins, &first)?;
                let groups = groups(network, &first, join);
                if groups.len() == 1 {
                    return None;
                }
                let mut branches = Vec::new();
                for group in groups {
                    let branch = region(network, joins, group, Some(join), visits)?;
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
        first = users(network, next);
    }
}

/// The first node through which all paths from these nodes to the output lead.
fn common_join(joins: &Dominators<NodeIndex>, nodes: &[NodeIndex]) -> Option<NodeIndex> {
    let (first, others) = nodes.split_first()?;
    let passes = |node: &NodeIndex, join| {
        joins.dominators(*node).is_some_and(|mut all| all.any(|n| n == join))
    };
    joins.dominators(*first)?.find(|&join| others.iter().all(|node| passes(node, join)))
}

/// The nodes in groups that no path connects before the join.
fn groups(network: &Network, nodes: &[NodeIndex], join: NodeIndex) -> Vec<Vec<NodeIndex>> {
    let mut groups: Vec<(Vec<NodeIndex>, BTreeSet<NodeIndex>)> = vec![];
    for &node in nodes {
        let mut reached = BTreeSet::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if node != join && reached.insert(node) {
                open.extend(network.graph.neighbors(node));
            }
        }
        let (connected, apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(_, others)| !others.is_disjoint(&reached));
        let mut members = vec![];
        for (group, others) in connected {
            members.extend(group);
            reached.extend(others);
        }
        members.push(node);
        groups = apart;
        groups.push((members, reached));
    }
    groups.into_iter().map(|(members, _)| members).collect()
}

/// Step of a node, which counts as placed. A second visit means that branches cross.
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
            network.push(
                Node { name: format!("n{k}"), provenance: vec![], op, shape: vec![1] },
                &list,
            );
        }
        network.verify().unwrap();
        network
    }

    #[test]
    fn residual_blocks_are_parallel() {
        // x → 1 → 2 → 3(2, 1) → 4(3, x)
        let (found, branching) = structure(&network(&[&[0], &[1], &[2, 1], &[3, 0]]));
        assert!(branching);
        let inner = Parallel(vec![Series(vec![Step(1)]), Series(vec![])]);
        let outer = Series(vec![Step(0), inner, Step(2)]);
        assert_eq!(found, Series(vec![Parallel(vec![outer, Series(vec![])]), Step(3)]));
    }

    /// Of three readers of one value two meet before all do, as condition and choices of a selection.
    #[test]
    fn readers_that_meet_early_are_one_branch() {
        // 1(x), 2(x), 3(1, 2), 4(3, x)
        let (found, branching) = structure(&network(&[&[0], &[0], &[1, 2], &[3, 0]]));
        assert!(branching);
        let inner = Parallel(vec![Series(vec![Step(0)]), Series(vec![Step(1)])]);
        let outer = Parallel(vec![Series(vec![inner, Step(2)]), Series(vec![])]);
        assert_eq!(found, Series(vec![outer, Step(3)]));
    }

    #[test]
    fn crossing_skips_fall_back_to_a_chain() {
        // 1(x), 2(1), 3(1, 2), 4(2, 3): the skips 1→3 and 2→4 cross.
        let crossing = network(&[&[0], &[1], &[1, 2], &[2, 3]]);
        assert_eq!(structure(&crossing), (Series((0..4).map(Step).collect()), false));
        // Over nodes 2 and 3 there is always a skip.
        let refreshed = series_parallel(&crossing, BootstrapPlacement::All).refreshed;
        assert_eq!(refreshed, [NodeIndex::new(1)]);
    }

    #[test]
    fn bootstraps_are_steps_behind_their_nodes() {
        // x → 1 → 2(1, x)
        let found = series_parallel(&network(&[&[0], &[1, 0]]), BootstrapPlacement::All);
        assert_eq!(found.refreshed, [NodeIndex::new(1)]);
        let branch = Series(vec![Series(vec![Step(0), Step(2)])]);
        let expected = Series(vec![Parallel(vec![branch, Series(vec![])]), Step(1)]);
        assert_eq!(found.structure, expected);
    }
}
