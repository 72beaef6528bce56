//! Precision of bootstrapping: an analytic estimate, built on [`NoiseModel`].
//!
//! Errors are followed through the steps in the unit that each step works on:
//!
//! | step | unit | what adds to the error |
//! |---|---|---|
//! | SlotsToCoeffs | value | encoding of diagonals, key switches, rounding |
//! | switch to the ephemeral secret | value | its key, rounding with weight h |
//! | raising and switching back, trace | x = I + value/ratio | key switches relative to q0 |
//! | CoeffsToSlots | x/2K | as SlotsToCoeffs; rounding dominates |
//! | conjugation | x/K | a key switch |
//! | EvalMod | y = exp 2πix | every operation, amplified by what follows |
//! | conjugation | value | a key switch |
//!
//! The amplification of EvalMod depends a little on I, and what the sine loses on the value, so that the
//! error is a mixture of distributions. A squaring on the unit circle amplifies by 2, the second harmonic
//! by |4/3 − y/3| = 1 at y ≈ 1. Half of a complex error's square counts, that of the imaginary part.

use std::f64::consts::PI;

use num_complex::Complex64;

use super::estimate::{Component, ErrorEstimate};
use super::{BootstrappingPlan, EvalMod, Order, SlotData, StageStep, failure};
use crate::chebyshev::ChebyshevPlan;
use crate::noise::{GiantStep, NoiseModel, Signal};
use crate::op_counts::Hoisting;
use crate::security::ERROR_STD;
use crate::square;

/// Number of sample values at which errors of real data are estimated. All are positive: the error
/// at −v is that at v with the opposite sign.
const VALUES: usize = 16;

/// Probability per slot below which an integer I is neglected.
const NEGLIGIBLE: f64 = 1e-10;

impl BootstrappingPlan {
    /// Estimated error of one bootstrap. `mean_square` is that of the real parts (and imaginary
    /// parts) of the values: 1/3 for values uniform on \[−1, 1\].
    ///
    /// With SlotsToCoeffs first, the parts are taken as uniform on an interval around zero. In the
    /// conventional order, the error of the sine is bounded for any data of this mean square.
    pub fn error(&self, mean_square: f64) -> ErrorEstimate {
        self.error_with(&self.eval_mod().exponential(), mean_square)
    }

    /// [`BootstrappingPlan::error`], given the evaluation plan of EvalMod's polynomial, which is
    /// slow to compute.
    pub(super) fn error_with(&self, polynomial: &ChebyshevPlan, mean_square: f64) -> ErrorEstimate {
        let eval_mod = EvalModNoise::new(self, polynomial);
        let noise = NoiseModel::new(self.parameters(), self.slots());
        let per_value = square(self.ratio() / (2.0 * PI));
        let message = self.message_variance(mean_square);
        let raised = self.raised_errors().scaled(square(2.0 * PI) * per_value);
        let end = self.eval_mod_level() - self.eval_mod().depth();
        let conjugation = noise.key_switch(end, self.output_scale());
        let normal = message + raised.normal;
        let laplace = raised.laplace + conjugation;
        let parts = match self.data() {
            SlotData::Real => self.slots(),
            SlotData::Complex => 2 * self.slots(),
        };
        match self.order() {
            Order::SlotsToCoeffsFirst => {
                let largest = (3.0 * mean_square).sqrt();
                let at = |i: usize| largest * (i as f64 + 0.5) / VALUES as f64;
                let mut components = Vec::new();
                for (integer, weight) in self.integers() {
                    let laplace = laplace + eval_mod.variance(integer) * per_value;
                    components.extend((0..VALUES).map(|value| Component {
                        weight: weight / VALUES as f64,
                        value,
                        mean: eval_mod.bias(integer, at(value)),
                        normal,
                        laplace,
                    }));
                }
                ErrorEstimate { components, parts }
            }
            Order::Conventional => {
                let own = |(integer, weight)| {
                    let bias = eval_mod.bias(integer, 0.0);
                    weight * (eval_mod.variance(integer) * per_value + square(bias))
                };
                let own: f64 = self.integers().map(own).sum();
                // Of the absolute value.
                let mean_square = mean_square * (parts / self.slots()) as f64;
                let signal = Signal {
                    mean_square: mean_square / self.slots() as f64,
                    variance: normal + laplace + own,
                };
                let laplace = noise.rescale(self.output_scale());
                let normal = self.slots_to_coeffs_noise(signal).variance - laplace;
                // Σ|a|^k ≤ (Σ a²)^(k/2) for the coefficients a, k = 3 or 5.
                let power = if self.eval_mod().harmonics == 1 { 1.5 } else { 2.5 };
                let mean = self.eval_mod().distortion(self.ratio()) * libm::pow(mean_square, power);
                let components = vec![Component { weight: 1.0, value: 0, mean, normal, laplace }];
                ErrorEstimate { components, parts }
            }
        }
    }

