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
    /// `min(max, max(min, x))`
    Clip {
        /// Lower bound, may be `-inf`.
        min: f32,
        /// Upper bound, may be `+inf`.
        max: f32,
    },
    /// −1, 0 or 1: the sign of `x`
    Sign,
    /// 1 for `x > 0`, else 0: Heaviside's step
    Step,
    /// `|x|`
    Abs,
    /// `e^x`
    Exp,
    /// Natural logarithm.
    Log,
    /// `x^exponent`: roots, reciprocals and other powers that are no polynomials
    Power {
        /// Exponent; −1 is the reciprocal, 1/2 the square root.
        exponent: f32,
    },
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Inverse sine.
    Asin,
    /// Inverse cosine.
    Acos,
    /// Inverse tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// `x·tanh(ln(1 + e^x))`
    Mish,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x` for `x > alpha`, else 0
    ThresholdedRelu {
        /// Threshold.
        alpha: f32,
    },
    /// `x + bias` for `x < −lambda`, `x − bias` for `x > lambda`, else 0
    Shrink {
        /// Half width of the interval that becomes 0.
        lambda: f32,
        /// By how much the rest is brought towards 0.
        bias: f32,
    },
}

impl Function {
    /// `min(max, max(min, x))`, normalised to [`Function::Relu`] for the bounds 0 and infinity.
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
        let softplus = |x: f64| x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
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
            Self::Softplus => softplus(x),
            Self::Erf => libm::erf(x),
            Self::Clip { min, max } => x.max(f64::from(min)).min(f64::from(max)),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Step if x.is_nan() => x,
            Self::Step => f64::from(x > 0.0),
            Self::Abs => x.abs(),
            Self::Exp => libm::exp(x),
            Self::Log => libm::log(x),
            Self::Power { exponent: -1.0 } => 1.0 / x,
            Self::Power { exponent: 0.5 } => x.sqrt(),
            Self::Power { exponent } => libm::pow(x, f64::from(exponent)),
            Self::Sin => libm::sin(x),
            Self::Cos => libm::cos(x),
            Self::Tan => libm::tan(x),
            Self::Asin => libm::asin(x),
            Self::Acos => libm::acos(x),
            Self::Atan => libm::atan(x),
            Self::Sinh => libm::sinh(x),
            Self::Cosh => libm::cosh(x),
            Self::Asinh => libm::asinh(x),
            Self::Acosh => libm::acosh(x),
            Self::Atanh => libm::atanh(x),
            Self::Mish => x * libm::tanh(softplus(x)),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::ThresholdedRelu { alpha } if x <= f64::from(alpha) => 0.0,
            Self::ThresholdedRelu { .. } => x,
            Self::Shrink { lambda, .. } if x.abs() <= f64::from(lambda) => 0.0,
            Self::Shrink { bias, .. } => x - f64::from(bias) * 1f64.copysign(x),
        }
    }

    /// The largest open interval around `x` on which the function is finite: the whole line for most functions,
    /// up to a pole or to where it has no real value for the others.
    ///
    /// ```
    /// use pic_ir::function::Function;
    /// assert_eq!(Function::Log.domain_around(2.0), (0.0, f64::INFINITY));
    /// let reciprocal = Function::Power { exponent: -1.0 };
    /// assert_eq!(reciprocal.domain_around(-2.0), (f64::NEG_INFINITY, 0.0));
    /// ```
    pub fn domain_around(&self, x: f64) -> (f64, f64) {
        let everywhere = (f64::NEG_INFINITY, f64::INFINITY);
        match *self {
            Self::Log => (0.0, f64::INFINITY),
            Self::Power { exponent } if exponent >= 0.0 && exponent.fract() == 0.0 => everywhere,
            Self::Power { exponent } if exponent.fract() == 0.0 && x < 0.0 => {
                (f64::NEG_INFINITY, 0.0)
            }
            Self::Power { .. } => (0.0, f64::INFINITY),
            Self::Asin | Self::Acos | Self::Atanh => (-1.0, 1.0),
            Self::Acosh => (1.0, f64::INFINITY),
            Self::Tan => {
                let period = (x / std::f64::consts::PI).round();
                let pole = |half: f64| (period + half) * std::f64::consts::PI;
                (pole(-0.5), pole(0.5))
            }
            _ => everywhere,
        }
    }

    /// Returns whether `f(cx) = c·f(x)` for every `c > 0`.
    pub fn is_positively_homogeneous(&self) -> bool {
        matches!(self, Self::Relu | Self::LeakyRelu { .. } | Self::Abs)
    }

    /// Returns whether `x ≤ y` implies `f(x) ≤ f(y)`, so that the largest of several operands gives the largest result.
    pub fn is_non_decreasing(&self) -> bool {
        match *self {
            Self::Relu | Self::Sigmoid | Self::Tanh | Self::Softplus | Self::Erf => true,
            Self::Clip { .. } | Self::Sign | Self::Step => true,
            Self::Exp | Self::Atan | Self::Sinh | Self::Asinh | Self::Softsign => true,
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
            Self::Step => "step",
            Self::Abs => "abs",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Power { .. } => "power",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tan => "tan",
            Self::Asin => "asin",
            Self::Acos => "acos",
            Self::Atan => "atan",
            Self::Sinh => "sinh",
            Self::Cosh => "cosh",
            Self::Asinh => "asinh",
            Self::Acosh => "acosh",
            Self::Atanh => "atanh",
            Self::Mish => "mish",
            Self::Softsign => "softsign",
            Self::ThresholdedRelu { .. } => "thresholded_relu",
            Self::Shrink { .. } => "shrink",
        }
    }
}

