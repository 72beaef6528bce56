//! The Pareto front of latency against loss, as it is shown to the user.

use crate::allocate::Point;
use crate::fit::Candidate;
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

impl ParetoPoint {
    /// A point of the front whose layers choose among `candidates`.
    pub(crate) fn new(
        point: &Point,
        candidates: &[Vec<Candidate>],
        measured: Option<Measurement>,
    ) -> Self {
        let Point { on, solution, candidates: chosen } = point;
        let degree = |(list, &k): (&Vec<Candidate>, &usize)| list[k].approximation.degree();
        Self {
            seconds: solution.time,
            loss: solution.loss,
            degrees: candidates.iter().zip(chosen).map(degree).collect(),
            log_n: on.chain.log_n(),
            levels: match on.chain.bootstrapping() {
                Some(plan) => plan.levels(),
                None => solution.input_level as usize,
            },
            bootstraps: point.bootstrapped().iter().filter(|&&b| b).count(),
            measured,
        }
    }
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
