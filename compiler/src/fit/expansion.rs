//! Best least-squares polynomials of every degree under a density, in one sweep.
//!
//! Polynomials orthonormal under the discrete weight come from Stieltjes' three-term recurrence
//! (Gautschi, *Orthogonal Polynomials: Computation and Approximation*, 2004, §2.2); truncating the
//! expansion in them gives the least-squares solution of each degree. Monomials never appear.

use std::f64::consts::PI;

use pic_ir::function::Function;

use super::FitError;
use super::density::Node;

/// Symmetry required of a polynomial around its centre c. A symmetry that the function itself has costs no accuracy
/// under a symmetric density and saves about a third of the products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Any polynomial.
    General,
    /// `slope·(x − c) + q((x − c)²)`.
    EvenPlusLinear {
        /// The slope.
        slope: f64,
    },
    /// `constant + (x − c)·q((x − c)²)`.
    OddPlusConstant {
        /// The constant.
        constant: f64,
    },
}

impl Form {
    /// The symmetry that a function has around 0.
    pub fn of(function: Function) -> Self {
        match function {
            Function::Relu
            | Function::Gelu
            | Function::GeluTanh
            | Function::Silu
            | Function::HardSwish
            | Function::Softplus => Self::EvenPlusLinear { slope: 0.5 },
            Function::LeakyRelu { alpha } => {
                Self::EvenPlusLinear { slope: 0.5 * (1.0 + f64::from(alpha)) }
            }
            Function::Sigmoid => Self::OddPlusConstant { constant: 0.5 },
            Function::HardSigmoid { beta: 0.5, .. } => Self::OddPlusConstant { constant: 0.5 },
            Function::Step => Self::OddPlusConstant { constant: 0.5 },
            Function::Abs | Function::Cos | Function::Cosh => Self::EvenPlusLinear { slope: 0.0 },
            Function::Acos => Self::OddPlusConstant { constant: 0.5 * PI },
            Function::Tanh
            | Function::Erf
            | Function::Sign
            | Function::Sin
            | Function::Tan
            | Function::Asin
            | Function::Atan
            | Function::Sinh
            | Function::Asinh
            | Function::Atanh
            | Function::Softsign
            | Function::Shrink { .. } => Self::OddPlusConstant { constant: 0.0 },
            Function::Clip { min, max } if min == -max => Self::OddPlusConstant { constant: 0.0 },
            Function::HardSigmoid { .. }
            | Function::Elu { .. }
            | Function::Clip { .. }
            | Function::Exp
            | Function::Log
            | Function::Power { .. }
            | Function::Acosh
            | Function::Mish
            | Function::ThresholdedRelu { .. } => Self::General,
        }
    }

    /// Returns whether a polynomial of this form can have exactly this degree.
    pub fn allows(self, degree: usize) -> bool {
        match self {
            Self::General => true,
            Self::EvenPlusLinear { .. } => degree.is_multiple_of(2),
            Self::OddPlusConstant { .. } => degree % 2 == 1,
        }
    }

    /// Split `P = fixed(y) + factor(y)·q(variable(y))` at `y = (x − c)/scale`.
    fn parts(self, y: f64, scale: f64) -> Parts {
        match self {
            Self::General => Parts { variable: y, factor: 1.0, fixed: 0.0 },
            Self::EvenPlusLinear { slope } => {
                Parts { variable: 2.0 * y * y - 1.0, factor: 1.0, fixed: slope * scale * y }
            }
            Self::OddPlusConstant { constant } => {
                Parts { variable: 2.0 * y * y - 1.0, factor: y, fixed: constant }
            }
        }
    }

    /// Degree of q for a polynomial of a degree (the inner degree).
    fn inner_degree(self, degree: usize) -> usize {
        if self == Self::General { degree } else { degree / 2 }
    }
}

struct Parts {
    variable: f64,
    factor: f64,
    fixed: f64,
}

/// The best polynomials of a form and of every degree up to a maximum.
#[derive(Clone, Debug)]
pub struct Expansion {
    form: Form,
    center: f64,
    /// Divisor of distances from the centre before the recurrence.
    scale: f64,
    /// `√β_{k+1} p_{k+1} = (t − α_k) p_k − √β_k p_{k−1}`; β_0 makes p_0 of norm one.
    alpha: Vec<f64>,
    sqrt_beta: Vec<f64>,
    /// Coefficients of the expansion in the orthonormal polynomials.
    coefficients: Vec<f64>,
}

