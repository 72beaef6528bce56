//! Estimated distribution of an error over the slots, and the bits of precision that it leaves.
//!
//! Errors that a linear transform has mixed are normally distributed over the slots. A rounding
//! error r (a polynomial) that no transform has mixed contributes r·s to each slot, where s is the
//! secret: the same factor for every rounding, itself normally distributed over the slots. A normal
//! distribution whose variance is exponentially distributed, as |s|² is, is a Laplace distribution:
//! its maxima are larger and its means smaller than those of a normal distribution of equal
//! variance.

use std::f64::consts::SQRT_2;

use crate::square;

/// Estimated distribution of the error of the real part (equally, of the imaginary part) of one
/// slot, in units of the value. Values in \[−1, 1\] with an error of 2^-b have b bits of precision.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorEstimate {
    pub(super) components: Vec<Component>,
    /// Number of real and imaginary parts of a ciphertext that hold data.
    pub(super) parts: usize,
}

/// One component of a mixture distribution: a constant plus a normal plus a Laplace variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Component {
    /// Probability of the component.
    pub weight: f64,
    /// Index of the sample value to which the component belongs.
    pub value: usize,
    /// The constant: the systematic error.
    pub mean: f64,
    /// Variance of the normal part.
    pub normal: f64,
    /// Variance of the Laplace part.
    pub laplace: f64,
}

impl ErrorEstimate {
    /// Mean of the squared error, in units of the squared value.
    pub fn mean_square(&self) -> f64 {
        self.components.iter().map(|c| c.weight * (square(c.mean) + c.normal + c.laplace)).sum()
    }

    /// Mean square of the systematic part of the error: a function of the value alone, which adds
    /// up in amplitude when the same value is bootstrapped repeatedly. The remaining part is fresh
    /// in each bootstrap.
    pub fn systematic(&self) -> f64 {
        let values = self.components.iter().map(|c| c.value).max().map_or(0, |last| last + 1);
        let mut moments = vec![(0.0, 0.0); values];
        for Component { weight, mean, value, .. } in &self.components {
            moments[*value].0 += weight;
            moments[*value].1 += weight * mean;
        }
        moments.iter().filter(|m| m.0 > 0.0).map(|(weight, sum)| sum * sum / weight).sum()
    }

    /// Mean precision in bits: −log2 of the mean absolute error.
    pub fn mean_bits(&self) -> f64 {
        /// Steps of the integral of P(|e| > t) over log2 t, per octave, and octaves around the standard
        /// deviation.
        const STEPS: i32 = 8;
        const OCTAVES: [i32; 2] = [-12, 6];
        let sd = self.mean_square().sqrt();
        let integrand = |step: i32| {
            let t = sd * libm::exp2(f64::from(step) / f64::from(STEPS));
            t * self.exceeding(t)
        };
        let steps = OCTAVES[0] * STEPS..OCTAVES[1] * STEPS;
        let integral =
            steps.map(integrand).sum::<f64>() * std::f64::consts::LN_2 / f64::from(STEPS);
        -libm::log2(integral)
    }

    /// Minimum precision in bits: −log2 of the expected largest absolute error over all slots.
    pub fn minimum_bits(&self) -> f64 {
        /// e^-γ: as many values are expected beyond the expected maximum of many (Gumbel).
        const BEYOND: f64 = 0.561_459_483_566_885;
        let (mut fewest, mut most) = (-20.0, 60.0);
        // To a thousandth of a bit.
        for _ in 0..16 {
            let bits: f64 = (fewest + most) / 2.0;
            let more = self.parts as f64 * self.exceeding(libm::exp2(-bits)) > BEYOND;
            *(if more { &mut most } else { &mut fewest }) = bits;
        }
        fewest
    }

    /// Probability of an absolute error above t > 0.
    fn exceeding(&self, t: f64) -> f64 {
        self.components.iter().map(|c| c.weight * (c.above(t - c.mean) + c.above(t + c.mean))).sum()
    }
}

impl Component {
    /// Probability that the sum of the normal and the Laplace part exceeds t.
    fn above(&self, t: f64) -> f64 {
        /// Ratio of widths above which the Laplace part is negligible, and number of standard
        /// deviations beyond which a tail is zero. They keep the exponentials finite.
        const NARROW: f64 = 8.0;
        const FAR: f64 = 40.0;
        let total = (self.normal + self.laplace).sqrt();
        if t.abs() > FAR * total {
            return if t > 0.0 { 0.0 } else { 1.0 };
        }
        let (sd, width) = (self.normal.sqrt(), (self.laplace / 2.0).sqrt());
        if sd > NARROW * width {
            return normal_above(t / total);
        }
        let (a, b) = (t / sd, sd / width);
        let right = libm::exp(b * b / 2.0 - t / width) * normal_above(b - a);
        let left = libm::exp(b * b / 2.0 + t / width) * normal_above(b + a);
        normal_above(a) + (right - left) / 2.0
    }
}

/// The probability of a standard normal variable above t.
fn normal_above(t: f64) -> f64 {
    libm::erfc(t / SQRT_2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of random errors of one component, on average over runs.
    #[test]
    fn bits_agree_with_random_errors() {
        const RUNS: usize = 200;
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let mut normal = || {
            let radius = (-2.0 * libm::log(uniform())).sqrt();
            radius * libm::cos(2.0 * std::f64::consts::PI * uniform())
        };
        for (mean, normal_part, laplace) in
            [(0.0, 1.0, 0.0), (0.0, 0.001, 1.0), (0.0, 0.5, 0.5), (2.0, 1.0, 0.3), (0.1, 0.9, 0.02)]
        {
            let parts = 1 << 10;
            let component = Component { value: 0, weight: 1.0, mean, normal: normal_part, laplace };
            let estimate = ErrorEstimate { components: vec![component], parts };
            let (mut sum, mut largest) = (0.0, 0.0);
            for _ in 0..RUNS {
                let error = |_| {
                    // Half the squared length of a plane vector of normals is exponential.
                    let exponential = (square(normal()) + square(normal())) / 2.0;
                    let variance = normal_part + laplace * exponential;
                    (mean + variance.sqrt() * normal()).abs()
                };
                let errors: Vec<f64> = (0..parts).map(error).collect();
                sum += errors.iter().sum::<f64>() / parts as f64;
                largest += errors.into_iter().fold(0.0, f64::max);
            }
            let bits = [sum, largest].map(|sum| -libm::log2(sum / RUNS as f64));
            let estimated = [estimate.mean_bits(), estimate.minimum_bits()];
            for (bits, estimated) in bits.iter().zip(estimated) {
                assert!((bits - estimated).abs() < 0.03, "{component:?}: {bits} {estimated}");
            }
        }
    }
}
