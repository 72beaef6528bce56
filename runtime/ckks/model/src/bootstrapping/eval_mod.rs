//! Reduction modulo one by a polynomial: an exponential and its squares.
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

use serde::{Deserialize, Serialize};

use crate::chebyshev::{ChebyshevPlan, PolynomialBasis, power_depth};

/// An approximation of x mod 1 near the integers of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvalMod {
    /// Half-width K of the interval; the polynomial takes i·x/K.
    pub bound: f64,
    /// Degree of the polynomial.
    pub degree: usize,
    /// Squarings after it.
    pub squarings: u32,
    /// 1 for the sine, 2 for the sine and its second harmonic.
    pub harmonics: u32,
}

impl EvalMod {
    /// Levels consumed.
    pub fn depth(&self) -> usize {
        power_depth(self.degree as u32 + 1) as usize + (self.squarings + self.harmonics) as usize
            - 1
    }

    /// Largest error for messages up to 1/ratio, relative to 1/ratio, that an exact exponential leaves.
    pub fn distortion(&self, ratio: f64) -> f64 {
        let theta = 2.0 * PI / ratio;
        if self.harmonics == 1 { theta.powi(2) / 6.0 } else { theta.powi(4) / 30.0 }
    }

    /// The polynomial for exp(2πix/2^r) as a plan for the input i·x/K.
    pub fn exponential(&self) -> ChebyshevPlan {
        ChebyshevPlan::in_basis(PolynomialBasis::Imaginary, &self.coefficients())
            .expect("checked plans have polynomials of supported degrees")
    }

    /// Coefficients of the polynomial in the imaginary basis: the interpolation of
    /// exp(iωu) = Σ (2 − δ_0k)·J_k(ω)·i^k·T_k(u) at the Chebyshev nodes.
    pub fn coefficients(&self) -> Vec<f64> {
        let nodes = self.degree + 1;
        let angle = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
        let omega = 2.0 * PI * self.bound / f64::from(1u32 << self.squarings);
        let coefficient = |k: usize| {
            // The even part of the exponential is real, the odd one imaginary; i^−k makes both real.
            let sum: f64 = (0..nodes)
                .map(|j| {
                    let (sine, cosine) = (omega * angle(j).cos()).sin_cos();
                    [cosine, sine, -cosine, -sine][k % 4] * (k as f64 * angle(j)).cos()
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
            term *= -(x / 2.0).powi(2) / f64::from(m * (m + k));
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
    fn distortion_is_that_of_the_sines() {
        for ratio in [32.0, 100.0, 500.0] {
            let theta = 2.0 * PI / ratio;
            let sines = [theta.sin(), 4.0 / 3.0 * theta.sin() - (2.0 * theta).sin() / 6.0];
            for (harmonics, sine) in (1..).zip(sines) {
                let eval_mod = EvalMod { bound: 14.0, degree: 30, squarings: 3, harmonics };
                let (actual, stated) = ((1.0 - sine / theta).abs(), eval_mod.distortion(ratio));
                assert!((actual / stated - 1.0).abs() < 0.05, "{ratio} {harmonics}");
            }
        }
    }
}
