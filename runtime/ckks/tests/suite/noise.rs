//! Measured noise against the estimates of the model.
//!
//! Standard deviations are compared, so a factor of 1.15 is a third of the variance.

use std::ops::RangeInclusive;

use crate::common::*;
use pic_ckks::model::noise::{GiantStep, NoiseModel, Signal};
use pic_ckks::model::{ChebyshevPlan, Parameters, SecurityLevel};
use pic_ckks::{
    Ciphertext, ComplexPart, Hoisting, LinearTransform, PublicKey, Term, TransformShape,
};

const AGREEMENT: RangeInclusive<f64> = 0.87..=1.15;

/// Few slots give few samples of the error in one run.
const SLOTS: [usize; 2] = [2048, 256];
const RUNS: usize = 8;

struct Bench {
    s: Setup,
    parameters: Parameters,
    slots: usize,
}

/// Chains of several digit counts; in the last, digits are as large as P, so that key switching
/// noise is not hidden by rounding.
fn benches(rotations: &[i64]) -> Vec<Bench> {
    let mut benches = Vec::new();
    for (digits, special) in [(7, vec![49.0]), (3, vec![49.0; 3]), (4, vec![40.0; 2])] {
        let moduli = vec![40.0; 7];
        let parameters =
            Parameters::from_bits(12, &moduli, &special, digits, SecurityLevel::Insecure).unwrap();
        for slots in SLOTS {
            let s = setup(parameters.clone(), 11, &request(6, rotations));
            benches.push(Bench { s, parameters: parameters.clone(), slots });
        }
    }
    benches
}

impl Bench {
    fn noise(&self) -> NoiseModel<'_> {
        NoiseModel::new(&self.parameters, self.slots)
    }

    /// An encryption that is exact but for its fresh error.
    fn input(&mut self) -> (Vec<f64>, Ciphertext, Signal) {
        let values = self.s.random_real(self.slots);
        let encrypted = self.s.encrypt_real(&values);
        let mean_square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        (values, encrypted, Signal { mean_square, variance: self.noise().fresh_secret(SCALE) })
    }

    /// Runs an experiment that gives a ciphertext, what it should hold, and its estimated variance.
    fn compare(
        &mut self,
        what: &str,
        mut experiment: impl FnMut(&mut Self) -> (Ciphertext, Vec<f64>, f64),
    ) {
        let (mut measured, mut estimated) = (0.0, 0.0);
        // Few slots give few samples of the error in one run.
        for _ in 0..RUNS * SLOTS[0] / self.slots {
            let (result, expected, variance) = experiment(self);
            let decrypted = self.s.decrypt(&result);
            let errors = decrypted.iter().zip(&expected).map(|(d, e)| (d.re - e).powi(2));
            measured += errors.sum::<f64>() / self.slots as f64;
            estimated += variance;
        }
        let ratio = (measured / estimated).sqrt();
        let Self { parameters, slots, .. } = self;
        assert!(AGREEMENT.contains(&ratio), "{what}, {slots} slots, {parameters}: {ratio:.3}");
    }
}

#[test]
fn fresh_encryptions() {
    for mut bench in benches(&[]) {
        bench.compare("secret key", |b| {
            let (values, x, signal) = b.input();
            (x, values, signal.variance)
        });
        bench.compare("public key", |b| {
            let values = b.s.random_real(b.slots);
            let public = PublicKey::generate(&b.s.secret, &mut b.s.rng);
            let plaintext = b.s.context.encode(&values, SCALE, 6).unwrap();
            let x = public.encrypt(&plaintext, &mut b.s.rng).unwrap();
            (x, values, b.noise().fresh_public(SCALE))
        });
    }
}

#[test]
fn products_and_rescaling() {
    for mut bench in benches(&[]) {
        let q = bench.parameters.moduli()[6] as f64;
        bench.compare("scalar product with rescaling", |b| {
            let (values, x, signal) = b.input();
            // At this scale, the rounding of the rescaling dominates.
            let scaled = b.s.evaluator.multiply_scalar(&x, 0.01, q).unwrap();
            let result = b.s.evaluator.rescale(scaled).unwrap();
            let variance = 1e-4 * signal.variance + b.noise().rescale(result.scale());
            (result, values.iter().map(|v| 0.01 * v).collect(), variance)
        });
        // Coarse, medium and fine plaintexts, so that the rounding of either operand dominates.
        for log_scale in [30, 37, 45] {
            let scale = 2f64.powi(log_scale);
            bench.compare("plaintext product", |b| {
                let (values, x, signal) = b.input();
                let factors = b.s.random_real(b.slots);
                let plaintext = b.s.context.encode(&factors, scale, 6).unwrap();
                let result = b.s.evaluator.multiply_plain(&x, &plaintext).unwrap();
                let expected = values.iter().zip(&factors).map(|(v, f)| v * f).collect();
                let mean_square = factors.iter().map(|f| f * f).sum::<f64>() / b.slots as f64;
                (result, expected, b.noise().plain_product(signal, mean_square, scale))
            });
        }
        bench.compare("product", |b| {
            let ((v, x, p), (w, y, q)) = (b.input(), b.input());
            let result = b.s.evaluator.multiply_rescale(&x, &y).unwrap();
            let expected = v.iter().zip(&w).map(|(v, w)| v * w).collect();
            (result, expected, b.noise().product_rescaled(p, q, 6, SCALE * SCALE))
        });
        bench.compare("square", |b| {
            let (values, x, signal) = b.input();
            let result = b.s.evaluator.multiply_rescale(&x, &x).unwrap();
            let variance = b.noise().square_rescaled(signal, 6, SCALE * SCALE);
            (result, values.iter().map(|v| v * v).collect(), variance)
        });
    }
}

