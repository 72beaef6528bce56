//! The fourth representation: layout, level, scale and schedule of every tensor, and the CKKS parameters.
//!
//! # Invariants ([`Plan::verify`])
//! - one entry per network node, names matching;
//! - every level exists in the modulus chain;
//! - schedules are given for linear nodes and only for them;
//! - where values are bootstrapped, to levels that exist, there is a plan for it.
//!
//! What the numbers mean together is checked on the program that follows from the plan.

use std::fmt;

use pic_ckks_model::Parameters;
use pic_ckks_model::bootstrapping::BootstrappingPlan;
use serde::{Deserialize, Serialize};

use crate::escape::Escaped;
use crate::layout::Layout;
use crate::network::{Network, Op};
use crate::transform::Schedule;

/// Decisions for every node of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Ring, modulus chain and security.
    pub parameters: Parameters,
    /// Plan of all bootstraps; none if no value is bootstrapped.
    pub bootstrapping: Option<BootstrappingPlan>,
    /// One entry per node, by node index.
    pub nodes: Vec<NodePlan>,
}

/// Decisions for one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Name of the node.
    pub name: String,
    /// Layout of the node's value.
    pub layout: Layout,
    /// Level of its value.
    pub level: usize,
    /// Exact scale of its value.
    pub scale: f64,
    /// Real value stored as 0.
    pub center: f64,
    /// Difference of real values stored as 1.
    pub half_width: f64,
    /// Schedule of a linear node's diagonals; none for other nodes.
    pub schedule: Option<Schedule>,
    /// Level to which the node's value is bootstrapped before its users read it; none if it is not bootstrapped.
    pub bootstrapped: Option<usize>,
}

impl Plan {
    /// Checks every invariant listed in the module documentation.
    ///
    /// # Errors
    /// [`PlanError`], with the first node whose entry breaks an invariant.
    pub fn verify(&self, network: &Network) -> Result<(), PlanError> {
        if self.nodes.len() != network.graph.node_count() {
            return Err(PlanError::Count {
                expected: network.graph.node_count(),
                found: self.nodes.len(),
            });
        }
        for (plan, index) in self.nodes.iter().zip(network.graph.node_indices()) {
            let node = &network.graph[index];
            let linear = matches!(node.op, Op::Linear { .. });
            let sound = plan.name == node.name
                && plan.level <= self.parameters.max_level()
                && plan.bootstrapped.is_none_or(|level| {
                    self.bootstrapping.is_some() && level <= self.parameters.max_level()
                })
                && plan.schedule.is_some() == linear
                && plan.layout.len == node.len();
            if !sound {
                return Err(PlanError::Node { name: node.name.clone() });
            }
        }
        Ok(())
    }
}

/// Reason why a [`Plan`] does not fit its network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Wrong number of nodes.
    #[error("the network has {expected} nodes, {found} are planned")]
    Count {
        /// Nodes of the network.
        expected: usize,
        /// Nodes planned.
        found: usize,
    },
    /// The entry of a node breaks an invariant.
    #[error("the plan of node `{}` does not fit it", Escaped(name))]
    Node {
        /// Name of the node.
        name: String,
    },
}

/// The parameters, then one line per node.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.parameters)?;
        for (index, node) in self.nodes.iter().enumerate() {
            write!(f, "%{index}: level {}, layout {}", node.level, node.layout)?;
            if let Some(schedule) = node.schedule {
                write!(f, ", {schedule}")?;
            }
            if let Some(level) = node.bootstrapped {
                write!(f, ", bootstrapped to level {level}")?;
            }
            writeln!(f, " ; {}", Escaped(&node.name))?;
        }
        Ok(())
    }
}
