//! Search for the candidate polynomials of one layer.
//!
//! For each degree and form, the stretch of the density and the width of the interval are those of
//! the smallest error under the profiled density, among those that stay near the function on
//! every input within reach. The histogram itself is not stretched, and the mean error under it is
//! taken off the constant: a bias is the same in every element, so it adds up where independent
//! errors average out. Which candidate a layer gets is not decided here.

use pic_ckks_model::chebyshev::{Counts, MAX_DEGREE, absorbed_coefficient};
use pic_ckks_model::{ChebyshevPlan, square};
use pic_ir::activations::Approximation;
use pic_ir::function::Function;
use pic_ir::profile::{Histogram, LayerProfile, Statistics};

use super::FitError;
use super::density::Density;
use super::expansion::{Expansion, Form};

/// Smallest magnitude of a leading coefficient that is absorbed into the scale of the result without widening the
/// interval.
pub const LEAST_ABSORBED: f64 = 1.0 / 32.0;

/// Largest factor by which the interval is widened so that a smaller coefficient can be absorbed. On wide intervals
/// coefficients are large and cancel, which costs precision.
const WIDEST_ABSORBING: f64 = 1.25;

/// Magnitude that is that of a pole, where rounding hides it.
const POLE: f64 = 1e12;

/// Distance from a pole at which intervals end if inputs reach the pole, relative to the distance of their mean.
const LEAST_FROM_POLE: f64 = 1.0 / 64.0;

/// Degrees, densities and intervals among which the search chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// Degrees of the candidates.
    pub degrees: Vec<usize>,
    /// Factors by which the normal part of the density is stretched (the r of OLA).
    pub stretches: Vec<f64>,
    /// Half widths of the interval, relative to the range seen; the interval is wider if the profile's
    /// [`LayerProfile::extreme`] is. All inputs within the smallest interval count as within reach.
    pub margins: Vec<f64>,
    /// Share of a normal density of equal mean and variance in the density that is fitted. If the share is 1,
    /// errors are measured under the normal density, too.
    pub normal_share: f64,
    /// Share of a uniform density on the interval, which keeps high degrees from swinging where
    /// the others have nothing. The rest is the histogram.
    pub uniform_share: f64,
    /// Largest distance between polynomial and function within reach, relative to the range of the function's
    /// values there. If no polynomial keeps to it, the one of smallest distance is taken.
    pub tail: f64,
    /// True if the caller accepts any output scale, so that the leading coefficient can be absorbed into it.
    /// Otherwise no candidate has a power of two above one as its degree, because evaluating those absorbs the
    /// coefficient.
    pub any_scale: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            degrees: (2..=64).chain((72..=120).step_by(8)).chain((71..=127).step_by(8)).collect(),
            stretches: vec![1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0],
            margins: vec![1.5],
            normal_share: 0.05,
            uniform_share: 3e-4,
            tail: 0.5,
            any_scale: true,
        }
    }
}

/// A polynomial that a layer can use, and the cost of evaluating it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The polynomial.
    pub approximation: Approximation,
    /// Symmetry around the centre.
    pub form: Form,
    /// Number of levels consumed.
    pub depth: u32,
    /// Numbers of operations of each kind.
    pub counts: Counts,
    /// Position in its composition of a polynomial that is part of one, and so is not fitted to data.
    pub stage: Option<usize>,
}

/// Candidates of one layer, in ascending order of depth and products. A candidate is left out if another has at
/// most its depth, products and error.
///
/// # Errors
/// [`FitError::Degrees`], [`FitError::Statistics`] or [`FitError::Degenerate`].
pub fn candidates(
    function: Function,
    layer: &LayerProfile,
    options: &FitOptions,
) -> Result<Vec<Candidate>, FitError> {
    let degrees = &options.degrees;
    if degrees.is_empty() || degrees.iter().any(|d| !(1..=MAX_DEGREE).contains(d)) {
        return Err(FitError::Degrees(degrees.clone()));
    }
    let mut found = vec![];
    for form in [Some(Form::General), special_form(function)].into_iter().flatten() {
        found.extend(of_form(function, form, layer, options)?);
    }
    let cost = |c: &Candidate| (c.depth, c.counts.products, c.counts);
    found.sort_by(|a, b| {
        let errors = a.approximation.error.total_cmp(&b.approximation.error);
        cost(a).cmp(&cost(b)).then(errors)
    });
    found.retain(|candidate| {
        let absorbed = absorbed_coefficient(&candidate.approximation.coefficients);
        let degree = candidate.approximation.degree() as f64;
        let least = LEAST_ABSORBED / libm::pow(WIDEST_ABSORBING, degree);
        absorbed.is_none_or(|c| options.any_scale && c.abs() >= least)
    });
    let mut kept: Vec<Candidate> = vec![];
    for candidate in found {
        let dominates = |k: &Candidate| {
            k.counts.products <= candidate.counts.products
                && k.approximation.error <= candidate.approximation.error
        };
        if !kept.iter().any(dominates) {
            kept.push(candidate);
        }
    }
    Ok(kept)
}

