//! Fits polynomials to activations: least squares weighted by the density of the inputs.
//!
//! [`density`] says where they are, [`expansion`] finds the best polynomials of all degrees under
//! a density, and [`candidates`](fn@candidates) chooses, for one layer, how far to stretch the density and how wide
//! to make the interval. Which degree a layer gets is decided elsewhere ([`crate::ola`]).

pub mod density;
pub mod expansion;
mod search;

pub use density::Density;
pub use expansion::Form;
pub use search::{Candidate, FitOptions, LEAST_ABSORBED, candidates, refit};

use pic_ckks_model::square;
use pic_ir::escape::Escaped;
use pic_ir::function::Function;

use density::Node;
use expansion::Expansion;

/// Reason why no polynomial could be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The density has too few points of support for the degree, or is empty.
    #[error("a density with {nodes} points of support cannot determine degree {degree}")]
    Degenerate {
        /// Number of points of support.
        nodes: usize,
        /// Requested degree.
        degree: usize,
    },
    /// Statistics are empty or not finite.
    #[error("the statistics of layer `{}` are empty or not finite", Escaped(layer))]
    Statistics {
        /// Name of the layer.
        layer: String,
    },
    /// The list of degrees is empty, or has one outside 1 to [`pic_ckks_model::chebyshev::MAX_DEGREE`].
    #[error("degrees {0:?}: expected some, each from 1 to the highest supported")]
    Degrees(Vec<usize>),
}

/// Chebyshev coefficients on `center ± half_width` of
/// `argmin_P ∫ density(x) (function(x) − P(x))² dx` over polynomials of a degree.
///
/// The minimiser does not depend on the interval, only its coefficients do. The density is cut
/// off outside `support`.
///
/// # Errors
/// [`FitError::Degenerate`] if the density has too few points of support for the degree.
pub fn fit(
    function: Function,
    density: &Density,
    support: (f64, f64),
    degree: usize,
    center: f64,
    half_width: f64,
) -> Result<Vec<f64>, FitError> {
    let nodes = density.nodes(support, function);
    let expansion = Expansion::new(function, Form::General, center, half_width, &nodes, degree)?;
    Ok(expansion.chebyshev(degree, half_width))
}

/// Mean square error `E = ∫ density(x) (function(x) − P(x))² dx` of a polynomial over the support on which it is
/// given.
pub fn error(
    function: Function,
    polynomial: impl Fn(f64) -> f64,
    density: &Density,
    support: (f64, f64),
) -> f64 {
    let weighted = |n: &Node| n.weight * square(function.evaluate(n.x) - polynomial(n.x));
    density.nodes(support, function).iter().map(weighted).sum()
}

#[cfg(test)]
mod tests;
