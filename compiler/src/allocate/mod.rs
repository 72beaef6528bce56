//! Allocation: which degrees, places of bootstraps and levels could carry a network, as a Pareto front of latency
//! against loss.
//!
//! For one scale, [`Allocator::chains`] prices the network on every chain that could hold it (ring, digit size, with
//! or without bootstrapping and number of levels between bootstraps), and [`Allocator::front`] merges what
//! the dynamic program ([`crate::ola`]) finds on each. Nothing is measured here: a loss is what a candidate says.

mod costed;

pub use costed::{CostedChain, Point};

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use pic_ckks_model::bootstrapping::EphemeralWeight;
use pic_ckks_model::op_counts::OpCounts;
use pic_ckks_model::primes::residue_bytes;
use pic_ckks_model::{ChebyshevPlan, ParametersError, SecurityLevel};
use pic_ir::activations::Activations;
use pic_ir::cost::{CostModel, Target};
use pic_ir::network::Network;
use rayon::prelude::*;

use crate::baselines::discretised;
use crate::chain::{BOOTSTRAPPING_LOG_NS, HEADROOM_BITS, LeveledParameters, ModulusChain};
use crate::fit::Candidate;
use crate::layerwise;
use crate::layouts::{LayoutPlanner, Layouts};
use crate::levels::levels;
use crate::ola::InstanceError;
use crate::series_parallel::{BootstrapPlacement, SeriesParallel, series_parallel};
use crate::strategy::Strategy;
use costed::step_of;

/// Ring degrees that are tried, log2, smallest first.
const LOG_NS: RangeInclusive<u32> = 12..=16;

/// log2 of the scales that are tried, smallest first.
pub const LOG_SCALES: RangeInclusive<u32> = 26..=46;

/// Largest key-switching digits that are tried, in primes.
const MAX_DIGIT_SIZE: usize = 4;

/// Seconds on [`Target::REFERENCE`]: chains with bootstrapping are not tried if every choice takes less without. A
/// single bootstrap takes about as long.
const LEAST_BOOTSTRAPPING: f64 = 0.25;

/// The level of a convolution's operands where values are bootstrapped, if SlotsToCoeffs has two stages.
const LEVELS_OF_BOOTSTRAPPED_LINEARS: usize = 3;

/// Relative increase of losses that thinning a front may cause. Fronts of plans with bootstraps have very many
/// points.
const FRONT_EPSILON: f64 = 0.02;

/// Number of time budgets for which the discretised dynamic program is solved, and number of ticks in each.
const BUDGETS: usize = 48;
const TICKS: usize = 1000;

/// Requirements on chains, and the strategy by which points on them are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Strategy by which degrees and bootstraps are chosen.
    pub strategy: Strategy,
    /// Security level of the parameters.
    pub security: SecurityLevel,
    /// log2 of the largest probability with which a bootstrap of one ciphertext may fail.
    pub log2_failure: f64,
    /// Hamming weight of the secret under which bootstrapping raises the modulus.
    pub ephemeral_weight: EphemeralWeight,
    /// Prices of the machine that will run the program.
    pub cost: CostModel,
    /// log2 of the largest magnitude of the stored output, at least 0.
    pub log_output: f64,
}

/// Reason why there is no front.
#[derive(Debug, thiserror::Error)]
pub enum AllocationError {
    /// Parameters could not be made.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The dynamic program's instance is malformed: a fault of the compiler.
    #[error("internal fault: {0}")]
    Instance(#[from] InstanceError),
}

/// Finds the Pareto front of one network for any scale.
pub struct Allocator<'a> {
    network: &'a Network,
    candidates: &'a [Vec<Candidate>],
    request: Request,
    layers: Vec<NodeIndex>,
    /// Evaluation plan of each candidate, by layer.
    evaluations: Vec<Vec<ChebyshevPlan>>,
    planner: LayoutPlanner,
    /// Steps of the network without bootstraps, and with those that the strategy may place.
    steps: [Arc<SeriesParallel>; 2],
    /// Layouts chosen so far, by log2 of the ring degree and by whether values are bootstrapped.
    layouts: HashMap<(u32, bool), Arc<Layouts>>,
}

impl<'a> Allocator<'a> {
    /// Prepares the allocation for the candidates of each activation layer.
    pub fn new(network: &'a Network, candidates: &'a [Vec<Candidate>], request: Request) -> Self {
        let plan = |c: &Candidate| {
            ChebyshevPlan::absorbing(&c.approximation.coefficients)
                .expect("candidates are polynomials")
        };
        let plans = |list: &Vec<Candidate>| list.par_iter().map(plan).collect();
        Self {
            network,
            candidates,
            request,
            layers: network.activations().iter().map(|&(node, _)| node).collect(),
            evaluations: candidates.iter().map(plans).collect(),
            planner: LayoutPlanner::new(network, &request.cost),
            steps: [BootstrapPlacement::None, request.strategy.bootstrap_placement()]
                .map(|placement| Arc::new(series_parallel(network, placement))),
            layouts: HashMap::new(),
        }
    }