    /// Error variance of a coefficient before the modulus is raised, in units of the value.
    fn message_variance(&self, mean_square: f64) -> f64 {
        let q0 = self.parameters().moduli()[0] as f64;
        let slots = self.transform_slots();
        let before = match self.order() {
            // Of twice the values, and of the sum of two halves.
            Order::SlotsToCoeffsFirst if self.halves_slots() => {
                let noise = |slots| NoiseModel::new(self.parameters(), slots);
                let variance =
                    noise(self.slots()).key_switch(self.input_level(), self.input_scale());
                let input = Signal { mean_square: 4.0 * mean_square, variance };
                let packing = noise(slots).key_switch(0, q0 / self.ratio());
                2.0 * self.slots_to_coeffs_noise(input).variance + packing
            }
            Order::SlotsToCoeffsFirst => {
                let input = Signal { mean_square: 2.0 * mean_square, variance: 0.0 };
                self.slots_to_coeffs_noise(input).variance
            }
            Order::Conventional => 0.0,
        } / slots as f64;
        let rounding = (1 + self.ephemeral_weight().get()) as f64 / 12.0;
        before + (self.encapsulation_key_variance() + rounding) * square(self.ratio() / q0)
    }

    /// The integers I that EvalMod removes, with their probabilities, without the negligible ones.
    fn integers(&self) -> impl Iterator<Item = (i64, f64)> {
        let (weight, largest) = (self.ephemeral_weight(), self.eval_mod().bound as i64);
        let with_probability = move |integer| (integer, failure::probability(weight, integer));
        let counts = |&(_, probability): &(i64, f64)| probability > NEGLIGIBLE;
        (-largest..=largest).map(with_probability).filter(counts)
    }

    /// Coefficient variance of a key switch to or from the ephemeral secret, without its rounding.
    fn encapsulation_key_variance(&self) -> f64 {
        let parameters = self.parameters();
        let p = parameters.special()[parameters.encapsulation_prime()];
        let ratio = parameters.moduli()[0] as f64 / p as f64;
        parameters.degree() as f64 * square(ERROR_STD) * square(ratio) / 12.0
    }

    /// Error variances of x between CoeffsToSlots and EvalMod.
    fn raised_errors(&self) -> RaisedErrors {
        let parameters = self.parameters();
        let q0 = parameters.moduli()[0] as f64;
        let slots = self.transform_slots();
        let noise = NoiseModel::new(parameters, slots);
        let back = slots as f64 * self.encapsulation_key_variance() / square(q0);
        let back = back + noise.rescale(q0);
        let rotation = noise.key_switch(parameters.max_level(), q0);
        // Each rotation of the trace doubles what is there.
        let trace = parameters.max_slots() / slots;
        let variance = (0..trace.trailing_zeros()).fold(back, |sum, _| 4.0 * sum + rotation);
        let coefficients = (2 * slots) as f64 * failure::variance(self.ephemeral_weight());
        let raised = Signal { mean_square: coefficients * square(trace as f64), variance };
        let steps = self.coeffs_to_slots();
        let bound = self.eval_mod().bound;
        let constant = libm::pow((2.0 * bound * trace as f64).recip(), 1.0 / steps.len() as f64);
        let entry = |step: &StageStep| constant / f64::from(1u32 << step.stage.radix);
        let halves =
            steps.iter().fold(raised, |signal, step| self.stage_noise(signal, step, entry(step)));
        let noise = NoiseModel::new(parameters, self.slots());
        let laplace = noise.rescale(self.eval_mod_scale());
        let normal = halves.variance - laplace;
        RaisedErrors { normal, laplace }.scaled(square(2.0 * bound))
    }

