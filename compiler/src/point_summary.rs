//! The Pareto front of latency against loss, as it is shown to the user.

use crate::allocate::Point;
use crate::fit::Candidate;
use crate::layerwise::Measurement;

/// A point of the front: degrees with their predicted latency and loss.
#[derive(Clone, Debug, PartialEq)]
pub struct PointSummary {
    /// Predicted latency, seconds.
    pub seconds: f64,
    /// Predicted loss, in the unit of the objective.
    pub loss: f64,
    /// Degree of each activation layer.
    pub degrees: Vec<usize>,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Number of levels of the chain, or between bootstraps.
    pub levels: usize,
    /// Number of bootstraps.
    pub bootstraps: usize,
    /// Measurement on held-back samples; none if the point was not tried.
    pub measured: Option<Measurement>,
}

impl PointSummary {
    /// The summary of a point whose layers choose among `candidates`.
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

/// Largest ratio between the losses of a point and of the one before it for which the point is shown.
const USEFUL_LOSS: f64 = 0.8;

/// Share of the loss of the fastest choice below which a further decrease is not shown.
const NEGLIGIBLE_LOSS: f64 = 1e-6;

/// Points of a front that are shown to a user: those that were simulated, and those much more accurate than the one
/// before.
pub fn worth_showing(front: &[PointSummary]) -> Vec<&PointSummary> {
    let negligible = NEGLIGIBLE_LOSS * front.first().map_or(0.0, |p| p.loss);
    let mut kept: Vec<&PointSummary> = Vec::new();
    for point in front {
        let last = kept.last().map_or(f64::INFINITY, |p| p.loss);
        let useful = point.loss <= USEFUL_LOSS * last && last > negligible;
        if useful || point.measured.is_some() {
            kept.push(point);
        }
    }
    kept
}
