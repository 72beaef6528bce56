//! Which point of the front of latency against loss becomes the program.
//!
//! For each scale, smallest first, every chain (ring, digit size, with or without bootstrapping and
//! number of levels between bootstraps) yields a front ([`chains`]); the fastest point of the merged front
//! that keeps the accuracy on held-back samples ([`bounds`]), or that of a few near a latency budget that is the
//! most accurate there, is lowered, and accepted if the predicted precision suffices. Without bootstrapping, larger scales are then taken as far as the same chain, and as
//! many bytes a residue, allow, since they cost nothing.

mod bounds;
mod chains;

use std::collections::HashMap;

use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::{Network, Op};
use pic_ir::plan::Plan;
use pic_ir::prediction::Prediction;
use pic_ir::profile::Profile;
use pic_ir::program::Program;

use crate::dataset::Dataset;
use crate::error::CompileError;
use crate::evaluate::{Batch, Evaluation, Layer, exact_layers};
use crate::fit::Candidate;
use crate::layerwise::{self, Measurement, Reference, Refitted};
use crate::lower::lower;
use crate::noise;
use crate::options::Options;
use crate::pareto::ParetoPoint;
use crate::plan::{self, ModulusChain};
use crate::predict::predict;
use crate::progress::Progress;
use crate::range_check;
use bounds::{Bounds, STRICT, WIDE};
use chains::{Chains, LOG_NS, LOG_SCALES, Point};

/// Room beyond the largest magnitude that calibration saw in a value that no polynomial reads.
const MAGNITUDE_MARGIN: f64 = 1.25;

/// Drop in accuracy that is accepted where the user says nothing.
const DEFAULT_ACCURACY_DROP: f64 = 0.005;

/// Choices are not told apart whose times have at most this ratio, where telling takes a refit.
const NEGLIGIBLE_GAP: f64 = 1.01;

/// Choices that take at least this share of the time of the slowest one within a latency budget are compared by
/// what they do, and how many of them.
const NEAR_BUDGET: f64 = 0.93;
const TRIED_NEAR_BUDGET: usize = 5;

/// Samples on which the loss of one polynomial is measured.
const MEASURED_ALONE: usize = 128;

/// What was chosen, and what it was chosen from.
pub struct Chosen {
    /// The merged front, in order of ascending time.
    pub front: Vec<ParetoPoint>,
    /// The same degree in every layer, at the fastest chain of the same scale.
    pub uniform: Vec<ParetoPoint>,
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
    /// The largest magnitude of the plain output, with a margin.
    pub output_magnitude: f64,
    /// What the user should know of them.
    pub notes: Vec<String>,
}

/// What one scale yields.
struct Choice {
    point: Point,
    refitted: Refitted,
    measured: Measurement,
    plan: Plan,
    program: Program,
}

/// The state of a search.
pub struct Search<'a> {
    network: &'a Network,
    profile: &'a Profile,
    candidates: &'a [Vec<Candidate>],
    fitting: Dataset<'a>,
    /// Samples of `held` that place intervals.
    placing: Dataset<'a>,
    held: Reference<'a>,
    options: &'a Options,
    progress: &'a dyn Progress,
    /// The largest magnitude of the plain output, with [`MAGNITUDE_MARGIN`].
    output_magnitude: f64,
    chains: Chains<'a>,
    /// What choices of candidates turned out to do.
    tried: HashMap<Vec<usize>, (Refitted, Measurement)>,
}

