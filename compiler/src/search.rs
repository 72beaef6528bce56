//! Which point of the front of latency against loss becomes the program.
//!
//! For each scale, smallest first, every chain (ring, digit size, with or without bootstrapping and
//! number of levels between bootstraps) yields a front; the fastest point of the merged front that keeps the
//! accuracy on held-back samples is lowered, and accepted if the predicted precision suffices. Without
//! bootstrapping, larger scales are then taken as far as the same chain allows, since they cost nothing.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use pic_ckks_model::ChebyshevPlan;
use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::{Network, Op};
use pic_ir::plan::Plan;
use pic_ir::profile::Profile;
use pic_ir::program::Program;
use rayon::prelude::*;

use crate::compile::{CompileError, FrontPoint, Options, Progress};
use crate::dataset::Dataset;
use crate::evaluate::{Batch, Evaluation, Layer, exact_layers};
use crate::fit::Candidate;
use crate::layerwise::{self, ChooseError, Measurement, Refitted};
use crate::lower::lower;
use crate::noise;
use crate::ola::{Instance, Solution};
use crate::plan::{
    self, Arrangement, BOOTSTRAPPING_LOG_NS, Chain, HEADROOM_BITS, LayoutPlanner, Layouts, Places,
    Setting,
};
use crate::predict::predict;

/// Ring degrees that are tried, log2, smallest first.
const LOG_NS: std::ops::RangeInclusive<u32> = 12..=16;

/// Scales that are tried, log2, smallest first.
const LOG_SCALES: std::ops::RangeInclusive<u32> = 26..=46;

/// Largest key-switching digits that are tried, in primes.
const MAX_DIGIT_SIZE: usize = 4;

/// Room beyond the largest magnitude that calibration saw in a value that no polynomial reads.
const MAGNITUDE_MARGIN: f64 = 1.25;

/// Drop in accuracy that is accepted where the user says nothing.
const DEFAULT_ACCURACY_DROP: f64 = 0.005;

/// What held-back samples may show for a drop of accuracy by d.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Largest loss of accuracy, over d.
    lost: f64,
    /// Largest share of other answers, over d.
    turned: f64,
    /// Largest root mean square change of margins, relative to the mean margin, over d to the power.
    margin_change: f64,
    power: f64,
}

/// Without bootstraps accuracy is cheap. Where margins near zero have the density e (in units of one over the mean margin), normal changes of
/// relative size x turn about 0.4·e·x of all answers; 6 allows for e = 0.4.
const STRICT: Bounds = Bounds { lost: 1.0, turned: 2.0, margin_change: 6.0, power: 1.0 };

/// For deep networks, where a little accuracy costs bootstraps, and the bound above would cost most of
/// them. Near the boundary about as many answers become right as wrong, so that what remains is of second
/// order: ResNet-20 on CIFAR-10 loses 0.13·x² (up to x = 0.36), which 2.8 would allow for. On training
/// samples, where the plain network makes no mistake, every other answer is one.
const WIDE: Bounds = Bounds { lost: 3.0, turned: 8.0, margin_change: 2.5, power: 0.5 };

/// If every choice takes less time without bootstrapping, seconds, then none is made with it: a
/// single bootstrap takes about as long.
const LEAST_BOOTSTRAPPING: f64 = 0.25;

/// Choices are not told apart whose times have at most this ratio, where telling takes a refit.
const NEGLIGIBLE_GAP: f64 = 1.01;

/// The level of a convolution's operands where values are bootstrapped, if SlotsToCoeffs has two stages.
const LEVELS_OF_BOOTSTRAPPED_LINEARS: usize = 3;

/// Largest loss by thinning fronts of plans that bootstrap, which have very many points.
const FRONT_EPSILON: f64 = 0.02;

/// A choice of degrees and bootstraps on a chain.
#[derive(Clone, Debug)]
pub struct Point {
    chain: Arc<Chain>,
    solution: Solution,
}

/// What was chosen, and the front it was chosen from.
pub struct Chosen {
    /// The merged front, in order of ascending time.
    pub front: Vec<Point>,
    /// The polynomials that it was chosen from, with the losses that it counts by.
    offered: Vec<Vec<Approximation>>,
    /// The program, verified.
    pub program: Program,
    /// The plan that it follows.
    pub plan: Plan,
    /// The network whose constants the program has.
    pub corrected: Network,
    /// Its polynomials.
    pub activations: Activations,
    /// How they do on held-back samples.
    pub measured: Measurement,
}

