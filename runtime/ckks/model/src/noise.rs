//! Analytic estimates of the noise of CKKS operations.
//!
//! Every function returns a *variance*: that of the real part (equally, of the imaginary part) of
//! the error of one slot, in units of the value. Divide a signal's mean square by it for a
//! signal-to-noise ratio; half its negative log2 is a precision in bits. Errors are taken as
//! independent and zero on average, messages by their mean square over the slots. The rounding of
//! scalar constants, at most half a unit at the scale of a prime, is neglected.
//!
//! A polynomial error with coefficient variance v (integer units) at scale Δ gives an n-slot vector
//! the slot variance `n·v/Δ²`: each slot is a sum of 2n coefficients times roots of unity, half of
//! whose squared size is real, and decoding ignores the other coefficients. With h = 2N/3, the
//! expected squared norm of a ternary secret, and σ = 3.2:
//!
//! | source | coefficient variance |
//! |---|---|
//! | encoding real values | 1/6 |
//! | encoding complex values | 1/12 |
//! | encryption, secret key | σ² |
//! | encryption, public key | σ²·(1 + 2h) |
//! | division of (c0, c1) by a prime or by P, rounded | (1 + h)/12 |
//! | key switching before that division | N·σ²·Σ_j D_j² / (12·P²), D_j the digits' products |
//!
//! The coefficients of real values come in pairs ±a, which round alike: their error is all in the
//! real part, and twice as large there. The estimates are for real values, but for plaintexts where
//! [`NoiseModel::with_complex_plaintexts`] says otherwise.
//!
//! (After Costache, Curtis, Hales, Murphy, Ogilvie and Player, "On the precision loss in approximate
//! homomorphic encryption", 2023, adapted to centered digits.)

use num_complex::Complex64;

use crate::chebyshev::{ChebyshevPlan, Node, Power, power_depth};
use crate::op_counts::Hoisting;
use crate::security::ERROR_STD;
use crate::{Parameters, square};

/// Coefficient variance of rounding when real values are encoded, all of it in the real part.
const ENCODING: f64 = 1.0 / 6.0;

/// Noise estimates for ciphertexts with a given number of slots under given parameters.
#[derive(Debug, Clone, Copy)]
pub struct NoiseModel<'a> {
    parameters: &'a Parameters,
    slots: usize,
    /// Slot variance of rounding a plaintext at scale one.
    encoding: f64,
}

/// A vector of slots: the size of its values and of their error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// Mean of the squared absolute values.
    pub mean_square: f64,
    /// Variance of the error of the real part of a slot.
    pub variance: f64,
}

/// One inner sum of a linear transform, for [`NoiseModel::linear_transform`].
#[derive(Debug, Clone, PartialEq)]
pub struct GiantStep {
    /// True if the inner sum is rotated (a nonzero giant step).
    pub rotated: bool,
    /// For each diagonal: true if its input is rotated (a nonzero baby step), and the mean square
    /// of the diagonal's values.
    pub terms: Vec<(bool, f64)>,
}

impl<'a> NoiseModel<'a> {
    /// Estimates for ciphertexts with `slots` slots and real plaintexts.
    pub fn new(parameters: &'a Parameters, slots: usize) -> Self {
        Self { parameters, slots, encoding: slots as f64 * ENCODING }
    }

    /// Estimates for plaintexts that hold complex values and repeat with a period: all but
    /// 2·`period` of their coefficients are zero and have no rounding error.
    pub fn with_complex_plaintexts(self, period: usize) -> Self {
        Self { encoding: period as f64 / 12.0, ..self }
    }

    /// Variance of rounding a plaintext to integers at a scale.
    pub fn encoding(&self, scale: f64) -> f64 {
        self.encoding / square(scale)
    }

    /// Variance of a fresh secret-key encryption at a scale, rounding of the plaintext included.
    pub fn fresh_secret(&self, scale: f64) -> f64 {
        self.encoding(scale) + self.in_slots(square(ERROR_STD), scale)
    }

    /// Variance of a fresh public-key encryption at a scale, rounding of the plaintext included.
    pub fn fresh_public(&self, scale: f64) -> f64 {
        let error = square(ERROR_STD) * (1.0 + 2.0 * self.secret_norm());
        self.encoding(scale) + self.in_slots(error, scale)
    }

    /// Variance that a rescaling adds; `scale` is that of its result. The earlier error, in units
    /// of the value, is unchanged.
    pub fn rescale(&self, scale: f64) -> f64 {
        self.in_slots(self.rounding(), scale)
    }

    /// Variance that a key switch (rotation, conjugation, relinearisation) adds at a level and
    /// scale.
    pub fn key_switch(&self, level: usize, scale: f64) -> f64 {
        self.in_slots(self.inner_key_switch(level) + self.rounding(), scale)
    }

