//! Reduction modulo one by a polynomial: the scaled cosine with double angles.
//!
//! x = I + ε with an integer |I| and a small ε becomes sin(2πx)/2π ≈ ε. With r doublings, a
//! polynomial approximates cos(2π(x − 1/4)/2^r), and cos 2θ = 2·cos²θ − 1 does the rest (Han and Ki,
//! "Better Bootstrapping for Approximate Homomorphic Encryption", CT-RSA 2020, §3).

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::chebyshev::{ChebyshevPlan, power_depth};

/// An approximation of x mod 1 near the integers of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvalMod {
    /// Half-width K of the interval; the polynomial takes x/K.
    pub bound: f64,
    /// Degree of the polynomial.
    pub degree: usize,
    /// Doublings of the angle.
    pub doublings: u32,
}

impl EvalMod {
    /// Levels consumed.
    pub fn depth(&self) -> usize {
        power_depth(self.degree as u32 + 1) as usize + self.doublings as usize
    }

    /// Chebyshev coefficients of the polynomial in x/K: the interpolation of the cosine at the
    /// Chebyshev nodes.
    pub fn coefficients(&self) -> Vec<f64> {
        let nodes = self.degree + 1;
        let angle = |j: usize| PI * (j as f64 + 0.5) / nodes as f64;
        let values: Vec<f64> = (0..nodes).map(|j| self.cosine(angle(j).cos())).collect();
        let coefficient = |k: usize| {
            let sum: f64 =
                values.iter().enumerate().map(|(j, v)| v * (k as f64 * angle(j)).cos()).sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / nodes as f64
        };
        (0..nodes).map(coefficient).collect()
    }

    /// How the polynomial is evaluated.
    ///
    /// # Panics
    /// If the degree or the bound is outside the domain that [`super::BootstrappingPlan::new`] checks.
    pub fn chebyshev_plan(&self) -> ChebyshevPlan {
        ChebyshevPlan::new(&self.coefficients()).expect("cosines have finite coefficients")
    }

    /// The largest error of sin 2πx at the integers of the interval, where it should be zero.
    pub fn largest_error(&self) -> f64 {
        let coefficients = self.coefficients();
        let value = |x: f64| {
            // Clenshaw's recurrence.
            let u = x / self.bound;
            let step = |(b1, b2): (f64, f64), c: &f64| (2.0 * u * b1 - b2 + c, b1);
            let (b1, b2) = coefficients[1..].iter().rev().fold((0.0, 0.0), step);
            self.double(u * b1 - b2 + coefficients[0])
        };
        let largest = self.bound as i64;
        (-largest..=largest).map(|integer| value(integer as f64).abs()).fold(0.0, f64::max)
    }

    /// The angle doubled as often as planned: from the polynomial's value to about sin 2πx.
    pub(super) fn double(&self, value: f64) -> f64 {
        (0..self.doublings).fold(value, |y, _| 2.0 * y * y - 1.0)
    }

    /// What the polynomial approximates, at u = x/K.
    fn cosine(&self, u: f64) -> f64 {
        (2.0 * PI * (self.bound * u - 0.25) / f64::from(1u32 << self.doublings)).cos()
    }
}
