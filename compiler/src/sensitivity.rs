//! Sensitivity of the loss to errors of each activation layer.
//!
//! Forward passes only, restarted from the layer, so nothing here differentiates a network. Two
//! forms:
//! - [`gradient`]: `A_i = Σ_j E[(∂L/∂a_ij)²]`, OLA's objective. For errors of zero mean that are
//!   independent of each other, `Var(ΔL) = Σ_i A_i E_i`. The squared gradient is estimated from
//!   central differences along random vectors z of ±1: `E_z[(g·z)²] = |g|²` (Hutchinson's
//!   estimator of a trace, Comm. Stat. 18, 1989).
//! - [`measured`]: `E[(ΔL)²]` and `E[ΔL]` of putting something else in a layer's place, which
//!   needs no independence. It, too, adds up over layers that err independently.

use pic_ckks_model::square;
use pic_ir::network::Network;
use pic_ir::profile::Sensitivity;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::dataset::{Dataset, SampleObjective};
use crate::evaluate::{Batch, Evaluation, Layer, apply, exact_layers};
use crate::progress::Advance;

/// Parameters of the estimate of sensitivities.
#[derive(Clone, Debug, PartialEq)]
pub struct SensitivityOptions {
    /// Largest number of samples that are used, the first ones.
    pub samples: usize,
    /// Number of random vectors per sample and layer.
    pub probes: usize,
    /// Length of a step in each element, relative to the standard deviation of the layer's input.
    pub step: f64,
    /// Seed of the random vectors.
    pub seed: u64,
}

impl Default for SensitivityOptions {
    fn default() -> Self {
        Self { samples: 256, probes: 1, step: 0.02, seed: 0 }
    }
}

/// Measured change of the loss if one layer computes another function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredLoss {
    /// `E[(ΔL)²]`.
    pub second_moment: f64,
    /// Standard error of the second moment.
    pub standard_error: f64,
    /// `E[ΔL]`.
    pub mean: f64,
}

/// Units of work that the progress of [`gradient`] counts to.
pub fn work(network: &Network, data: &Dataset, options: &SensitivityOptions) -> u64 {
    (data.first(options.samples).batches().len() * network.activations().len()) as u64
}

/// `A_i` of every activation layer of the exact network. `spreads` are the standard deviations of the layers'
/// inputs, which scale the steps.
pub fn gradient(
    network: &Network,
    data: &Dataset,
    spreads: &[f64],
    options: &SensitivityOptions,
    progress: Advance,
) -> Vec<Sensitivity> {
    let (data, total) = (data.first(options.samples), work(network, data, options));
    let exact = exact_layers(network);
    let nodes = network.activations();
    let mut moments = vec![Moments::default(); nodes.len()];
    let mut done = 0;
    for (index, batch) in data.batches().enumerate() {
        let mut evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), &exact);
        let objectives = objectives(&batch, evaluation.output());
        // From the last layer to the first: a restart spoils only what comes after it.
        for (layer, &(node, _)) in nodes.iter().enumerate().rev() {
            let step = options.step * spreads[layer].max(1e-6);
            let value = evaluation.value(node).clone();
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            rng.set_stream((index * nodes.len() + layer) as u64);
            let mut squares = vec![0.0; objectives.len()];
            for _ in 0..options.probes {
                let signs: Vec<u64> = value.values.iter().map(|_| rng.next_u64()).collect();
                let mut losses = |step: f64| {
                    evaluation.restart(node, shifted(&value, &signs, step as f32), &exact);
                    losses(&objectives, evaluation.output())
                };
                let (up, down) = (losses(step), losses(-step));
                for (mean, (up, down)) in squares.iter_mut().zip(up.iter().zip(&down)) {
                    *mean += square((up - down) / (2.0 * step)) / options.probes as f64;
                }
            }
            squares.into_iter().for_each(|square| moments[layer].add(square));
            done += 1;
            progress(done, total);
        }
    }
    let sensitivity =
        |m: &Moments| Sensitivity { value: m.mean(), standard_error: m.standard_error() };
    moments.iter().map(sensitivity).collect()
}