impl<'a> Search<'a> {
    /// A search over the candidates of each activation layer.
    pub fn new(
        network: &'a Network,
        profile: &'a Profile,
        candidates: &'a [Vec<Candidate>],
        [fitting, placing, held]: [Dataset<'a>; 3],
        options: &'a Options,
        progress: &'a dyn Progress,
    ) -> Self {
        let largest = magnitudes(network, &exact_layers(network), &fitting);
        let output_magnitude = largest[network.output.index()];
        // A linear output is divided by its magnitude; others are stored in real units.
        let log_output = match network.graph[network.output].op {
            Op::Linear { .. } | Op::Input => 0.0,
            _ => libm::log2(output_magnitude.max(1.0)),
        };
        Self {
            network,
            profile,
            candidates,
            fitting,
            placing,
            held: Reference::new(network, held),
            options,
            progress,
            output_magnitude,
            chains: Chains::new(network, candidates, log_output, options),
            tried: HashMap::new(),
        }
    }

    /// Finds the program.
    pub fn choose(mut self) -> Result<Chosen, CompileError> {
        self.progress.stage("measure losses", 0);
        let offered = self.offered();
        let mut best_bits = f64::NEG_INFINITY;
        for log_scale in LOG_SCALES.step_by(2) {
            let log_scale = f64::from(log_scale);
            self.progress.stage(&format!("choose layouts and chains, scale 2^{log_scale}"), 0);
            self.chains.prepare(log_scale, &offered)?;
            if let Some(bits) = self.first_bits(&offered)?
                && bits < self.options.min_precision_bits
            {
                best_bits = best_bits.max(bits);
                continue;
            }
            self.progress.stage(&format!("choose degrees, scale 2^{log_scale}"), 0);
            let Some((front, mut choice)) = self.settle(&offered)? else {
                if best_bits == f64::NEG_INFINITY {
                    return Err(self.too_deep(log_scale));
                }
                break;
            };
            let bits = choice.program.predicted.precision_bits;
            best_bits = best_bits.max(bits);
            if bits < self.options.min_precision_bits {
                continue;
            }
            if let ModulusChain::Leveled(setting) = *choice.point.chain {
                let levels = choice.program.parameters.max_level();
                let wider = self.chains.widest(setting, levels);
                if wider != setting {
                    let chain = ModulusChain::Leveled(wider);
                    (choice.plan, choice.program) =
                        self.build(&choice.refitted, &chain, &choice.point)?;
                }
            }
            let notes = self.add_range_check(&mut choice)?;
            self.check_memory(&choice.program)?;
            choice.program.predicted.accuracy_drop =
                choice.measured.classification.map(|c| c.plain_accuracy - c.accuracy);
            choice.program.verify()?;
            return Ok(Chosen { notes, ..self.chosen(&front, choice, &offered)? });
        }
        Err(CompileError::Precision { asked: self.options.min_precision_bits, best: best_bits })
    }

    /// Describes what was chosen and tries the points of the front that the user wants to see.
    fn chosen(
        mut self,
        front: &[Point],
        choice: Choice,
        offered: &[Vec<Approximation>],
    ) -> Result<Chosen, CompileError> {
        let Choice { refitted, measured, plan, program, .. } = choice;
        self.progress.stage("simulate the front", 0);
        for point in spread(front, self.options.simulated_points) {
            self.try_point(point)?;
        }
        let describe = |point: &Point| {
            let tried = self.tried.get(&self.chains.choices(&point.solution));
            let measured = tried.map(|&(_, measured)| measured);
            ParetoPoint { measured, ..self.chains.describe(point) }
        };
        Ok(Chosen {
            front: front.iter().map(describe).collect(),
            uniform: self.chains.uniform(offered)?.iter().map(describe).collect(),
            program,
            plan,
            corrected: refitted.network,
            activations: refitted.activations,
            measured,
            output_magnitude: self.output_magnitude,
            notes: vec![],
        })
    }

    /// Adds the range check, if it is wanted, and what it takes to the prediction. Says what it leaves out.
    fn add_range_check(&self, choice: &mut Choice) -> Result<Vec<String>, CompileError> {
        if !self.options.range_check {
            return Ok(vec![]);
        }
        self.progress.stage("range check", 0);
        let Refitted { network, activations } = &choice.refitted;
        let program = &mut choice.program;
        let samples = [self.fitting, *self.held.data()];
        let left_out = range_check::add(program, network, activations, &samples)?;
        let layouts = self.chains.layouts(&choice.point.chain);
        let precision_bits = program.predicted.precision_bits;
        program.predicted =
            Prediction { precision_bits, ..predict(program, layouts, &self.options.cost()) };
        let note = |names: String| {
            format!("the range check does not cover {names}: there are no levels for it")
        };
        Ok((!left_out.is_empty()).then(|| note(left_out.join(", "))).into_iter().collect())
    }

    /// The precision of some program of the current scale, if it bootstraps: what degrees do to it is
    /// little beside what the scale does, and choosing the best takes long.
    fn first_bits(&self, polynomials: &[Vec<Approximation>]) -> Result<Option<f64>, CompileError> {
        let Some(point) = self.chains.any(polynomials)? else { return Ok(None) };
        if point.chain.bootstrapping().is_none() {
            return Ok(None);
        }
        let picked = self.picked(&self.chains.choices(&point.solution));
        let (_, program) = self.build(&self.as_fitted(&picked), &point.chain, &point)?;
        Ok(Some(program.predicted.precision_bits))
    }

    /// The polynomials with their losses, which layers measured alone correct if they will be refitted.
    fn offered(&self) -> Vec<Vec<Approximation>> {
        if self.options.strategy.refits() {
            let few = self.fitting.first(MEASURED_ALONE);
            let options = layerwise::CorrectionOptions::default();
            let follow = |done, _| self.progress.advance(done);
            layerwise::corrected(self.network, &few, self.candidates, &options, &follow)
        } else {
            let plain =
                |list: &Vec<Candidate>| list.iter().map(|c| c.approximation.clone()).collect();
            self.candidates.iter().map(plain).collect()
        }
    }

    /// The front at one scale and a choice from it: of the points selected the first that is precise enough, or
    /// else the most precise. None if nothing fits.
    fn settle(
        &mut self,
        offered: &[Vec<Approximation>],
    ) -> Result<Option<(Vec<Point>, Choice)>, CompileError> {
        let front = self.chains.points(offered)?;
        if front.is_empty() {
            return Ok(None);
        }
        let mut best: Option<Choice> = None;
        for index in self.select(&front)? {
            let point = front[index].clone();
            let (refitted, measured) = self.try_point(&point)?;
            let (plan, program) = self.build(&refitted, &point.chain, &point)?;
            let bits = program.predicted.precision_bits;
            if best.as_ref().is_none_or(|b| bits > b.program.predicted.precision_bits) {
                best = Some(Choice { point, refitted, measured, plan, program });
            }
            if bits >= self.options.min_precision_bits {
                break;
            }
        }
        Ok(best.map(|choice| (front, choice)))
    }

    /// The points that the user's wishes select, the best first.
    fn select(&mut self, front: &[Point]) -> Result<Vec<usize>, CompileError> {
        let options = self.options;
        let budget = options.latency_budget.unwrap_or(f64::INFINITY);
        let time = |index: usize| front[index].solution.time;
        let within = front.partition_point(|p| p.solution.time <= budget);
        if within == 0 {
            return Err(CompileError::Latency { budget, nearest: time(0) });
        }
        if options.max_accuracy_drop.is_none() && options.latency_budget.is_some() {
            return self.most_accurate(&front[..within]);
        }
        let drop = options.max_accuracy_drop.unwrap_or(DEFAULT_ACCURACY_DROP);
        let last = front.len() - 1;
        let bounds = if front[last].chain.bootstrapping().is_none() { STRICT } else { WIDE };
        // Accuracy grows along the front but for noise: bisect, then take what was measured.
        let (mut low, mut high) = (0, front.len());
        while low < high && (high > last || time(high) / time(low) > NEGLIGIBLE_GAP) {
            let probe = (low + high) / 2;
            let (_, measured) = self.try_point(&front[probe])?;
            if self.keeps(&measured, drop, bounds) {
                high = probe;
            } else {
                low = probe + 1;
            }
        }
        if high > last {
            let (_, measured) = self.try_point(&front[last])?;
            let best = 100.0 * self.distance(&measured);
            let (asked, seconds) = (100.0 * drop, time(last));
            return Err(CompileError::Accuracy { asked, best, seconds });
        }
        if high >= within {
            return Err(CompileError::Latency { budget, nearest: time(high) });
        }
        Ok(vec![high])
    }

    /// A few points that take about as long as the slowest, that which changes the objective least first:
    /// predicted losses do not tell such apart.
    fn most_accurate(&mut self, front: &[Point]) -> Result<Vec<usize>, CompileError> {
        let last = front.len() - 1;
        let slow = NEAR_BUDGET * front[last].solution.time;
        let first = front.partition_point(|p| p.solution.time < slow);
        let tries = TRIED_NEAR_BUDGET.min(front.len() - first);
        let spread = (0..tries).map(|k| last - k * (last - first) / (tries - 1).max(1));
        let change = |index| Ok((self.try_point(&front[index])?.1.change, index));
        let mut tried = spread.map(change).collect::<Result<Vec<_>, CompileError>>()?;
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(tried.into_iter().map(|(_, index)| index).collect())
    }

    /// Refits the polynomials of a point and measures them on held-back samples.
    fn try_point(&mut self, point: &Point) -> Result<(Refitted, Measurement), CompileError> {
        let choices = self.chains.choices(&point.solution);
        if let Some(known) = self.tried.get(&choices) {
            return Ok(known.clone());
        }
        let picked = self.picked(&choices);
        let follow = |done, _| self.progress.advance(done);
        let refitted = if self.options.strategy.refits() {
            let options = layerwise::Options::default();
            let (network, profile) = (self.network, self.profile);
            let (fitting, placing) = (&self.fitting, &self.placing);
            layerwise::refit(network, fitting, placing, profile, &picked, &options, &follow)?
        } else {
            self.as_fitted(&picked)
        };
        let measured = self.held.measure(&refitted);
        self.tried.insert(choices, (refitted.clone(), measured));
        Ok((refitted, measured))
    }

    fn picked(&self, choices: &[usize]) -> Vec<&'a Candidate> {
        self.candidates.iter().zip(choices).map(|(list, &c)| &list[c]).collect()
    }

