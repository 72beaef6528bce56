//! Polynomials of all layers, from a profile.
//!
//! [`candidates`] lists the polynomials that each layer could use, [`correct_losses`] says how much accuracy each
//! costs, and the caller picks one per layer (`crate::allocate`). [`refit`](fn@refit) fits the picked ones again in
//! network order, and [`Reference::measure`] compares the network with them to the plain one. Prices of operations
//! are not known here.

mod correction;
mod isolated;
mod products;
mod refit;

pub use correction::CorrectionOptions;
pub use refit::{Refitted, refit};

use pic_ckks_model::square;
use pic_ir::activations::{Activations, Approximation};
use pic_ir::network::Network;
use pic_ir::prediction::Fidelity;
use pic_ir::profile::Profile;
use rayon::prelude::*;

use crate::accuracy::{self, Estimate, Origin};
use crate::dataset::{Dataset, Objective, prediction};
use crate::evaluate::{Batch, Evaluation, LANES, Layer, exact_layers, outputs};
use crate::fit::{self, Candidate, FitError};
use crate::options::Task;
use crate::profile::{self, ProfileError};
use crate::progress::Advance;
use crate::sensitivity;

/// Parameters of refitting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefitOptions {
    /// Parameters of the fits.
    pub fit: fit::FitOptions,
    /// Parameters of the profiles of refitted layers' inputs.
    pub profile: profile::ProfileOptions,
    /// Parameters of the ridge regression that moves the weights and biases of every linear node behind a refitted
    /// layer, so that its values stay near those in the exact network.
    pub correction: CorrectionOptions,
}

/// Largest depth whose losses are measured. Polynomials of larger depth are so accurate that one factor corrects
/// their losses.
const DEEPEST_MEASURED: u32 = 4;

/// Reason why layers could not be refitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RefitError {
    /// A fit failed.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The input of a layer behind polynomials overflows on the samples.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// Comparison of a network with polynomials and the plain one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Number of samples that played no part in placing intervals.
    pub unseen: usize,
    /// Number of unseen samples that take some activation's input out of the interval of its polynomial.
    pub outside: usize,
    /// What counts: expected accuracy of a classifier, or errors of outputs that are numbers.
    pub fidelity: Fidelity,
    /// What else is known of a classifier; none if the outputs are numbers.
    pub classification: Option<Classification>,
    /// `E[(ΔL)²]`, the second moment of the change of the data set's objective.
    pub change: f64,
}

/// Agreement of a classifier with the plain network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classification {
    /// Share of samples to which both networks give one class, from 0 to 1.
    pub agreement: f64,
    /// Root mean square of the change of margins, relative to the mean margin, with single changes cut off at the
    /// mean margin. The margin of a sample is the difference of the two outputs that the plain network ranks
    /// highest.
    pub margin_deviation: f64,
}

/// Candidates of each layer, with losses predicted from the profile's sensitivities.
///
/// # Errors
/// [`FitError`] of the first layer that has no candidates.
pub fn candidates(
    network: &Network,
    profile: &Profile,
    options: &fit::FitOptions,
) -> Result<Vec<Vec<Candidate>>, FitError> {
    let layers = network.activations();
    let fitted = |(&(node, function), layer)| {
        let any_scale = options.any_scale && network.takes_any_scale(node);
        fit::candidates(function, layer, &fit::FitOptions { any_scale, ..options.clone() })
    };
    layers.par_iter().zip(&profile.layers).map(fitted).collect()
}

/// Position in each layer's candidates of the highest degree that is not above `degree`; none if some layer has no
/// such candidate.
pub fn uniform(candidates: &[Vec<Candidate>], degree: usize) -> Option<Vec<usize>> {
    let highest = |list: &Vec<Candidate>| {
        let degrees = list.iter().map(|c| c.approximation.degree()).enumerate();
        degrees.filter(|&(_, d)| d <= degree).max_by_key(|&(_, d)| d).map(|(k, _)| k)
    };
    candidates.iter().map(highest).collect()
}

/// Every second held-back sample: those that place intervals ([`refit`](fn@refit)). The others show how often
/// intervals are left. A single sample serves for both.
pub fn placing<'a>(held: &Dataset<'a>) -> Vec<&'a [f32]> {
    let samples = held.samples();
    samples
        .iter()
        .skip(1)
        .step_by(2)
        .chain((samples.len() == 1).then(|| &samples[0]))
        .copied()
        .collect()
}