/// What one scale yields.
struct Choice {
    front: Vec<Point>,
    offered: Vec<Vec<Approximation>>,
    point: Point,
    refitted: Refitted,
    measured: Measurement,
}

/// Why a round has no choice.
#[derive(Debug)]
enum Unsolved {
    /// No ring has enough levels.
    Nothing,
    /// An error that ends the search.
    Failed(CompileError),
}

impl From<CompileError> for Unsolved {
    fn from(error: CompileError) -> Self {
        Self::Failed(error)
    }
}

/// The state of a search.
pub struct Search<'a> {
    network: &'a Network,
    profile: &'a Profile,
    candidates: &'a [Vec<Candidate>],
    polynomials: Vec<Vec<Approximation>>,
    /// How each of them is evaluated.
    evaluations: Vec<Vec<ChebyshevPlan>>,
    fitting: Dataset<'a>,
    held: Dataset<'a>,
    options: &'a Options,
    progress: &'a dyn Progress,
    /// The largest magnitude of the plain output.
    output_magnitude: f64,
    /// log2 of the largest magnitude of the stored output, at least 0.
    log_output: f64,
    planner: LayoutPlanner,
    /// Without bootstraps, and with them.
    arrangements: [Arrangement; 2],
    /// By log2 of the ring degree, and whether values are bootstrapped.
    layouts: HashMap<(u32, bool), Layouts>,
    /// Chains of the current scale.
    chains: Vec<Arc<Chain>>,
    /// What choices of candidates turned out to do.
    tried: HashMap<Vec<usize>, (Refitted, Measurement)>,
}

impl<'a> Search<'a> {
    /// A search over the candidates of each activation layer.
    pub fn new(
        network: &'a Network,
        profile: &'a Profile,
        candidates: &'a [Vec<Candidate>],
        fitting: Dataset<'a>,
        held: Dataset<'a>,
        options: &'a Options,
        progress: &'a dyn Progress,
    ) -> Self {
        let of_layer =
            |list: &Vec<Candidate>| list.iter().map(|c| c.approximation.clone()).collect();
        let plan = |c: &Candidate| {
            ChebyshevPlan::new(&c.approximation.coefficients).expect("candidates are polynomials")
        };
        let plans = |list: &Vec<Candidate>| list.par_iter().map(plan).collect();
        let mut search = Self {
            network,
            profile,
            candidates,
            polynomials: candidates.iter().map(of_layer).collect(),
            evaluations: candidates.iter().map(plans).collect(),
            fitting,
            held,
            options,
            progress,
            output_magnitude: 0.0,
            log_output: 0.0,
            planner: LayoutPlanner::new(network, &options.cost),
            arrangements: [Places::None, Places::All].map(|p| plan::arrangement(network, p)),
            layouts: HashMap::new(),
            chains: vec![],
            tried: HashMap::new(),
        };
        search.output_magnitude =
            search.magnitudes(network, &exact_layers(network))[network.output.index()];
        // A linear output is divided by its magnitude; others are stored in real units.
        if !matches!(network.graph[network.output].op, Op::Linear { .. } | Op::Input) {
            search.log_output = search.output_magnitude.max(1.0).log2();
        }
        search
    }

    /// Finds the program.
    pub fn choose(&mut self) -> Result<Chosen, CompileError> {
        let mut best_bits = f64::NEG_INFINITY;
        for log_scale in LOG_SCALES.step_by(2) {
            let log_scale = f64::from(log_scale);
            self.progress.stage(&format!("choose layouts and chains, scale 2^{log_scale}"), 0);
            self.prepare(log_scale)?;
            if let Some(bits) = self.first_bits()?
                && bits < self.options.min_precision_bits
            {
                best_bits = best_bits.max(bits);
                continue;
            }
            self.progress.stage(&format!("choose degrees, scale 2^{log_scale}"), 0);
            let Some(Choice { front, offered, point, refitted, measured }) = self.settle()? else {
                if best_bits == f64::NEG_INFINITY {
                    return Err(self.too_deep(log_scale));
                }
                break;
            };
            let (mut plan, mut program) = self.build(&refitted, &point.chain, &point.solution)?;
            let bits = program.predicted.precision_bits;
            best_bits = best_bits.max(bits);
            if bits < self.options.min_precision_bits {
                continue;
            }
            if let Chain::Leveled(setting) = *point.chain {
                let wider = self.widest(setting, program.parameters.max_level());
                if wider != setting {
                    let chain = Chain::Leveled(wider);
                    (plan, program) = self.build(&refitted, &chain, &point.solution)?;
                }
            }
            self.check_memory(&program)?;
            program.predicted.accuracy_drop =
                measured.classification.map(|c| c.plain_accuracy - c.accuracy);
            program.verify()?;
            let Refitted { network: corrected, activations } = refitted;
            return Ok(Chosen { front, offered, program, plan, corrected, activations, measured });
        }
        Err(CompileError::Precision { asked: self.options.min_precision_bits, best: best_bits })
    }

