//! The chains that could carry a network at one scale, and the choices that each offers.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use pic_ckks_model::ChebyshevPlan;
use pic_ckks_model::primes::residue_bytes;
use pic_ckks_model::work::Work;
use pic_ir::activations::{Activations, Approximation};
use pic_ir::cost::{CostModel, Target};
use pic_ir::network::Network;
use rayon::prelude::*;

use crate::baselines::discretised;
use crate::error::CompileError;
use crate::fit::Candidate;
use crate::layerwise;
use crate::ola::{Instance, Solution};
use crate::options::Options;
use crate::pareto::ParetoPoint;
use crate::plan::{
    self, BOOTSTRAPPING_LOG_NS, BootstrapPlacement, HEADROOM_BITS, LayoutPlanner, Layouts,
    LeveledParameters, ModulusChain, SeriesParallel,
};
use crate::strategy::Strategy;

/// Ring degrees that are tried, log2, smallest first.
pub const LOG_NS: RangeInclusive<u32> = 12..=16;

/// Scales that are tried, log2, smallest first.
pub const LOG_SCALES: RangeInclusive<u32> = 26..=46;

/// Largest key-switching digits that are tried, in primes.
const MAX_DIGIT_SIZE: usize = 4;

/// If every choice takes less time without bootstrapping, seconds on [`Target::REFERENCE`], then none is made with it: a
/// single bootstrap takes about as long.
const LEAST_BOOTSTRAPPING: f64 = 0.25;

/// The level of a convolution's operands where values are bootstrapped, if SlotsToCoeffs has two stages.
const LEVELS_OF_BOOTSTRAPPED_LINEARS: usize = 3;

/// Largest loss by thinning fronts of plans that bootstrap, which have very many points.
const FRONT_EPSILON: f64 = 0.02;

/// Time budgets for which the discretised program is solved, and ticks of each.
const BUDGETS: usize = 48;
const TICKS: usize = 1000;

/// A choice of degrees and bootstraps on a chain.
#[derive(Clone, Debug)]
pub struct Point {
    /// The chain.
    pub chain: Arc<ModulusChain>,
    /// What each step does.
    pub solution: Solution,
}

/// Chains of one scale, with layouts that fit them.
pub struct Chains<'a> {
    network: &'a Network,
    candidates: &'a [Vec<Candidate>],
    options: &'a Options,
    /// How each candidate is evaluated.
    evaluations: Vec<Vec<ChebyshevPlan>>,
    /// log2 of the largest magnitude of the stored output, at least 0.
    log_output: f64,
    planner: LayoutPlanner,
    /// Without bootstraps, and with them.
    series_parallels: [SeriesParallel; 2],
    /// By log2 of the ring degree, and whether values are bootstrapped.
    layouts: HashMap<(u32, bool), Layouts>,
    chains: Vec<Arc<ModulusChain>>,
}

impl<'a> Chains<'a> {
    /// No chains yet, for the candidates of each activation layer.
    pub fn new(
        network: &'a Network,
        candidates: &'a [Vec<Candidate>],
        log_output: f64,
        options: &'a Options,
    ) -> Self {
        let plan = |c: &Candidate| {
            ChebyshevPlan::folded(&c.approximation.coefficients)
                .expect("candidates are polynomials")
        };
        let plans = |list: &Vec<Candidate>| list.par_iter().map(plan).collect();
        Self {
            network,
            candidates,
            options,
            evaluations: candidates.iter().map(plans).collect(),
            log_output,
            planner: LayoutPlanner::new(network, &options.cost()),
            series_parallels: [BootstrapPlacement::None, options.strategy.places()]
                .map(|places| plan::series_parallel(network, places)),
            layouts: HashMap::new(),
            chains: vec![],
        }
    }