    /// All chains that could hold the network at a scale, with the network priced on each.
    ///
    /// # Errors
    /// [`AllocationError`].
    pub fn chains(&mut self, log_scale: f64) -> Result<Vec<Arc<CostedChain>>, AllocationError> {
        let mut chains = vec![];
        if self.request.strategy != Strategy::Ola {
            let leveled = self.leveled_chains(log_scale)?;
            chains.extend(self.priced(leveled));
            let front = self.dynamic_program(&chains)?;
            if front.last().is_some_and(|point| point.solution.time < self.least_bootstrapping()) {
                return Ok(chains);
            }
        }
        for log_n in BOOTSTRAPPING_LOG_NS {
            let bootstrapped = self.bootstrapped_chains(log_n, log_scale)?;
            chains.extend(self.priced(bootstrapped));
        }
        Ok(chains)
    }

    fn leveled_chains(&mut self, log_scale: f64) -> Result<Vec<ModulusChain>, AllocationError> {
        let fewest = self.fewest_levels();
        let mut chains = vec![];
        for log_n in LOG_NS {
            let parameters = self.leveled(log_n, log_scale, 1);
            if parameters.max_levels().is_none_or(|levels| levels < fewest) {
                continue;
            }
            // Most linear nodes are in the middle of the chain.
            self.choose_layouts(&parameters, fewest, fewest.div_ceil(2).max(1), false)?;
            chains.extend((1..=MAX_DIGIT_SIZE).map(|digit_size| {
                ModulusChain::Leveled(self.leveled(log_n, log_scale, digit_size))
            }));
        }
        Ok(chains)
    }

    fn bootstrapped_chains(
        &mut self,
        log_n: u32,
        log_scale: f64,
    ) -> Result<Vec<ModulusChain>, AllocationError> {
        // Linear nodes lie best just above SlotsToCoeffs.
        let levels = LEVELS_OF_BOOTSTRAPPED_LINEARS;
        let parameters = self.leveled(log_n, log_scale, MAX_DIGIT_SIZE);
        let layouts = self.choose_layouts(&parameters, levels, levels, true)?;
        let longest = layouts.of.iter().map(|l| l.log_period).max().unwrap_or(0);
        let Request { log2_failure, ephemeral_weight, security, .. } = self.request;
        let log_slots = longest.min(log_n - 1);
        Ok(ModulusChain::bootstrapped(
            log_n,
            log_slots,
            log_scale,
            log2_failure,
            ephemeral_weight,
            security,
        ))
    }

    /// [`LEAST_BOOTSTRAPPING`] in seconds on the machine that will run the program, by the ratio of the times of
    /// transforms, which dominate bootstrapping.
    fn least_bootstrapping(&self) -> f64 {
        let transforms = OpCounts { transforms: 1.0, ..OpCounts::default() };
        let [own, reference] = [self.request.cost, CostModel::of(Target::REFERENCE)]
            .map(|cost| cost.seconds(transforms));
        LEAST_BOOTSTRAPPING * own / reference
    }