/// Outputs of the exact network on a data set, with which others are compared.
pub struct Reference<'a> {
    data: Dataset<'a>,
    task: Task,
    origin: Origin,
    outputs: Vec<Vec<f32>>,
}

impl<'a> Reference<'a> {
    /// Runs the network on held-back samples, every second of which places intervals ([`placing`]).
    pub fn new(network: &Network, data: Dataset<'a>, task: Task) -> Self {
        Self { origin: Origin::Calibration, ..Self::of_validation(network, data, task) }
    }

    /// Runs the network on samples of which none places intervals.
    pub fn of_validation(network: &Network, data: Dataset<'a>, task: Task) -> Self {
        let exact = exact_layers(network);
        let run = |batch: Dataset| outputs(network, batch.samples(), &exact);
        let outputs = data.batches().flat_map(run).collect();
        Self { data, task, origin: Origin::New, outputs }
    }

    /// The samples.
    pub fn data(&self) -> &Dataset<'a> {
        &self.data
    }

    /// Runs the network with polynomials on the same samples and compares.
    pub fn measure(&self, Refitted { network, activations }: &Refitted) -> Measurement {
        let data = &self.data;
        let replaced: Vec<_> = activations.layers.iter().map(Layer::Approximate).collect();
        let unseen_step = if self.origin == Origin::Calibration { 2 } else { 1 };
        let (mut outside, mut found) = (0, vec![]);
        for batch in data.batches() {
            let input = Batch::from_samples(batch.samples());
            let evaluation = Evaluation::new(network, input, &replaced);
            outside += count_outside(&evaluation, network, activations, unseen_step);
            found.extend((0..batch.len()).map(|lane| evaluation.output().sample(lane)));
        }
        let change = |sample: usize| {
            let objective = data.objective_of(sample, &self.outputs[sample]);
            square(objective.loss(&found[sample]) - objective.loss(&self.outputs[sample]))
        };
        let classifies = self.task == Task::Classification;
        Measurement {
            unseen: data.len().div_ceil(unseen_step),
            outside,
            fidelity: if classifies { self.accuracy(&found) } else { self.error(&found) },
            classification: classifies.then(|| self.classification(&found)),
            change: (0..data.len()).map(change).sum::<f64>() / data.len() as f64,
        }
    }

    fn accuracy(&self, found: &[Vec<f32>]) -> Fidelity {
        let class = |sample: usize| self.data.class(sample, &self.outputs[sample]);
        let leads = |outputs: &[Vec<f32>]| -> Vec<f64> {
            (0..outputs.len()).map(|k| accuracy::lead(&outputs[k], class(k))).collect()
        };
        let (plain, found) = (leads(&self.outputs), leads(found));
        // The network's own answers are right everywhere, whether they were learnt or not.
        let origin = if self.data.has_labels() { self.origin } else { Origin::New };
        let Estimate { value, standard_error } = accuracy::expected_drop(&plain, &found, origin);
        if self.data.has_labels() {
            let right = plain.iter().filter(|&&lead| lead > 0.0).count();
            let plain = right as f64 / plain.len() as f64;
            Fidelity::Accuracy { plain, drop: value, standard_error }
        } else {
            Fidelity::Agreement { share: 1.0 - value, standard_error }
        }
    }

    fn classification(&self, found: &[Vec<f32>]) -> Classification {
        let share = 1.0 / found.len() as f64;
        let agree = |(a, b): &(&Vec<f32>, &Vec<f32>)| prediction(a) == prediction(b);
        let margins = self.data.with_objective(Objective::Margin);
        let margin = |(k, plain): (usize, &Vec<f32>)| {
            let objective = margins.objective_of(k, plain);
            (-objective.loss(plain), objective.loss(&found[k]) - objective.loss(plain))
        };
        let (margins, changes): (Vec<_>, Vec<_>) =
            self.outputs.iter().enumerate().map(margin).unzip();
        let mean = (share * margins.iter().sum::<f64>()).max(f64::MIN_POSITIVE);
        // One answer that is wrong beyond measure is one wrong answer; not a number counts so, too.
        let relative = |change: &f64| square((change.abs() / mean).min(1.0));
        Classification {
            agreement: share * self.outputs.iter().zip(found).filter(agree).count() as f64,
            margin_deviation: (share * changes.iter().map(relative).sum::<f64>()).sqrt(),
        }
    }

    fn error(&self, found: &[Vec<f32>]) -> Fidelity {
        let spread = spread(&self.outputs);
        let differences = found.iter().flatten().zip(self.outputs.iter().flatten());
        let (mut squares, mut largest, mut count) = (0.0, 0.0f64, 0.0);
        for (a, b) in differences {
            let error = (f64::from(*a) - f64::from(*b)).abs();
            let error = if error.is_nan() { f64::INFINITY } else { error };
            squares += square(error);
            largest = largest.max(error);
            count += 1.0;
        }
        let root_mean_square = (squares / count).sqrt() / spread;
        Fidelity::Error { root_mean_square, largest: largest / spread }
    }
}

