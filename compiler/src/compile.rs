//! The driver: the list of the passes, from the bytes of an ONNX file to a verified program.
//!
//! Read this file first, from top to bottom. [`compile_network`] rewrites the network and finds candidate
//! polynomials; `Backend::compile` takes them, for one scale after the other, to a program, until one is precise
//! enough. What a pass means is said at the top of its module; [`Pass`] lists them by name.

use std::collections::{BTreeSet, HashMap};

use pic_ir::activations::Activations;
use pic_ir::calibration::Calibration;
use pic_ir::network::{Network, Op};
use pic_ir::plan::Plan;
use pic_ir::postprocessing::Postprocessing;
use pic_ir::prediction::Prediction;
use pic_ir::profile::Profile;
use pic_ir::program::VerifiedProgram;

use crate::accuracy;
use crate::allocate::{Allocator, LOG_SCALES, Point, Request};
use crate::chain::ModulusChain;
use crate::composition::{self, Composed};
use crate::dataset::{Dataset, Objective, RawSamples};
use crate::error::CompileError;
use crate::estimate::{precision, predict};
use crate::evaluate::{Layer, exact_layers};
use crate::fit::Candidate;
use crate::frontend;
use crate::layerwise::{self, Measurement, Reference, Refitted};
use crate::lower::lower;
use crate::magnitudes::magnitudes;
use crate::options::{Options, SensitivityForm, Task};
use crate::pass::Pass;
use crate::pass_runner::PassRunner;
use crate::plan::plan;
use crate::point_summary::PointSummary;
use crate::profile;
use crate::progress::Progress;
use crate::range_check;
use crate::rewrite::{canonicalize, equalize, isolate, linearize, strip_final};
use crate::samples::Split;
use crate::select::{DEFAULT_ACCURACY_DROP, Wishes, select, spread};
use crate::sensitivity;
use crate::strategy::Strategy;
use crate::trials::RefitTrials;

/// Number of samples from which gradients of margins are estimated. Few suffice, because they vary less than those
/// of the cross-entropy, most of which are zero.
const MARGIN_SAMPLES: usize = 64;

/// Largest number of samples to which polynomials are refitted while choices are compared, and of those on which
/// they are measured. Ranges and profile use all samples.
const MOST_TRIED_ON: usize = 512;

/// Largest number of validation samples on which choices are measured.
const MOST_VALIDATED_ON: usize = 2048;

/// Number of samples on which the losses of single layers are measured.
const ISOLATED_LOSS_SAMPLES: usize = 128;

/// Result of a compilation: the program and everything behind it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The program that a server runs.
    pub program: VerifiedProgram,
    /// The network in canonical form, with exact activations. It ends where postprocessing begins.
    pub network: Network,
    /// The canonical network with the constants of the program: weights and biases corrected for its polynomials.
    pub corrected: Network,
    /// Statistics of the inputs of the activations over the calibration samples.
    pub profile: Profile,
    /// Statistics of the calibration samples, for clients.
    pub calibration: Calibration,
    /// The chosen polynomials.
    pub activations: Activations,
    /// Layouts, levels, scales and parameters of the program.
    pub plan: Plan,
    /// Pareto front of latency against loss, over all chains.
    pub front: Vec<PointSummary>,
    /// Baseline points with one degree for all layers, for comparison.
    pub uniform: Vec<PointSummary>,
    /// Accuracy and margins of the network with the chosen polynomials on held-back calibration samples.
    pub measured: Measurement,
    /// Messages about the import and the program that a user should see.
    pub notes: Vec<String>,
}