    /// Layouts and chains for every ring that could hold the network at a scale; `offered` are the
    /// polynomials of each layer.
    pub fn prepare(
        &mut self,
        log_scale: f64,
        offered: &[Vec<Approximation>],
    ) -> Result<(), CompileError> {
        self.chains.clear();
        if self.options.strategy != Strategy::Ola {
            self.prepare_leveled(log_scale)?;
            let front = self.front(offered)?;
            if front.last().is_some_and(|point| point.solution.time < self.least_bootstrapping()) {
                return Ok(());
            }
        }
        for log_n in BOOTSTRAPPING_LOG_NS {
            // Linear nodes lie best just above SlotsToCoeffs.
            let setting = self.setting(log_n, log_scale, MAX_DIGIT_SIZE);
            self.choose_layouts(&setting, LEVELS_OF_BOOTSTRAPPED_LINEARS, true)?;
            let longest =
                self.layouts[&(log_n, true)].of.iter().map(|l| l.log_period).max().unwrap_or(0);
            let slots = longest.min(log_n - 1);
            let Options { failure_bits, ephemeral_weight, security, .. } = *self.options;
            let chains = ModulusChain::bootstrapped(
                log_n,
                slots,
                log_scale,
                -failure_bits,
                ephemeral_weight,
                security,
            );
            self.chains.extend(chains.into_iter().map(Arc::new));
        }
        Ok(())
    }

    /// [`LEAST_BOOTSTRAPPING`] on the machine that will run the program. Most of that time is transforms.
    fn least_bootstrapping(&self) -> f64 {
        let transforms = Work { transforms: 1.0, ..Work::default() };
        let [own, reference] = [self.options.cost(), CostModel::of(Target::REFERENCE)]
            .map(|cost| cost.seconds(transforms));
        LEAST_BOOTSTRAPPING * own / reference
    }

    fn prepare_leveled(&mut self, log_scale: f64) -> Result<(), CompileError> {
        let fewest = self.fewest_levels();
        for log_n in LOG_NS {
            let setting = self.setting(log_n, log_scale, 1);
            if setting.max_levels().is_none_or(|levels| levels < fewest) {
                continue;
            }
            self.choose_layouts(&setting, fewest, false)?;
            for digit_size in 1..=MAX_DIGIT_SIZE {
                let setting = self.setting(log_n, log_scale, digit_size);
                self.chains.push(Arc::new(ModulusChain::Leveled(setting)));
            }
        }
        Ok(())
    }

    /// Layouts for a ring and linear nodes in the middle of a chain of `levels`, or at its top where values
    /// are bootstrapped.
    fn choose_layouts(
        &mut self,
        setting: &LeveledParameters,
        levels: usize,
        bootstrapped: bool,
    ) -> Result<(), CompileError> {
        if let Entry::Vacant(vacant) = self.layouts.entry((setting.log_n, bootstrapped)) {
            let level = if bootstrapped { levels } else { levels.div_ceil(2).max(1) };
            vacant.insert(self.planner.choose(&setting.parameters(levels)?, level));
        }
        Ok(())
    }

    /// The choices of the method, over all chains: the faster, the more loss.
    pub fn points(&self, offered: &[Vec<Approximation>]) -> Result<Vec<Point>, CompileError> {
        match self.options.strategy {
            Strategy::Joint | Strategy::Composite => self.front(offered),
            Strategy::Uniform => Ok(pareto(self.uniform(offered)?)),
            Strategy::Ola => self.discretised(offered),
        }
    }

    /// The front of the dynamic program.
    pub fn front(&self, offered: &[Vec<Approximation>]) -> Result<Vec<Point>, CompileError> {
        let solve = |(chain, instance): (Arc<ModulusChain>, Instance)| {
            let epsilon = if chain.bootstrapping().is_some() { FRONT_EPSILON } else { 0.0 };
            let solutions = instance.front(epsilon)?.into_iter();
            Ok(solutions.map(|solution| Point { chain: Arc::clone(&chain), solution }).collect())
        };
        let fronts: Vec<Vec<Point>> = self
            .instances(offered)
            .into_par_iter()
            .map(solve)
            .collect::<Result<_, CompileError>>()?;
        Ok(pareto(fronts.into_iter().flatten().collect()))
    }

    /// The same degree in every layer, on the fastest chain, by ascending degree.
    pub fn uniform(&self, offered: &[Vec<Approximation>]) -> Result<Vec<Point>, CompileError> {
        let degrees: BTreeSet<usize> =
            offered.iter().flatten().map(Approximation::degree).collect();
        let instances = self.instances(offered);
        let point = |degree| {
            let choices = layerwise::uniform(self.candidates, degree)?;
            self.fastest(&instances, &choices).transpose()
        };
        degrees.into_iter().filter_map(point).collect()
    }

