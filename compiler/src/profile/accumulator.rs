//! Moments, extremes and a histogram of a stream of values, in constant memory.
//!
//! Bins are aligned at zero and their width is a power of two. When a value falls outside, pairs
//! of bins are joined until it fits, so histograms of different widths merge exactly and a kink at
//! zero always lies between two bins.

use multiversion::multiversion;
use pic_ir::profile::{Histogram, Statistics};

/// Smallest range that the first bins are made for.
const SMALLEST_RANGE: f64 = 1e-60;

/// Statistics of the values so far.
#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    bins: usize,
    count: u64,
    mean: f64,
    /// Sum of squared deviations from the mean.
    squares: f64,
    min: f64,
    max: f64,
    /// Bins have width 2^exponent; the first is `first · 2^exponent`.
    exponent: i32,
    first: i64,
    counts: Vec<u64>,
}

impl Accumulator {
    /// No values, and at most `bins` bins to come.
    pub(super) fn new(bins: usize) -> Self {
        Self {
            bins,
            count: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            exponent: 0,
            first: 0,
            counts: vec![],
        }
    }

    /// Adds values. Returns false and adds nothing if one of them is infinite or not a number.
    pub(super) fn add(&mut self, rows: &[&[f32]]) -> bool {
        let Some(&shift) = rows.iter().find_map(|row| row.first()) else { return true };
        let Sums { count, sum, squares, min, max } = sums(rows, shift);
        if !sum.is_finite() {
            return false;
        }
        let mean = f64::from(shift) + sum / count as f64;
        let squares = (squares - sum * sum / count as f64).max(0.0);
        let (min, max) = (f64::from(min), f64::from(max));
        if self.counts.is_empty() {
            let smallest = 1e-6 * min.abs().max(max.abs());
            let width = (max - min).max(smallest).max(SMALLEST_RANGE) / self.bins as f64;
            self.exponent = libm::log2(width).floor() as i32;
            self.first = bin(min, self.exponent);
        }
        self.cover(min, max);
        self.add_moments(count, mean, squares, min, max);
        let scale = libm::exp2(-f64::from(self.exponent));
        for &x in rows.iter().copied().flatten() {
            let x = f64::from(x) * scale;
            // Towards zero, then down: `floor` is a call on processors of old.
            let towards_zero = x as i64;
            let bin = towards_zero - i64::from(x < towards_zero as f64);
            self.counts[(bin - self.first) as usize] += 1;
        }
        true
    }

    /// Adds the values of another accumulator.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.counts.is_empty() {
            (self.exponent, self.first) = (other.exponent, other.first);
        }
        while self.exponent < other.exponent {
            self.coarsen();
        }
        self.cover(other.min, other.max);
        self.add_moments(other.count, other.mean, other.squares, other.min, other.max);
        let shift = (self.exponent - other.exponent).min(63);
        for (k, &n) in other.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            self.counts[(((other.first + k as i64) >> shift) - self.first) as usize] += n;
        }
    }

    /// The statistics, in at most `bins` bins; at least one value must have been added.
    pub(super) fn finish(mut self, bins: usize) -> Statistics {
        while self.counts.len() > bins {
            self.coarsen();
        }
        let width = libm::exp2(f64::from(self.exponent));
        Statistics {
            count: self.count,
            mean: self.mean,
            variance: self.squares / self.count as f64,
            min: self.min,
            max: self.max,
            histogram: Histogram { low: self.first as f64 * width, width, counts: self.counts },
        }
    }

    /// Pairwise combination of moments (Chan, Golub and LeVeque, 1979).
    fn add_moments(&mut self, count: u64, mean: f64, squares: f64, min: f64, max: f64) {
        let total = (self.count + count) as f64;
        let (shift, share) = (mean - self.mean, count as f64 / total);
        self.squares += squares + shift * shift * self.count as f64 * share;
        self.mean += shift * share;
        self.count += count;
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    /// Makes the bins reach from `min` to `max`.
    fn cover(&mut self, min: f64, max: f64) {
        // First to a width at which bin numbers fit in 62 bits.
        while min.abs().max(max.abs()) > libm::exp2(f64::from(self.exponent + 62)) {
            self.coarsen();
        }
        loop {
            let first = bin(min, self.exponent).min(self.first);
            let end = self.first + self.counts.len() as i64;
            let end = end.max(bin(max, self.exponent) + 1);
            if end - first <= self.bins as i64 {
                let before = (self.first - first) as usize;
                self.counts.splice(0..0, std::iter::repeat_n(0, before));
                self.counts.resize((end - first) as usize, 0);
                self.first = first;
                return;
            }
            self.coarsen();
        }
    }

    /// Joins pairs of bins.
    fn coarsen(&mut self) {
        let first = self.first >> 1;
        let last = (self.first + self.counts.len() as i64 - 1) >> 1;
        let mut joined = vec![0; (last - first + 1).max(0) as usize];
        for (k, n) in self.counts.iter().enumerate() {
            joined[(((self.first + k as i64) >> 1) - first) as usize] += n;
        }
        (self.first, self.counts) = (first, joined);
        self.exponent += 1;
    }
}

