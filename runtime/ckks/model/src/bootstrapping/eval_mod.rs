//! EvalMod: reduction modulo one by a polynomial that approximates an exponential, then squared.
//!
//! x = I + ε with an integer |I| and a small ε becomes sin(2πx)/2π ≈ ε, the imaginary part of
//! exp(2πix)/2π. A polynomial approximates exp(2πix/2^r), and r squarings do the rest. Scaled cosines
//! with double angles (Han and Ki, "Better Bootstrapping for Approximate Homomorphic Encryption",
//! CT-RSA 2020, §3) cost no conjugation, but a doubling multiplies errors by up to 4, a squaring on the
//! unit circle by 2.
//!
//! The sine differs from its argument θ by θ³/6. With the second harmonic, 4/3·sin θ − 1/6·sin 2θ differs
//! by θ⁵/30 only: for a level more, ε may be several times larger, and with it the message.

use std::f64::consts::PI;

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::chebyshev::{ChebyshevPlan, PolynomialBasis, power_depth};
use crate::square;

/// Reciprocal of the coefficient of the second harmonic in y·(4/3 − y/6), y = exp(2πix).
pub const SECOND_HARMONIC: f64 = 6.0;

/// Approximation of x mod 1 near the integers of \[−K, K\]: the imaginary part of exp(2πix)/2π, from a
/// polynomial for exp(2πix/2^r) that is squared r times (after Han and Ki, "Better Bootstrapping for
/// Approximate Homomorphic Encryption", CT-RSA 2020, §3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvalMod {
    /// Half-width K of the interval; the input of the polynomial is i·x/K.
    pub bound: f64,
    /// Degree of the polynomial in the Chebyshev basis.
    pub degree: usize,
    /// Number r of squarings after the polynomial.
    pub squarings: u32,
    /// Number of harmonics: 1 for the sine, 2 for the sine and its second harmonic.
    pub harmonics: u32,
}

impl EvalMod {
    /// Number of levels consumed.
    pub fn depth(&self) -> usize {
        power_depth(self.degree as u32 + 1) as usize + (self.squarings + self.harmonics) as usize
            - 1
    }

    /// Largest error of the sine for messages of magnitude up to 1/`ratio`, relative to 1/`ratio`,
    /// if the exponential were exact.
    pub fn distortion(&self, ratio: f64) -> f64 {
        let theta = 2.0 * PI / ratio;
        if self.harmonics == 1 { square(theta) / 6.0 } else { square(square(theta)) / 30.0 }
    }

    /// Evaluation plan of the polynomial for exp(2πix/2^r), with input i·x/K.
    ///
    /// # Panics
    /// If the degree is zero or above [`MAX_DEGREE`](crate::chebyshev::MAX_DEGREE); a checked plan
    /// has no such degree.
    pub fn exponential(&self) -> ChebyshevPlan {
        ChebyshevPlan::in_basis(PolynomialBasis::Imaginary, &self.coefficients())
            .expect("checked plans have polynomials of supported degrees")
    }

    /// Approximation of sin 2πx, with or without the second harmonic, given the polynomial's value
    /// at x.
    pub(super) fn sine(&self, polynomial: Complex64) -> f64 {
        let y = (0..self.squarings).fold(polynomial, |y, _| y * y);
        if self.harmonics == 1 { y.im } else { (y * (4.0 / 3.0 - y / SECOND_HARMONIC)).im }
    }

    /// Largest absolute error of the sine at the integers of the interval, where the exact value is
    /// zero.
    pub(super) fn largest_error(&self) -> f64 {
        let coefficients = self.coefficients();
        let value = |x: f64| {
            // H_{k+1} = 2x·H_k + H_{k−1}, by Clenshaw's recurrence.
            let u = Complex64::new(0.0, x / self.bound);
            let step = |(b1, b2): (Complex64, Complex64), c: &f64| (2.0 * u * b1 + b2 + c, b1);
            let zero = (Complex64::ZERO, Complex64::ZERO);
            let (b1, b2) = coefficients[1..].iter().rev().fold(zero, step);
            self.sine(u * b1 + b2 + coefficients[0])
        };
        let largest = self.bound as i64;
        (-largest..=largest).map(|integer| value(integer as f64).abs()).fold(0.0, f64::max)
    }

    /// Coefficients of the polynomial in [`PolynomialBasis::Imaginary`]: the interpolation of
    /// exp(iωu) = Σ (2 − δ_0k)·J_k(ω)·i^k·T_k(u) at the Chebyshev nodes.
    pub fn coefficients(&self) -> Vec<f64> {
        let nodes = self.degree + 1;
        let angle = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
        let omega = 2.0 * PI * self.bound / f64::from(1u32 << self.squarings);
        let coefficient = |k: usize| {
            // The even part of the exponential is real, the odd one imaginary; i^−k makes both real.
            let sum: f64 = (0..nodes)
                .map(|j| {
                    let (sine, cosine) = libm::sincos(omega * libm::cos(angle(j)));
                    [cosine, sine, -cosine, -sine][k % 4] * libm::cos(k as f64 * angle(j))
                })
                .sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / nodes as f64
        };
        (0..nodes).map(coefficient).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Bessel function J_k by its series.
    fn bessel(k: u32, x: f64) -> f64 {
        let mut term = (1..=k).fold(1.0, |term, i| term * x / 2.0 / f64::from(i));
        let mut sum = term;
        for m in 1..60 {
            term *= -square(x / 2.0) / f64::from(m * (m + k));
            sum += term;
        }
        sum
    }

    #[test]
    fn coefficients_are_those_of_the_exponential() {
        let eval_mod = EvalMod { bound: 14.0, degree: 40, squarings: 3, harmonics: 1 };
        let omega = 2.0 * PI * 14.0 / 8.0;
        for (k, c) in (0u32..).zip(eval_mod.coefficients()).take(30) {
            let expected = bessel(k, omega) * if k == 0 { 1.0 } else { 2.0 };
            assert!((c - expected).abs() < 1e-9, "{k}: {c} {expected}");
        }
        assert_eq!(eval_mod.depth(), 9);
        assert_eq!(EvalMod { harmonics: 2, ..eval_mod }.depth(), 10);
    }

    #[test]
    fn errors_are_those_of_the_plan() {
        for (degree, harmonics) in [(20, 1), (24, 2), (30, 1)] {
            let eval_mod = EvalMod { bound: 12.003, degree, squarings: 3, harmonics };
            let plan = eval_mod.exponential();
            let error = |integer: i32| {
                let u = Complex64::new(0.0, f64::from(integer) / eval_mod.bound);
                eval_mod.sine(plan.evaluate_complex(u)).abs()
            };
            let largest = (-12..=12).map(error).fold(0.0, f64::max);
            assert!(
                (eval_mod.largest_error() - largest).abs() < 1e-3 * largest + 1e-12,
                "{degree}"
            );
        }
    }

    #[test]
    fn distortion_is_that_of_the_sines() {
        for ratio in [32.0, 100.0, 500.0] {
            let theta = 2.0 * PI / ratio;
            let sines =
                [libm::sin(theta), 4.0 / 3.0 * libm::sin(theta) - libm::sin(2.0 * theta) / 6.0];
            for (harmonics, sine) in (1..).zip(sines) {
                let eval_mod = EvalMod { bound: 14.0, degree: 30, squarings: 3, harmonics };
                let (actual, stated) = ((1.0 - sine / theta).abs(), eval_mod.distortion(ratio));
                assert!((actual / stated - 1.0).abs() < 0.05, "{ratio} {harmonics}");
            }
        }
    }
}
