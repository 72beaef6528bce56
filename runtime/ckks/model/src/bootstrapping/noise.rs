//! How precise bootstrapping is: an analytic estimate, built on [`NoiseModel`].
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
//! | EvalMod | y = sin 2πx | every operation, amplified by what follows |
//!
//! The amplification depends on I, which differs from slot to slot: with y_k the value before the last
//! r − k doublings and θ = 2π(I − 1/4)/2^r, dy/dy_k = ±2^(r − k)/sin(2^k·θ). So the error is a mixture
//! of distributions by the I, and by the value, whose cube over ratio² is lost.

use std::f64::consts::PI;

use super::estimate::{Component, ErrorEstimate};
use super::{BootstrappingPlan, EvalMod, SPARSE_WEIGHT, SlotData, StageStep, failure};
use crate::chebyshev::ChebyshevPlan;
use crate::noise::{GiantStep, NoiseModel, Signal};
use crate::security::ERROR_STD;

/// Values at which errors of real data are estimated: above zero, where they are those below with
/// the other sign.
const VALUES: usize = 16;

/// Integers that are less likely than this in a slot are left out.
const NEGLIGIBLE: f64 = 1e-12;

impl BootstrappingPlan {
    /// Estimates the error that bootstrapping adds to values of a mean square (1/3 if they fill
    /// \[−1, 1\]), uniform on an interval around zero if they are real. What complex data lose to the
    /// cube is bounded for any data whose parts have this mean square.
    pub fn error(&self, mean_square: f64) -> ErrorEstimate {
        self.error_with(&self.eval_mod().chebyshev_plan(), mean_square)
    }

    /// [`BootstrappingPlan::error`], given the plan of EvalMod's polynomial, which takes long to make.
    pub(super) fn error_with(&self, polynomial: &ChebyshevPlan, mean_square: f64) -> ErrorEstimate {
        let eval_mod = EvalModNoise::new(self, polynomial);
        let per_value = (self.ratio() / (2.0 * PI)).powi(2);
        let message = self.message_variance(mean_square);
        let raised = self.raised_errors().scaled((2.0 * PI).powi(2) * per_value);
        match self.data() {
            SlotData::Real => {
                let largest = (3.0 * mean_square).sqrt();
                let value = |i: usize| largest * (i as f64 + 0.5) / VALUES as f64;
                let component = |(integer, weight)| {
                    let normal = message + raised.normal;
                    let laplace = raised.laplace + eval_mod.variance(integer) * per_value;
                    (0..VALUES)
                        .map(value)
                        .map(move |value| (integer, weight, value, normal, laplace))
                };
                let components = integers(self.eval_mod()).flat_map(component);
                let components =
                    components.map(|(integer, weight, value, normal, laplace)| Component {
                        weight: weight / VALUES as f64,
                        mean: eval_mod.bias(integer, value),
                        normal,
                        laplace,
                    });
                ErrorEstimate { components: components.collect(), parts: self.slots() }
            }
            SlotData::Complex => {
                // The errors of EvalMod are complex in both of its ciphertexts.
                let own = |(integer, weight)| {
                    let bias = eval_mod.bias(integer, 0.0);
                    weight * (2.0 * eval_mod.variance(integer) * per_value + bias.powi(2))
                };
                let own: f64 = integers(self.eval_mod()).map(own).sum();
                let signal = Signal {
                    mean_square: 2.0 * mean_square / self.slots() as f64,
                    variance: message + raised.normal + raised.laplace + own,
                };
                let laplace =
                    NoiseModel::new(self.parameters(), self.slots()).rescale(self.scale());
                let normal = self.slots_to_coeffs_noise(signal).variance - laplace;
                // Σ|a|³ ≤ (Σ a²)^(3/2) for the coefficients a.
                let mean = (2.0 * PI / self.ratio()).powi(2) / 6.0 * (2.0 * mean_square).powf(1.5);
                let components = vec![Component { weight: 1.0, mean, normal, laplace }];
                ErrorEstimate { components, parts: 2 * self.slots() }
            }
        }
    }

    /// Variance of a coefficient's error before the modulus is raised.
    fn message_variance(&self, mean_square: f64) -> f64 {
        let before = match self.data() {
            SlotData::Real => {
                let input = Signal { mean_square, variance: 0.0 };
                self.slots_to_coeffs_noise(input).variance / self.slots() as f64
            }
            SlotData::Complex => 0.0,
        };
        let q0 = self.parameters().moduli()[0] as f64;
        let rounding = (1 + SPARSE_WEIGHT) as f64 / 12.0;
        before + (self.encapsulation_key_variance() + rounding) * (self.ratio() / q0).powi(2)
    }

    /// Coefficient variance of a switch to or from the ephemeral secret, without its rounding.
    fn encapsulation_key_variance(&self) -> f64 {
        let parameters = self.parameters();
        let p = parameters.special()[parameters.encapsulation_prime()];
        let ratio = parameters.moduli()[0] as f64 / p as f64;
        parameters.degree() as f64 * ERROR_STD.powi(2) * ratio.powi(2) / 12.0
    }