    /// The precision of some program of the current scale, if it bootstraps: what degrees do to it is
    /// little beside what the scale does, and choosing them takes long.
    fn first_bits(&mut self) -> Result<Option<f64>, CompileError> {
        let front = self.front(&self.polynomials)?;
        let Some(point) = front.get(front.len() / 2) else { return Ok(None) };
        if point.chain.bootstrapping().is_none() {
            return Ok(None);
        }
        let (refitted, _) = self.try_point(point)?;
        let (_, program) = self.build(&refitted, &point.chain, &point.solution)?;
        Ok(Some(program.predicted.precision_bits))
    }

    /// The setting with the largest scale that still has so many levels.
    fn widest(&self, mut setting: Setting, levels: usize) -> Setting {
        while setting.log_scale < f64::from(*LOG_SCALES.end()) {
            let wider = self.setting(setting.log_n, setting.log_scale + 1.0, setting.digit_size);
            if wider.max_levels().is_none_or(|most| most < levels)
                || wider.parameters(levels).is_err()
            {
                break;
            }
            setting = wider;
        }
        setting
    }

    /// For comparison with the front of a choice: the same degree in every layer, at the fastest
    /// setting of the same scale.
    pub fn uniform(&self, chosen: &Chosen) -> Result<Vec<Point>, CompileError> {
        let degrees: BTreeSet<usize> =
            self.polynomials.iter().flatten().map(Approximation::degree).collect();
        let instances = self.instances(&chosen.offered);
        let mut points: Vec<Point> = Vec::new();
        for degree in degrees {
            let Some(choices) = layerwise::uniform(self.candidates, degree) else { continue };
            let mut fastest: Option<Point> = None;
            for (chain, instance) in &instances {
                let mut alternatives = vec![None; instance.steps.len()];
                for (step, &choice) in self.layer_steps().into_iter().zip(&choices) {
                    alternatives[step] = Some(choice);
                }
                let solution = instance.fastest(&alternatives)?;
                let faster =
                    |s: &Solution| fastest.as_ref().is_none_or(|f| s.time < f.solution.time);
                if let Some(solution) = solution.filter(faster) {
                    fastest = Some(Point { chain: Arc::clone(chain), solution });
                }
            }
            points.extend(fastest);
        }
        Ok(points)
    }

    /// What a point means to a user.
    pub fn describe(&self, point: &Point) -> FrontPoint {
        let choices = self.choices(&point.solution);
        let degree = |(list, &choice): (&Vec<Approximation>, &usize)| list[choice].degree();
        FrontPoint {
            seconds: point.solution.time,
            loss: point.solution.loss,
            degrees: self.polynomials.iter().zip(&choices).map(degree).collect(),
            log_n: point.chain.log_n(),
            levels: match point.chain.bootstrapping() {
                Some(plan) => plan.levels(),
                None => point.solution.input_level as usize,
            },
            bootstraps: self.bootstrapped(point).iter().filter(|&&b| b).count(),
        }
    }

    fn setting(&self, log_n: u32, log_scale: f64, digit_size: usize) -> Setting {
        let log_q0 = log_scale + HEADROOM_BITS + self.log_output;
        Setting { log_n, log_scale, log_q0, digit_size, security: self.options.security }
    }

