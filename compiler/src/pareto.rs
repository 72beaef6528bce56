//! The Pareto front of latency against loss, as it is shown to the user.

use crate::layerwise::Measurement;

/// A choice of degrees.
#[derive(Clone, Debug, PartialEq)]
pub struct ParetoPoint {
    /// Predicted latency, seconds.
    pub seconds: f64,
    /// Predicted loss, in the unit of the objective.
    pub loss: f64,
    /// Degree of each activation layer.
    pub degrees: Vec<usize>,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Levels of the chain, or between bootstraps.
    pub levels: usize,
    /// Bootstraps.
    pub bootstraps: usize,
    /// How its polynomials do on held-back samples, if they were tried.
    pub measured: Option<Measurement>,
}

/// Points of a front are worth showing if they have at most this share of the loss of the one before.
const USEFUL_LOSS: f64 = 0.8;

/// Share of the loss of the fastest choice below which more accuracy is of no use.
const NEGLIGIBLE_LOSS: f64 = 1e-6;

/// The points of a front that are worth a person's time: those that were simulated, and those much more
/// accurate than the one before.
pub fn useful(front: &[ParetoPoint]) -> Vec<&ParetoPoint> {
    let negligible = NEGLIGIBLE_LOSS * front.first().map_or(0.0, |p| p.loss);
    let mut kept: Vec<&ParetoPoint> = Vec::new();
    for point in front {
        let last = kept.last().map_or(f64::INFINITY, |p| p.loss);
        let useful = point.loss <= USEFUL_LOSS * last && last > negligible;
        if useful || point.measured.is_some() {
            kept.push(point);
        }
    }
    kept
}
