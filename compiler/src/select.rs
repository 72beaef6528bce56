//! Selection of points of a front: those that keep the requested accuracy, or the most accurate ones within a
//! latency budget.
//!
//! Predicted losses rank points well but do not say what accuracy is left. So points are tried: what trying means is the
//! caller's ([`Trials`]).

use pic_ir::prediction::Fidelity;

use crate::allocate::Point;
use crate::error::CompileError;
use crate::layerwise::Measurement;

/// Drop in accuracy that is accepted if the user names none, as a fraction.
pub const DEFAULT_ACCURACY_DROP: f64 = 0.005;

/// Root mean square error of outputs that is accepted if the user names none, as a fraction of their spread.
const DEFAULT_ERROR: f64 = 0.01;

/// Largest error of an output that is accepted, as a multiple of the root mean square. Normal errors of a thousand
/// outputs stay below four times theirs.
const LARGEST_ERROR: f64 = 5.0;

/// Two points whose predicted latencies have at most this ratio count as equal, because comparing them would need a
/// refit.
const NEGLIGIBLE_GAP: f64 = 1.01;

/// Within a latency budget, points that take at least this share of the time of the slowest one are compared by
/// measurement.
const NEAR_BUDGET: f64 = 0.93;
const TRIED_NEAR_BUDGET: usize = 5;

/// Accuracy and latency that the user asks for. Without the first two, the most accurate point within the latency budget
/// is asked for, or without that, the default accuracy.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Largest expected loss of accuracy, or of agreement without labels, as a fraction.
    pub max_accuracy_drop: Option<f64>,
    /// Largest root mean square error of outputs that are numbers, as a fraction of their spread.
    pub max_error: Option<f64>,
    /// Longest predicted latency, seconds.
    pub latency_budget: Option<f64>,
}

impl Wishes {
    /// The bound on what a point may cost, and what it costs; above 1 in units of the bound it costs too much.
    fn cost(&self, fidelity: Fidelity) -> Cost {
        let drop = self.max_accuracy_drop.unwrap_or(DEFAULT_ACCURACY_DROP);
        let error = self.max_error.unwrap_or(DEFAULT_ERROR);
        match fidelity {
            Fidelity::Accuracy { drop: found, .. } => Cost { asked: drop, found },
            Fidelity::Agreement { share, .. } => Cost { asked: drop, found: 1.0 - share },
            Fidelity::Error { root_mean_square, largest } => {
                Cost { asked: error, found: root_mean_square.max(largest / LARGEST_ERROR) }
            }
        }
    }
}

/// What a point costs in accuracy beside what it may cost, as fractions.
struct Cost {
    asked: f64,
    found: f64,
}

/// Measurement of points on samples.
pub trait Trials {
    /// Measures the network with the polynomials of a point.
    ///
    /// # Errors
    /// If its polynomials cannot be fitted.
    fn measure(&mut self, point: &Point) -> Result<Measurement, CompileError>;

    /// Name of the layer whose polynomial is predicted to cost most accuracy.
    fn limiting_layer(&self, point: &Point) -> String;
}

/// Indices of the points that meet the user's wishes, the best first.
///
/// # Errors
/// [`CompileError::Latency`] and [`CompileError::Accuracy`] if there is none; those of the trials.
pub fn select(
    front: &[Point],
    wishes: Wishes,
    trials: &mut dyn Trials,
) -> Result<Vec<usize>, CompileError> {
    let budget = wishes.latency_budget.unwrap_or(f64::INFINITY);
    let time = |index: usize| front[index].solution.time;
    let within = front.partition_point(|p| p.solution.time <= budget);
    if within == 0 {
        return Err(CompileError::Latency { budget, nearest: time(0) });
    }
    let names_accuracy = wishes.max_accuracy_drop.is_some() || wishes.max_error.is_some();
    if !names_accuracy && wishes.latency_budget.is_some() {
        return most_accurate(&front[..within], trials);
    }
    let last = front.len() - 1;
    // Accuracy grows along the front but for noise: bisect, then take what was measured.
    let (mut low, mut high) = (0, front.len());
    while low < high && (high > last || time(high) / time(low) > NEGLIGIBLE_GAP) {
        let probe = (low + high) / 2;
        let Cost { asked, found } = wishes.cost(trials.measure(&front[probe])?.fidelity);
        if found <= asked {
            high = probe;
        } else {
            low = probe + 1;
        }
    }
    if high > last {
        let fidelity = trials.measure(&front[last])?.fidelity;
        let Cost { asked, found } = wishes.cost(fidelity);
        let (seconds, layer) = (time(last), trials.limiting_layer(&front[last]));
        let [asked, best] = [asked, found].map(|share| 100.0 * share);
        return Err(match fidelity {
            Fidelity::Error { .. } => CompileError::Error { asked, best, seconds, layer },
            _ => CompileError::Accuracy { asked, best, seconds, layer },
        });
    }
    if high >= within {
        return Err(CompileError::Latency { budget, nearest: time(high) });
    }
    Ok(vec![high])
}

/// The most accurate of the points that take about as long as the slowest one, by measuring a few of them:
/// predicted losses do not tell such points apart. The point that changes the objective least comes first.
fn most_accurate(front: &[Point], trials: &mut dyn Trials) -> Result<Vec<usize>, CompileError> {
    let last = front.len() - 1;
    let slow = NEAR_BUDGET * front[last].solution.time;
    let first = front.partition_point(|p| p.solution.time < slow);
    let tries = TRIED_NEAR_BUDGET.min(front.len() - first);
    let spread = (0..tries).map(|k| last - k * (last - first) / (tries - 1).max(1));
    let change = |index| Ok((trials.measure(&front[index])?.change, index));
    let mut tried = spread.map(change).collect::<Result<Vec<_>, CompileError>>()?;
    tried.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(tried.into_iter().map(|(_, index)| index).collect())
}

/// `count` points of a front, about evenly spread in time, the ends among them.
pub fn spread(front: &[Point], count: usize) -> Vec<&Point> {
    let Some((first, last)) = front.first().zip(front.last()) else { return vec![] };
    let (start, end) = (first.solution.time, last.solution.time);
    let nearest = |k: usize| {
        let time = start + (end - start) * k as f64 / (count - 1).max(1) as f64;
        let distance = |p: &&Point| (p.solution.time - time).abs();
        front.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("a front has points")
    };
    (0..count).map(nearest).collect()
}