    /// Layouts and chains for every ring that could hold the network at a scale.
    fn prepare(&mut self, log_scale: f64) -> Result<(), CompileError> {
        self.chains.clear();
        let fewest = self.fewest_levels();
        for log_n in LOG_NS {
            let setting = self.setting(log_n, log_scale, 1);
            if setting.max_levels().is_none_or(|levels| levels < fewest) {
                continue;
            }
            self.choose_layouts(&setting, fewest, false)?;
            for digit_size in 1..=MAX_DIGIT_SIZE {
                let setting = self.setting(log_n, log_scale, digit_size);
                self.chains.push(Arc::new(Chain::Leveled(setting)));
            }
        }
        let leveled = self.front(&self.polynomials)?;
        if leveled.last().is_some_and(|point| point.solution.time < LEAST_BOOTSTRAPPING) {
            return Ok(());
        }
        for log_n in BOOTSTRAPPING_LOG_NS {
            // Linear nodes lie best just above SlotsToCoeffs.
            let setting = self.setting(log_n, log_scale, MAX_DIGIT_SIZE);
            self.choose_layouts(&setting, LEVELS_OF_BOOTSTRAPPED_LINEARS, true)?;
            let longest =
                self.layouts[&(log_n, true)].of.iter().map(|l| l.log_period).max().unwrap_or(0);
            let slots = longest.min(log_n - 1);
            let chains = Chain::bootstrapped(log_n, slots, log_scale, self.options.security);
            self.chains.extend(chains.into_iter().map(Arc::new));
        }
        Ok(())
    }

    /// Layouts for a ring and linear nodes in the middle of a chain of `levels`, or at its top where values
    /// are bootstrapped.
    fn choose_layouts(
        &mut self,
        setting: &Setting,
        levels: usize,
        bootstrapped: bool,
    ) -> Result<(), CompileError> {
        if let Entry::Vacant(vacant) = self.layouts.entry((setting.log_n, bootstrapped)) {
            let level = if bootstrapped { levels } else { levels.div_ceil(2).max(1) };
            vacant.insert(self.planner.choose(&setting.parameters(levels)?, level));
        }
        Ok(())
    }

    fn layouts(&self, chain: &Chain) -> &Layouts {
        &self.layouts[&(chain.log_n(), chain.bootstrapping().is_some())]
    }

    /// The dynamic program's instance for every chain.
    fn instances(&self, polynomials: &[Vec<Approximation>]) -> Vec<(Arc<Chain>, Instance)> {
        let pairs = self.evaluations.iter().zip(polynomials);
        let candidates: Vec<Vec<_>> = pairs
            .map(|(plans, list)| plans.iter().zip(list.iter().map(|p| p.loss)).collect())
            .collect();
        let most = self.most_levels();
        let instance = |chain: &Arc<Chain>| {
            let levels = chain.max_levels()?.min(most);
            let instance = plan::instance(
                self.network,
                self.arrangement(chain),
                &candidates,
                self.layouts(chain),
                chain,
                levels,
                &self.options.cost,
            );
            Some((Arc::clone(chain), instance.ok()?))
        };
        self.chains.par_iter().filter_map(instance).collect()
    }

    fn arrangement(&self, chain: &Chain) -> &Arrangement {
        &self.arrangements[usize::from(chain.bootstrapping().is_some())]
    }

    /// The nodes whose values a point bootstraps.
    fn bootstrapped(&self, point: &Point) -> Vec<bool> {
        plan::bootstrapped(self.network, self.arrangement(&point.chain), &point.solution)
    }

    /// The front over all chains.
    fn front(&self, polynomials: &[Vec<Approximation>]) -> Result<Vec<Point>, CompileError> {
        let solve = |(chain, instance): (Arc<Chain>, Instance)| {
            let epsilon = if chain.bootstrapping().is_some() { FRONT_EPSILON } else { 0.0 };
            let solutions = instance.front(epsilon)?.into_iter();
            Ok(solutions.map(|solution| Point { chain: Arc::clone(&chain), solution }).collect())
        };
        let fronts: Vec<Vec<Point>> = self
            .instances(polynomials)
            .into_par_iter()
            .map(solve)
            .collect::<Result<_, CompileError>>()?;
        let mut points: Vec<Point> = fronts.into_iter().flatten().collect();
        points.sort_by(|a, b| a.solution.time.total_cmp(&b.solution.time));
        let mut least = f64::INFINITY;
        points.retain(|p| {
            let better = p.solution.loss < least;
            least = least.min(p.solution.loss);
            better
        });
        Ok(points)
    }