/// The best polynomial of a degree and form for a layer, with stretch and interval chosen anew.
///
/// # Errors
/// [`FitError::Degrees`] if the form has no such degree, and the errors of [`candidates`].
pub fn refit(
    function: Function,
    degree: usize,
    form: Form,
    layer: &LayerProfile,
    options: &FitOptions,
) -> Result<Candidate, FitError> {
    let only = FitOptions { degrees: vec![degree], ..options.clone() };
    let found = of_form(function, form, layer, &only)?.pop();
    found.ok_or(FitError::Degrees(vec![degree]))
}

fn special_form(function: Function) -> Option<Form> {
    Some(Form::of(function)).filter(|&form| form != Form::General)
}

/// An expansion on one interval with the errors of its polynomials.
struct Trial {
    expansion: Expansion,
    half_width: f64,
    stretch: f64,
    /// Mean of function minus polynomial under the profiled density, by inner degree.
    biases: Vec<f64>,
    /// Mean square error under the profiled density without the bias, by inner degree.
    errors: Vec<f64>,
    /// Excess of the largest distance within reach over its bound, zero if there is none, by inner degree.
    excess: Vec<f64>,
}

fn of_form(
    function: Function,
    form: Form,
    layer: &LayerProfile,
    options: &FitOptions,
) -> Result<Vec<Candidate>, FitError> {
    let degrees: Vec<_> = options.degrees.iter().copied().filter(|&d| form.allows(d)).collect();
    let Some(&highest) = degrees.iter().max() else { return Ok(vec![]) };
    let trials = trials(function, form, layer, highest, options)?;
    let candidate = |degree: usize| {
        let quality = |t: &Trial| {
            let index = t.expansion.index(degree);
            (t.excess[index], t.errors[index])
        };
        let best = trials.iter().min_by(|a, b| {
            let ((a_excess, a_error), (b_excess, b_error)) = (quality(a), quality(b));
            a_excess.total_cmp(&b_excess).then(a_error.total_cmp(&b_error))
        })?;
        let error = quality(best).1;
        let mut coefficients = best.expansion.chebyshev(degree, best.half_width);
        coefficients[0] += best.biases[best.expansion.index(degree)];
        let approximation = Approximation {
            name: layer.name.clone(),
            function,
            center: best.expansion.center(),
            half_width: best.half_width,
            stretch: best.stretch,
            coefficients,
            error,
            loss: layer.sensitivity.value * error,
        };
        let plan = ChebyshevPlan::absorbing(&approximation.coefficients).ok()?;
        // A leading coefficient that vanishes leaves a lower degree, which is on offer itself.
        let exact = plan.degree() == degree;
        let (depth, counts) = (plan.depth(), plan.counts());
        exact.then_some(Candidate { form, depth, counts, approximation, stage: None })
    };
    Ok(degrees.into_iter().filter_map(candidate).collect())
}