/// Change of the loss that each alternative function causes, alone in its layer of the network whose other layers
/// are `layers`. Alternatives are listed by layer. Progress counts layers and batches.
pub fn measured(
    network: &Network,
    layers: &[Layer],
    data: &Dataset,
    alternatives: &[Vec<Layer>],
    progress: Advance,
) -> Vec<Vec<MeasuredLoss>> {
    let nodes = network.activations();
    let total = (nodes.len() * data.batches().len()) as u64;
    let none = |list: &Vec<Layer>| vec![(Moments::default(), Moments::default()); list.len()];
    let mut moments: Vec<Vec<(Moments, Moments)>> = alternatives.iter().map(none).collect();
    let mut done = 0;
    for batch in data.batches() {
        let mut evaluation = Evaluation::new(network, Batch::from_samples(batch.samples()), layers);
        let objectives = objectives(&batch, evaluation.output());
        let unchanged = losses(&objectives, evaluation.output());
        for (layer, &(node, _)) in nodes.iter().enumerate().rev() {
            let input = evaluation.value(network.operands(node)[0]).clone();
            for (&alternative, (squares, changes)) in
                alternatives[layer].iter().zip(&mut moments[layer])
            {
                evaluation.restart(node, apply(alternative, &input), layers);
                for (loss, before) in
                    losses(&objectives, evaluation.output()).iter().zip(&unchanged)
                {
                    squares.add(square(loss - before));
                    changes.add(loss - before);
                }
            }
            done += 1;
            progress(done, total);
        }
    }
    let loss = |(squares, changes): &(Moments, Moments)| MeasuredLoss {
        second_moment: squares.mean(),
        standard_error: squares.standard_error(),
        mean: changes.mean(),
    };
    moments.iter().map(|list| list.iter().map(loss).collect()).collect()
}

fn objectives(batch: &Dataset, plain: &Batch) -> Vec<SampleObjective> {
    (0..batch.len()).map(|k| batch.objective_of(k, &plain.sample(k))).collect()
}

fn losses(objectives: &[SampleObjective], output: &Batch) -> Vec<f64> {
    objectives.iter().enumerate().map(|(k, objective)| objective.loss(&output.sample(k))).collect()
}

/// `value ± step`, the sign of each element and lane from a bit.
fn shifted(value: &Batch, signs: &[u64], step: f32) -> Batch {
    let shift = |(lanes, bits): (&[f32; 64], &u64)| {
        std::array::from_fn(|k| lanes[k] + if bits >> k & 1 == 1 { step } else { -step })
    };
    let values = value.values.iter().zip(signs).map(shift).collect();
    Batch { samples: value.samples, values }
}