/// Standard deviation of outputs from their means over the samples, in the root mean square over all outputs. Constant
/// outputs have their root mean square instead, and those that are always zero 1.
fn spread(outputs: &[Vec<f32>]) -> f64 {
    let samples = outputs.len() as f64;
    let len = outputs[0].len();
    let (mut variance, mut squares) = (0.0, 0.0);
    for k in 0..len {
        let values = || outputs.iter().map(|output| f64::from(output[k]));
        let mean = values().sum::<f64>() / samples;
        variance += values().map(|y| square(y - mean)).sum::<f64>() / samples;
        squares += values().map(square).sum::<f64>() / samples;
    }
    // Below the rounding of single precision outputs count as constant.
    match (variance > 1e-12 * squares, squares > 0.0) {
        (true, _) => (variance / len as f64).sqrt(),
        (false, true) => (squares / len as f64).sqrt(),
        (false, false) => 1.0,
    }
}

/// Number of samples of an evaluation, among the first and every `step`th behind it, for which some input of an
/// activation leaves the interval of its polynomial. All batches but the last have even lengths.
fn count_outside(
    evaluation: &Evaluation,
    network: &Network,
    activations: &Activations,
    step: usize,
) -> usize {
    let mut outside = [false; LANES];
    let mut samples = 0;
    for (layer, (node, _)) in activations.layers.iter().zip(network.activations()) {
        let input = evaluation.value(network.operands(node)[0]);
        samples = input.samples;
        let is_inside = |x: f32| (f64::from(x) - layer.center).abs() <= layer.half_width;
        for lanes in input.used() {
            for (outside, &x) in outside.iter_mut().zip(lanes) {
                *outside |= !is_inside(x);
            }
        }
    }
    outside[..samples].iter().step_by(step).filter(|&&outside| outside).count()
}

/// Replaces the predicted losses of candidates by measured ones, each with its polynomial alone in the network.
/// Progress counts polynomials.
pub fn measure_losses(
    network: &Network,
    data: &Dataset,
    candidates: &mut [Vec<Candidate>],
    progress: Advance,
) {
    let polynomials: Vec<Vec<_>> = candidates
        .iter()
        .map(|list| list.iter().map(|c| Layer::Approximate(&c.approximation)).collect())
        .collect();
    let measured =
        sensitivity::measured(network, &exact_layers(network), data, &polynomials, progress);
    for (candidate, measured) in candidates.iter_mut().flatten().zip(measured.iter().flatten()) {
        candidate.approximation.loss = measured.second_moment;
    }
}