fn trials(
    function: Function,
    form: Form,
    layer: &LayerProfile,
    degree: usize,
    options: &FitOptions,
) -> Result<Vec<Trial>, FitError> {
    let statistics = &layer.overall;
    let (center, reach, std) = geometry(form, statistics)
        .ok_or_else(|| FitError::Statistics { layer: layer.name.clone() })?;
    let histogram = Density::Histogram(statistics.histogram.clone());
    let normal = Density::Normal { mean: statistics.mean, std };
    let profiled = if options.normal_share < 1.0 { &histogram } else { &normal };
    let domain = guarded_domain(function, statistics);
    if !(domain.0..domain.1).contains(&center) && form != Form::General {
        return Ok(vec![]);
    }
    let profiled = profiled.nodes(domain, function);
    // Inputs that one sample in very many has: beyond the interval polynomials explode.
    let farthest = layer.extreme / statistics.max_abs().max(f64::MIN_POSITIVE);
    let margins = || options.margins.iter().map(|margin| margin.max(farthest));
    let within_reach = margins().fold(f64::INFINITY, f64::min) * reach;
    let (middle, half) = within(domain, form, center, within_reach);
    let guarded: Vec<f64> = (-200..=200).map(|k| middle + half * f64::from(k) / 200.0).collect();
    let values = guarded.iter().map(|&x| function.evaluate(x));
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(y), h.max(y)));
    let bound = options.tail * (high - low);

    let mut trials = vec![];
    for margin in margins() {
        for &stretch in &options.stretches {
            let (center, half_width) = within(domain, form, center, margin * reach);
            let support = (center - half_width, center + half_width);
            let stretched = normal.stretched(stretch, statistics.mean);
            let (low, width) = (support.0, support.1 - support.0);
            let uniform = Density::Histogram(Histogram { low, width, counts: vec![1] });
            let mut parts = vec![
                (1.0 - options.normal_share - options.uniform_share, histogram.clone()),
                (options.normal_share, stretched),
                (options.uniform_share, uniform),
            ];
            parts.retain(|&(share, _)| share > 0.0);
            let mixture = Density::Mixture(parts);
            let nodes = mixture.nodes(support, function);
            let expansion = Expansion::new(function, form, center, half_width, &nodes, degree)?;
            let count = expansion.index(degree) + 1;
            let (mut biases, mut errors) = (vec![0.0; count], vec![0.0; count]);
            for node in &profiled {
                let y = function.evaluate(node.x);
                for (k, value) in expansion.values(node.x).enumerate() {
                    biases[k] += node.weight * (y - value);
                    errors[k] += node.weight * square(y - value);
                }
            }
            // Rounding can take more off than there is where the function is a polynomial.
            let unbiased =
                |(error, bias): (&mut f64, &f64)| *error = (*error - bias * bias).max(0.0);
            errors.iter_mut().zip(&biases).for_each(unbiased);
            let mut excess = vec![0.0f64; count];
            for &x in &guarded {
                let y = function.evaluate(x);
                for (k, value) in expansion.values(x).enumerate() {
                    excess[k] = excess[k].max((y - value - biases[k]).abs() - bound);
                }
            }
            trials.push(Trial { expansion, half_width, stretch, biases, errors, excess });
        }
    }
    Ok(trials)
}

/// The part of a function's domain in which polynomials follow it: up to half way from the inputs seen to the ends of
/// the domain. If the inputs, which may lie behind other polynomials, reach an end, it is the end itself or, where
/// the function has a pole there, somewhat before it.
fn guarded_domain(function: Function, statistics: &Statistics) -> (f64, f64) {
    let (low, high) = function.domain_around(statistics.mean);
    let guarded = |end: f64, seen: f64| {
        let inside = (statistics.mean - end).signum();
        if end.is_infinite() {
            end
        } else if (seen - end) * inside > 0.0 {
            0.5 * (end + seen)
        } else if function.evaluate(end).abs() < POLE {
            end
        } else {
            end + LEAST_FROM_POLE * (statistics.mean - end)
        }
    };
    // The mean may lie beyond an end, too.
    (guarded(low, statistics.min).max(low), guarded(high, statistics.max).min(high))
}

/// Centre and half width of the part of an interval that lies in a domain. Symmetric forms keep their centre.
fn within((low, high): (f64, f64), form: Form, center: f64, half_width: f64) -> (f64, f64) {
    if low <= center - half_width && center + half_width <= high {
        (center, half_width)
    } else if form == Form::General {
        let (low, high) = (low.max(center - half_width), high.min(center + half_width));
        (0.5 * (low + high), 0.5 * (high - low))
    } else {
        (center, half_width.min(center - low).min(high - center))
    }
}

/// Centre, half the range seen from there, and standard deviation; the last two are kept away from
/// zero, so that a layer whose input never changes can be fitted, too.
fn geometry(form: Form, statistics: &Statistics) -> Option<(f64, f64, f64)> {
    let center = match form {
        Form::General => 0.5 * (statistics.min + statistics.max),
        Form::EvenPlusLinear { .. } | Form::OddPlusConstant { .. } => 0.0,
    };
    let floor = 1e-3 * statistics.max_abs().max(1e-3);
    let reach = (statistics.max - center).max(center - statistics.min).max(floor);
    let std = statistics.variance.sqrt().max(0.1 * floor);
    let sound = statistics.histogram.counts.iter().any(|&n| n > 0)
        && statistics.histogram.low.is_finite()
        && statistics.histogram.width > 0.0
        && [center, reach, std, statistics.mean].iter().all(|x| x.is_finite());
    sound.then_some((center, reach, std))
}