    /// Chooses, once per ring, the layouts for linear nodes at `level` of a chain of `levels` levels.
    fn choose_layouts(
        &mut self,
        parameters: &LeveledParameters,
        levels: usize,
        level: usize,
        bootstrapped: bool,
    ) -> Result<&Layouts, AllocationError> {
        let layouts = match self.layouts.entry((parameters.log_n, bootstrapped)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let chosen = self.planner.choose(&parameters.parameters(levels)?, level);
                vacant.insert(Arc::new(chosen))
            }
        };
        Ok(layouts)
    }

    /// Prices the network on each chain, and leaves out chains for which there are no parameters.
    fn priced(&self, chains: Vec<ModulusChain>) -> Vec<Arc<CostedChain>> {
        let pairs = self.evaluations.iter().zip(self.candidates);
        let candidates: Vec<Vec<_>> = pairs
            .map(|(plans, list)| {
                plans.iter().zip(list.iter().map(|c| c.approximation.loss)).collect()
            })
            .collect();
        let most = self.most_levels();
        let price = |chain: ModulusChain| {
            let levels = chain.max_levels()?.min(most);
            let bootstrapped = chain.bootstrapping().is_some();
            let layouts = Arc::clone(&self.layouts[&(chain.log_n(), bootstrapped)]);
            let steps = Arc::clone(&self.steps[usize::from(bootstrapped)]);
            let (network, cost) = (self.network, &self.request.cost);
            let costed =
                CostedChain::new(network, chain, levels, layouts, steps, &candidates, cost);
            costed.ok().map(Arc::new)
        };
        chains.into_par_iter().filter_map(price).collect()
    }

    /// Points that the strategy chooses over all chains, by ascending time and descending loss.
    ///
    /// # Errors
    /// [`AllocationError::Instance`].
    pub fn front(&self, chains: &[Arc<CostedChain>]) -> Result<Vec<Point>, AllocationError> {
        match self.request.strategy {
            Strategy::Joint | Strategy::Composite => self.dynamic_program(chains),
            Strategy::Uniform => Ok(pareto(self.uniform(chains)?)),
            Strategy::Ola => self.discretised(chains),
        }
    }

    fn dynamic_program(&self, chains: &[Arc<CostedChain>]) -> Result<Vec<Point>, AllocationError> {
        let solve = |chain: &Arc<CostedChain>| {
            let bootstrapped = chain.chain.bootstrapping().is_some();
            let front = chain.instance.front(if bootstrapped { FRONT_EPSILON } else { 0.0 })?;
            Ok(front.into_iter().map(|solution| chain.point(solution, &self.layers)).collect())
        };
        let fronts: Vec<Vec<Point>> =
            chains.par_iter().map(solve).collect::<Result<_, AllocationError>>()?;
        Ok(pareto(fronts.into_iter().flatten().collect()))
    }

    /// Points with one degree for all layers, each on the chain where it is fastest, by ascending degree.
    ///
    /// # Errors
    /// [`AllocationError::Instance`].
    pub fn uniform(&self, chains: &[Arc<CostedChain>]) -> Result<Vec<Point>, AllocationError> {
        let degrees: BTreeSet<usize> =
            self.candidates.iter().flatten().map(|c| c.approximation.degree()).collect();
        let point = |degree| {
            let candidates = layerwise::uniform(self.candidates, degree)?;
            self.fastest(chains, &candidates).transpose()
        };
        degrees.into_iter().filter_map(point).collect()
    }

    /// The point with the candidate of middle degree in every layer, on the chain where it is fastest. It is found
    /// sooner than a front, for decisions that need some typical point. None if it fits no chain.
    ///
    /// # Errors
    /// [`AllocationError::Instance`].
    pub fn middle(&self, chains: &[Arc<CostedChain>]) -> Result<Option<Point>, AllocationError> {
        let middle: Vec<usize> = self.candidates.iter().map(|list| list.len() / 2).collect();
        self.fastest(chains, &middle)
    }

    /// The point that uses the given candidate of each layer, on the chain where that is fastest; none if they fit
    /// no chain.
    fn fastest(
        &self,
        chains: &[Arc<CostedChain>],
        candidates: &[usize],
    ) -> Result<Option<Point>, AllocationError> {
        let mut fastest: Option<Point> = None;
        for chain in chains {
            let faster =
                |p: &Point| fastest.as_ref().is_none_or(|f| p.solution.time < f.solution.time);
            if let Some(point) = self.fixed(chain, candidates)?.filter(faster) {
                fastest = Some(point);
            }
        }
        Ok(fastest)
    }

    /// The fastest point on one chain that uses the given candidate of each layer; none if they do not fit it.
    fn fixed(
        &self,
        chain: &Arc<CostedChain>,
        candidates: &[usize],
    ) -> Result<Option<Point>, AllocationError> {
        let mut alternatives = vec![None; chain.instance.steps.len()];
        for (&layer, &candidate) in self.layers.iter().zip(candidates) {
            alternatives[step_of(layer)] = Some(candidate);
        }
        let solution = chain.instance.fastest(&alternatives)?;
        Ok(solution.map(|solution| chain.point(solution, &self.layers)))
    }

    /// Points of the dynamic program over discretised time (the OLA paper's), for budgets between the least and the
    /// most time that any choice needs. The time of a layer is that of a bootstrap to its levels, of its linear
    /// operand and of its polynomial.
    fn discretised(&self, chains: &[Arc<CostedChain>]) -> Result<Vec<Point>, AllocationError> {
        let solve = |chain: &Arc<CostedChain>| {
            let layers = self.discretised_layers(chain);
            let extreme = |pick: fn(f64, f64) -> f64| -> Option<f64> {
                let finite = |list: &Vec<discretised::Candidate>| {
                    list.iter().map(|c| c.time).filter(|t| t.is_finite()).reduce(pick)
                };
                layers.iter().map(finite).sum()
            };
            let Some((least, most)) = extreme(f64::min).zip(extreme(f64::max)) else {
                return Ok(vec![]);
            };
            let mut choices: Vec<Vec<usize>> = (0..BUDGETS)
                .map(|k| least * libm::pow(most / least, k as f64 / (BUDGETS - 1) as f64))
                // Rounding to ticks takes a little more than the least.
                .filter_map(|budget| discretised::solve(&layers, budget * 1.02, TICKS))
                .collect();
            choices.dedup();
            let points = choices.iter().map(|candidates| self.fixed(chain, candidates));
            Ok(points.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        let points: Vec<Vec<Point>> =
            chains.par_iter().map(solve).collect::<Result<_, AllocationError>>()?;
        Ok(pareto(points.into_iter().flatten().collect()))
    }

    /// Time and loss of every candidate of each layer, each with a bootstrap before it.
    fn discretised_layers(&self, chain: &CostedChain) -> Vec<Vec<discretised::Candidate>> {
        let restore = chain.chain.bootstrapping_seconds(&self.request.cost);
        let time = |step: usize, alternative: usize, level: usize| {
            let times = &chain.instance.steps[step][alternative].time;
            times.get(level).copied().unwrap_or(f64::INFINITY)
        };
        let layer = |(list, &node): (&Vec<Candidate>, &NodeIndex)| {
            let operand = self.network.operands(node)[0];
            let candidate = |(alternative, c): (usize, &Candidate)| {
                let depth = c.depth as usize;
                let bootstrap = restore.get(depth + 1).copied().unwrap_or(f64::INFINITY);
                let linear = time(step_of(operand), 0, depth + 1);
                let time = bootstrap + linear + time(step_of(node), alternative, depth);
                discretised::Candidate { time, loss: c.approximation.loss }
            };
            list.iter().enumerate().map(candidate).collect()
        };
        self.candidates.iter().zip(&self.layers).map(layer).collect()
    }

    /// The chain of the largest scale that still has `levels` levels and whose residues take no more bytes.
    pub fn largest_scale(
        &self,
        mut parameters: LeveledParameters,
        levels: usize,
    ) -> LeveledParameters {
        let bytes = |parameters: LeveledParameters| {
            let parameters = parameters.parameters(levels).ok()?;
            let primes = parameters.moduli().iter().chain(parameters.special());
            Some(primes.map(|&prime| residue_bytes(prime)).sum::<usize>())
        };
        let own = bytes(parameters);
        while parameters.log_scale < f64::from(*LOG_SCALES.end()) {
            let LeveledParameters { log_n, log_scale, digit_size, .. } = parameters;
            let larger = self.leveled(log_n, log_scale + 1.0, digit_size);
            if larger.max_levels().is_none_or(|most| most < levels) || bytes(larger) != own {
                break;
            }
            parameters = larger;
        }
        parameters
    }

    /// A chain without bootstrapping of given ring, scale and digits.
    fn leveled(&self, log_n: u32, log_scale: f64, digit_size: usize) -> LeveledParameters {
        let log_q0 = log_scale + HEADROOM_BITS + self.request.log_output;
        LeveledParameters { log_n, log_scale, log_q0, digit_size, security: self.request.security }
    }

    /// The chain without bootstrapping that has the most levels.
    pub fn longest(&self, log_scale: f64) -> LeveledParameters {
        self.leveled(*LOG_NS.end(), log_scale, 1)
    }

    /// Number of levels that the network consumes with the shallowest candidates.
    pub fn fewest_levels(&self) -> usize {
        self.depths(|list| list.iter().map(|c| c.depth).min().unwrap_or(0))
    }

    /// Number of levels that the network consumes with the deepest candidates, in a chain of all nodes if it is not
    /// series–parallel.
    fn most_levels(&self) -> usize {
        let deepest = |list: &[Candidate]| list.iter().map(|c| c.depth).max().unwrap_or(0);
        if self.steps[0].is_chain {
            let others = self.network.graph.node_count() - 1 - self.layers.len();
            let layers = self.candidates.iter().map(|list| deepest(list) as usize);
            layers.sum::<usize>() + others
        } else {
            self.depths(deepest)
        }
    }

    fn depths(&self, of: impl Fn(&[Candidate]) -> u32) -> usize {
        let choice = |list: &Vec<Candidate>| {
            list.iter().find(|c| c.depth == of(list)).map(|c| c.approximation.clone())
        };
        let layers: Option<Vec<_>> = self.candidates.iter().map(choice).collect();
        let activations = Activations { layers: layers.unwrap_or_default() };
        let none = vec![false; self.network.graph.node_count()];
        levels(self.network, &activations, &none)[self.network.input().index()].used
    }
}

/// Keeps the points that no other dominates in time and loss, by ascending time.
fn pareto(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.solution.time.total_cmp(&b.solution.time));
    let mut least = f64::INFINITY;
    points.retain(|p| {
        let better = p.solution.loss < least;
        least = least.min(p.solution.loss);
        better
    });
    points
}
