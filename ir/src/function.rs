//! The scalar functions that a network applies elementwise, with their exact meaning.
//!
//! Nothing here approximates: polynomials are chosen by the compiler and live in
//! [`crate::activations`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// An elementwise real function, parameters included. Definitions follow the ONNX operator of the
/// same name; `Silu` and the two `Gelu` forms are also recognised from primitives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Function {
    /// `max(x, 0)`
    Relu,
    /// `x` for `x ≥ 0`, else `alpha·x`
    LeakyRelu {
        /// Slope of the negative half line.
        alpha: f32,
    },
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x·Φ(x)` with the exact normal distribution function.
    Gelu,
    /// `x/2·(1 + tanh(√(2/π)(x + 0.044715x³)))`
    GeluTanh,
    /// `x·sigmoid(x)`, also called swish.
    Silu,
    /// `x·max(0, min(1, x/6 + 1/2))`
    HardSwish,
    /// `max(0, min(1, alpha·x + beta))`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x` for `x ≥ 0`, else `alpha·(e^x − 1)`
    Elu {
        /// Scale of the negative branch.
        alpha: f32,
    },
    /// `ln(1 + e^x)`
    Softplus,
    /// The error function.
    Erf,
    /// `max(min, min(max, x))`
    Clip {
        /// Lower bound, may be `-inf`.
        min: f32,
        /// Upper bound, may be `+inf`.
        max: f32,
    },
    /// −1, 0 or 1: the sign of `x`
    Sign,
}

impl Function {
    /// `max(min, min(max, x))`, normalised to [`Function::Relu`] for the bounds 0 and infinity.
    pub fn clipped(min: f32, max: f32) -> Self {
        match (min, max) {
            (0.0, f32::INFINITY) => Self::Relu,
            _ => Self::Clip { min, max },
        }
    }

    /// The value at `x`.
    pub fn evaluate(&self, x: f64) -> f64 {
        let normal_cdf = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        match *self {
            Self::Relu => x.max(0.0),
            Self::LeakyRelu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    f64::from(alpha) * x
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => libm::tanh(x),
            Self::Gelu => x * normal_cdf(x),
            Self::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + libm::tanh(inner))
            }
            Self::Silu => x * sigmoid(x),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::HardSigmoid { alpha, beta } => {
                (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0)
            }
            Self::Elu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    f64::from(alpha) * libm::expm1(x)
                }
            }
            Self::Softplus => x.max(0.0) + libm::log1p(libm::exp(-x.abs())),
            Self::Erf => libm::erf(x),
            Self::Clip { min, max } => x.max(f64::from(min)).min(f64::from(max)),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
        }
    }

    /// Returns whether `f(cx) = c·f(x)` for every `c > 0`.
    pub fn is_positively_homogeneous(&self) -> bool {
        matches!(self, Self::Relu | Self::LeakyRelu { .. })
    }

    /// Returns whether `x ≤ y` implies `f(x) ≤ f(y)`, so that the largest of several operands gives the largest result.
    pub fn is_non_decreasing(&self) -> bool {
        match *self {
            Self::Relu | Self::Sigmoid | Self::Tanh | Self::Softplus | Self::Erf => true,
            Self::Clip { .. } | Self::Sign => true,
            Self::LeakyRelu { alpha } | Self::HardSigmoid { alpha, .. } | Self::Elu { alpha } => {
                alpha >= 0.0
            }
            _ => false,
        }
    }

    /// The field's name for the function, lower case, without parameters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::HardSwish => "hard_swish",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::Elu { .. } => "elu",
            Self::Softplus => "softplus",
            Self::Erf => "erf",
            Self::Clip { .. } => "clip",
            Self::Sign => "sign",
        }
    }
}

/// The name and the parameters, which are the shortest decimals that read back as the same numbers.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::LeakyRelu { alpha } | Self::Elu { alpha } => write!(f, "({alpha})"),
            Self::HardSigmoid { alpha, beta } => write!(f, "({alpha}, {beta})"),
            Self::Clip { min, max } => write!(f, "({min}, {max})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from tables and closed forms, independent of the implementation.
    #[test]
    fn known_values() {
        let close = |f: Function, x: f64, y: f64| {
            let got = f.evaluate(x);
            assert!((got - y).abs() < 1e-9, "{f}({x}) = {got}, not {y}");
        };
        close(Function::Gelu, 1.0, 0.841344746068543);
        close(Function::Gelu, -8.0, -8.0 * 6.220960574271785e-16);
        close(Function::GeluTanh, 1.0, 0.8411919906082768);
        close(Function::Erf, 0.5, 0.5204998778130465);
        close(Function::Softplus, 800.0, 800.0);
        close(Function::Softplus, 0.0, std::f64::consts::LN_2);
        close(Function::Silu, 2.0, 1.7615941559557649);
        close(Function::HardSwish, 1.0, 4.0 / 6.0);
        close(Function::Elu { alpha: 2.0 }, -1.0, 2.0 * libm::expm1(-1f64));
        close(Function::Clip { min: 0.0, max: 6.0 }, 7.5, 6.0);
        close(Function::Sigmoid, -800.0, 0.0);
    }

    /// By values from −8 to 8.
    #[test]
    fn functions_that_never_fall() {
        for function in [
            Function::Relu,
            Function::LeakyRelu { alpha: 0.1 },
            Function::LeakyRelu { alpha: -0.1 },
            Function::Sigmoid,
            Function::Tanh,
            Function::Gelu,
            Function::GeluTanh,
            Function::Silu,
            Function::HardSwish,
            Function::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Function::HardSigmoid { alpha: -0.2, beta: 0.5 },
            Function::Elu { alpha: 1.0 },
            Function::Elu { alpha: -1.0 },
            Function::Softplus,
            Function::Erf,
            Function::Clip { min: -1.0, max: 2.0 },
            Function::Sign,
        ] {
            let values: Vec<f64> =
                (-800..=800).map(|x| function.evaluate(f64::from(x) / 100.0)).collect();
            assert_eq!(function.is_non_decreasing(), values.is_sorted(), "{function}");
        }
    }
}
