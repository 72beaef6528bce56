//! Fits against exact rational arithmetic and closed forms, and the guarantees of the search.

use num_bigint::BigInt;
use pic_ir::activations::Approximation;
use pic_ir::profile::{Histogram, LayerProfile, Sensitivity, Statistics};

use super::*;

const EVERYWHERE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// A polynomial given by Chebyshev coefficients on an interval.
fn series(coefficients: Vec<f64>, center: f64, half_width: f64) -> impl Fn(f64) -> f64 {
    let approximation = Approximation {
        name: String::new(),
        function: Function::Relu,
        center,
        half_width,
        stretch: 1.0,
        coefficients,
        error: 0.0,
        loss: 0.0,
    };
    move |x| approximation.evaluate(x)
}

/// Solves a linear system exactly: Bareiss' fraction-free elimination (Math. Comp. 22, 1968),
/// right-hand side in the last column. Returns numerators over the common denominator.
fn solve_exactly(mut m: Vec<Vec<BigInt>>) -> (Vec<BigInt>, BigInt) {
    let n = m.len();
    let mut last = BigInt::from(1);
    for k in 0..n {
        let pivot = m[k][k].clone();
        assert_ne!(pivot, BigInt::ZERO, "a matrix of moments is definite");
        let row = m[k].clone();
        for (_, other) in m.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = other[k].clone();
            for (entry, above) in other.iter_mut().zip(&row) {
                *entry = (&*entry * &pivot - &factor * above) / &last;
            }
        }
        last = pivot;
    }
    let numerators = m.iter().map(|row| row[n].clone()).collect();
    (numerators, last)
}

/// `∫ x^power` over `[a, b]` times `power + 1`.
fn power_difference(a: i64, b: i64, power: u32) -> BigInt {
    BigInt::from(b).pow(power + 1) - BigInt::from(a).pow(power + 1)
}

