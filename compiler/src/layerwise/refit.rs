//! Refitting: polynomials fitted again in network order, behind the refitted layers before them.
//!
//! One pass over the nodes carries the values of the exact network and those behind the polynomials
//! side by side, for all samples: linear nodes are corrected towards the exact values
//! ([`super::correction`]), polynomials fitted to the inputs that then arrive. Samples that nothing is fitted to go
//! along behind the polynomials: intervals reach as far as their inputs do, too, which correction has not drawn
//! towards those of the exact network. Memory is that of the tensors that are still to be read.

use petgraph::graph::NodeIndex;
use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::{Network, Op};
use pic_ir::profile::Profile;

use super::correction::{Equations, correct};
use super::{RefitError, RefitOptions};
use crate::composition;
use crate::dataset::Dataset;
use crate::evaluate::{Batch, Layer, value};
use crate::fit::{self, Candidate};
use crate::profile::Collector;
use crate::progress::Advance;

/// Polynomials and the network whose constants are corrected for them.
#[derive(Clone, Debug)]
pub struct Refitted {
    /// The network with corrected weights and biases; its structure is unchanged.
    pub network: Network,
    /// The polynomials.
    pub activations: Activations,
}

/// Fits polynomials of the chosen degrees and forms again, in network order, each to the inputs
/// that the refitted layers before it produce, and corrects the linear nodes behind them. Intervals are those of
/// `data` and of `others` together. Progress counts layers.
///
/// # Errors
/// [`RefitError::Fit`] if a polynomial cannot be fitted, [`RefitError::Profile`] if an input overflows.
pub fn refit(
    network: &Network,
    data: &Dataset,
    others: &Dataset,
    profile: &Profile,
    chosen: &[&Candidate],
    options: &RefitOptions,
    progress: Advance,
) -> Result<Refitted, RefitError> {
    let mut corrected = network.clone();
    let mut layers: Vec<Approximation> = vec![];
    let input = |batch: Dataset| Batch::from_samples(batch.samples());
    let runs = |data: &Dataset| -> Vec<Run> {
        data.batches().map(|batch| Run::new(network, input(batch))).collect()
    };
    let (mut runs, mut others) = (runs(data), runs(others));
    for node in network.graph.node_indices().skip(1) {
        let operands = network.operands(node);
        // Others need exact values only where there are no others yet.
        let untouched = others.iter_mut().filter(|run| !run.is_approximated(&operands));
        runs.iter_mut().chain(untouched).for_each(|run| run.advance_exact(network, node));
        match network.graph[node].op {
            Op::Linear { .. } if runs[0].is_approximated(&operands) => {
                let equations = |run| Run::equations(run, node, &operands);
                let equations: Vec<_> = runs.iter().map(equations).collect();
                correct(&mut corrected, node, &equations, &options.correction);
            }
            Op::Activation(function) => {
                let mut collector = Collector::new(network, node, &options.profile);
                runs.iter().try_for_each(|run| collector.add(run.found(operands[0])))?;
                others.iter().try_for_each(|run| collector.add_maxima(run.found(operands[0])))?;
                let mut layer = collector.finish();
                layer.sensitivity = profile.layers[layers.len()].sensitivity;
                let Candidate { form, approximation, stage, .. } = chosen[layers.len()];
                let degree = approximation.degree();
                layers.push(match stage {
                    Some(0) => composition::widened(approximation, &layer),
                    // Behind the first polynomial the domains are known.
                    Some(_) => approximation.clone(),
                    None => {
                        fit::refit(function, degree, *form, &layer, &options.fit)?.approximation
                    }
                });
                progress(layers.len() as u64, chosen.len() as u64);
            }
            _ => {}
        }
        let all = runs.iter_mut().chain(&mut others);
        all.for_each(|run| run.advance_found(&corrected, node, layers.last()));
    }
    Ok(Refitted { network: corrected, activations: Activations { layers } })
}

/// A batch on its way through both networks.
struct Run {
    /// Values in the exact network by node; each is dropped after its last use.
    exact: Vec<Option<Batch>>,
    /// Values in the network with polynomials by node, where they differ from those in the exact network.
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

    fn exact(&self, node: NodeIndex) -> &Batch {
        self.exact[node.index()].as_ref().expect("values are kept until their last use")
    }

    fn found(&self, node: NodeIndex) -> &Batch {
        self.found[node.index()].as_ref().unwrap_or_else(|| self.exact(node))
    }

    fn equations(&self, node: NodeIndex, operands: &[NodeIndex]) -> Equations<'_> {
        let operands = operands.iter().map(|&o| self.found(o)).collect();
        Equations { operands, exact: self.exact(node) }
    }

    /// Computes the value of `node` in the exact network.
    fn advance_exact(&mut self, network: &Network, node: NodeIndex) {
        let operands: Vec<_> = network.operands(node).iter().map(|&o| self.exact(o)).collect();
        self.exact[node.index()] = Some(value(network, node, &operands, None));
    }

    /// Computes the value of `node` in the network with polynomials and drops operands after their last use.
    /// `polynomial` belongs to the node if it is an activation.
    fn advance_found(
        &mut self,
        corrected: &Network,
        node: NodeIndex,
        polynomial: Option<&Approximation>,
    ) {
        let operands = corrected.operands(node);
        if matches!(corrected.graph[node].op, Op::Activation(_)) || self.is_approximated(&operands)
        {
            let found: Vec<_> = operands.iter().map(|&o| self.found(o)).collect();
            let layer = polynomial.map(Layer::Approximate);
            self.found[node.index()] = Some(value(corrected, node, &found, layer));
        }
        for operand in operands {
            if corrected.graph.neighbors(operand).all(|user| user <= node) {
                (self.exact[operand.index()], self.found[operand.index()]) = (None, None);
            }
        }
    }
}
