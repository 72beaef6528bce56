//! The third representation: the polynomial that stands for each activation.
//!
//! # Invariants ([`Activations::verify`])
//! - one approximation per activation node, in order of evaluation, names matching;
//! - at least two coefficients, all finite, the last one not zero;
//! - `half_width > 0` and finite, `center` finite.

use serde::{Deserialize, Serialize};

use crate::escape::Escaped;
use crate::function::Function;
use crate::network::Network;
use crate::normalization::Normalization;

/// The chosen polynomials of all activation layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activations {
    /// One entry per activation layer, in order of evaluation.
    pub layers: Vec<Approximation>,
}

/// A polynomial in place of an activation, on the interval `center ± half_width`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approximation {
    /// Name of the activation node.
    pub name: String,
    /// The exact activation that the polynomial approximates.
    pub function: Function,
    /// Middle of the interval.
    pub center: f64,
    /// Half the length of the interval.
    pub half_width: f64,
    /// The stretch `r ≥ 1` of the density under which the polynomial was fitted.
    pub stretch: f64,
    /// Chebyshev coefficients in `u = (x − center) / half_width`, constant first.
    pub coefficients: Vec<f64>,
    /// `E = ∫ φ(x) (f(x) − P(x))² dx` under the profiled, unstretched density.
    pub error: f64,
    /// Predicted contribution to the objective: sensitivity × error.
    pub loss: f64,
}

impl Approximation {
    /// Map from an input to the variable of the Chebyshev polynomials.
    pub fn normalization(&self) -> Normalization {
        Normalization { center: self.center, half_width: self.half_width }
    }

    /// Degree of the polynomial.
    pub fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }

    /// Chebyshev coefficients of the polynomial divided by `divisor`, in the variable `(x − center) / half_width`
    /// of another half width. Parity is kept exactly: coefficients that are zero by symmetry stay zero.
    pub fn coefficients_on(&self, half_width: f64, divisor: f64) -> Vec<f64> {
        let ratio = half_width / self.half_width;
        let degree = self.degree();
        let mut result = vec![0.0; degree + 1];
        // T_k(ratio·v) and the one before in the Chebyshev polynomials of v.
        let (mut current, mut before) = (vec![0.0; degree + 1], vec![0.0; degree + 1]);
        current[0] = 1.0;
        for (k, &c) in self.coefficients.iter().enumerate() {
            result.iter_mut().zip(&current).for_each(|(sum, t)| *sum += c / divisor * t);
            // T_1 = x·T_0, and T_{k+1} = 2x·T_k − T_{k−1}; v·T_j = (T_{j+1} + T_{|j−1|})/2.
            let factor = if k == 0 { 0.5 * ratio } else { ratio };
            let mut next: Vec<f64> = before.iter().map(|t| -t).collect();
            for (j, &t) in current.iter().enumerate().take(k + 1) {
                for index in [j + 1, j.abs_diff(1)] {
                    if let Some(next) = next.get_mut(index) {
                        *next += factor * t;
                    }
                }
            }
            before = std::mem::replace(&mut current, next);
        }
        result
    }

    /// The polynomial's value at `x`, by Clenshaw's recurrence.
    pub fn evaluate(&self, x: f64) -> f64 {
        let u = self.normalization().store(x);
        let (mut b1, mut b2) = (0.0, 0.0);
        for &c in self.coefficients[1..].iter().rev() {
            (b1, b2) = (c + 2.0 * u * b1 - b2, b1);
        }
        self.coefficients[0] + u * b1 - b2
    }
}

impl Activations {
    /// Checks every invariant listed in the module documentation.
    ///
    /// # Errors
    /// [`ActivationsError`], with the first layer that breaks an invariant or does not belong to `network`.
    pub fn verify(&self, network: &Network) -> Result<(), ActivationsError> {
        let nodes = network.activations();
        if nodes.len() != self.layers.len() {
            return Err(ActivationsError::Count {
                expected: nodes.len(),
                found: self.layers.len(),
            });
        }
        for (layer, (node, function)) in self.layers.iter().zip(nodes) {
            let name = &network.graph[node].name;
            if layer.name != *name {
                return Err(ActivationsError::Layer {
                    expected: name.clone(),
                    found: layer.name.clone(),
                });
            }
            if layer.function != function {
                return Err(ActivationsError::Function {
                    layer: name.clone(),
                    expected: function,
                    found: layer.function,
                });
            }
            let c = &layer.coefficients;
            let sound = c.len() >= 2
                && c.iter().all(|c| c.is_finite())
                && c[c.len() - 1] != 0.0
                && layer.normalization().is_sound();
            if !sound {
                return Err(ActivationsError::Polynomial { layer: name.clone() });
            }
        }
        Ok(())
    }
}

/// Reason why an [`Activations`] does not fit its network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ActivationsError {
    /// Wrong number of layers.
    #[error("the network has {expected} activation layers, {found} are described")]
    Count {
        /// Layers of the network.
        expected: usize,
        /// Layers described.
        found: usize,
    },
    /// Layers in another order.
    #[error("expected layer `{}`, found `{}`", Escaped(expected), Escaped(found))]
    Layer {
        /// Name in the network.
        expected: String,
        /// Name found.
        found: String,
    },
    /// A polynomial of another function.
    #[error(
        "layer `{}`: expected a polynomial for {expected}, found one for {found}",
        Escaped(layer)
    )]
    Function {
        /// The layer.
        layer: String,
        /// Function of the network.
        expected: Function,
        /// Function approximated.
        found: Function,
    },
    /// Coefficients or interval are not usable.
    #[error("layer `{}`: malformed polynomial or interval", Escaped(layer))]
    Polynomial {
        /// The layer.
        layer: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluates_the_chebyshev_series() {
        let p = Approximation {
            name: "p".into(),
            function: Function::Relu,
            center: 1.0,
            half_width: 2.0,
            stretch: 1.0,
            coefficients: vec![0.5, -1.0, 0.25, 2.0],
            error: 0.0,
            loss: 0.0,
        };
        for x in [-1.0, 0.3, 2.9] {
            let t = libm::acos((x - 1.0) / 2.0f64);
            let expected: f64 =
                p.coefficients.iter().enumerate().map(|(k, c)| c * libm::cos(k as f64 * t)).sum();
            assert!((p.evaluate(x) - expected).abs() < 1e-12);
            // The same polynomial on [−2, 4], of thirds.
            let t = libm::acos((x - 1.0) / 3.0f64);
            let on = p.coefficients_on(3.0, 3.0);
            let sum: f64 = on.iter().enumerate().map(|(k, c)| c * libm::cos(k as f64 * t)).sum();
            assert!((3.0 * sum - expected).abs() < 1e-12);
        }
        assert_eq!(p.coefficients_on(2.0, 1.0), p.coefficients);
        // An even polynomial stays even.
        let even = Approximation { coefficients: vec![0.3, 0.0, -0.7, 0.0, 0.1], ..p };
        let on = even.coefficients_on(2.7, 1.3);
        assert_eq!((on[1], on[3]), (0.0, 0.0));
    }
}
