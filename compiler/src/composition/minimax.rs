//! Odd minimax polynomials for the sign function, by the Remez exchange algorithm.
//!
//! After Lee et al., *Minimax Approximation of Sign Function by Composite Polynomial for Homomorphic
//! Comparison* (IEEE TDSC 2022). Only the comparison method [`super::composite`] uses them.

use std::f64::consts::PI;

use nalgebra::{DMatrix, DVector};

/// Number of points at which the error is evaluated, in each of two spacings.
const GRID: usize = 4000;

/// Largest number of exchanges; a few suffice.
const EXCHANGES: usize = 100;

/// Relative difference of the extremes of the error at which the exchange ends.
const LEVELLED: f64 = 1e-6;

/// A polynomial and its largest distance from 1 on the positive half of its domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimax {
    /// Chebyshev coefficients in `x / high`; those of even index are zero.
    pub coefficients: Vec<f64>,
    /// Largest distance from 1 on the positive half of the domain.
    pub error: f64,
}

/// The odd polynomial of a degree whose largest distance from the sign on `low ≤ |x| ≤ high` is least.
///
/// # Panics
/// Unless `0 < low < high` and the degree is odd.
pub fn sign(degree: usize, low: f64, high: f64) -> Minimax {
    assert!(0.0 < low && low < high && degree % 2 == 1, "degree {degree}, {low} to {high}");
    let terms = degree.div_ceil(2);
    let grid = grid(low / high);
    let mut reference: Vec<usize> =
        (0..=terms).map(|k| chebyshev_extreme(&grid, k as f64 / terms as f64)).collect();
    reference.dedup();
    let mut best = Minimax { coefficients: vec![], error: f64::INFINITY };
    for _ in 0..EXCHANGES {
        let odd = interpolate(&grid, &reference, terms);
        let errors: Vec<f64> = grid.iter().map(|&u| evaluate(&odd, u) - 1.0).collect();
        let largest = errors.iter().fold(0.0f64, |a, e| a.max(e.abs()));
        if largest < best.error {
            let coefficients = odd.iter().flat_map(|&c| [0.0, c]).collect();
            best = Minimax { coefficients, error: largest };
        }
        let least = reference.iter().fold(f64::INFINITY, |a, &k| a.min(errors[k].abs()));
        if largest - least <= LEVELLED * largest {
            break;
        }
        reference = exchange(&errors, terms + 1);
    }
    best
}

/// Points from `low` to 1, dense at both ends.
fn grid(low: f64) -> Vec<f64> {
    let share = |k: usize| k as f64 / GRID as f64;
    let geometric = (0..=GRID).map(|k| libm::pow(low, 1.0 - share(k)));
    let even = (0..=GRID).map(|k| low + (1.0 - low) * 0.5 * (1.0 - libm::cos(share(k) * PI)));
    let mut grid: Vec<f64> = geometric.chain(even).collect();
    grid.sort_by(f64::total_cmp);
    grid.dedup();
    grid
}

fn chebyshev_extreme(grid: &[f64], share: f64) -> usize {
    let (low, high) = (grid[0], grid[grid.len() - 1]);
    let x = low + (high - low) * 0.5 * (1.0 - libm::cos(share * PI));
    grid.partition_point(|&u| u < x).min(grid.len() - 1)
}

/// Coefficients of `T_1, T_3, …` of the polynomial whose error alternates at the reference points.
fn interpolate(grid: &[f64], reference: &[usize], terms: usize) -> Vec<f64> {
    let entry = |row: usize, column: usize| {
        if column < terms {
            let u = grid[reference[row]].min(1.0);
            libm::cos((2 * column + 1) as f64 * libm::acos(u))
        } else if row.is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    };
    let system = DMatrix::from_fn(reference.len(), terms + 1, entry);
    let ones = DVector::from_element(reference.len(), 1.0);
    let solution = system.lu().solve(&ones).expect("reference points are distinct");
    solution.as_slice()[..terms].to_vec()
}

fn evaluate(odd: &[f64], u: f64) -> f64 {
    let angle = libm::acos(u.min(1.0));
    odd.iter().enumerate().map(|(k, c)| c * libm::cos((2 * k + 1) as f64 * angle)).sum()
}

/// Indices of the largest extremes of an error that follow each other with alternating sign, `count` of them.
fn exchange(errors: &[f64], count: usize) -> Vec<usize> {
    let mut extremes: Vec<usize> = Vec::new();
    for k in 0..errors.len() {
        match extremes.last_mut() {
            Some(last) if errors[*last].signum() == errors[k].signum() => {
                if errors[k].abs() > errors[*last].abs() {
                    *last = k;
                }
            }
            _ => extremes.push(k),
        }
    }
    while extremes.len() > count {
        let (first, last) = (errors[extremes[0]], errors[extremes[extremes.len() - 1]]);
        if first.abs() < last.abs() {
            extremes.remove(0);
        } else {
            extremes.pop();
        }
    }
    extremes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Degree 1 on [a, 1]: c·x with c·1 − 1 = 1 − c·a, so c = 2/(1 + a).
    #[test]
    fn degree_one_by_hand() {
        let found = sign(1, 0.25, 1.0);
        assert!((found.coefficients[1] - 1.6).abs() < 1e-9, "{found:?}");
        assert!((found.error - 0.6).abs() < 1e-9);
    }

    /// Chebyshev's theorem: the best polynomial is the one whose error alternates at (terms + 1) points;
    /// counted on a grid of its own, by evaluation in the power basis of x/high.
    #[test]
    fn errors_alternate() {
        for (degree, low, high) in [(7, 0.1, 1.0), (15, 1.0 / 64.0, 1.9), (27, 0.3, 1.7)] {
            let found = sign(degree, low, high);
            let error = |x: f64| {
                let u = x / high;
                let (mut previous, mut current) = (1.0, u);
                let mut sum = found.coefficients[1] * u;
                for c in &found.coefficients[2..] {
                    (previous, current) = (current, 2.0 * u * current - previous);
                    sum += c * current;
                }
                sum - 1.0
            };
            let mut alternations = 0;
            let mut last = 0.0;
            for k in 0..=200_000 {
                let e = error(low + (high - low) * f64::from(k) / 200_000.0);
                assert!(e.abs() <= found.error * (1.0 + 1e-3), "degree {degree}");
                if e.abs() > 0.999 * found.error && e.signum() != last {
                    alternations += 1;
                    last = e.signum();
                }
            }
            assert_eq!(alternations, degree.div_ceil(2) + 1, "degree {degree}");
        }
    }
}
