//! The clear engine: executes a program without encryption, on slots of f64 through the diagonals that ciphertexts
//! take, with or without the errors that the scheme would add.
//!
//! Predicts accuracy and precision of a program in seconds. It does not model levels, scales or
//! overflow of the modulus: programs are verified for those.

use std::convert::Infallible;

use pic_ir::program::{Op, Value, ValueId, VerifiedProgram};
use pic_ir::transform::Diagonal;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::Error;
use crate::engine::{Engine, execute};
use crate::sample::check_sample;

/// A program with its constants expanded for execution in the clear.
#[derive(Debug)]
pub struct Clear<'a> {
    program: &'a VerifiedProgram,
    /// Constants of each linear value; none for other values.
    linear: Vec<Option<ClearLinear>>,
}

#[derive(Debug)]
struct ClearLinear {
    /// Length of a diagonal, in slots.
    length: usize,
    diagonals: Vec<(Diagonal, Vec<f32>)>,
    /// Bias of each output ciphertext, one period long.
    bias: Vec<Vec<f64>>,
}

/// Simulated errors of the scheme: independent and normal in every slot.
#[derive(Clone, Copy, Debug)]
pub struct Noise<'a> {
    /// Standard deviation of the error that each value's own operation adds, in stored units; one
    /// per value of the program, the first for encryption.
    pub std: &'a [f64],
    /// Seed of the errors; equal seeds give equal errors.
    pub seed: u64,
}

/// Result of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// Output of each sample, in real units.
    pub outputs: Vec<Vec<f32>>,
    /// For each polynomial, the share of its inputs outside [−1, 1], where it does not approximate the activation.
    pub outside: Vec<(ValueId, f64)>,
    /// Sum of the range check for each sample, in real units; empty if the program has no range check.
    pub range_checks: Vec<f64>,
}

impl<'a> Clear<'a> {
    /// Prepares a program for execution in the clear: computes the diagonals and biases of all linear values and keeps
    /// them in memory.
    pub fn new(program: &'a VerifiedProgram) -> Self {
        let linear = |id: usize| {
            let constants = program.linear_constants(id as ValueId)?;
            let geometry = program.linear(id as ValueId)?.geometry;
            let layout = &program.values[id].layout;
            Some(ClearLinear {
                length: 1 << geometry.log_length,
                diagonals: constants.diagonals.into_iter().collect(),
                bias: layout.pack(&constants.bias, program.log_slots),
            })
        };
        Self { program, linear: (0..program.values.len()).into_par_iter().map(linear).collect() }
    }

    /// Runs the program on preprocessed samples, each flattened in C order, with simulated errors of encryption if
    /// `noise` is given.
    ///
    /// # Errors
    /// [`Error::SampleLength`], [`Error::NotFinite`].
    ///
    /// # Panics
    /// If the noise does not name one standard deviation per value.
    pub fn run<S: AsRef<[f32]> + Sync>(
        &self,
        samples: &[S],
        noise: Option<Noise>,
    ) -> Result<Simulation, Error> {
        let values = &self.program.values;
        assert!(noise.is_none_or(|n| n.std.len() == values.len()), "one deviation per value");
        let runs: Vec<Outcome> = samples
            .par_iter()
            .enumerate()
            .map(|(index, sample)| self.run_one(index, sample.as_ref(), noise))
            .collect::<Result<_, Error>>()?;
        let count = |id: usize| runs.iter().map(|run| run.outside[id]).sum::<u64>() as f64;
        let checks = self.program.range_check_values();
        let share = |(id, value): (usize, &Value)| {
            let inputs = (value.layout.len * samples.len()).max(1) as f64;
            let approximates = matches!(value.op, Op::Polynomial { .. }) && !checks.contains(&id);
            approximates.then(|| (id as ValueId, count(id) / inputs))
        };
        let outside = values.iter().enumerate().filter_map(share).collect();
        let range_checks = runs.iter().filter_map(|run| run.range_check).collect();
        let outputs = runs.into_iter().map(|run| run.output).collect();
        Ok(Simulation { outputs, outside, range_checks })
    }

    fn run_one(
        &self,
        index: usize,
        sample: &[f32],
        noise: Option<Noise>,
    ) -> Result<Outcome, Error> {
        let input = &self.program.values[0];
        check_sample(index, sample, &self.program.input.shape, input.layout.len)?;
        let mut run = Run {
            clear: self,
            noise: noise.map(|n| (n.std, generator(n.seed, index))),
            outside: vec![0; self.program.values.len()],
        };
        let stored = sample.iter().map(|&v| input.normalization().store(f64::from(v)));
        let slots = input.layout.pack(&stored.collect::<Vec<_>>(), self.program.log_slots);
        let slots = slots.into_iter().map(|x| run.with_noise(0, x)).collect();
        let Ok(answer) = execute(self.program, &mut run, slots, &mut |_| {});
        let read = |value: &Value, slots: &[Vec<f64>]| {
            let stored = value.layout.unpack(slots, self.program.log_slots);
            stored.into_iter().map(|stored| value.normalization().read(stored)).collect()
        };
        let output: Vec<f64> = read(self.program.output_value(), &answer.output);
        let check = self.program.range_check_value().zip(answer.range_check);
        let check = check.map(|(value, slots)| -> Vec<f64> { read(value, &[slots]) });
        Ok(Outcome {
            output: output.into_iter().map(|x| x as f32).collect(),
            outside: run.outside,
            range_check: check.map(|sum| sum[0]),
        })
    }
}

