//! Precision of a program's output, by simulating the scheme's errors on samples.
//!
//! Each operation's own error is known ([`pic_ir::precision`]). What becomes of it on the way to the
//! answer is not estimated but tried: in deep networks an estimate by worst or average slopes of
//! polynomials is off by a factor per layer, because inputs are mostly near the middle of their interval.

use pic_ckks_model::square;
use pic_ir::activations::Activations;
use pic_ir::network::Network;
use pic_ir::precision;
use pic_ir::program::{Op, VerifiedProgram};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::evaluate::{Batch, LANES, Layer, value};

/// Largest precision in bits that a simulation in single precision shows.
const SHOWN_BITS: f64 = 16.0;

/// Precision in bits to which smaller errors are enlarged for the simulation. They still add up as small ones do.
const TRIED_BITS: f64 = 12.0;

/// Bits of the significand in single precision.
const SINGLE_BITS: f64 = 24.0;

/// −log2 of the root mean square error of the stored output over up to [`LANES`] samples; negative
/// infinity if some output is not finite.
///
/// `network` and `activations` are what the program was made from.
pub fn output_bits(
    program: &VerifiedProgram,
    network: &Network,
    activations: &Activations,
    samples: &[&[f32]],
    seed: u64,
) -> f64 {
    // Computed once, because it makes every diagonal of the program.
    let deviations = deviations(program);
    let half_width = program.output_value().half_width;
    let last = deviations.last().expect("programs have an output");
    // The error of the last operation is a lower bound on the mean error.
    let most = -libm::log2(last / half_width);
    let mut log_factor = 0.0;
    loop {
        let factor = libm::exp2(log_factor);
        let larger = deviations.iter().map(|deviation| factor * deviation);
        let bits = tried_bits(network, activations, samples, seed, larger, half_width);
        if bits < SHOWN_BITS || log_factor > 2.0 * SINGLE_BITS {
            return (bits + log_factor).min(most);
        }
        log_factor += (bits.min(SINGLE_BITS) - TRIED_BITS).floor();
    }
}

/// −log2 of the root mean square error of the stored output for errors of given standard deviations, one for each
/// node.
fn tried_bits(
    network: &Network,
    activations: &Activations,
    samples: &[&[f32]],
    seed: u64,
    deviations: impl Iterator<Item = f64>,
    half_width: f64,
) -> f64 {
    let samples = &samples[..samples.len().min(LANES)];
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut layers = activations.layers.iter().map(Layer::Approximate);
    let mut clean: Vec<Batch> = Vec::new();
    let mut noisy: Vec<Batch> = Vec::new();
    for (node, deviation) in network.graph.node_indices().zip(deviations) {
        let (exact, mut found) = if node == network.input() {
            let input = Batch::from_samples(samples);
            (input.clone(), input)
        } else {
            let is_activation =
                matches!(network.graph[node].op, pic_ir::network::Op::Activation(_));
            let layer = is_activation.then(|| layers.next().expect("activations fit the network"));
            let operands = network.operands(node);
            let run = |values: &[Batch]| {
                let operands: Vec<&Batch> = operands.iter().map(|o| &values[o.index()]).collect();
                value(network, node, &operands, layer)
            };
            (run(&clean), run(&noisy))
        };
        for x in found.values.iter_mut().flatten() {
            *x += (deviation * normal(&mut rng)) as f32;
        }
        clean.push(exact);
        noisy.push(found);
    }
    let output = network.output.index();
    let pairs = clean[output].used().flatten().zip(noisy[output].used().flatten());
    let squares = pairs.map(|(a, b)| square(f64::from(a - b)));
    let count = samples.len() * clean[output].values.len();
    let bits = -0.5 * libm::log2(squares.sum::<f64>() / count as f64 / square(half_width));
    // Errors that drive a polynomial out of its interval end in no number at all.
    if bits.is_nan() { f64::NEG_INFINITY } else { bits }
}

/// The standard deviation, in real units, of the errors that computing each node's value adds,
/// bootstrapping included.
fn deviations(program: &VerifiedProgram) -> Vec<f64> {
    let mut variances: Vec<f64> = Vec::new();
    for (value, error) in program.values.iter().zip(precision::errors(program)) {
        let own = error.own * square(value.half_width);
        match (&value.op, variances.last_mut()) {
            (Op::Bootstrap { .. }, Some(computed)) => *computed += own,
            _ => variances.push(own),
        }
    }
    variances.into_iter().map(f64::sqrt).collect()
}

/// A standard normal number: the sum of twelve uniform ones, less its mean.
fn normal(rng: &mut impl Rng) -> f64 {
    let uniform = |bits: u64| bits as f64 / f64::from(1u32 << 16);
    let words = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
    let parts = words.iter().flat_map(|w| (0..4).map(move |k| uniform(w >> (16 * k) & 0xffff)));
    parts.sum::<f64>() - 6.0
}