    /// Variance of the error of a product with a plaintext encoded at `plain_scale`, not rescaled.
    pub fn plain_product(&self, a: Signal, plain_mean_square: f64, plain_scale: f64) -> f64 {
        plain_mean_square * a.variance + a.mean_square * self.encoding(plain_scale)
    }

    /// Variance of the error of a product of two different ciphertexts of a level, relinearised and
    /// rescaled in one step. `scale` is the product of their scales.
    pub fn product_rescaled(&self, a: Signal, b: Signal, level: usize, scale: f64) -> f64 {
        a.mean_square * b.variance
            + b.mean_square * a.variance
            + 2.0 * a.variance * b.variance
            + self.relinearize_rescale(level, scale)
    }

    /// Variance of the error of a square, relinearised and rescaled in one step. The errors of both
    /// factors are equal and add up in amplitude. `scale` is the squared scale of `a`.
    pub fn square_rescaled(&self, a: Signal, level: usize, scale: f64) -> f64 {
        4.0 * a.mean_square * a.variance + self.relinearize_rescale(level, scale)
    }

    /// Variance of the error of one output of a linear transform at a level, for inputs at
    /// `input_scale` and an output at `output_scale`.
    pub fn linear_transform(
        &self,
        input: Signal,
        level: usize,
        input_scale: f64,
        output_scale: f64,
        hoisting: Hoisting,
        steps: &[GiantStep],
    ) -> f64 {
        let q = self.prime(level);
        let (plain_scale, inner_scale) = (q * output_scale / input_scale, q * output_scale);
        let inner = self.inner_key_switch(level);
        let baby = match hoisting {
            Hoisting::Single => inner + self.rounding(),
            Hoisting::Double => inner,
        };
        // Only the half that meets the secret is divided before a giant step, and not even that before the
        // first one with single hoisting, which is neglected. Later steps leave an error as large as it is.
        let giant = inner + self.secret_norm() / 12.0;
        let (baby, giant) = (self.in_slots(baby, input_scale), self.in_slots(giant, inner_scale));
        let step = |step: &GiantStep| {
            let term = |&(rotated, mean_square): &(bool, f64)| {
                let variance = input.variance + if rotated { baby } else { 0.0 };
                self.plain_product(Signal { variance, ..input }, mean_square, plain_scale)
            };
            step.terms.iter().map(term).sum::<f64>() + if step.rotated { giant } else { 0.0 }
        };
        steps.iter().map(step).sum::<f64>() + self.rescale(output_scale)
    }

    /// Variance of the error of a polynomial evaluated by a plan on an input at a level and scale
    /// with the given error variance, averaged over the input values `samples`.
    ///
    /// Errors are propagated to first order: each operation's own error, and that of the input, is
    /// multiplied by the derivative of the result with respect to the value it sits on, found by
    /// running the plan backwards. For the input that derivative is p'. Samples are real, or
    /// imaginary for plans in that basis.
    pub fn chebyshev(
        &self,
        plan: &ChebyshevPlan,
        level: usize,
        input_scale: f64,
        input_variance: f64,
        target_scale: f64,
        samples: &[impl Copy + Into<Complex64>],
    ) -> f64 {
        let mut scales = vec![input_scale; plan.degree() + 2];
        for &Power { index, a, b, .. } in plan.powers() {
            let q = self.prime(level + 1 - power_depth(index) as usize);
            scales[index as usize] = scales[a as usize] * scales[b as usize] / q;
        }
        let backwards = Backwards { noise: self, level, scales, plan };
        let total: f64 = samples
            .iter()
            .map(|&x| backwards.variance(x.into(), input_variance, target_scale))
            .sum();
        total / samples.len() as f64
    }

    /// Variance that relinearising and rescaling a product in one step adds; `scale` is that of the
    /// product.
    pub fn relinearize_rescale(&self, level: usize, scale: f64) -> f64 {
        self.in_slots(self.inner_key_switch(level), scale) + self.rescale(scale / self.prime(level))
    }

    /// Coefficient variance of Σ d_j·e_j / P over the digits d_j and key errors e_j.
    fn inner_key_switch(&self, level: usize) -> f64 {
        let moduli = self.parameters.moduli();
        let log_product =
            |primes: &[u64]| primes.iter().map(|&q| libm::log2(q as f64)).sum::<f64>();
        let log_p = log_product(self.parameters.special());
        let digits = self.parameters.digit_ranges(level);
        let ratios = digits.map(|range| libm::exp2(2.0 * (log_product(&moduli[range]) - log_p)));
        self.parameters.degree() as f64 * square(ERROR_STD) * ratios.sum::<f64>() / 12.0
    }

    /// Coefficient variance of rounding both halves of a ciphertext, seen through decryption.
    fn rounding(&self) -> f64 {
        (1.0 + self.secret_norm()) / 12.0
    }

    /// Expected squared norm 2N/3 of a ternary secret.
    fn secret_norm(&self) -> f64 {
        self.parameters.degree() as f64 * 2.0 / 3.0
    }