/// Moments about a value among or near those that are summed, and extremes.
struct Sums {
    count: u64,
    sum: f64,
    squares: f64,
    min: f32,
    max: f32,
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn sums(rows: &[&[f32]], shift: f32) -> Sums {
    // Independent sums, side by side in vector registers.
    const SIDE: usize = 32;
    let (mut sum, mut squares) = ([0.0f64; SIDE], [0.0f64; SIDE]);
    let (mut min, mut max) = ([f32::INFINITY; SIDE], [f32::NEG_INFINITY; SIDE]);
    let mut add = |k: usize, x: f32| {
        let from_shift = f64::from(x) - f64::from(shift);
        sum[k] += from_shift;
        squares[k] += from_shift * from_shift;
        min[k] = if x < min[k] { x } else { min[k] };
        max[k] = if x > max[k] { x } else { max[k] };
    };
    for row in rows {
        let (chunks, rest) = row.as_chunks::<SIDE>();
        for chunk in chunks {
            (0..SIDE).for_each(|k| add(k, chunk[k]));
        }
        rest.iter().enumerate().for_each(|(k, &x)| add(k, x));
    }
    Sums {
        count: rows.iter().map(|row| row.len() as u64).sum(),
        sum: sum.iter().sum(),
        squares: squares.iter().sum(),
        // Not `f32::min`, which may take either of two zeros.
        min: min.into_iter().fold(f32::INFINITY, |min, x| if x < min { x } else { min }),
        max: max.into_iter().fold(f32::NEG_INFINITY, |max, x| if x > max { x } else { max }),
    }
}

fn bin(x: f64, exponent: i32) -> i64 {
    (x * libm::exp2(-f64::from(exponent))).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::square;
    use proptest::prelude::*;

    fn check(statistics: &Statistics, values: &[f32]) {
        let h = &statistics.histogram;
        assert_eq!(statistics.count, values.len() as u64);
        assert_eq!(h.counts.iter().sum::<u64>(), statistics.count);
        for (bin, &count) in h.counts.iter().enumerate() {
            let left = h.low + bin as f64 * h.width;
            let inside = |x: &&f32| (left..left + h.width).contains(&f64::from(**x));
            assert_eq!(values.iter().filter(inside).count() as u64, count);
        }
        let n = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = values.iter().map(|&x| square(f64::from(x) - mean)).sum::<f64>() / n;
        assert!((statistics.mean - mean).abs() <= 1e-9 * (1.0 + mean.abs()));
        assert!((statistics.variance - variance).abs() <= 1e-9 * (1.0 + variance));
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_statistics_of_the_whole(
            parts in prop::collection::vec(prop::collection::vec(-1e4f32..1e4, 1..20), 1..6),
            scales in prop::collection::vec(-20i32..20, 6),
        ) {
            let parts: Vec<Vec<f32>> = parts
                .iter()
                .zip(&scales)
                .map(|(part, &s)| part.iter().map(|x| x * libm::exp2f(s as f32)).collect())
                .collect();
            let all = parts.concat();
            let (mut streamed, mut merged) = (Accumulator::new(16), Accumulator::new(16));
            for part in &parts {
                prop_assert!(streamed.add(&[part]));
                let mut one = Accumulator::new(16);
                one.add(&[part]);
                merged.merge(&one);
            }
            for accumulator in [streamed, merged] {
                let statistics = accumulator.finish(8);
                prop_assert!(statistics.histogram.counts.len() <= 8);
                check(&statistics, &all);
            }
        }
    }

    #[test]
    fn constants_zeros_and_overflow() {
        for x in [0.0, 1e-30, -3.5, 1e30] {
            let mut accumulator = Accumulator::new(512);
            assert!(accumulator.add(&[&[x; 5], &[x]]));
            check(&accumulator.clone().finish(512), &[x; 6]);
            assert!(accumulator.add(&[&[1.0]]));
            check(&accumulator.finish(512), &[x, x, x, x, x, x, 1.0]);
        }
        assert!(!Accumulator::new(8).add(&[&[1.0, f32::INFINITY]]));
        assert!(!Accumulator::new(8).add(&[&[f32::NAN]]));
    }
}