/// Result for one sample.
struct Outcome {
    output: Vec<f32>,
    /// Number of inputs of each value that were outside the interval of its polynomial.
    outside: Vec<u64>,
    range_check: Option<f64>,
}

/// Random generator of one sample; errors of different samples are independent.
fn generator(seed: u64, sample: usize) -> ChaCha20Rng {
    let mut generator = ChaCha20Rng::seed_from_u64(seed);
    generator.set_stream(sample as u64);
    generator
}

/// State of the engine for one sample.
struct Run<'a> {
    clear: &'a Clear<'a>,
    noise: Option<(&'a [f64], ChaCha20Rng)>,
    /// Number of inputs of each value so far that were outside the interval of its polynomial.
    outside: Vec<u64>,
}

impl Run<'_> {
    fn with_noise(&mut self, id: ValueId, mut slots: Vec<f64>) -> Vec<f64> {
        if let Some((std, generator)) = &mut self.noise {
            let std = std[id as usize];
            slots.iter_mut().for_each(|slot| *slot += std * normal(generator));
        }
        slots
    }

    fn value(&self, id: ValueId) -> &Value {
        &self.clear.program.values[id as usize]
    }

    fn linear(&self, id: ValueId) -> &ClearLinear {
        self.clear.linear[id as usize].as_ref().expect("the value is linear")
    }
}

/// A ciphertext is a vector with one period of its slots. The period is that of the layout, and between
/// [`Engine::transform`] and [`Engine::add_bias`] the length of the diagonals.
impl Engine for Run<'_> {
    type Ciphertext = Vec<f64>;
    type Error = Infallible;

    fn drop_to_level(&mut self, x: Vec<f64>, _level: usize) -> Result<Vec<f64>, Infallible> {
        Ok(x)
    }

    fn transform(
        &mut self,
        id: ValueId,
        inputs: Vec<Vec<f64>>,
    ) -> Result<Vec<Vec<f64>>, Infallible> {
        let linear = self.linear(id);
        let length = linear.length;
        // Two repetitions of every input, so that each rotation is a contiguous part.
        let inputs: Vec<Vec<f64>> =
            inputs.iter().map(|x| x.iter().copied().cycle().take(2 * length).collect()).collect();
        let mut outputs = vec![vec![0.0; length]; linear.bias.len()];
        for (diagonal, values) in &linear.diagonals {
            let from = diagonal.rotation.rem_euclid(length as i32) as usize;
            let input = &inputs[diagonal.input as usize][from..][..length];
            let output = &mut outputs[diagonal.output as usize];
            for ((out, &weight), &x) in output.iter_mut().zip(values).zip(input) {
                *out += f64::from(weight) * x;
            }
        }
        Ok(outputs)
    }

    fn rotate(&mut self, x: &Vec<f64>, rotation: i32) -> Result<Vec<f64>, Infallible> {
        let mut rotated = x.clone();
        rotated.rotate_left(rotation.rem_euclid(x.len() as i32) as usize);
        Ok(rotated)
    }

    fn add(&mut self, mut a: Vec<f64>, b: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        Ok(a)
    }

    fn add_bias(
        &mut self,
        id: ValueId,
        index: usize,
        mut x: Vec<f64>,
    ) -> Result<Vec<f64>, Infallible> {
        let bias = &self.linear(id).bias[index];
        // Folding has made it repeat.
        x.truncate(bias.len());
        x.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
        Ok(self.with_noise(id, x))
    }

    fn polynomial(&mut self, id: ValueId, x: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        self.outside[id as usize] += x.iter().filter(|u| u.abs() > 1.0).count() as u64;
        let Op::Polynomial { coefficients, .. } = &self.value(id).op else {
            unreachable!("the value is a polynomial")
        };
        let result = x.iter().map(|&u| clenshaw(coefficients, u)).collect();
        Ok(self.with_noise(id, result))
    }

    fn bootstrap(&mut self, id: ValueId, x: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        Ok(self.with_noise(id, x.clone()))
    }

    fn product(&mut self, id: ValueId, a: &Vec<f64>, b: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        let result = a.iter().zip(b).map(|(a, b)| a * b).collect();
        Ok(self.with_noise(id, result))
    }
}

/// Value of a Chebyshev series at `u`, by Clenshaw's recurrence.
fn clenshaw(coefficients: &[f64], u: f64) -> f64 {
    let (mut b1, mut b2) = (0.0, 0.0);
    for &c in coefficients[1..].iter().rev() {
        (b1, b2) = (c + 2.0 * u * b1 - b2, b1);
    }
    coefficients[0] + u * b1 - b2
}

/// A standard normal number, by Box and Muller.
pub(crate) fn normal(generator: &mut impl Rng) -> f64 {
    // Above zero, at most one.
    let radius = ((generator.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let angle = (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