    /// Some choice of the method, sooner found than the best ones.
    pub fn any(&self, offered: &[Vec<Approximation>]) -> Result<Option<Point>, CompileError> {
        let middle: Vec<usize> = offered.iter().map(|list| list.len() / 2).collect();
        self.fastest(&self.instances(offered), &middle)
    }

    /// Given candidates on the chain on which they are fastest, if they fit any.
    fn fastest(
        &self,
        instances: &[(Arc<ModulusChain>, Instance)],
        choices: &[usize],
    ) -> Result<Option<Point>, CompileError> {
        let mut fastest: Option<Point> = None;
        for (chain, instance) in instances {
            let faster =
                |p: &Point| fastest.as_ref().is_none_or(|f| p.solution.time < f.solution.time);
            if let Some(point) = self.fixed(chain, instance, choices)?.filter(faster) {
                fastest = Some(point);
            }
        }
        Ok(fastest)
    }

    /// The choices of the program over discretised time, for budgets between what is needed at least and
    /// at most. A layer takes the time of bootstrapping to its levels, of its linear operand and of its
    /// polynomial.
    fn discretised(&self, offered: &[Vec<Approximation>]) -> Result<Vec<Point>, CompileError> {
        let solve = |(chain, instance): (Arc<ModulusChain>, Instance)| {
            let restore = chain.bootstrapping_seconds(&self.options.cost());
            let layer = |(k, &(node, _)): (usize, &_)| -> Vec<discretised::Candidate> {
                let operand = self.network.operands(node)[0];
                let time = |step: usize, alternative: usize, level: usize| {
                    let times = &instance.steps[step][alternative].time;
                    times.get(level).copied().unwrap_or(f64::INFINITY)
                };
                let candidate = |(alternative, a): (usize, &Approximation)| {
                    let depth = self.evaluations[k][alternative].depth() as usize;
                    let bootstrap = restore.get(depth + 1).copied().unwrap_or(f64::INFINITY);
                    let linear = time(operand.index() - 1, 0, depth + 1);
                    let time = bootstrap + linear + time(node.index() - 1, alternative, depth);
                    discretised::Candidate { time, loss: a.loss }
                };
                offered[k].iter().enumerate().map(candidate).collect()
            };
            let layers: Vec<_> = self.network.activations().iter().enumerate().map(layer).collect();
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
            let points = choices.iter().map(|choices| self.fixed(&chain, &instance, choices));
            Ok(points.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        let points: Vec<Vec<Point>> = self
            .instances(offered)
            .into_par_iter()
            .map(solve)
            .collect::<Result<_, CompileError>>()?;
        Ok(pareto(points.into_iter().flatten().collect()))
    }

    /// The fastest way to use given candidates on a chain, if they fit it.
    fn fixed(
        &self,
        chain: &Arc<ModulusChain>,
        instance: &Instance,
        choices: &[usize],
    ) -> Result<Option<Point>, CompileError> {
        let mut alternatives = vec![None; instance.steps.len()];
        for (step, &choice) in self.layer_steps().into_iter().zip(choices) {
            alternatives[step] = Some(choice);
        }
        let solution = instance.fastest(&alternatives)?;
        Ok(solution.map(|solution| Point { chain: Arc::clone(chain), solution }))
    }

    /// The dynamic program's instance for every chain.
    fn instances(&self, offered: &[Vec<Approximation>]) -> Vec<(Arc<ModulusChain>, Instance)> {
        let pairs = self.evaluations.iter().zip(offered);
        let candidates: Vec<Vec<_>> = pairs
            .map(|(plans, list)| plans.iter().zip(list.iter().map(|p| p.loss)).collect())
            .collect();
        let most = self.most_levels();
        let instance = |chain: &Arc<ModulusChain>| {
            let levels = chain.max_levels()?.min(most);
            let instance = plan::instance(
                self.network,
                self.series_parallel(chain),
                &candidates,
                self.layouts(chain),
                chain,
                levels,
                &self.options.cost(),
            );
            Some((Arc::clone(chain), instance.ok()?))
        };
        self.chains.par_iter().filter_map(instance).collect()
    }

    /// The setting with the largest scale that still has so many levels, and whose residues take no more
    /// bytes.
    pub fn widest(&self, mut setting: LeveledParameters, levels: usize) -> LeveledParameters {
        let bytes = |setting: LeveledParameters| {
            let parameters = setting.parameters(levels).ok()?;
            let primes = parameters.moduli().iter().chain(parameters.special());
            Some(primes.map(|&prime| residue_bytes(prime)).sum::<usize>())
        };
        let own = bytes(setting);
        while setting.log_scale < f64::from(*LOG_SCALES.end()) {
            let wider = self.setting(setting.log_n, setting.log_scale + 1.0, setting.digit_size);
            if wider.max_levels().is_none_or(|most| most < levels) || bytes(wider) != own {
                break;
            }
            setting = wider;
        }
        setting
    }

    /// A chain without bootstrapping.
    pub fn setting(&self, log_n: u32, log_scale: f64, digit_size: usize) -> LeveledParameters {
        let log_q0 = log_scale + HEADROOM_BITS + self.log_output;
        LeveledParameters { log_n, log_scale, log_q0, digit_size, security: self.options.security }
    }

    /// The layouts for a chain.
    pub fn layouts(&self, chain: &ModulusChain) -> &Layouts {
        &self.layouts[&(chain.log_n(), chain.bootstrapping().is_some())]
    }

    fn series_parallel(&self, chain: &ModulusChain) -> &SeriesParallel {
        &self.series_parallels[usize::from(chain.bootstrapping().is_some())]
    }

    /// The nodes whose values a point bootstraps.
    pub fn bootstrapped(&self, point: &Point) -> Vec<bool> {
        plan::bootstrapped(self.network, self.series_parallel(&point.chain), &point.solution)
    }

    /// The candidate that each activation layer uses.
    pub fn choices(&self, solution: &Solution) -> Vec<usize> {
        self.layer_steps().into_iter().map(|step| solution.choices[step].alternative).collect()
    }

    /// What a point means to a user.
    pub fn describe(&self, point: &Point) -> ParetoPoint {
        let choices = self.choices(&point.solution);
        let degree =
            |(list, &choice): (&Vec<Candidate>, &usize)| list[choice].approximation.degree();
        ParetoPoint {
            seconds: point.solution.time,
            loss: point.solution.loss,
            degrees: self.candidates.iter().zip(&choices).map(degree).collect(),
            log_n: point.chain.log_n(),
            levels: match point.chain.bootstrapping() {
                Some(plan) => plan.levels(),
                None => point.solution.input_level as usize,
            },
            bootstraps: self.bootstrapped(point).iter().filter(|&&b| b).count(),
            measured: None,
        }
    }

    /// Steps of the dynamic program that are activation layers.
    fn layer_steps(&self) -> Vec<usize> {
        self.network.activations().iter().map(|(node, _)| node.index() - 1).collect()
    }

    /// Levels of the network with the shallowest candidates.
    pub fn fewest_levels(&self) -> usize {
        self.depths(|list| list.iter().map(|c| c.depth).min().unwrap_or(0))
    }

    fn most_levels(&self) -> usize {
        // Arrangements that fall back to a chain count every node.
        let chain = self.network.graph.node_count();
        self.depths(|list| list.iter().map(|c| c.depth).max().unwrap_or(0)).max(chain)
    }

    fn depths(&self, of: impl Fn(&[Candidate]) -> u32) -> usize {
        let choice = |list: &Vec<Candidate>| {
            list.iter().find(|c| c.depth == of(list)).map(|c| c.approximation.clone())
        };
        let layers: Option<Vec<_>> = self.candidates.iter().map(choice).collect();
        let activations = Activations { layers: layers.unwrap_or_default() };
        let none = vec![false; self.network.graph.node_count()];
        plan::levels(self.network, &activations, &none)[self.network.input().index()].used
    }
}

/// The points that no other is as fast and as accurate as, by ascending time.
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