    fn in_slots(&self, coefficient_variance: f64, scale: f64) -> f64 {
        self.slots as f64 * coefficient_variance / square(scale)
    }

    fn prime(&self, level: usize) -> f64 {
        self.parameters.moduli()[level] as f64
    }
}

/// Reverse-mode differentiation of an evaluation plan.
struct Backwards<'a> {
    noise: &'a NoiseModel<'a>,
    plan: &'a ChebyshevPlan,
    /// Level of the input.
    level: usize,
    /// Scales of the powers, by index.
    scales: Vec<f64>,
}

impl Backwards<'_> {
    fn variance(&self, x: Complex64, input_variance: f64, target_scale: f64) -> f64 {
        let values = self.plan.power_values(x);
        let mut derivatives = vec![Complex64::ZERO; values.len()];
        let (root, depth) = (self.plan.root(), self.plan.depth() as usize);
        let mut total =
            self.node(root, Complex64::ONE, depth, target_scale, &values, &mut derivatives);
        for &Power { index, a, b, rest } in self.plan.powers().iter().rev() {
            let derivative = derivatives[index as usize];
            let level = self.level + 1 - power_depth(index) as usize;
            let scale = self.scales[a as usize] * self.scales[b as usize];
            total += derivative.norm_sqr() * self.noise.relinearize_rescale(level, scale);
            derivatives[a as usize] += 2.0 * derivative * values[b as usize];
            derivatives[b as usize] += 2.0 * derivative * values[a as usize];
            derivatives[(a - b) as usize] += rest * derivative;
        }
        total + derivatives[1].norm_sqr() * input_variance
    }

    /// Adds the noise contribution of a node with the given derivative and of the quotients below
    /// it, and accumulates the derivatives with respect to the powers.
    fn node(
        &self,
        node: &Node,
        derivative: Complex64,
        consumed: usize,
        scale: f64,
        values: &[Complex64],
        derivatives: &mut [Complex64],
    ) -> f64 {
        for &(i, coefficient) in node.linear.iter().chain(&node.absorbed) {
            derivatives[i as usize] += derivative * coefficient;
        }
        if node.is_absorbed_alone() {
            return 0.0;
        }
        let level = self.level + 1 - consumed;
        let sum_scale = scale * self.noise.prime(level);
        let own = if node.products.is_empty() {
            self.noise.rescale(scale)
        } else {
            self.noise.relinearize_rescale(level, sum_scale)
        };
        let mut total = derivative.norm_sqr() * own;
        for product in &node.products {
            let m = product.power as usize;
            derivatives[m] += derivative * product.quotient.evaluate(values);
            let (below, scale) = (derivative * values[m], sum_scale / self.scales[m]);
            total += self.node(&product.quotient, below, consumed - 1, scale, values, derivatives);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecurityLevel;

    fn parameters() -> Parameters {
        let moduli = [&[45.0][..], &[40.0; 7]].concat();
        Parameters::from_bits(12, &moduli, &[46.0; 3], 4, SecurityLevel::Insecure).unwrap()
    }

    #[test]
    fn input_error_is_amplified_by_the_derivative() {
        let parameters = parameters();
        let noise = NoiseModel::new(&parameters, 2048);
        // p = T_7 + 0.3·T_3 − 2·T_1, p' = 7·U_6 + 0.9·U_2 − 2.
        let plan = ChebyshevPlan::new(&[0.0, -2.0, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0]).unwrap();
        let second_kind =
            |k: f64, x: f64| libm::sin((k + 1.0) * libm::acos(x)) / libm::sin(libm::acos(x));
        for x in [-0.9, -0.2, 0.1, 0.77] {
            let at = |variance| {
                noise.chebyshev(&plan, 7, libm::exp2(40.0), variance, libm::exp2(40.0), &[x])
            };
            let slope = 7.0 * second_kind(6.0, x) + 0.9 * second_kind(2.0, x) - 2.0;
            let amplification = at(1.0) - at(0.0);
            assert!((amplification / square(slope) - 1.0).abs() < 1e-9, "{x}");
            assert!(at(0.0) > 0.0);
        }
    }

    #[test]
    fn noise_falls_with_the_scale_and_rises_with_the_slots() {
        let parameters = parameters();
        let (full, sparse) = (NoiseModel::new(&parameters, 2048), NoiseModel::new(&parameters, 16));
        for level in 0..=7 {
            let ratio =
                full.key_switch(level, libm::exp2(30.0)) / full.key_switch(level, libm::exp2(31.0));
            assert!((ratio - 4.0).abs() < 1e-12);
            let ratio = full.key_switch(level, 1e9) / sparse.key_switch(level, 1e9);
            assert!((ratio - 128.0).abs() < 1e-9);
        }
        assert!(full.fresh_public(1e9) > full.fresh_secret(1e9));
        assert!(full.fresh_secret(1e9) > full.encoding(1e9));
    }
}