impl Expansion {
    /// Fits every degree up to `degree` to `function` under the discrete weight `nodes`.
    ///
    /// `half_width` tells the order of magnitude of distances from the centre.
    ///
    /// # Errors
    /// [`FitError::Degenerate`] if the weight has too few points for the degree.
    pub fn new(
        function: Function,
        form: Form,
        center: f64,
        half_width: f64,
        nodes: &[Node],
        degree: usize,
    ) -> Result<Self, FitError> {
        let terms = form.inner_degree(degree) + 1;
        let degenerate = || FitError::Degenerate { nodes: nodes.len(), degree };
        if nodes.len() < terms {
            return Err(degenerate());
        }
        let parts = |n: &Node| form.parts((n.x - center) / half_width, half_width);
        let variable: Vec<f64> = nodes.iter().map(|n| parts(n).variable).collect();
        // With ρ = √weight·factor, vectors ρ·p_k are orthonormal in the plain inner product.
        let mut current: Vec<f64> =
            nodes.iter().map(|n| n.weight.sqrt() * parts(n).factor).collect();
        let mut residual: Vec<f64> = nodes
            .iter()
            .map(|n| n.weight.sqrt() * (function.evaluate(n.x) - parts(n).fixed))
            .collect();
        let mut previous = vec![0.0; nodes.len()];
        let mut expansion = Self {
            form,
            center,
            scale: half_width,
            alpha: vec![],
            sqrt_beta: vec![],
            coefficients: vec![],
        };
        for _ in 0..terms {
            let norm = dot(&current, &current).sqrt();
            if norm.is_nan() || norm <= 1e-13 {
                return Err(degenerate());
            }
            current.iter_mut().for_each(|p| *p /= norm);
            let coefficient = dot(&residual, &current);
            residual.iter_mut().zip(&current).for_each(|(r, p)| *r -= coefficient * p);
            let alpha = current.iter().zip(&variable).map(|(p, t)| t * p * p).sum::<f64>();
            let next = |k: usize| (variable[k] - alpha) * current[k] - norm * previous[k];
            let next: Vec<f64> = (0..nodes.len()).map(next).collect();
            previous = std::mem::replace(&mut current, next);
            expansion.alpha.push(alpha);
            expansion.sqrt_beta.push(norm);
            expansion.coefficients.push(coefficient);
        }
        Ok(expansion)
    }

    /// The centre of the form.
    pub fn center(&self) -> f64 {
        self.center
    }

    /// The values at `x` of the best polynomials: item k is that of the largest degree whose inner
    /// degree ([`Self::index`]) is k.
    pub fn values(&self, x: f64) -> impl Iterator<Item = f64> {
        let Parts { variable, factor, fixed } =
            self.form.parts((x - self.center) / self.scale, self.scale);
        let (mut previous, mut current, mut value) = (0.0, factor / self.sqrt_beta[0], fixed);
        (0..self.coefficients.len()).map(move |k| {
            value += self.coefficients[k] * current;
            if let Some(norm) = self.sqrt_beta.get(k + 1) {
                let next = (variable - self.alpha[k]) * current - self.sqrt_beta[k] * previous;
                (previous, current) = (current, next / norm);
            }
            value
        })
    }

    /// Position in [`Self::values`] of the polynomial of a degree: its inner degree.
    pub fn index(&self, degree: usize) -> usize {
        self.form.inner_degree(degree)
    }

    /// Coefficients c_0, …, c_degree with which the best polynomial of a degree is
    /// `Σ c_k·T_k((x − center) / half_width)`, by interpolation in the Chebyshev points. Coefficients that the form
    /// excludes are exactly zero. The form must allow the degree ([`Form::allows`]).
    ///
    /// # Panics
    /// If the degree is above the highest one that was fitted.
    pub fn chebyshev(&self, degree: usize, half_width: f64) -> Vec<f64> {
        let count = degree + 1;
        let angle = |j: usize| PI * (j as f64 + 0.5) / count as f64;
        let value = |j: usize| {
            let x = self.center + half_width * libm::cos(angle(j));
            self.values(x).nth(self.index(degree)).expect("the degree was fitted")
        };
        let values: Vec<f64> = (0..count).map(value).collect();
        let coefficient = |k: usize| {
            let excluded = match self.form {
                Form::General => false,
                Form::EvenPlusLinear { .. } => k % 2 == 1 && k > 1,
                Form::OddPlusConstant { .. } => k.is_multiple_of(2) && k > 0,
            };
            if excluded {
                return 0.0;
            }
            let sum: f64 = (0..count).map(|j| values[j] * libm::cos(k as f64 * angle(j))).sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / count as f64
        };
        (0..count).map(coefficient).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