    /// Chooses at one scale, reconsidering while predicted and measured losses disagree, and keeps
    /// the fastest choice. None if nothing fits.
    fn settle(&mut self) -> Result<Option<Choice>, CompileError> {
        let mut best: Option<Choice> = None;
        let (network, profile, candidates) = (self.network, self.profile, self.candidates);
        let (fitting, held, progress) = (self.fitting, self.held, self.progress);
        let solve = |offered: &[Vec<Approximation>]| {
            let front = self.front(offered)?;
            if front.is_empty() {
                return Err(Unsolved::Nothing);
            }
            let (point, refitted, measured) = self.select(&front)?;
            let choices = self.choices(&point.solution);
            if best.as_ref().is_none_or(|b| point.solution.time < b.point.solution.time) {
                let offered = offered.to_vec();
                best = Some(Choice { front, offered, point, refitted, measured });
            }
            Ok(choices)
        };
        let follow = |done, _| progress.advance(done);
        let options = layerwise::Options::default();
        let rounds = layerwise::choose(
            network,
            profile,
            candidates,
            (&fitting, &held),
            solve,
            &options,
            &follow,
        );
        match rounds {
            Ok(_) => Ok(best),
            Err(ChooseError::Solver(Unsolved::Nothing)) => Ok(None),
            Err(ChooseError::Solver(Unsolved::Failed(error))) => Err(error),
            Err(ChooseError::Refit(error)) => Err(error.into()),
        }
    }