/// Compiles an ONNX network for encrypted inputs.
///
/// Polynomials are fitted to `calibration`. Accuracy is measured on half of those samples, to which nothing is fitted,
/// or on `validation` if that is given: then calibration samples may be those that the network was trained on.
///
/// # Errors
/// Every variant of [`CompileError`].
pub fn compile(
    onnx: &[u8],
    calibration: RawSamples,
    validation: Option<RawSamples>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Compiled, CompileError> {
    let import = PassRunner::new(progress).run(Pass::Import, |_| frontend::import(onnx))?;
    let compiled = compile_network(&import.network, calibration, validation, options, progress)?;
    let notes = import.notes.iter().map(ToString::to_string).chain(compiled.notes).collect();
    let mut steps = compiled.program.postprocessing.steps.clone();
    steps.extend(import.postprocessing.steps);
    let program = compiled.program.with_postprocessing(Postprocessing { steps })?;
    Ok(Compiled { program, notes, ..compiled })
}

/// Compiles a verified network.
///
/// # Errors
/// Every variant of [`CompileError`] but [`CompileError::Import`].
pub fn compile_network(
    network: &Network,
    calibration: RawSamples,
    validation: Option<RawSamples>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Compiled, CompileError> {
    let passes = PassRunner::new(progress);
    let strategy = options.strategy;
    let network = passes.rewrite(Pass::Canonicalize, || canonicalize(network));
    let task = options.task(network.graph[network.output].len());
    let (network, postprocessing) = passes.rewrite(Pass::StripFinal, || strip_final(network, task));
    let network = passes.rewrite(Pass::Isolate, || isolate(&network));

    check_task(task, options, &network, calibration.labels.or(validation.and_then(|v| v.labels)))?;
    // Before samples are split and preprocessed, so that errors name them as the caller does.
    Dataset::new(&network, calibration.samples, calibration.labels)?;
    if let Some(RawSamples { samples, labels }) = validation {
        Dataset::new(&network, samples, labels).map_err(CompileError::Validation)?;
    }
    let shape = network.graph[network.input()].shape.clone();
    let prepared = options.preprocessing.applied(&shape, calibration.samples)?;
    let samples: Vec<&[f32]> = prepared.iter().map(|sample| &sample[..]).collect();
    let raw_validation = validation.map_or(&[][..], |validation| validation.samples);
    let validating = options.preprocessing.applied(&shape, raw_validation)?;
    let validating: Vec<&[f32]> = validating.iter().map(|sample| &sample[..]).collect();
    let split = Split::new(&samples, calibration.labels);
    let sensitivity = options.sensitivity_form();
    let objective = objective(task, sensitivity);
    let fitting = split.fitting(&network)?.with_objective(objective);
    let held_back = split.held_back(&network)?.with_objective(objective);
    let profiling = profiling(sensitivity, options.seed);

    let find_ranges = |network: &Network| {
        passes
            .run(Pass::Ranges, |progress| profile::inputs(network, &fitting, &profiling, progress))
    };
    let ranges = find_ranges(&network)?;
    let linearized = passes.rewrite(Pass::Linearize, || linearize(&network, &ranges));
    let linear = network.activations().len() - linearized.activations().len();
    let ranges = if linear > 0 { find_ranges(&linearized)? } else { ranges };
    let network = linearized;
    let network = match strategy {
        Strategy::Joint | Strategy::Uniform => {
            passes.rewrite(Pass::Equalize, || equalize(&network, &ranges))
        }
        // Compositions lie in their intervals by themselves: no linear node has to bring them there.
        Strategy::Ola | Strategy::Composite => network,
    };
    let mut composed = match strategy {
        Strategy::Composite => passes.run(Pass::Compose, |_| Composed::everywhere(&network))?,
        _ => Composed::none(network.clone()),
    };
    let [tried, held_back] = [fitting, held_back].map(|samples| samples.first(MOST_TRIED_ON));
    let placing = layerwise::placing(&held_back);
    let placing = Dataset::new(&network, &placing, None)?;
    let measuring = match validation {
        Some(RawSamples { labels, .. }) => {
            let data = Dataset::new(&network, &validating, labels)?.with_objective(objective);
            Reference::of_validation(&network, data.first(MOST_VALIDATED_ON), task)
        }
        None => Reference::new(&network, held_back, task),
    };
    let output_magnitude =
        magnitudes(&network, &exact_layers(&network), &tried)[network.output.index()];
    let mut refusal: Option<CompileError> = None;
    let (profile, choice) = loop {
        let composed_network = &composed.network;
        let profile = passes.run(Pass::Profile, |progress| match strategy {
            Strategy::Composite => {
                profile::inputs(composed_network, &fitting, &profiling, progress)
                    .map(|layers| Profile { samples: fitting.len(), layers })
            }
            _ => profile::profile(composed_network, &fitting, &profiling, progress),
        })?;
        let candidates = passes.run(Pass::Approximate, |_| {
            let fit = strategy.fit();
            let mut candidates = match strategy {
                Strategy::Composite => vec![vec![]; profile.layers.len()],
                _ => layerwise::candidates(composed_network, &profile, &fit)?,
            };
            composed.replace_candidates(&mut candidates, &profile.layers);
            Ok::<_, CompileError>(candidates)
        })?;
        let candidates = passes.run(Pass::CorrectLosses, |progress| {
            let mut candidates = candidates;
            if sensitivity == SensitivityForm::Measured {
                layerwise::measure_losses(composed_network, &fitting, &mut candidates, progress);
            }
            if strategy.refits() {
                let few = tried.first(ISOLATED_LOSS_SAMPLES);
                let options = layerwise::CorrectionOptions::default();
                let list = &mut candidates;
                layerwise::correct_losses(composed_network, &few, list, &options, progress);
            }
            Ok::<_, CompileError>(candidates)
        })?;
        let backend = Backend {
            network: composed_network,
            profile: &profile,
            candidates: &candidates,
            fitting: tried,
            placing,
            measuring: &measuring,
            validated: validation.is_some(),
            options,
            passes: &passes,
            output_magnitude,
        };
        match backend.compile() {
            Ok(choice) => break (profile, choice),
            Err(error) => {
                // Where single polynomials are not accurate enough, compositions may be: first in the layers that
                // cost most, then everywhere.
                let layers = match lacking(&error).filter(|_| strategy == Strategy::Joint) {
                    None => BTreeSet::new(),
                    Some(share) if composed.compositions == 0 => {
                        composition::worst(&network, &candidates, share)
                    }
                    Some(_) => composition::composable(&network),
                };
                // The refusal of single polynomials says most, unless compositions lack accuracy only, too.
                if layers.len() <= composed.compositions {
                    return Err(refusal.filter(|_| lacking(&error).is_none()).unwrap_or(error));
                }
                refusal = Some(error);
                composed = passes.run(Pass::Compose, |_| {
                    Ok::<_, CompileError>(Composed::at(&network, &layers))
                })?;
            }
        }
    };
    let Choice { refitted, measured, plan, program, mut notes, front, uniform } = choice;
    if composed.compositions > 0 && strategy != Strategy::Composite {
        notes.push(format!(
            "{} of the activations are compositions of polynomials, because single ones are not accurate enough",
            composed.compositions
        ));
    }
    let network = composed.network;
    if linear > 0 {
        notes.push(format!(
            "{linear} of the activations are linear on all calibration samples, or without effect, and exact"
        ));
    }
    let calibration = Calibration::new(&shape, &samples, output_magnitude);
    let Refitted { network: corrected, activations } = refitted;
    Ok(Compiled {
        program: program.with_postprocessing(postprocessing)?,
        corrected,
        profile,
        calibration,
        activations,
        plan,
        front,
        uniform,
        measured,
        notes,
        network,
    })
}

/// Objective by which a form of sensitivities measures losses.
fn objective(task: Task, sensitivity: SensitivityForm) -> Objective {
    match (task, sensitivity) {
        (Task::Regression, _) => Objective::Values,
        (_, SensitivityForm::Margin) => Objective::Margin,
        (_, SensitivityForm::Gradient | SensitivityForm::Measured) => Objective::CrossEntropy,
    }
}

/// Refuses what the task has no use for.
fn check_task(
    task: Task,
    options: &Options,
    network: &Network,
    labels: Option<&[usize]>,
) -> Result<(), CompileError> {
    let single = network.graph[network.output].len() == 1;
    let fault = match task {
        Task::Classification if single => "a classifier has at least two outputs, this network one",
        Task::Classification if options.max_error.is_some() => {
            "a largest error is for outputs that are numbers (task `regression`); of a classifier ask for a largest \
             drop of accuracy"
        }
        Task::Regression if options.max_accuracy_drop.is_some() => {
            "outputs that are numbers have no accuracy that could drop; ask for a largest error"
        }
        Task::Regression if labels.is_some() => {
            "labels are for classifiers, these outputs are numbers"
        }
        _ => return Ok(()),
    };
    Err(CompileError::Task(fault))
}

/// The share of the whole loss that may be left if a program was refused for what it costs in accuracy: losses are squares.
/// Half of it is kept for what polynomials do to each other. None if it was refused for another reason.
fn lacking(error: &CompileError) -> Option<f64> {
    match *error {
        CompileError::Accuracy { asked, best, .. } | CompileError::Error { asked, best, .. } => {
            Some(0.5 * pic_ckks_model::square((asked / best).clamp(0.0, 1.0)))
        }
        _ => None,
    }
}

fn profiling(form: SensitivityForm, seed: u64) -> profile::ProfileOptions {
    let mut sensitivity = sensitivity::SensitivityOptions { seed, ..Default::default() };
    if form == SensitivityForm::Margin {
        sensitivity.samples = MARGIN_SAMPLES;
    }
    profile::ProfileOptions { sensitivity, ..Default::default() }
}

/// Inputs of the passes behind approximation.
struct Backend<'a> {
    network: &'a Network,
    profile: &'a Profile,
    candidates: &'a [Vec<Candidate>],
    /// Samples to which polynomials are fitted.
    fitting: Dataset<'a>,
    /// Held-back samples that place the intervals of polynomials.
    placing: Dataset<'a>,
    /// Held-out samples on which programs are measured, including those that place intervals.
    measuring: &'a Reference<'a>,
    /// True if the samples that are measured are not calibration samples.
    validated: bool,
    options: &'a Options,
    passes: &'a PassRunner<'a>,
    /// The largest magnitude of the plain output, with a margin.
    output_magnitude: f64,
}

/// A program with the point, the polynomials and the plan that it was made from.
struct Choice {
    refitted: Refitted,
    measured: Measurement,
    plan: Plan,
    program: VerifiedProgram,
    notes: Vec<String>,
    front: Vec<PointSummary>,
    uniform: Vec<PointSummary>,
}

impl Backend<'_> {
    /// Compiles at one scale after the other, smallest first, until a program is precise enough.
    fn compile(&self) -> Result<Choice, CompileError> {
        let options = self.options;
        let mut allocator = Allocator::new(self.network, self.candidates, self.request());
        let mut best_bits = f64::NEG_INFINITY;
        // The effect of polynomials does not depend on the scale, so trials are kept.
        let mut trials = self.trials();
        for log_scale in LOG_SCALES.step_by(2).map(f64::from) {
            let passes = &self.passes.at_scale(log_scale);
            let chains = passes.run(Pass::Cost, |_| allocator.chains(log_scale))?;

            // Degrees affect the precision little beside the scale, and choosing the best ones takes long.
            if let Some(point) = allocator.middle(&chains)?
                && point.on.chain.bootstrapping().is_some()
            {
                let (_, program) =
                    self.make_program(&trials.as_fitted(&point), &point, &point.on.chain, passes)?;
                let bits = program.predicted.precision_bits;
                if bits < options.min_precision_bits {
                    best_bits = best_bits.max(bits);
                    continue;
                }
            }

            let front = passes.run(Pass::Allocate, |_| allocator.front(&chains))?;
            if front.is_empty() && best_bits == f64::NEG_INFINITY {
                return Err(self.too_deep(&allocator, log_scale));
            } else if front.is_empty() {
                break;
            }
            let wishes = Wishes {
                max_accuracy_drop: options.max_accuracy_drop,
                max_error: options.max_error,
                latency_budget: options.latency_budget,
            };
            let selected = select(&front, wishes, &mut trials)?;

            // The first that is precise enough, or else the most precise.
            let mut best: Option<(&Point, Refitted, Measurement, Plan, VerifiedProgram)> = None;
            for point in selected.into_iter().map(|index| &front[index]) {
                let (refitted, measured) = trials.try_point(point)?;
                let (plan, program) =
                    self.make_program(&refitted, point, &point.on.chain, passes)?;
                let bits = program.predicted.precision_bits;
                if best.as_ref().is_none_or(|(.., kept)| bits > kept.predicted.precision_bits) {
                    best = Some((point, refitted, measured, plan, program));
                }
                if bits >= options.min_precision_bits {
                    break;
                }
            }
            let (point, refitted, measured, mut plan, mut program) =
                best.expect("select returns at least one point");
            let bits = program.predicted.precision_bits;
            best_bits = best_bits.max(bits);
            if bits < options.min_precision_bits {
                continue;
            }

            // A larger scale costs nothing as far as the same chain, and as many bytes a residue, allow it.
            if let ModulusChain::Leveled(parameters) = point.on.chain {
                let larger = allocator.largest_scale(parameters, program.parameters.max_level());
                if larger != parameters {
                    let chain = ModulusChain::Leveled(larger);
                    (plan, program) = self.make_program(&refitted, point, &chain, passes)?;
                }
            }
            let mut notes = vec![];
            if options.range_check {
                (program, notes) = self.with_range_check(program, &refitted, passes)?;
            }
            self.check_memory(&program)?;
            let asked = options.max_accuracy_drop.unwrap_or(DEFAULT_ACCURACY_DROP);
            let samples = self.measuring.data().len();
            notes.extend(accuracy::remarks(measured.fidelity, asked, samples, self.validated));
            let fidelity = Some(measured.fidelity);
            let predicted = Prediction { fidelity, ..program.predicted };
            let program = program.with_prediction(predicted)?;

            for point in spread(&front, options.simulated_points) {
                trials.try_point(point)?;
            }
            let describe =
                |point: &Point| PointSummary::new(point, self.candidates, trials.known(point));
            let uniform = allocator.uniform(&chains)?.iter().map(describe).collect();
            let front = front.iter().map(describe).collect();
            return Ok(Choice { refitted, measured, plan, program, notes, front, uniform });
        }
        Err(CompileError::Precision { asked: options.min_precision_bits, best: best_bits })
    }

    /// The request to the allocator.
    fn request(&self) -> Request {
        // A linear output is divided by its magnitude; others are stored in real units.
        let log_output = match self.network.graph[self.network.output].op {
            Op::Linear { .. } | Op::Input => 0.0,
            _ => libm::log2(self.output_magnitude.max(1.0)),
        };
        Request {
            strategy: self.options.strategy,
            security: self.options.security,
            log2_failure: -self.options.failure_bits,
            ephemeral_weight: self.options.ephemeral_weight,
            cost: self.options.cost(),
            log_output,
        }
    }

    fn trials(&self) -> RefitTrials<'_> {
        RefitTrials {
            network: self.network,
            profile: self.profile,
            candidates: self.candidates,
            strategy: self.options.strategy,
            fitting: self.fitting,
            placing: self.placing,
            measuring: self.measuring,
            passes: self.passes,
            known: HashMap::new(),
        }
    }

    /// Lowers a point and its polynomials to a program with its plan and its prediction.
    fn make_program(
        &self,
        refitted: &Refitted,
        point: &Point,
        chain: &ModulusChain,
        passes: &PassRunner,
    ) -> Result<(Plan, VerifiedProgram), CompileError> {
        let Refitted { network, activations } = refitted;
        let layouts = &point.on.layouts;
        let layers: Vec<Layer> = activations.layers.iter().map(Layer::Approximate).collect();
        let (_, plan) = passes.run(Pass::Plan, |_| {
            let magnitudes = magnitudes(network, &layers, &self.fitting);
            let bootstrapped = point.bootstrapped();
            let plan = plan(network, activations, layouts, chain, &bootstrapped, &magnitudes)?;
            Ok::<_, CompileError>((network, plan))
        })?;
        let program = passes.rewrite(Pass::Lower, || {
            lower(network, activations, &plan, self.options.preprocessing.clone())
        });
        let program = passes.run(Pass::Verify, |_| program.verify_with_required_keys())?;
        let predicted = passes.rewrite(Pass::Estimate, || {
            let samples = self.measuring.data().batches().next().expect("data sets have samples");
            let (samples, seed) = (samples.samples(), self.options.seed);
            let bits = precision::output_bits(&program, network, activations, samples, seed);
            let predicted = predict(&program, &self.options.cost());
            Prediction { precision_bits: bits, ..predicted }
        });
        Ok((plan, program.with_prediction(predicted)?))
    }

    /// Adds a range check to a program and its prediction. Also returns the layers that the check leaves out.
    fn with_range_check(
        &self,
        program: VerifiedProgram,
        refitted: &Refitted,
        passes: &PassRunner,
    ) -> Result<(VerifiedProgram, Vec<String>), CompileError> {
        let Refitted { network, activations } = refitted;
        let precision_bits = program.predicted.precision_bits;
        let mut left_out = vec![];
        let program = passes.run(Pass::RangeCheck, |_| {
            let mut program = program.into_program();
            let samples = [self.fitting, *self.measuring.data()];
            left_out = range_check::add(&mut program, network, activations, &samples)?;
            Ok::<_, CompileError>(program)
        })?;
        let program = passes.run(Pass::Verify, |_| program.verify_with_required_keys())?;
        let predicted = passes.rewrite(Pass::Estimate, || Prediction {
            precision_bits,
            ..predict(&program, &self.options.cost())
        });
        let program = program.with_prediction(predicted)?;
        let note = |names: String| {
            format!("the range check does not cover {names}: there are no levels for it")
        };
        let notes = (!left_out.is_empty()).then(|| note(left_out.join(", "))).into_iter().collect();
        Ok((program, notes))
    }

    fn check_memory(&self, program: &VerifiedProgram) -> Result<(), CompileError> {
        let needed = program.predicted.memory.total_bytes();
        match self.options.memory_limit {
            Some(available) if needed > available => {
                Err(CompileError::Memory { needed, available })
            }
            _ => Ok(()),
        }
    }

    fn too_deep(&self, allocator: &Allocator, log_scale: f64) -> CompileError {
        let longest = allocator.longest(log_scale);
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
            needed: allocator.fewest_levels(),
            deepest,
            of_deepest,
            available: longest.max_levels().unwrap_or(0),
            log_n: longest.log_n,
            security: longest.security,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_networks::{dense, normal_samples, views};
    use pic_ir::function::Function;
    use pic_ir::matrix::Matrix;
    use pic_ir::network::Node;
    use pic_ir::prediction::Fidelity;

    /// Skips that cross make a chain of all nodes of the network, whose polynomials take more levels than it has nodes.
    #[test]
    fn crossing_skips_have_levels_for_deep_polynomials() {
        let mut network = Network::with_input("x", vec![6]);
        let x = network.input();
        let weights = normal_samples(6, 36, 5);
        let mut weights = weights.into_iter();
        let mut push = |name: &str, operands: &[_], is_activation| {
            let mut matrix = || {
                let weights = weights.next().unwrap().iter().map(|w| 0.4 * w).collect();
                Matrix::Dense { outer: 1, rows: 6, cols: 6, inner: 1, weights }
            };
            let op = match is_activation {
                true => Op::Activation(Function::Relu),
                false => {
                    Op::Linear { matrices: operands.iter().map(|_| matrix()).collect(), bias: None }
                }
            };
            network
                .push(Node { name: name.into(), provenance: vec![], op, shape: vec![6] }, operands)
        };
        let a = push("fc1", &[x], false);
        let a = push("a", &[a], true);
        let b = push("fc2", &[a], false);
        let b = push("b", &[b], true);
        let c = push("fc3", &[a, b], false);
        let c = push("c", &[c], true);
        push("fc4", &[b, c], false);
        let samples = normal_samples(200, 6, 3);
        let calibration = RawSamples { samples: &views(&samples), labels: None };
        let options =
            Options { task: Some(Task::Regression), max_error: Some(0.025), ..Options::default() };
        let compiled = compile_network(&network, calibration, None, &options, &()).unwrap();
        assert!(compiled.program.parameters.max_level() > network.graph.node_count());
    }

    /// Single polynomials leave about one percent; asked for less, some layers get compositions, and held-back samples show
    /// that the error is kept.
    #[test]
    fn compositions_where_single_polynomials_are_not_accurate_enough() {
        let network = dense(&[6, 8, 4], Function::Relu, 4);
        let samples = normal_samples(400, 6, 3);
        let compile = |max_error| {
            let calibration = RawSamples { samples: &views(&samples), labels: None };
            let task = Some(Task::Regression);
            let options = Options { task, max_error: Some(max_error), ..Options::default() };
            compile_network(&network, calibration, None, &options, &())
        };
        let is_composed = |compiled: &Compiled| {
            compiled.activations.layers.iter().any(|layer| layer.function == Function::Sign)
        };
        assert!(!is_composed(&compile(0.05).unwrap()));
        let accurate = compile(0.002).unwrap();
        assert!(is_composed(&accurate));
        let Fidelity::Error { root_mean_square, .. } = accurate.measured.fidelity else {
            panic!("outputs are numbers")
        };
        assert!(root_mean_square <= 0.002);
        assert!(accurate.notes.iter().any(|note| note.contains("compositions")));
        // What even compositions do not give is refused, by the error that they have.
        let Err(CompileError::Error { best, .. }) = compile(1e-7) else { panic!("refused") };
        assert!(best < 0.2, "{best}");
    }
}
