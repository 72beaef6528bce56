//! The matrices of the homomorphic discrete Fourier transform, by their generalised diagonals.
//!
//! A polynomial with the coefficients a has the slots U·a (pairs a_t + i·a_{t+n} taken as one), so
//! SlotsToCoeffs multiplies the slots by U and CoeffsToSlots by its inverse. Up to a bit reversal, which
//! cancels out between the two, U is the product of butterflies of spans 2, 4, …, n with the twiddles
//! exp(2πi·5^j / 4·span), j < span/2 (as in [`crate::encoding`]).

use std::collections::BTreeMap;
use std::f64::consts::PI;

use crate::Complex64;
use crate::model::bootstrapping::Stage;

/// Direction of the homomorphic transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Butterflies `(a, b) → (a + w·b, a − w·b)`, spans ascending.
    SlotsToCoeffs,
    /// Butterflies `(a, b) → ((a + b)/2, (a − b)/2w)`, spans descending.
    CoeffsToSlots,
}

/// The generalised diagonals of a matrix, by offset modulo the number of slots: `out[p] = Σ_o
/// diagonals[o][p]·in[p + o]`. Each diagonal is stored as one period of values.
pub(super) type Diagonals = BTreeMap<usize, Vec<Complex64>>;

/// The diagonals of a stage: the product of its butterfly matrices, times a constant.
pub(super) fn diagonals(stage: Stage, direction: Direction, constant: f64) -> Diagonals {
    let (slots, period) = (1 << stage.log_slots, stage.period());
    let identity = Diagonals::from([(0, vec![constant.into(); period])]);
    let spans = (stage.first..stage.first + stage.radix).map(|k| 2usize << k);
    let apply = |product: Diagonals, span| {
        multiply(&butterflies(span, direction, slots, period), &product, slots)
    };
    match direction {
        Direction::SlotsToCoeffs => spans.fold(identity, apply),
        Direction::CoeffsToSlots => spans.rev().fold(identity, apply),
    }
}

/// The diagonal at an offset of a halving stage, the one with the longest span: twice as long as
/// without halving, for vectors of twice the slots. Let u = (1, …, 1, i, …, i).
///
/// - SlotsToCoeffs is applied to u ⊙ x. The two halves of the result sum to the result for the
///   complex vector whose real parts are the first half of x and whose imaginary parts are the
///   second.
/// - The result y of CoeffsToSlots, which is repeated twice, is multiplied by ū. The halves of
///   2·Re(ū ⊙ y) are twice the real and the imaginary parts of y.
pub(super) fn halving(
    diagonal: &[Complex64],
    offset: usize,
    direction: Direction,
) -> Vec<Complex64> {
    let slots = diagonal.len();
    let factor = |p: usize| match direction {
        Direction::SlotsToCoeffs => [Complex64::ONE, Complex64::I][(p + offset) / slots % 2],
        Direction::CoeffsToSlots => [Complex64::ONE, -Complex64::I][p / slots],
    };
    (0..2 * slots).map(|p| diagonal[p % slots] * factor(p)).collect()
}

fn butterflies(span: usize, direction: Direction, slots: usize, period: usize) -> Diagonals {
    let half = span / 2;
    let powers = std::iter::successors(Some(1usize), |p| Some(5 * p % (4 * span)));
    let twiddles: Vec<Complex64> = powers
        .take(half)
        .map(|p| Complex64::cis(2.0 * PI * p as f64 / (4 * span) as f64))
        .collect();
    // For the upper and the lower output: the factors of the upper and the lower input.
    let factors = |j: usize| {
        let (one, w) = (Complex64::ONE, twiddles[j]);
        match direction {
            Direction::SlotsToCoeffs => [[one, w], [one, -w]],
            Direction::CoeffsToSlots => [[one / 2.0, one / 2.0], [w.conj() / 2.0, -w.conj() / 2.0]],
        }
    };
    let mut diagonals = Diagonals::new();
    for p in 0..period {
        let (j, lower) = (p % half, p % span >= half);
        let [upper_factor, lower_factor] = factors(j)[usize::from(lower)];
        let (own, other, offset) = if lower {
            (lower_factor, upper_factor, slots - half)
        } else {
            (upper_factor, lower_factor, half)
        };
        for (offset, factor) in [(0, own), (offset, other)] {
            let zeros = || vec![Complex64::ZERO; period];
            // Where the span is all slots, the two offsets are one.
            diagonals.entry(offset % slots).or_insert_with(zeros)[p] += factor;
        }
    }
    diagonals
}

/// The matrix product a·b.
fn multiply(a: &Diagonals, b: &Diagonals, slots: usize) -> Diagonals {
    let mut product = Diagonals::new();
    for (&offset_a, a) in a {
        let period = a.len();
        for (&offset_b, b) in b {
            let sum = product
                .entry((offset_a + offset_b) % slots)
                .or_insert_with(|| vec![Complex64::ZERO; period]);
            for (p, (sum, a)) in sum.iter_mut().zip(a).enumerate() {
                *sum += a * b[(p + offset_a) % period];
            }
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::slots::SlotTransforms;

    fn apply(diagonals: &Diagonals, x: &[Complex64]) -> Vec<Complex64> {
        let term =
            |p: usize, (&o, d): (&usize, &Vec<Complex64>)| d[p % d.len()] * x[(p + o) % x.len()];
        (0..x.len()).map(|p| diagonals.iter().map(|d| term(p, d)).sum()).collect()
    }

    fn reversed<T: Copy>(x: &[T]) -> Vec<T> {
        let shift = usize::BITS - x.len().ilog2();
        (0..x.len()).map(|p| x[p.reverse_bits() >> shift]).collect()
    }

    /// SlotsToCoeffs is decoding, but for the bit reversal; CoeffsToSlots is its inverse.
    #[test]
    fn stages_multiply_to_the_embedding() {
        for (log_slots, radices) in [(1, vec![1]), (5, vec![2, 3]), (6, vec![1, 2, 3])] {
            let slots = 1usize << log_slots;
            let coefficients: Vec<f64> =
                (0..2 * slots).map(|t| ((t * 7 + 3) % 11) as f64 - 5.0).collect();
            let packed: Vec<Complex64> = (0..slots)
                .map(|t| Complex64::new(coefficients[t], coefficients[t + slots]))
                .collect();
            let values = SlotTransforms::default().get(slots).values(&coefficients);
            let stages = Stage::ascending(log_slots, &radices);
            let decoded = stages.iter().fold(reversed(&packed), |x, &stage| {
                let diagonals = diagonals(stage, Direction::SlotsToCoeffs, 1.0);
                assert_eq!(diagonals.len(), stage.diagonals());
                apply(&diagonals, &x)
            });
            let encoded = stages.iter().rev().fold(values.clone(), |x, &stage| {
                apply(&diagonals(stage, Direction::CoeffsToSlots, 3.0), &x)
            });
            let factor = 3f64.powi(stages.len() as i32);
            for p in 0..slots {
                assert!((decoded[p] - values[p]).norm() < 1e-9);
                assert!((encoded[p] - reversed(&packed)[p] * factor).norm() < 1e-9);
            }
        }
    }
}
