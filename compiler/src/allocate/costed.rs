//! A modulus chain with the time that every step of a network takes at each of its levels.

use std::sync::Arc;

use petgraph::graph::NodeIndex;
use pic_ckks_model::op_counts::{OpCounter, OpCounts};
use pic_ckks_model::unit_costs::hoisting;
use pic_ckks_model::{ChebyshevPlan, ParametersError};
use pic_ir::cost::{CostModel, linear};
use pic_ir::network::{Network, Op};

use crate::chain::ModulusChain;
use crate::layouts::Layouts;
use crate::ola::{Alternative, Effect, Instance, Solution};
use crate::series_parallel::SeriesParallel;

/// A chain, the layouts that fit it, and the dynamic program's instance that follows.
#[derive(Clone, Debug)]
pub struct CostedChain {
    /// Primes and their meaning.
    pub chain: ModulusChain,
    /// Layout of every tensor on this chain.
    pub layouts: Arc<Layouts>,
    /// Step `k` is node `k + 1`; the steps behind those bootstrap values, or let them be.
    pub instance: Instance,
    /// Network nodes and bootstraps behind the steps of the instance.
    steps: Arc<SeriesParallel>,
}

/// A choice of degrees, bootstraps and levels on one chain: a point of the Pareto front.
#[derive(Clone, Debug)]
pub struct Point {
    /// The chain with its layouts and times.
    pub on: Arc<CostedChain>,
    /// Alternative and level of every step.
    pub solution: Solution,
    /// The candidate that each activation layer uses.
    pub candidates: Vec<usize>,
}

impl CostedChain {
    /// Prices a network on a chain of at most `levels` levels. `candidates[k]` are the evaluation plans of the
    /// polynomials that activation layer `k` may use, each with the loss that the polynomial adds.
    ///
    /// # Errors
    /// If there are no parameters for the chain.
    pub fn new(
        network: &Network,
        chain: ModulusChain,
        levels: usize,
        layouts: Arc<Layouts>,
        steps: Arc<SeriesParallel>,
        candidates: &[Vec<(&ChebyshevPlan, f64)>],
        cost: &CostModel,
    ) -> Result<Self, ParametersError> {
        let instance = instance(network, &steps, candidates, &layouts, &chain, levels, cost)?;
        Ok(Self { chain, layouts, instance, steps })
    }

    /// The point of the Pareto front that a solution of [`Self::instance`] describes: this chain, the solution, and the
    /// index of the candidate that it chose for each activation layer. `layers` are the activation nodes of the network
    /// in order of evaluation.
    ///
    /// # Panics
    /// If the solution has no choice for one of the nodes, because it solves another instance.
    pub fn point(self: &Arc<Self>, solution: Solution, layers: &[NodeIndex]) -> Point {
        let candidate = |node: &NodeIndex| solution.choices[step_of(*node)].alternative;
        let candidates = layers.iter().map(candidate).collect();
        Point { on: Arc::clone(self), solution, candidates }
    }
}

impl Point {
    /// Per node index, true if the node's value is bootstrapped.
    pub fn bootstrapped(&self) -> Vec<bool> {
        let CostedChain { layouts, steps, .. } = &*self.on;
        let mut bootstrapped = vec![false; layouts.of.len()];
        let first = layouts.of.len() - 1;
        for (node, choice) in steps.refreshed.iter().zip(&self.solution.choices[first..]) {
            bootstrapped[node.index()] = steps.always || choice.alternative > 0;
        }
        bootstrapped
    }
}

/// Index of the step that computes a node.
pub fn step_of(node: NodeIndex) -> usize {
    node.index() - 1
}

/// Alternatives of every step, each with its time at every level.
fn instance(
    network: &Network,
    series_parallel: &SeriesParallel,
    candidates: &[Vec<(&ChebyshevPlan, f64)>],
    layouts: &Layouts,
    chain: &ModulusChain,
    levels: usize,
    cost: &CostModel,
) -> Result<Instance, ParametersError> {
    let parameters = chain.parameters(levels)?;
    let counter = OpCounter::new(&parameters, 0..0);
    let ciphertexts =
        |node: NodeIndex| layouts.of[node.index()].ciphertexts(parameters.log_n() - 1);
    let alternative = |depth: usize, loss: f64, work: &dyn Fn(usize) -> OpCounts| {
        let at = |level: usize| match level < depth {
            true => f64::INFINITY,
            false => cost.seconds(work(chain.base() + level)),
        };
        let time = (0..=levels).map(at).collect();
        Alternative { effect: Effect::Consume(depth as u32), loss, time }
    };
    let mut layers = candidates.iter();
    let mut steps = Vec::new();
    for index in network.graph.node_indices().skip(1) {
        steps.push(match &network.graph[index].op {
            Op::Input => unreachable!("a verified network has one input, its first node"),
            Op::Product => {
                vec![alternative(1, 0.0, &|level| counter.product(level) * ciphertexts(index))]
            }
            Op::Linear { .. } => {
                let t = layouts.transforms[index.index()]
                    .as_ref()
                    .expect("linear nodes have transforms");
                let counts = t.counts();
                let work = |level| {
                    linear(&counter, &counts, t.folds, level, hoisting(&counter, &counts, level))
                };
                vec![alternative(1, 0.0, &work)]
            }
            Op::Activation(_) => {
                let list = layers.next().expect("one list of candidates per layer");
                let candidate = |&(plan, loss): &(&ChebyshevPlan, f64)| {
                    let work = |level| counter.polynomial(plan, level) * ciphertexts(index);
                    alternative(plan.depth() as usize, loss, &work)
                };
                list.iter().map(candidate).collect()
            }
        });
    }
    let seconds = chain.bootstrapping_seconds(cost);
    for &node in &series_parallel.refreshed {
        let nothing =
            Alternative { effect: Effect::Consume(0), loss: 0.0, time: vec![0.0; levels + 1] };
        // From level 0: what is above is dropped for free.
        let restore = |(target, &seconds): (usize, &f64)| Alternative {
            effect: Effect::Restore(target as u32),
            loss: 0.0,
            time: vec![seconds * ciphertexts(node) as f64],
        };
        let restore = seconds.iter().enumerate().skip(1).map(restore);
        let optional = (!series_parallel.always).then_some(nothing);
        steps.push(optional.into_iter().chain(restore).collect());
    }
    Ok(Instance { structure: series_parallel.structure.clone(), steps, max_level: levels as u32 })
}
