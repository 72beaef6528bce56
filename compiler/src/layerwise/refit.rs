//! Fitting again, in network order, with everything before in place.
//!
//! One pass over the nodes carries the values of the exact network and those behind the polynomials
//! side by side, for all samples: linear nodes are corrected towards the exact values
//! ([`super::correction`]), polynomials fitted to the inputs that then arrive. Memory is that of
//! the tensors that are still to be read.

use petgraph::graph::NodeIndex;
use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::{Network, Op};
use pic_ir::profile::Profile;

use super::correction::{Operands, correct};
use super::{Options, RefitError};
use crate::dataset::Dataset;
use crate::evaluate::{Batch, Layer, value};
use crate::fit::{self, Candidate};
use crate::profile::{Collector, Progress};

/// Polynomials and the network that they belong in.
#[derive(Clone, Debug)]
pub struct Refitted {
    /// The network with corrected weights and biases; its structure is unchanged.
    pub network: Network,
    /// The polynomials.
    pub activations: Activations,
}

/// Fits polynomials of the chosen degrees and forms again, in network order, each to the inputs
/// that the refitted layers before it produce, and corrects the linear nodes between them.
/// Progress counts layers.
pub fn refit(
    network: &Network,
    data: &Dataset,
    profile: &Profile,
    chosen: &[&Candidate],
    options: &Options,
    progress: Progress,
) -> Result<Refitted, RefitError> {
    let mut corrected = network.clone();
    let mut layers: Vec<Approximation> = vec![];
    let input = |batch: Dataset| Batch::from_samples(batch.samples());
    let mut runs: Vec<Run> = data.batches().map(|batch| Run::new(network, input(batch))).collect();
    for node in network.graph.node_indices().skip(1) {
        let operands = network.operands(node);
        match network.graph[node].op {
            Op::Linear { .. } if runs[0].is_approximated(&operands) => {
                let both: Vec<_> = runs.iter().map(|run| run.operands(&operands)).collect();
                correct(&mut corrected, node, &both, &options.correction);
            }
            Op::Activation(function) => {
                let mut collector = Collector::new(network, node, &options.profile);
                for run in &runs {
                    collector.add(run.operands(&operands).found[0])?;
                }
                let mut layer = collector.finish();
                layer.sensitivity = profile.layers[layers.len()].sensitivity;
                let Candidate { form, approximation, .. } = chosen[layers.len()];
                let degree = approximation.degree();
                let found = fit::refit(function, degree, *form, &layer, &options.fit)?;
                layers.push(found.approximation);
                progress(layers.len() as u64, chosen.len() as u64);
            }
            _ => {}
        }
        runs.iter_mut().for_each(|run| run.advance(network, &corrected, node, layers.last()));
    }
    Ok(Refitted { network: corrected, activations: Activations { layers } })
}

/// A batch on its way through both networks.
struct Run {
    /// By node: the value in the exact network, until the last node that reads it is done.
    exact: Vec<Option<Batch>>,
    /// Behind the polynomials, where that is another value.
    found: Vec<Option<Batch>>,
}

impl Run {
    fn new(network: &Network, input: Batch) -> Self {
        let none = vec![None; network.graph.node_count()];
        let mut run = Self { exact: none.clone(), found: none };
        run.exact[network.input().index()] = Some(input);
        run
    }

    fn is_approximated(&self, operands: &[NodeIndex]) -> bool {
        operands.iter().any(|o| self.found[o.index()].is_some())
    }

    fn operands(&self, operands: &[NodeIndex]) -> Operands<'_> {
        let exact =
            |o: &NodeIndex| self.exact[o.index()].as_ref().expect("not read for the last time");
        let found = |o: &NodeIndex| self.found[o.index()].as_ref().unwrap_or_else(|| exact(o));
        Operands {
            exact: operands.iter().map(exact).collect(),
            found: operands.iter().map(found).collect(),
        }
    }

    /// Computes the values of `node` and drops those that were read for the last time. `polynomial`
    /// stands at the activation, if the node is one.
    fn advance(
        &mut self,
        network: &Network,
        corrected: &Network,
        node: NodeIndex,
        polynomial: Option<&Approximation>,
    ) {
        let operands = network.operands(node);
        let is_activation = matches!(network.graph[node].op, Op::Activation(_));
        let differs = is_activation || self.is_approximated(&operands);
        let both = self.operands(&operands);
        let exact = value(network, node, &both.exact, None);
        let found = differs
            .then(|| value(corrected, node, &both.found, polynomial.map(Layer::Approximate)));
        (self.exact[node.index()], self.found[node.index()]) = (Some(exact), found);
        for operand in operands {
            if network.graph.neighbors(operand).all(|user| user <= node) {
                (self.exact[operand.index()], self.found[operand.index()]) = (None, None);
            }
        }
    }
}