#[test]
fn rotations() {
    for mut bench in benches(&[3]) {
        for level in [6, 3, 0] {
            bench.compare("rotation", |b| {
                let (values, mut x, signal) = b.input();
                x.drop_to_level(level).unwrap();
                let result = b.s.evaluator.rotate(&x, 3).unwrap();
                let expected = (0..b.slots).map(|j| values[(j + 3) % b.slots]).collect();
                (result, expected, signal.variance + b.noise().key_switch(level, SCALE))
            });
        }
    }
}

#[test]
fn linear_transforms() {
    let hoistings = [Hoisting::Single, Hoisting::Double];
    for (mut bench, hoisting) in
        hoistings.into_iter().flat_map(|h| benches(&[1, 2, 4]).into_iter().map(move |b| (b, h)))
    {
        bench.compare(&format!("linear transform, {hoisting:?}"), |b| {
            let (values, x, signal) = b.input();
            let shape = TransformShape {
                inputs: 1,
                outputs: 1,
                slots: b.slots,
                level: 6,
                input_scale: SCALE,
                output_scale: 0.9 * SCALE,
                hoisting,
                part: ComplexPart::Whole,
            };
            // One giant step follows the other.
            let shifts = [(0i64, 0i64), (0, 1), (4, 0), (4, 2), (8, 1)];
            let diagonals: Vec<Vec<f64>> =
                shifts.iter().map(|_| b.s.random_real(b.slots)).collect();
            let terms = shifts.iter().zip(&diagonals).map(|(&(giant, baby), diagonal)| {
                (Term { output: 0, input: 0, giant, baby }, diagonal.clone())
            });
            let transform = LinearTransform::new(&b.s.context, shape, terms, usize::MAX).unwrap();
            let result = b.s.evaluator.linear_transform(&[x], &transform).unwrap().remove(0);
            let at = |j: usize, shift: i64| (j + shift as usize) % b.slots;
            let expected = (0..b.slots)
                .map(|j| {
                    let term = |(&(giant, baby), diagonal): (&(i64, i64), &Vec<f64>)| {
                        diagonal[at(j, giant)] * values[at(j, giant + baby)]
                    };
                    shifts.iter().zip(&diagonals).map(term).sum()
                })
                .collect();
            let mean_square = |d: &Vec<f64>| d.iter().map(|v| v * v).sum::<f64>() / d.len() as f64;
            let step = |range: std::ops::Range<usize>| GiantStep {
                rotated: shifts[range.start].0 != 0,
                terms: range.map(|i| (shifts[i].1 != 0, mean_square(&diagonals[i]))).collect(),
            };
            let steps = [step(0..2), step(2..4), step(4..5)];
            let variance =
                b.noise().linear_transform(signal, 6, SCALE, shape.output_scale, hoisting, &steps);
            (result, expected, variance)
        });
    }
}

#[test]
fn polynomials() {
    let relu_like = {
        let mut c = vec![0.0; 15];
        (0..15).step_by(2).for_each(|i| c[i] = 0.4 / (1.0 + i as f64));
        c[1] = 0.5;
        c
    };
    let absorbed = [&relu_like[..], &[0.0, 0.02]].concat();
    let dense: Vec<f64> = (0..28).map(|i| 0.3 * f64::from(i * 7 % 11 - 5) / 5.0).collect();
    for coefficients in [vec![0.3, 0.5], vec![0.1, 0.0, 0.5], relu_like, absorbed, dense] {
        let plan = ChebyshevPlan::absorbing(&coefficients).unwrap();
        for mut bench in benches(&[]) {
            bench.compare(&format!("degree {}", plan.degree()), |b| {
                let (values, x, signal) = b.input();
                let moduli = b.parameters.moduli();
                let scale = plan.output_scale(SCALE, 6, moduli).unwrap_or(SCALE);
                let result = b.s.evaluator.evaluate_chebyshev(&x, &plan, scale).unwrap();
                let expected = values.iter().map(|&v| plan.evaluate(v)).collect();
                let variance =
                    b.noise().chebyshev(&plan, 6, SCALE, signal.variance, scale, &values);
                (result, expected, variance)
            });
        }
    }
}