/// Least squares of ReLU under a histogram on whole numbers, by the normal equations in monomials,
/// solved exactly. Moments are scaled by a common multiple of the denominators.
#[test]
fn histogram_fit_equals_the_exact_normal_equations() {
    let (low, counts) = (-3i64, [3u64, 1, 0, 4, 7, 2]);
    let degree = 9u32;
    let common: i64 = (1..=2 * i64::from(degree) + 2).fold(1, |l, k| l / gcd(l, k) * k);
    let moment = |power: u32, from: i64| {
        let bins = counts.iter().enumerate();
        bins.filter(|(bin, _)| low + *bin as i64 >= from)
            .map(|(bin, &count)| {
                let left = low + bin as i64;
                power_difference(left, left + 1, power)
                    * BigInt::from(count)
                    * BigInt::from(common / i64::from(power + 1))
            })
            .sum::<BigInt>()
    };
    let row = |i: u32| {
        let mut row: Vec<BigInt> = (0..=degree).map(|j| moment(i + j, low)).collect();
        row.push(moment(i + 1, 0));
        row
    };
    let (numerators, denominator) = solve_exactly((0..=degree).map(row).collect());
    // Evaluated exactly at multiples of 1/8, then rounded once.
    let exact = |eighths: i64| {
        let (x, one) = (BigInt::from(eighths), BigInt::from(8));
        let term = |(k, c): (usize, &BigInt)| c * x.pow(k as u32) * one.pow(degree - k as u32);
        let sum: BigInt = numerators.iter().enumerate().map(term).sum();
        ratio(&sum, &(&denominator * one.pow(degree)))
    };
    let histogram = Histogram { low: low as f64, width: 1.0, counts: counts.to_vec() };
    let density = Density::Histogram(histogram);
    let found = fit(Function::Relu, &density, EVERYWHERE, degree as usize, 0.5, 4.0).unwrap();
    let found = series(found, 0.5, 4.0);
    for eighths in -24..=24 {
        let (expected, found) = (exact(eighths), found(eighths as f64 / 8.0));
        assert!((expected - found).abs() < 1e-11, "at {eighths}/8: {found}, not {expected}");
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The quotient to f64 precision.
fn ratio(numerator: &BigInt, denominator: &BigInt) -> f64 {
    let scaled: BigInt = (numerator << 80) / denominator;
    scaled.to_string().parse::<f64>().expect("digits") / libm::exp2(80.0)
}

/// The best polynomial for ReLU under a standard normal density in closed form, at x: the
/// expansion of |x| in Hermite polynomials has coefficients
/// `E[|x|·He_2k]/(2k)! = √(2/π)·(−1)^(k+1)·(2k−3)!!/(2k)!`.
fn hermite_relu(degree: usize, x: f64) -> f64 {
    let (mut previous, mut current) = (0.0, 1.0);
    // (2k−3)!!/(2k)! with (−3)!! = −1, so that the sign is (−1)^(k+1) from k = 0 on.
    let (mut sum, mut ratio) = (0.0, 1.0);
    for n in 0..=degree {
        if n % 2 == 0 {
            if n > 0 {
                ratio *= -((n as f64) - 3.0) / (n * (n - 1)) as f64;
            }
            sum += ratio * current;
        }
        (previous, current) = (current, x * current - n as f64 * previous);
    }
    0.5 * x + 0.5 * (2.0 / std::f64::consts::PI).sqrt() * sum
}

fn normal_fit(degree: usize, stretch: f64) -> impl Fn(f64) -> f64 {
    let density = Density::Normal { mean: 0.0, std: 1.0 }.stretched(stretch, 0.0);
    series(fit(Function::Relu, &density, EVERYWHERE, degree, 0.0, 6.0).unwrap(), 0.0, 6.0)
}

#[test]
fn normal_fit_equals_the_hermite_expansion() {
    for degree in [2, 3, 6, 7, 14, 15, 26] {
        let found = normal_fit(degree, 1.0);
        for x in (-60..=60).map(|k| f64::from(k) / 10.0) {
            let expected = hermite_relu(degree, x);
            let error = (found(x) - expected).abs() / (1.0 + expected.abs());
            assert!(error < 1e-9, "degree {degree} at {x}: {} not {expected}", found(x));
        }
    }
}

/// What the OLA paper's scaled-distribution step is for: degree 14 within six standard deviations.
#[test]
fn stretching_tames_the_tail() {
    let worst = |stretch: f64| {
        let p = normal_fit(14, stretch);
        let error = |k: i32| {
            let x = f64::from(k) / 1000.0;
            (p(x) - x.max(0.0)).abs()
        };
        (-6000..=6000).map(error).fold(0.0, f64::max)
    };
    assert!((worst(1.0) - 31.0).abs() < 0.5, "{}", worst(1.0));
    assert!((worst(1.5) - 0.37).abs() < 0.005, "{}", worst(1.5));
}

/// A layer whose inputs look like a skewed mixture of two normals, in 512 bins.
fn layer() -> LayerProfile {
    let (low, width) = (-5.0, 13.0 / 512.0);
    let bump = |x: f64, mean: f64, std: f64| libm::exp(-0.5 * square((x - mean) / std)) / std;
    let density = |x: f64| bump(x, -0.6, 0.9) + 0.2 * bump(x, 1.5, 1.6);
    let counts: Vec<u64> =
        (0..512).map(|k| (1e5 * density(low + (k as f64 + 0.5) * width)) as u64).collect();
    let total: u64 = counts.iter().sum();
    let mean_of = |g: &dyn Fn(f64) -> f64| {
        let term = |(k, n): (usize, &u64)| *n as f64 * g(low + (k as f64 + 0.5) * width);
        counts.iter().enumerate().map(term).sum::<f64>() / total as f64
    };
    let mean = mean_of(&|x| x);
    let variance = mean_of(&|x| square(x - mean));
    let first = counts.iter().position(|&n| n > 0).unwrap() as f64;
    let last = counts.iter().rposition(|&n| n > 0).unwrap() as f64;
    let overall = Statistics {
        count: total,
        mean,
        variance,
        min: low + first * width,
        max: low + (last + 1.0) * width,
        histogram: Histogram { low, width, counts },
    };
    LayerProfile {
        name: "relu".into(),
        elements: 1,
        extreme: overall.max_abs(),
        channels: vec![overall.clone()],
        overall,
        sensitivity: Sensitivity { value: 2.0, standard_error: 0.0 },
    }
}

#[test]
fn errors_fall_with_the_degree_and_equal_the_error_of_the_series() {
    let layer = layer();
    let density = Density::Histogram(layer.overall.histogram.clone());
    for function in [Function::Relu, Function::Gelu, Function::Sigmoid, Function::HardSwish] {
        for form in [Form::General, Form::of(function)] {
            // One setting, so that degrees differ in nothing else.
            let options = FitOptions {
                stretches: vec![1.0],
                margins: vec![1.1],
                normal_share: 0.0,
                uniform_share: 0.0,
                ..FitOptions::default()
            };
            let degrees = (2..=31).filter(|&d| form.allows(d));
            let found: Vec<_> =
                degrees.map(|d| refit(function, d, form, &layer, &options).unwrap()).collect();
            for pair in found.windows(2) {
                let [a, b] = [&pair[0].approximation, &pair[1].approximation];
                assert!(b.error <= a.error * (1.0 + 1e-9), "{function} degree {}", b.degree());
            }
            for candidate in &found {
                let a = &candidate.approximation;
                let again = error(function, |x| a.evaluate(x), &density, EVERYWHERE);
                assert!(
                    (a.error - again).abs() <= 1e-8 * again + 1e-15,
                    "{function} {}",
                    a.degree()
                );
                assert_eq!(a.loss, 2.0 * a.error);
            }
        }
    }
}

/// Under a symmetric density the special form is what the general fit finds by itself.
#[test]
fn special_forms_cost_nothing_under_a_symmetric_density() {
    let density = Density::Normal { mean: 0.0, std: 1.3 };
    let nodes = density.nodes((-5.0, 5.0), Function::Relu);
    for function in [Function::LeakyRelu { alpha: 0.1 }, Function::Silu, Function::Tanh] {
        let form = Form::of(function);
        let degree = if form.allows(12) { 12 } else { 13 };
        let expansion = |form| Expansion::new(function, form, 0.0, 5.0, &nodes, degree).unwrap();
        let general = expansion(Form::General).chebyshev(degree, 5.0);
        let special = expansion(form).chebyshev(degree, 5.0);
        for (a, b) in general.iter().zip(&special) {
            assert!((a - b).abs() < 1e-9, "{function}: {general:?} {special:?}");
        }
    }
}

#[test]
fn every_candidate_stays_near_the_function_within_reach() {
    let layer = layer();
    let options = FitOptions::default();
    for function in [Function::Relu, Function::Gelu, Function::Softplus] {
        let found = candidates(function, &layer, &options).unwrap();
        let s = &layer.overall;
        for candidate in &found {
            let a = &candidate.approximation;
            let reach = (s.max - a.center).max(a.center - s.min);
            assert!(a.half_width >= 1.3 * reach * (1.0 - 1e-12));
            for x in (-1000..=1000).map(|k| a.center + 1.3 * reach * f64::from(k) / 1000.0) {
                let distance = (a.evaluate(x) - function.evaluate(x)).abs();
                let range = function.evaluate(a.center + 1.3 * reach);
                assert!(distance < 0.51 * range, "{function} degree {} at {x}", a.degree());
            }
        }
        // A front: deeper or more products only for a smaller error.
        for (k, b) in found.iter().enumerate() {
            for a in &found[..k] {
                assert!(
                    a.counts.products > b.counts.products
                        || a.approximation.error > b.approximation.error
                );
            }
        }
        let depths: std::collections::BTreeSet<_> = found.iter().map(|c| c.depth).collect();
        assert_eq!(depths, (1..=7).collect());
    }
}

/// Inputs from about 1 to 14: intervals end between a pole at 0 and the smallest input, and polynomials are near the function
/// on all of them. Inputs that reach the pole move the end, and the fit stays finite.
#[test]
fn intervals_stay_where_functions_have_values() {
    let mut layer = layer();
    let shift = 1.0 - layer.overall.min;
    let s = &mut layer.overall;
    (s.min, s.max, s.mean) = (s.min + shift, s.max + shift, s.mean + shift);
    s.histogram.low += shift;
    layer.extreme = s.max;
    let power = |exponent| Function::Power { exponent };
    for function in [Function::Log, power(-1.0), power(-0.5), power(0.5), power(1.5)] {
        let found = candidates(function, &layer, &FitOptions::default()).unwrap();
        let least = found.iter().map(|c| c.approximation.error).fold(f64::INFINITY, f64::min);
        assert!(least < 1e-8, "{function}: {least}");
        for Candidate { approximation: a, .. } in &found {
            let low = a.center - a.half_width;
            assert!((0.5 - 1e-12..=1.0).contains(&low), "{function}: {low}");
        }
        let mut reaching = layer.clone();
        reaching.overall.min = -0.1;
        reaching.overall.histogram.low -= 1.1;
        let found = candidates(function, &reaching, &FitOptions::default()).unwrap();
        for Candidate { approximation: a, .. } in found {
            assert!(a.center >= a.half_width, "{function}: {} {}", a.center, a.half_width);
            assert!(a.coefficients.iter().all(|c| c.is_finite()) && a.error.is_finite());
        }
    }
}

/// Without the guard the search would take a smaller error with a wild tail.
#[test]
fn the_guard_changes_the_choice() {
    let layer = layer();
    let choose = |tail: f64| {
        let options = FitOptions { tail, ..FitOptions::default() };
        refit(Function::Relu, 14, Form::of(Function::Relu), &layer, &options).unwrap().approximation
    };
    let (free, guarded) = (choose(1e9), choose(0.03));
    assert!(free.error < guarded.error);
    let worst = |a: &Approximation| {
        let x = 1.3 * layer.overall.max_abs();
        a.evaluate(-x).abs().max((a.evaluate(x) - x).abs())
    };
    assert!(worst(&guarded) < worst(&free));
}

#[test]
fn unusable_input_is_refused() {
    let empty = Density::Histogram(Histogram { low: 0.0, width: 1.0, counts: vec![0, 0] });
    let refused = fit(Function::Relu, &empty, EVERYWHERE, 3, 0.0, 1.0);
    assert_eq!(refused, Err(FitError::Degenerate { nodes: 0, degree: 3 }));
    let mut bad = layer();
    bad.overall.mean = f64::NAN;
    let refused = candidates(Function::Relu, &bad, &FitOptions::default());
    assert_eq!(refused, Err(FitError::Statistics { layer: "relu".into() }));
    let options = FitOptions { degrees: vec![200], ..FitOptions::default() };
    assert_eq!(candidates(Function::Relu, &layer(), &options), Err(FitError::Degrees(vec![200])));
}

/// A layer whose input never changes still gets a polynomial that is right there.
#[test]
fn a_constant_input_can_be_fitted() {
    let mut layer = layer();
    layer.overall = Statistics {
        count: 10,
        mean: 0.7,
        variance: 0.0,
        min: 0.7,
        max: 0.7,
        histogram: Histogram { low: 0.6875, width: 0.03125, counts: vec![10] },
    };
    for candidate in candidates(Function::Gelu, &layer, &FitOptions::default()).unwrap() {
        let found = candidate.approximation.evaluate(0.7);
        assert!((found - Function::Gelu.evaluate(0.7)).abs() < 1e-2, "{found}");
    }
}
