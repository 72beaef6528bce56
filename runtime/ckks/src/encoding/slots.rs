//! The canonical embedding: the map between n complex slots and the 2n real coefficients of a
//! polynomial.
//!
//! With ζ = exp(iπ/2n), slot j is the value at ζ^(5^j). The powers 5^j run through all exponents
//! ≡ 1 mod 4, and there X^n = i, so for exponent 4k + 1 the value is
//! `Σ_{t<n} (a_t + i·a_{t+n})·ζ^t · exp(2πi·kt/n)`: one twist and one FFT of size n (after Chen,
//! Chillotti and Song, "Improved Bootstrapping for Approximate Homomorphic Encryption", 2019, §2).

use std::collections::HashMap;
use std::f64::consts::PI;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use zeroize::{Zeroize, Zeroizing};

/// The transforms by slot count, each computed at first use.
#[derive(Default)]
pub(crate) struct SlotTransforms(Mutex<HashMap<usize, Arc<SlotTransform>>>);

impl SlotTransforms {
    /// The transform for `slots` slots, a power of two.
    pub(crate) fn get(&self, slots: usize) -> Arc<SlotTransform> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(slots).or_insert_with(|| Arc::new(SlotTransform::new(slots))))
    }
}

impl std::fmt::Debug for SlotTransforms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotTransforms").finish_non_exhaustive()
    }
}

pub(crate) struct SlotTransform {
    /// The number k of each slot j, where 4k + 1 = 5^j mod 4n.
    order: Vec<u32>,
    /// ζ^t for t < n.
    twist: Vec<Complex64>,
    to_slots: Arc<dyn Fft<f64>>,
    to_coefficients: Arc<dyn Fft<f64>>,
}

impl SlotTransform {
    fn new(slots: usize) -> Self {
        let mut planner = FftPlanner::new();
        let powers = std::iter::successors(Some(1), |p| Some(5 * p % (4 * slots)));
        let angle = PI / (2 * slots) as f64;
        Self {
            order: powers.take(slots).map(|p| (p / 4) as u32).collect(),
            twist: (0..slots).map(|t| Complex64::cis(angle * t as f64)).collect(),
            to_slots: planner.plan_fft_inverse(slots),
            to_coefficients: planner.plan_fft_forward(slots),
        }
    }

    /// The 2n real coefficients, scaled by `scale` and not rounded, whose slots are the given values.
    pub(crate) fn coefficients(
        &self,
        values: impl ExactSizeIterator<Item = Complex64>,
        scale: f64,
    ) -> Zeroizing<Vec<f64>> {
        let slots = self.order.len();
        assert_eq!(values.len(), slots, "one value for every slot");
        let mut buffer = Buffer::from(vec![Complex64::ZERO; slots]);
        for (&k, value) in self.order.iter().zip(values) {
            buffer[k as usize] = value;
        }
        buffer.transform(&*self.to_coefficients);
        let factor = scale / slots as f64;
        let mut coefficients = Zeroizing::new(vec![0.0; 2 * slots]);
        let (low, high) = coefficients.split_at_mut(slots);
        for (t, (value, twist)) in buffer.iter().zip(&self.twist).enumerate() {
            let packed = value * twist.conj() * factor;
            (low[t], high[t]) = (packed.re, packed.im);
        }
        coefficients
    }

    /// The slots of the polynomial with these 2n coefficients.
    pub(crate) fn values(&self, coefficients: &[f64]) -> Vec<Complex64> {
        let slots = self.order.len();
        assert_eq!(coefficients.len(), 2 * slots, "two coefficients for every slot");
        let (low, high) = coefficients.split_at(slots);
        let packed = low.iter().zip(high).map(|(&re, &im)| Complex64 { re, im });
        let twisted: Vec<Complex64> = packed.zip(&self.twist).map(|(a, twist)| a * twist).collect();
        let mut buffer = Buffer::from(twisted);
        buffer.transform(&*self.to_slots);
        self.order.iter().map(|&k| buffer[k as usize]).collect()
    }
}

/// Intermediate values of a transform, zeroised on drop.
struct Buffer(Vec<Complex64>);

impl Buffer {
    fn transform(&mut self, fft: &dyn Fft<f64>) {
        let mut scratch = Self(vec![Complex64::ZERO; fft.get_inplace_scratch_len()]);
        fft.process_with_scratch(self, &mut scratch);
    }
}

impl From<Vec<Complex64>> for Buffer {
    fn from(numbers: Vec<Complex64>) -> Self {
        Self(numbers)
    }
}

impl Deref for Buffer {
    type Target = [Complex64];
    fn deref(&self) -> &[Complex64] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [Complex64] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        for number in &mut self.0 {
            number.re.zeroize();
            number.im.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_values_at_powers_of_five() {
        for slots in [1, 2, 8, 64] {
            let coefficients: Vec<f64> =
                (0..2 * slots).map(|t| ((t * 7 + 3) % 11) as f64 - 5.0).collect();
            let transform = SlotTransform::new(slots);
            let values = transform.values(&coefficients);
            let mut exponent = 1;
            for value in &values {
                let root = Complex64::cis(PI * exponent as f64 / (2 * slots) as f64);
                let horner =
                    coefficients.iter().rev().fold(Complex64::ZERO, |sum, &c| sum * root + c);
                assert!((value - horner).norm() < 1e-9 * slots as f64);
                exponent = exponent * 5 % (4 * slots);
            }
            let back = transform.coefficients(values.into_iter(), 3.0);
            for (a, b) in coefficients.iter().zip(&*back) {
                assert!((3.0 * a - b).abs() < 1e-10);
            }
        }
    }
}