/// Corrects the predicted losses of candidates by measuring some of them, each alone in a network whose linear
/// nodes are corrected for it.
///
/// The best polynomial of every layer is measured for each depth up to four. Other polynomials of that depth are
/// corrected by its factor, deeper ones by that of the deepest. Progress counts layers.
pub fn correct_losses(
    network: &Network,
    data: &Dataset,
    candidates: &mut [Vec<Candidate>],
    options: &CorrectionOptions,
    progress: Advance,
) {
    let mut factors = vec![];
    for depth in 1..=DEEPEST_MEASURED {
        let best = |list: &Vec<Candidate>| list.iter().rposition(|c| c.depth <= depth);
        let chosen: Vec<_> =
            candidates.iter().map(|list| &list[best(list).unwrap_or(0)].approximation).collect();
        let measured = isolated::isolated_loss(network, data, &chosen, options, progress);
        let factor = |(measured, chosen): (f64, &&Approximation)| measured / chosen.loss;
        factors.push(measured.into_iter().zip(&chosen).map(factor).collect::<Vec<_>>());
    }
    for (layer, list) in candidates.iter_mut().enumerate() {
        for candidate in list.iter_mut().filter(|candidate| candidate.depth > 0) {
            let depth = candidate.depth.min(DEEPEST_MEASURED);
            let factor = factors[depth as usize - 1][layer];
            candidate.approximation.loss *=
                if factor.is_nan() { 1.0 } else { factor.clamp(1e-4, 1e4) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ola::{Alternative, Effect, Instance, Structure, within_time};
    use crate::sample_networks::{dense, normal_samples, views};
    use pic_ir::function::Function;

    const TASK: Task = Task::Classification;

    fn network() -> Network {
        dense(&[6, 16, 16, 16, 4], Function::Relu, 21)
    }

    fn options() -> RefitOptions {
        let fit = fit::FitOptions { degrees: (2..=31).collect(), ..fit::FitOptions::default() };
        RefitOptions { fit, ..RefitOptions::default() }
    }

    fn prepared(network: &Network, data: &Dataset) -> (Profile, Vec<Vec<Candidate>>) {
        let profile =
            profile::profile(network, data, &profile::ProfileOptions::default(), &|_, _| {})
                .unwrap();
        let candidates = candidates(network, &profile, &options().fit).unwrap();
        (profile, candidates)
    }

    /// Each refitted error is the mean square of what the layer adds on the inputs that it sees
    /// behind the layers before it, computed from the values themselves.
    #[test]
    fn refitting_follows_the_approximated_layers() {
        let network = network();
        let samples = normal_samples(256, 6, 5);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let (profile, candidates) = prepared(&network, &data);
        let chosen = uniform(&candidates, 3).unwrap();
        let chosen: Vec<_> = candidates.iter().zip(chosen).map(|(list, k)| &list[k]).collect();
        let found =
            refit(&network, &data, &data, &profile, &chosen, &options(), &|_, _| {}).unwrap();
        found.activations.verify(&network).unwrap();
        let Refitted { network: corrected, activations: found } = found;
        corrected.verify().unwrap();
        let layers: Vec<_> = found.layers.iter().map(Layer::Approximate).collect();
        for (layer, &(node, function)) in network.activations().iter().enumerate() {
            let (mut sum, mut count) = (0.0, 0.0);
            for batch in data.batches() {
                let run =
                    Evaluation::new(&corrected, Batch::from_samples(batch.samples()), &layers);
                for &x in run.value(network.operands(node)[0]).used().flatten() {
                    let x = f64::from(x);
                    sum += square(function.evaluate(x) - found.layers[layer].evaluate(x));
                    count += 1.0;
                }
            }
            let ratio = found.layers[layer].error / (sum / count);
            assert!((ratio - 1.0).abs() < 0.02, "layer {layer}: ratio {ratio}");
            // The inputs did change: degree 3 in the layers before is rough.
            let stale = (layer > 0) && chosen[layer].approximation == found.layers[layer];
            assert!(!stale, "layer {layer} was not refitted");
        }
    }

    /// Inputs three times as large, which nothing is fitted to, are in the intervals all the same; of the others on both sides of
    /// the split by [`placing`], only those that place none are counted.
    #[test]
    fn samples_that_nothing_is_fitted_to_place_intervals() {
        let network = network();
        let samples = normal_samples(256, 6, 5);
        let larger: Vec<Vec<f32>> =
            normal_samples(129, 6, 6).iter().map(|s| s.iter().map(|x| 3.0 * x).collect()).collect();
        let (samples, larger) = (views(&samples), views(&larger));
        let data = Dataset::new(&network, &samples, None).unwrap();
        let held = Dataset::new(&network, &larger, None).unwrap();
        let (profile, candidates) = prepared(&network, &data);
        let chosen: Vec<_> = uniform(&candidates, 7).unwrap();
        let chosen: Vec<_> = candidates.iter().zip(chosen).map(|(list, k)| &list[k]).collect();
        let fitted = |others: &[&[f32]]| {
            let others = Dataset::new(&network, others, None).unwrap();
            refit(&network, &data, &others, &profile, &chosen, &options(), &|_, _| {}).unwrap()
        };
        let outside = |refitted: &Refitted, samples: &[&[f32]]| {
            let layers: Vec<_> =
                refitted.activations.layers.iter().map(Layer::Approximate).collect();
            let leaves = |sample: &&&[f32]| {
                let run =
                    Evaluation::new(&refitted.network, Batch::from_samples(&[sample]), &layers);
                network.activations().iter().zip(&refitted.activations.layers).any(
                    |(&(n, _), l)| {
                        let inputs = run.value(network.operands(n)[0]).sample(0);
                        inputs.iter().any(|&x| (f64::from(x) - l.center).abs() > l.half_width)
                    },
                )
            };
            samples.iter().filter(leaves).count()
        };
        let placing = placing(&held);
        assert_eq!(placing.len(), 64);
        let alone = fitted(&samples);
        assert!(outside(&alone, &placing) > 5);
        let both = fitted(&placing);
        assert_eq!(outside(&both, &placing), 0);
        for refitted in [alone, both] {
            let counted: Vec<_> = larger.iter().step_by(2).copied().collect();
            let found = Reference::new(&network, held, TASK).measure(&refitted);
            assert_eq!((found.unseen, found.outside), (65, outside(&refitted, &counted)));
        }
    }

    #[test]
    fn measurement_counts_by_hand() {
        let network = network();
        let samples = normal_samples(130, 6, 6);
        let samples = views(&samples);
        let labels: Vec<usize> = (0..130).map(|k| k % 4).collect();
        let data = Dataset::new(&network, &samples, Some(&labels)).unwrap();
        let (_, candidates) = prepared(&network, &data);
        let layers = candidates.iter().map(|list| list[0].approximation.clone()).collect();
        let activations = Activations { layers };
        let refitted = Refitted { network: network.clone(), activations };
        let found = Reference::new(&network, data, TASK).measure(&refitted);
        let replaced: Vec<_> = refitted.activations.layers.iter().map(Layer::Approximate).collect();
        let plain = outputs(&network, &samples, &exact_layers(&network));
        let rough = outputs(&network, &samples, &replaced);
        let share =
            |hit: &dyn Fn(usize) -> bool| (0..130).filter(|&k| hit(k)).count() as f64 / 130.0;
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let Fidelity::Accuracy { plain: right, drop, standard_error } = found.fidelity else {
            panic!("there are labels")
        };
        close(right, share(&|k| prediction(&plain[k]) == labels[k]));
        let lost = right - share(&|k| prediction(&rough[k]) == labels[k]);
        assert!((drop - lost).abs() < 3.0 * standard_error, "{drop} ± {standard_error} {lost}");
        let agreement = found.classification.unwrap().agreement;
        close(agreement, share(&|k| prediction(&rough[k]) == prediction(&plain[k])));
        assert!(agreement < 1.0);
        let unlabelled = Dataset::new(&network, &samples, None).unwrap();
        let own = Reference::new(&network, unlabelled, TASK).measure(&refitted);
        let Fidelity::Agreement { share, standard_error } = own.fidelity else {
            panic!("no labels")
        };
        assert!((share - agreement).abs() < 3.0 * standard_error, "{share} ± {standard_error}");

        let own =
            Reference::of_validation(&network, unlabelled, Task::Regression).measure(&refitted);
        let Fidelity::Error { root_mean_square, largest } = own.fidelity else { panic!("numbers") };
        let column = |k: usize| plain.iter().map(move |output| f64::from(output[k]));
        let spread = (0..4).map(|k| {
            let mean = column(k).sum::<f64>() / 130.0;
            column(k).map(|y| square(y - mean)).sum::<f64>() / 520.0
        });
        let spread = spread.sum::<f64>().sqrt();
        let errors = plain.iter().flatten().zip(rough.iter().flatten());
        let errors: Vec<f64> = errors.map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        let rms = (errors.iter().map(|e| e * e).sum::<f64>() / 520.0).sqrt();
        close(root_mean_square, rms / spread);
        close(largest, errors.iter().fold(0.0f64, |max, e| max.max(e.abs())) / spread);
        assert_eq!((own.unseen, own.classification), (130, None));
    }

    /// A chain in which a polynomial takes its products times the level it starts at.
    fn instance(candidates: &[Vec<Candidate>]) -> Instance {
        let alternative = |Candidate { approximation: a, .. }: &Candidate| {
            let plan = pic_ckks_model::ChebyshevPlan::absorbing(&a.coefficients).unwrap();
            let products = plan.counts().products as f64;
            let time = (0..=24).map(|level| products * f64::from(level)).collect();
            Alternative { effect: Effect::Consume(plan.depth()), loss: a.loss, time }
        };
        Instance {
            structure: Structure::Series((0..candidates.len()).map(Structure::Step).collect()),
            steps: candidates.iter().map(|list| list.iter().map(alternative).collect()).collect(),
            max_level: 24,
        }
    }

    /// The least loss within a budget, predicted and measured.
    fn choose_within(
        budget: f64,
        network: &Network,
        samples: &[&[f32]],
        (profile, candidates): &(Profile, Vec<Vec<Candidate>>),
    ) -> Option<(f64, f64)> {
        let (fitting, held) = samples.split_at(512);
        let fitting = Dataset::new(network, fitting, None).unwrap();
        let held = Dataset::new(network, held, None).unwrap();
        let RefitOptions { correction, .. } = options();
        let mut candidates = candidates.clone();
        correct_losses(network, &held, &mut candidates, &correction, &|_, _| {});
        let front = instance(&candidates).front(0.0).unwrap();
        let best = within_time(&front, budget)?;
        let chosen: Vec<usize> = best.choices.iter().map(|c| c.alternative).collect();
        let picked: Vec<_> = candidates.iter().zip(&chosen).map(|(l, &k)| &l[k]).collect();
        let refitted =
            refit(network, &fitting, &fitting, profile, &picked, &options(), &|_, _| {}).unwrap();
        refitted.activations.verify(network).unwrap();
        Some((best.loss, Reference::new(network, held, TASK).measure(&refitted).change))
    }

    #[test]
    fn larger_budgets_measure_better() {
        let network = network();
        let samples = normal_samples(640, 6, 7);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples[..512], None).unwrap();
        let prepared = prepared(&network, &data);
        let run = |budget: f64| choose_within(budget, &network, &samples, &prepared);
        let mut changes = vec![];
        for budget in [100.0, 200.0, 600.0] {
            let (predicted, change) = run(budget).unwrap();
            let ratio = change / predicted;
            assert!((0.5..2.0).contains(&ratio), "budget {budget}: measured/predicted {ratio}");
            changes.push(change);
        }
        assert!(changes.is_sorted_by(|a, b| a > b), "{changes:?}");
        assert!(run(1.0).is_none());
    }

    /// With one sensitivity a thousand times too large, measuring the layer alone corrects it.
    #[test]
    fn measuring_corrects_a_wrong_sensitivity() {
        let network = network();
        let samples = normal_samples(640, 6, 7);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples[..512], None).unwrap();
        let right = prepared(&network, &data);
        let mut profile = right.0.clone();
        profile.layers[2].sensitivity.value *= 1000.0;
        let candidates = candidates(&network, &profile, &options().fit).unwrap();
        let wrong = choose_within(200.0, &network, &samples, &(profile, candidates)).unwrap();
        let right = choose_within(200.0, &network, &samples, &right).unwrap();
        assert!((wrong.0 / right.0 - 1.0).abs() < 1e-9, "{wrong:?} {right:?}");
        assert_eq!(wrong.1, right.1);
    }

    #[test]
    fn layerwise_beats_every_uniform_degree() {
        let network = network();
        let samples = normal_samples(512, 6, 7);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let (_, candidates) = prepared(&network, &data);
        let instance = instance(&candidates);
        let front = instance.front(0.0).unwrap();
        let mut better = 0;
        for chosen in (2..=31).filter_map(|degree| uniform(&candidates, degree)) {
            let fixed: Vec<_> = chosen.iter().map(|&k| Some(k)).collect();
            let same = instance.fastest(&fixed).unwrap().unwrap();
            let best = within_time(&front, same.time).unwrap();
            assert!(best.loss <= same.loss, "{chosen:?}");
            better += usize::from(best.loss < 0.99 * same.loss);
        }
        assert!(better > 0);
    }
}