    /// The point that the user's wishes select, with what it turned out to do.
    fn select(&mut self, front: &[Point]) -> Result<(Point, Refitted, Measurement), CompileError> {
        let options = self.options;
        let budget = options.latency_budget.unwrap_or(f64::INFINITY);
        let within = front.partition_point(|p| p.solution.time <= budget);
        if within == 0 {
            return Err(CompileError::Latency { budget, nearest: front[0].solution.time });
        }
        if options.max_accuracy_drop.is_none() && options.latency_budget.is_some() {
            let (refitted, measured) = self.try_point(&front[within - 1])?;
            return Ok((front[within - 1].clone(), refitted, measured));
        }
        let drop = options.max_accuracy_drop.unwrap_or(DEFAULT_ACCURACY_DROP);
        // Accuracy grows along the front but for noise: bisect, then take what was measured.
        let (mut low, mut high) = (0, front.len() - 1);
        let (_, most_accurate) = self.try_point(&front[high])?;
        let leveled = front[high].chain.bootstrapping().is_none();
        let bounds = if leveled { STRICT } else { WIDE };
        if !self.keeps(&most_accurate, drop, bounds) {
            let best = 100.0 * self.distance(&most_accurate);
            return Err(CompileError::Accuracy {
                asked: 100.0 * drop,
                best,
                seconds: front[high].solution.time,
            });
        }
        let gap = |low: usize, high: usize| front[high].solution.time / front[low].solution.time;
        while low < high && gap(low, high) > NEGLIGIBLE_GAP {
            let middle = (low + high) / 2;
            let (_, measured) = self.try_point(&front[middle])?;
            if self.keeps(&measured, drop, bounds) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if high >= within {
            return Err(CompileError::Latency { budget, nearest: front[high].solution.time });
        }
        let (refitted, measured) = self.try_point(&front[high])?;
        Ok((front[high].clone(), refitted, measured))
    }

    /// Refits the polynomials of a point and measures them on held-back samples.
    fn try_point(&mut self, point: &Point) -> Result<(Refitted, Measurement), CompileError> {
        let choices = self.choices(&point.solution);
        if let Some(known) = self.tried.get(&choices) {
            return Ok(known.clone());
        }
        let chosen: Vec<&Candidate> =
            self.candidates.iter().zip(&choices).map(|(list, &c)| &list[c]).collect();
        let options = layerwise::Options::default();
        let follow = |done, _| self.progress.advance(done);
        let refitted = layerwise::refit(
            self.network,
            &self.fitting,
            self.profile,
            &chosen,
            &options,
            &follow,
        )?;
        let measured = layerwise::measure(self.network, &refitted, &self.held);
        self.tried.insert(choices, (refitted.clone(), measured));
        Ok((refitted, measured))
    }

    /// Whether a measurement is within a drop of accuracy.
    ///
    /// A few hundred calibration samples, often from the training data, say little of the accuracy on new
    /// ones. Margins move alike on both, so their change is bounded, too.
    fn keeps(&self, measured: &Measurement, drop: f64, bounds: Bounds) -> bool {
        match measured.classification {
            Some(c) => {
                c.plain_accuracy - c.accuracy <= bounds.lost * drop
                    && 1.0 - c.agreement <= bounds.turned * drop
                    && c.margin_deviation <= bounds.margin_change * drop.powf(bounds.power)
            }
            None => self.distance(measured) <= drop,
        }
    }

    /// How far a measurement is from the plain network: the share of other answers, or for a single
    /// output the deviation relative to its magnitude.
    fn distance(&self, measured: &Measurement) -> f64 {
        match measured.classification {
            Some(c) => 1.0 - c.agreement,
            None => measured.change.sqrt() / self.output_magnitude.max(f64::MIN_POSITIVE),
        }
    }

    /// Steps of the dynamic program that are activation layers.
    fn layer_steps(&self) -> Vec<usize> {
        self.network.activations().iter().map(|(node, _)| node.index() - 1).collect()
    }

    /// The candidate that each activation layer uses.
    fn choices(&self, solution: &Solution) -> Vec<usize> {
        self.layer_steps().into_iter().map(|step| solution.choices[step].alternative).collect()
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

    fn fewest_levels(&self) -> usize {
        self.depths(|list| list.iter().map(|c| c.depth).min().unwrap_or(0))
    }

    fn most_levels(&self) -> usize {
        // Arrangements that fall back to a chain count every node.
        let chain = self.network.graph.node_count();
        self.depths(|list| list.iter().map(|c| c.depth).max().unwrap_or(0)).max(chain)
    }

    fn build(
        &self,
        refitted: &Refitted,
        chain: &Chain,
        solution: &Solution,
    ) -> Result<(Plan, Program), CompileError> {
        let Refitted { network, activations } = refitted;
        let layouts = self.layouts(chain);
        let layers: Vec<Layer> = activations.layers.iter().map(Layer::Approximate).collect();
        let bootstrapped = plan::bootstrapped(network, self.arrangement(chain), solution);
        let magnitudes = self.magnitudes(network, &layers);
        let plan = plan::plan(network, activations, layouts, chain, &bootstrapped, &magnitudes)?;
        let mut program = lower(network, activations, &plan, self.options.preprocessing.clone());
        program.predicted = predict(&program, layouts, &self.options.cost);
        let samples = self.held.batches().next().expect("data sets have samples");
        program.predicted.precision_bits = noise::output_bits(
            &program,
            network,
            activations,
            samples.samples(),
            self.options.seed,
        );
        Ok((plan, program))
    }

    /// The largest magnitude of every node's value over the calibration samples, with a margin.
    fn magnitudes(&self, network: &Network, layers: &[Layer]) -> Vec<f64> {
        let mut largest = vec![0.0f64; network.graph.node_count()];
        for batch in self.fitting.batches() {
            let evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), layers);
            for (node, largest) in network.graph.node_indices().zip(&mut largest) {
                let values = evaluation.value(node).used().flatten();
                *largest = values.fold(*largest, |a, &v| a.max(f64::from(v).abs()));
            }
        }
        largest.iter().map(|m| m * MAGNITUDE_MARGIN).collect()
    }

    fn check_memory(&self, program: &Program) -> Result<(), CompileError> {
        let needed = program.predicted.peak_bytes;
        match self.options.memory_limit {
            Some(available) if needed > available => {
                Err(CompileError::Memory { needed, available })
            }
            _ => Ok(()),
        }
    }

    fn too_deep(&self, log_scale: f64) -> CompileError {
        let setting = self.setting(*LOG_NS.end(), log_scale, 1);
        let shallowest =
            |list: &Vec<Candidate>| list.iter().map(|c| c.depth).min().unwrap_or(0) as usize;
        let deepest = self
            .candidates
            .iter()
            .map(shallowest)
            .zip(&self.profile.layers)
            .max_by_key(|(depth, _)| *depth);
        let (of_deepest, deepest) =
            deepest.map_or((0, String::new()), |(depth, layer)| (depth, layer.name.clone()));
        CompileError::TooDeep {
            needed: self.fewest_levels(),
            deepest,
            of_deepest,
            available: setting.max_levels().unwrap_or(0),
            log_n: setting.log_n,
            security: setting.security,
        }
    }
}