/// Sums for a mean and its standard error.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        self.sum += x;
        self.squares += x * x;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn standard_error(&self) -> f64 {
        let variance = self.squares / self.count - square(self.mean());
        (variance.max(0.0) / (self.count - 1.0).max(1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::prediction;
    use crate::evaluate::outputs;
    use crate::sample_networks::{normal_samples, two_layers, views};
    use pic_ir::activations::Approximation;
    use pic_ir::function::Function;
    use pic_ir::matrix::Matrix;
    use pic_ir::network::Op;

    fn spreads(network: &Network) -> Vec<f64> {
        vec![1.0; network.activations().len()]
    }

    /// Gradients with respect to every coordinate by central differences, one coordinate at a
    /// time: no random vectors, no sharing between coordinates.
    #[test]
    fn random_vectors_agree_with_differences_of_every_coordinate() {
        let network = two_layers(5);
        let samples = normal_samples(80, 6, 2);
        let samples = views(&samples);
        let labels: Vec<usize> = (0..80).map(|k| k % 4).collect();
        let data = Dataset::new(&network, &samples, Some(&labels)).unwrap();
        let options = SensitivityOptions { probes: 400, ..SensitivityOptions::default() };
        let found = gradient(&network, &data, &spreads(&network), &options, &|_, _| {});
        let exact = exact_layers(&network);
        for (layer, &(node, _)) in network.activations().iter().enumerate() {
            let mut sum = 0.0;
            for (sample, &label) in samples.iter().zip(&labels) {
                let plain = Evaluation::new(&network, Batch::from_samples(&[sample]), &exact);
                for element in 0..network.graph[node].len() {
                    let loss = |step: f32| {
                        let mut value = plain.value(node).clone();
                        value.values[element][0] += step;
                        let mut changed = plain.clone();
                        changed.restart(node, value, &exact);
                        SampleObjective::Class(label).loss(&changed.output().sample(0))
                    };
                    sum += square((loss(0.02) - loss(-0.02)) / 0.04);
                }
            }
            let expected = sum / samples.len() as f64;
            let relative = (found[layer].value / expected - 1.0).abs();
            // √2/√(80·400) is below one percent.
            assert!(relative < 0.03, "layer {layer}: {} not {expected}", found[layer].value);
        }
    }

    /// Sigmoid, then a matrix W, then softmax: ∂L/∂a = Wᵀ(softmax − label) in closed form.
    fn one_layer_truth(network: &Network, samples: &[&[f32]], labels: &[usize]) -> f64 {
        let last = &network.graph[network.output];
        let Op::Linear { matrices, .. } = &last.op else { panic!("ends with a matrix") };
        let Matrix::Dense { rows, cols, weights, .. } = &matrices[0] else { panic!("dense") };
        let all = outputs(network, samples, &exact_layers(network));
        let mut sum = 0.0;
        for (output, &label) in all.iter().zip(labels) {
            let exponentials: Vec<f64> = output.iter().map(|&y| libm::exp(f64::from(y))).collect();
            let total: f64 = exponentials.iter().sum();
            for j in 0..*cols {
                let term = |i: usize| {
                    let residual = exponentials[i] / total - f64::from(i == label);
                    f64::from(weights[i * cols + j]) * residual
                };
                sum += square((0..*rows).map(term).sum::<f64>());
            }
        }
        sum / samples.len() as f64
    }

    #[test]
    fn the_standard_error_covers_the_truth() {
        let network = crate::sample_networks::dense(&[6, 8, 4], Function::Sigmoid, 9);
        let samples = normal_samples(4096, 6, 3);
        let samples = views(&samples);
        let labels: Vec<usize> = (0..4096).map(|k| (k * 7) % 4).collect();
        let truth = one_layer_truth(&network, &samples, &labels);
        let mut covered = [0; 2];
        let sets = 64;
        for set in 0..sets {
            let range = set * 64..(set + 1) * 64;
            let data =
                Dataset::new(&network, &samples[range.clone()], Some(&labels[range])).unwrap();
            let options = SensitivityOptions { seed: set as u64, ..SensitivityOptions::default() };
            let found = gradient(&network, &data, &[1.0], &options, &|_, _| {})[0];
            let deviations = (found.value - truth).abs() / found.standard_error;
            covered[0] += usize::from(deviations < 1.0);
            covered[1] += usize::from(deviations < 2.0);
        }
        // 68 % and 95 % for normal errors of known size; these are estimated and a little skewed.
        assert!((32..=54).contains(&covered[0]), "{covered:?} of {sets}");
        assert!(covered[1] >= 56, "{covered:?} of {sets}");
    }

    /// A polynomial that adds a constant δ to every element shifts the loss by δ·Σ_j g_j, to first
    /// order; measured moments must be those of that sum, not of independent errors.
    #[test]
    fn measured_moments_see_correlated_errors() {
        let network = crate::sample_networks::dense(&[6, 8, 4], Function::Sigmoid, 9);
        let samples = normal_samples(100, 6, 4);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let sigmoid = |offset: f64| {
            let coefficients = crate::fit::fit(
                Function::Sigmoid,
                &crate::fit::Density::Normal { mean: 0.0, std: 2.0 },
                (-12.0, 12.0),
                31,
                0.0,
                12.0,
            );
            let mut coefficients = coefficients.unwrap();
            coefficients[0] += offset;
            Approximation {
                name: "act0".into(),
                function: Function::Sigmoid,
                center: 0.0,
                half_width: 12.0,
                stretch: 1.0,
                coefficients,
                error: 0.0,
                loss: 0.0,
            }
        };
        let delta = 0.01;
        let polynomials = [sigmoid(0.0), sigmoid(delta)];
        let alternatives = [polynomials.iter().map(Layer::Approximate).collect()];
        let exact = exact_layers(&network);
        let found = measured(&network, &exact, &data, &alternatives, &|_, _| {});
        let (mut mean, mut square) = (0.0, 0.0);
        let (node, _) = network.activations()[0];
        for sample in &samples {
            let plain = Evaluation::new(&network, Batch::from_samples(&[sample]), &exact);
            let objective = SampleObjective::Class(prediction(&plain.output().sample(0)));
            let mut value = plain.value(node).clone();
            value.values.iter_mut().for_each(|v| v[0] += delta as f32);
            let mut changed = plain.clone();
            changed.restart(node, value, &exact);
            let change = objective.loss(&changed.output().sample(0))
                - objective.loss(&plain.output().sample(0));
            mean += change / samples.len() as f64;
            square += change * change / samples.len() as f64;
        }
        let [good, shifted] = found[0][..] else { panic!("two alternatives") };
        assert!(good.second_moment < 0.01 * shifted.second_moment, "{good:?}");
        assert!((shifted.second_moment / square - 1.0).abs() < 0.02, "{shifted:?} {square}");
        assert!((shifted.mean - mean).abs() < 0.02 * square.sqrt(), "{shifted:?} {mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let network = two_layers(5);
        let samples = normal_samples(70, 6, 2);
        let samples = views(&samples);
        let data = Dataset::new(&network, &samples, None).unwrap();
        let run = |seed| {
            let options = SensitivityOptions { seed, ..SensitivityOptions::default() };
            gradient(&network, &data, &spreads(&network), &options, &|_, _| {})
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