    /// Candidates as they are, in the network as it is.
    fn as_fitted(&self, picked: &[&Candidate]) -> Refitted {
        let layers = picked.iter().map(|c| c.approximation.clone()).collect();
        Refitted { network: self.network.clone(), activations: Activations { layers } }
    }

    /// Whether a measurement is within a drop of accuracy.
    fn keeps(&self, measured: &Measurement, drop: f64, bounds: Bounds) -> bool {
        match &measured.classification {
            Some(shares) => bounds.keep(shares, drop),
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

    fn build(
        &self,
        refitted: &Refitted,
        chain: &ModulusChain,
        point: &Point,
    ) -> Result<(Plan, Program), CompileError> {
        let Refitted { network, activations } = refitted;
        let layouts = self.chains.layouts(chain);
        let layers: Vec<Layer> = activations.layers.iter().map(Layer::Approximate).collect();
        let bootstrapped = self.chains.bootstrapped(point);
        let magnitudes = magnitudes(network, &layers, &self.fitting);
        let plan = plan::plan(network, activations, layouts, chain, &bootstrapped, &magnitudes)?;
        let mut program = lower(network, activations, &plan, self.options.preprocessing.clone());
        program.predicted = predict(&program, layouts, &self.options.cost());
        let samples = self.held.data().batches().next().expect("data sets have samples");
        program.predicted.precision_bits = noise::output_bits(
            &program,
            network,
            activations,
            samples.samples(),
            self.options.seed,
        );
        Ok((plan, program))
    }

    fn check_memory(&self, program: &Program) -> Result<(), CompileError> {
        let needed = program.predicted.memory.total_bytes();
        match self.options.memory_limit {
            Some(available) if needed > available => {
                Err(CompileError::Memory { needed, available })
            }
            _ => Ok(()),
        }
    }

    fn too_deep(&self, log_scale: f64) -> CompileError {
        let setting = self.chains.setting(*LOG_NS.end(), log_scale, 1);
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
            needed: self.chains.fewest_levels(),
            deepest,
            of_deepest,
            available: setting.max_levels().unwrap_or(0),
            log_n: setting.log_n,
            security: setting.security,
        }
    }
}

/// The largest magnitude of every node's value over the calibration samples, with a margin.
fn magnitudes(network: &Network, layers: &[Layer], samples: &Dataset) -> Vec<f64> {
    let mut largest = vec![0.0f64; network.graph.node_count()];
    for batch in samples.batches() {
        let evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), layers);
        for (node, largest) in network.graph.node_indices().zip(&mut largest) {
            let values = evaluation.value(node).used().flatten();
            *largest = values.fold(*largest, |a, &v| a.max(f64::from(v).abs()));
        }
    }
    largest.iter().map(|m| m * MAGNITUDE_MARGIN).collect()
}

/// So many points of a front, about evenly spread in time, the ends among them.
fn spread(front: &[Point], count: usize) -> Vec<&Point> {
    let Some((first, last)) = front.first().zip(front.last()) else { return vec![] };
    let (start, end) = (first.solution.time, last.solution.time);
    let nearest = |k: usize| {
        let time = start + (end - start) * k as f64 / (count - 1).max(1) as f64;
        let distance = |p: &&Point| (p.solution.time - time).abs();
        front.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("a front has points")
    };
    (0..count).map(nearest).collect()
}