    fn slots_to_coeffs_noise(&self, input: Signal) -> Signal {
        let steps = self.slots_to_coeffs();
        let entry = libm::pow(self.slots_to_coeffs_constant(), 1.0 / steps.len() as f64);
        steps.iter().fold(input, |signal, step| self.stage_noise(signal, step, entry))
    }

    /// Mean square and error variance of the output of a stage whose entries have the modulus
    /// `entry`.
    fn stage_noise(&self, input: Signal, step: &StageStep, entry: f64) -> Signal {
        let StageStep { stage, period, level, input_scale, output_scale } = *step;
        let noise =
            NoiseModel::new(self.parameters(), self.slots()).with_complex_plaintexts(period);
        let mut terms: Vec<(i64, i64)> = stage.terms(stage.baby_steps()).collect();
        terms.sort_unstable();
        let giant_steps: Vec<GiantStep> = terms
            .chunk_by(|a, b| a.0 == b.0)
            .map(|terms| GiantStep {
                rotated: terms[0].0 != 0,
                terms: terms
                    .iter()
                    .map(|&(giant, baby)| (baby != 0, entry * entry * stage.density(giant + baby)))
                    .collect(),
            })
            .collect();
        Signal {
            mean_square: input.mean_square * entry * entry * f64::from(1u32 << stage.radix),
            variance: noise.linear_transform(
                input,
                level,
                input_scale,
                output_scale,
                Hoisting::Double,
                &giant_steps,
            ),
        }
    }
}

/// Variances of the errors that later stages have mixed, and of the last rounding.
struct RaisedErrors {
    normal: f64,
    laplace: f64,
}

impl RaisedErrors {
    fn scaled(self, factor: f64) -> Self {
        Self { normal: self.normal * factor, laplace: self.laplace * factor }
    }
}

/// Error estimates within EvalMod.
struct EvalModNoise<'a> {
    plan: &'a BootstrappingPlan,
    noise: NoiseModel<'a>,
    polynomial: &'a ChebyshevPlan,
    /// Scale of the polynomial's value, then of each product that follows.
    scales: Vec<f64>,
}

impl<'a> EvalModNoise<'a> {
    fn new(plan: &'a BootstrappingPlan, polynomial: &'a ChebyshevPlan) -> Self {
        let noise = NoiseModel::new(plan.parameters(), plan.slots());
        Self { plan, noise, polynomial, scales: plan.eval_mod_scales(plan.ratio()) }
    }

    /// Variance of the error of Im y caused by the conjugation and by EvalMod.
    fn variance(&self, integer: i64) -> f64 {
        let EvalMod { bound, squarings, .. } = *self.plan.eval_mod();
        let (level, scale) = (self.plan.eval_mod_level(), self.plan.eval_mod_scale());
        let polynomial = self.noise.chebyshev(
            self.polynomial,
            level,
            scale,
            self.noise.key_switch(level, scale),
            self.scales[0],
            &[Complex64::new(0.0, integer as f64 / bound)],
        );
        let level = level - self.polynomial.depth() as usize;
        let amplification =
            |squared: u32| libm::exp2(f64::from(2 * squarings.saturating_sub(squared)));
        let products = self.scales.windows(2).zip(0..).map(|(scales, i)| {
            let level = level - i as usize;
            let scale = scales[1] * self.plan.parameters().moduli()[level] as f64;
            self.noise.relinearize_rescale(level, scale) * amplification(i + 1)
        });
        polynomial * amplification(0) + products.sum::<f64>()
    }

    /// Systematic error of a value: that of the polynomial and that of the sine.
    fn bias(&self, integer: i64, value: f64) -> f64 {
        let (eval_mod, ratio) = (self.plan.eval_mod(), self.plan.ratio());
        let x = integer as f64 + value / ratio;
        let u = Complex64::new(0.0, x / eval_mod.bound);
        let sine = eval_mod.sine(self.polynomial.evaluate_complex(u));
        sine * ratio / (2.0 * PI) - value
    }
}
