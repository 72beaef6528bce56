//! Isolated losses: the loss that each layer's polynomial causes while all other layers are exact.
//!
//! The linear nodes that read the layer are corrected for it, as they will be. An estimate from independent
//! errors misses both: errors of a polynomial are alike in neighbouring elements, so they add up where
//! values are summed, and what the linear nodes take off again. The contributions of layers so
//! measured add up to the loss of the network within a few tenths.

use petgraph::graph::NodeIndex;
use pic_ir::activations::Approximation;
use pic_ir::network::{Network, Op};

use super::correction::{CorrectionOptions, Equations, correct};
use crate::dataset::{Dataset, SampleObjective};
use crate::evaluate::{Batch, Evaluation, Layer, apply, exact_layers, value};
use crate::progress::Advance;

/// A batch in the exact network and in the one that is changed.
struct Run<'a> {
    exact: Evaluation<'a>,
    changed: Evaluation<'a>,
    objectives: Vec<SampleObjective>,
}

impl Run<'_> {
    fn equations(&self, node: NodeIndex, operands: &[NodeIndex]) -> Equations<'_> {
        let operands = operands.iter().map(|&o| self.changed.value(o)).collect();
        Equations { operands, exact: self.exact.value(node) }
    }
}

/// `E[(ΔL)²]` for each layer's polynomial, by layer. Progress counts layers.
pub(super) fn isolated_loss(
    network: &Network,
    data: &Dataset,
    polynomials: &[&Approximation],
    options: &CorrectionOptions,
    progress: Advance,
) -> Vec<f64> {
    let layers = exact_layers(network);
    let nodes = network.activations();
    let run = |batch: Dataset| {
        let exact = Evaluation::new(network, Batch::from_samples(batch.samples()), &layers);
        let plain = |sample| exact.output().sample(sample);
        let objectives = (0..batch.len()).map(|k| batch.objective_of(k, &plain(k))).collect();
        Run { changed: exact.clone(), exact, objectives }
    };
    let mut runs: Vec<Run> = data.batches().map(run).collect();
    let mut moments = vec![0.0; nodes.len()];
    // From the last layer to the first: a restart spoils only what comes after it.
    for (layer, &(node, _)) in nodes.iter().enumerate().rev() {
        let polynomial = Layer::Approximate(polynomials[layer]);
        for run in &mut runs {
            let input = run.exact.value(network.operands(node)[0]);
            run.changed.restart(node, apply(polynomial, input), &layers);
        }
        let mut corrected = network.clone();
        let mut users: Vec<_> = network.graph.neighbors(node).collect();
        users.sort();
        users.dedup();
        users.retain(|&user| matches!(network.graph[user].op, Op::Linear { .. }));
        for user in users {
            let operands = network.operands(user);
            let equations: Vec<_> = runs.iter().map(|run| run.equations(user, &operands)).collect();
            correct(&mut corrected, user, &equations, options);
            for run in &mut runs {
                let operands = run.equations(user, &operands).operands;
                let value = value(&corrected, user, &operands, None);
                run.changed.restart(user, value, &layers);
            }
        }
        let changes = runs.iter().flat_map(|run| {
            let outputs = (run.changed.output(), run.exact.output());
            run.objectives.iter().enumerate().map(move |(k, objective)| {
                objective.loss(&outputs.0.sample(k)) - objective.loss(&outputs.1.sample(k))
            })
        });
        moments[layer] = changes.map(|change| change * change).sum::<f64>() / data.len() as f64;
        progress((nodes.len() - layer) as u64, nodes.len() as u64);
    }
    moments
}