    /// Errors of x between CoeffsToSlots and EvalMod.
    fn raised_errors(&self) -> RaisedErrors {
        let parameters = self.parameters();
        let q0 = parameters.moduli()[0] as f64;
        let noise = NoiseModel::new(parameters, self.slots());
        let back = self.slots() as f64 * self.encapsulation_key_variance() / q0.powi(2);
        let back = back + noise.rescale(q0);
        let rotation = noise.key_switch(parameters.max_level(), q0);
        // Each rotation of the trace doubles what is there.
        let trace = parameters.max_slots() / self.slots();
        let variance = (0..trace.trailing_zeros()).fold(back, |sum, _| 4.0 * sum + rotation);
        let coefficients = (2 * self.slots()) as f64 * failure::variance();
        let raised = Signal { mean_square: coefficients * (trace as f64).powi(2), variance };
        let steps = self.coeffs_to_slots();
        let bound = self.eval_mod().bound;
        let constant = (2.0 * bound * trace as f64).recip().powf(1.0 / steps.len() as f64);
        let entry = |step: &StageStep| constant / f64::from(1u32 << step.stage.radix);
        let halves =
            steps.iter().fold(raised, |signal, step| self.stage_noise(signal, step, entry(step)));
        let laplace = noise.rescale(self.eval_mod_scale());
        let normal = halves.variance - laplace;
        RaisedErrors { normal, laplace }.scaled((2.0 * bound).powi(2))
    }

    fn slots_to_coeffs_noise(&self, input: Signal) -> Signal {
        let steps = self.slots_to_coeffs();
        steps.iter().fold(input, |signal, step| self.stage_noise(signal, step, 1.0))
    }

    /// The output of a stage with entries of the given modulus.
    fn stage_noise(&self, input: Signal, step: &StageStep, entry: f64) -> Signal {
        let StageStep { stage, level, input_scale, output_scale } = *step;
        let noise = NoiseModel::new(self.parameters(), self.slots())
            .with_complex_plaintexts(stage.period());
        let mut terms: Vec<(i64, i64)> = stage.terms(stage.babies()).collect();
        terms.sort_unstable();
        let giants: Vec<GiantStep> = terms
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
            variance: noise.linear_transform(input, level, input_scale, output_scale, &giants),
        }
    }
}

/// Variances of errors that later stages have mixed, and of the last rounding.
struct RaisedErrors {
    normal: f64,
    laplace: f64,
}

impl RaisedErrors {
    fn scaled(self, factor: f64) -> Self {
        Self { normal: self.normal * factor, laplace: self.laplace * factor }
    }
}

/// The integers that EvalMod removes, with their probabilities.
fn integers(eval_mod: &EvalMod) -> impl Iterator<Item = (i64, f64)> {
    let largest = eval_mod.bound as i64;
    let with_weight = |integer| (integer, failure::probability(integer));
    (-largest..=largest).map(with_weight).filter(|&(_, weight)| weight > NEGLIGIBLE)
}

/// Estimates for EvalMod.
struct EvalModNoise<'a> {
    plan: &'a BootstrappingPlan,
    noise: NoiseModel<'a>,
    polynomial: &'a ChebyshevPlan,
    /// Scale of the polynomial's value, then of each doubling's.
    scales: Vec<f64>,
}

impl<'a> EvalModNoise<'a> {
    fn new(plan: &'a BootstrappingPlan, polynomial: &'a ChebyshevPlan) -> Self {
        let noise = NoiseModel::new(plan.parameters(), plan.slots());
        Self { plan, noise, polynomial, scales: plan.eval_mod_scales() }
    }

    /// Variance of the error of y that conjugation and EvalMod cause.
    fn variance(&self, integer: i64) -> f64 {
        let EvalMod { bound, doublings, .. } = *self.plan.eval_mod();
        let (level, scale) = (self.plan.eval_mod_level(), self.plan.eval_mod_scale());
        let amplification = |doubled: u32| {
            let left = f64::from(1u32 << (doublings - doubled));
            let sine = (2.0 * PI * (integer as f64 - 0.25) / left).sin();
            (left / sine).powi(2)
        };
        let polynomial = self.noise.chebyshev(
            self.polynomial,
            level,
            scale,
            self.noise.key_switch(level, scale),
            self.scales[0],
            &[integer as f64 / bound],
        );
        let level = level - self.polynomial.depth() as usize;
        let doubling = |(k, scale): (usize, &f64)| {
            let own = self.noise.relinearize_rescale(level - k, scale * scale);
            own * amplification(k as u32 + 1)
        };
        polynomial * amplification(0)
            + self.scales.iter().take(doublings as usize).enumerate().map(doubling).sum::<f64>()
    }

    /// The error of a value without noise: that of the polynomial, and of the sine.
    fn bias(&self, integer: i64, value: f64) -> f64 {
        let (eval_mod, ratio) = (self.plan.eval_mod(), self.plan.ratio());
        let x = integer as f64 + value / ratio;
        let y = eval_mod.double(self.polynomial.evaluate(x / eval_mod.bound));
        y * ratio / (2.0 * PI) - value
    }
}