/// The name and the parameters, which are the shortest decimals that read back as the same numbers.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::LeakyRelu { alpha } | Self::Elu { alpha } | Self::ThresholdedRelu { alpha } => {
                write!(f, "({alpha})")
            }
            Self::Power { exponent } => write!(f, "({exponent})"),
            Self::Shrink { lambda, bias } => write!(f, "({lambda}, {bias})"),
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
        close(Function::Exp, 1.0, std::f64::consts::E);
        close(Function::Log, 10.0, std::f64::consts::LN_10);
        close(Function::Power { exponent: -1.0 }, -8.0, -0.125);
        close(Function::Power { exponent: -0.5 }, 16.0, 0.25);
        close(Function::Power { exponent: 1.5 }, 4.0, 8.0);
        close(Function::Mish, 1.0, 0.865098388267310);
        close(Function::Mish, -900.0, 0.0);
        close(Function::Softsign, -3.0, -0.75);
        close(Function::ThresholdedRelu { alpha: 1.0 }, 1.0, 0.0);
        close(Function::ThresholdedRelu { alpha: 1.0 }, 1.5, 1.5);
        close(Function::Shrink { lambda: 1.5, bias: 0.5 }, -2.0, -1.5);
        close(Function::Shrink { lambda: 1.5, bias: 0.5 }, 1.5, 0.0);
        close(Function::Shrink { lambda: 1.5, bias: -0.5 }, -3.0, -3.5);
        close(Function::Step, 0.0, 0.0);
        close(Function::Step, 1e-300, 1.0);
    }

    /// Functions are finite inside their domain, also close to its ends, and not beyond them.
    #[test]
    fn domains_end_where_functions_do() {
        let power = |exponent| Function::Power { exponent };
        for (function, x) in [
            (Function::Log, 1.0),
            (power(-1.0), 1.0),
            (power(-1.0), -1.0),
            (power(0.5), 3.0),
            (power(-1.5), 3.0),
            (Function::Asin, 0.5),
            (Function::Acos, 0.0),
            (Function::Atanh, -0.5),
            (Function::Acosh, 2.0),
            (Function::Tan, 4.0),
        ] {
            let (low, high) = function.domain_around(x);
            assert!(low < x && x < high, "{function} {x}");
            for end in [low, high].into_iter().filter(|end| end.is_finite()) {
                let inside = function.evaluate(end + 1e-9 * (x - end));
                let beyond = function.evaluate(end - 1e-9 * (x - end));
                assert!(inside.is_finite(), "{function} {end}");
                // Beyond a pole lies another branch.
                let is_other_branch = beyond * inside < 0.0 && inside.abs() > 1e8;
                assert!(beyond.is_nan() || is_other_branch, "{function} {end} {beyond}");
            }
        }
        for function in [Function::Relu, Function::Exp, power(3.0), Function::Sin] {
            assert_eq!(function.domain_around(0.0), (f64::NEG_INFINITY, f64::INFINITY));
        }
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
            Function::Step,
            Function::Abs,
            Function::Exp,
            Function::Atan,
            Function::Sinh,
            Function::Asinh,
            Function::Softsign,
            Function::Mish,
            Function::Shrink { lambda: 1.0, bias: 2.0 },
        ] {
            let values: Vec<f64> =
                (-800..=800).map(|x| function.evaluate(f64::from(x) / 100.0)).collect();
            assert_eq!(function.is_non_decreasing(), values.is_sorted(), "{function}");
        }
    }
}
