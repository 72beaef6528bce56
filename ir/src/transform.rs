//! A linear node as generalised diagonals between layouts.
//!
//! For every non-zero `(o, i, w)` of a matrix, slot `p(o)` of the output takes `w` times slot
//! `p(i)` of the input: a *diagonal* is the set of entries with the same rotation `p(i) − p(o)`
//! (Halevi–Shoup). Ciphertexts repeat with the period of their layout, so rotations count modulo the
//! smaller of the two periods. Where the output's period is the smaller one, entries are spread over
//! several copies of it (*blocks*) and the copies are summed at the end by rotations, which
//! also leaves the result repeated: the *fold*.
//!
//! Rotations are cut into giant and baby steps, `rotation = giant + baby` with `giant` the nearest
//! multiple of the step, so that `out = Σ_giant rot_giant(Σ_baby diagonal ⊙ rot_baby(in))`.
//!
//! Values are real and slots are complex: with `z = x + i·rot_s(x)`, `Re((a − i·b) ⊙ rot_r(z))` is
//! `a ⊙ rot_r(x) + b ⊙ rot_{r+s}(x)`. So two diagonals whose rotations differ by the *shift* s are a
//! *pair* and take one product; an input that has pairs is replaced by z, and the result is the real
//! part of the sums.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pic_ckks_model::giant_steps::GiantSteps;
use pic_ckks_model::op_counts::{Hoisting, TransformSteps};
use serde::{Deserialize, Serialize};

use crate::layout::{Layout, split};
use crate::matrix::{Entry, Matrix};
use crate::separable::{Differences, differences};

/// An operand of a linear node with its matrix and layout.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// The matrix.
    pub matrix: &'a Matrix,
    /// Layout of the operand.
    pub layout: &'a Layout,
    /// Index of the operand's first ciphertext among all input ciphertexts.
    pub first_ciphertext: usize,
}

/// Identity of a diagonal: output ciphertext, input ciphertext and rotation (positive to the left).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagonal {
    /// Index of the output ciphertext.
    pub output: u32,
    /// Index of the input ciphertext, over all operands.
    pub input: u32,
    /// Slots by which the input is rotated to the left.
    pub rotation: i32,
}

/// Lengths of a linear node between layouts, from which rotations and folds follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// log2 of the slots of a ciphertext.
    pub log_slots: u32,
    /// log2 of the length of a diagonal: the longest repetition of any operand or the output.
    pub log_length: u32,
    /// log2 of the repetition of the output.
    pub log_output: u32,
}

impl Geometry {
    /// Geometry of a linear node, from the layouts of its operands and its output.
    pub fn new(terms: &[Term], output: &Layout, log_slots: u32) -> Self {
        let log_output = output.log_repeat(log_slots);
        let longest = terms.iter().map(|t| t.layout.log_repeat(log_slots)).max();
        Self { log_slots, log_length: longest.unwrap_or(0).max(log_output), log_output }
    }

    /// Rotations, in order, that sum the blocks of the result (the fold); empty if there is one block.
    pub fn folds(&self) -> impl Iterator<Item = i32> + use<> {
        (self.log_output..self.log_length).map(|k| 1 << k)
    }

    /// Rotation that brings an input slot to an output slot, from the difference of the two slots.
    fn rotation(&self, difference: i64, log_input: u32) -> i64 {
        let modulus = 1i64 << log_input.min(self.log_output);
        let distance = difference.rem_euclid(modulus);
        if distance >= modulus / 2 && modulus > 1 { distance - modulus } else { distance }
    }

    /// Rotation of the diagonal that an entry belongs to, and the slot at which the entry stands in it, from the
    /// positions of its row and its column within their ciphertexts.
    fn place(&self, out_slot: usize, in_slot: usize, log_input: u32) -> (i32, usize) {
        let rotation = self.rotation(in_slot as i64 - out_slot as i64, log_input);
        // A block of the output in which this rotation reaches the input; block 0 where it suffices.
        let slot = if log_input > self.log_output {
            (in_slot as i64 - rotation).rem_euclid(1 << log_input)
        } else {
            out_slot as i64
        };
        (rotation as i32, slot as usize)
    }
}

/// Calls `visit(diagonal, slot, output element, input entry)` for every non-zero of operand `term`.
fn visit(
    term: &Term,
    output: &Layout,
    geometry: Geometry,
    mut visit: impl FnMut(Diagonal, usize, Entry),
) {
    let (in_positions, out_positions) = (term.layout.positions(), output.positions());
    let log_input = term.layout.log_repeat(geometry.log_slots);
    let mut entries = Vec::new();
    for (o, &out_position) in out_positions.iter().enumerate() {
        let (out_ciphertext, out_slot) = split(out_position as usize, geometry.log_slots);
        term.matrix.row(o, &mut entries);
        for &entry in &entries {
            let (in_ciphertext, in_slot) =
                split(in_positions[entry.0 as usize] as usize, geometry.log_slots);
            let (rotation, slot) = geometry.place(out_slot, in_slot, log_input);
            let diagonal = Diagonal {
                output: out_ciphertext as u32,
                input: (term.first_ciphertext + in_ciphertext) as u32,
                rotation,
            };
            visit(diagonal, slot, entry);
        }
    }
}

/// All diagonals of a linear node that are not structurally zero.
pub fn structure(terms: &[Term], output: &Layout, log_slots: u32) -> BTreeSet<Diagonal> {
    bounded_structure(terms, output, log_slots, usize::MAX).expect("fewer than all numbers")
}

/// All diagonals of a linear node that are not structurally zero, none if there are more than `most`. Lists of
/// diagonals are made only when their lengths are known.
pub fn bounded_structure(
    terms: &[Term],
    output: &Layout,
    log_slots: u32,
    most: usize,
) -> Option<BTreeSet<Diagonal>> {
    let geometry = Geometry::new(terms, output, log_slots);
    let mut found = BTreeSet::new();
    for term in terms {
        // Each operand has ciphertexts of its own, so that no diagonal is found twice.
        found.extend(term_structure(term, output, geometry, most - found.len())?);
    }
    Some(found)
}

/// At most so many diagonals of one operand, sorted; none if there are more.
fn term_structure(
    term: &Term,
    output: &Layout,
    geometry: Geometry,
    most: usize,
) -> Option<Vec<Diagonal>> {
    let (inputs, log_slots) = (term.layout.ciphertexts(geometry.log_slots), geometry.log_slots);
    let mut rotations = vec![Rotations::default(); output.ciphertexts(log_slots) * inputs];
    let mut add = |output: usize, input: usize, rotation: i64| {
        rotations[output * inputs + input].insert(rotation, log_slots);
    };
    let differences = match term.matrix {
        Matrix::Conv(conv) => differences(conv, term.layout, output, log_slots),
        _ => None,
    };
    if let Some(Differences { channels, pixels }) = differences {
        let log_input = term.layout.log_repeat(log_slots);
        for (output, input, channel) in channels {
            for pixel in &pixels {
                add(output, input, geometry.rotation(channel + pixel, log_input));
            }
        }
    } else {
        visit(term, output, geometry, |d, _, _| {
            let input = d.input as usize - term.first_ciphertext;
            add(d.output as usize, input, i64::from(d.rotation));
        });
    }
    if rotations.iter().map(Rotations::len).sum::<usize>() > most {
        return None;
    }
    let of_pair = |(index, rotations): (usize, &Rotations)| {
        let (output, input) = ((index / inputs) as u32, (index % inputs) as u32);
        let input = term.first_ciphertext as u32 + input;
        let diagonal = move |rotation| Diagonal { output, input, rotation };
        rotations.iter(log_slots).map(diagonal).collect::<Vec<_>>()
    };
    Some(rotations.iter().enumerate().flat_map(of_pair).collect())
}

/// Set of rotations between two ciphertexts, in −slots/2..slots/2, as a bit set: matrices have millions of
/// non-zeros. It allocates with the first member, because a file can name many pairs of ciphertexts that no matrix
/// joins.
#[derive(Clone, Default)]
struct Rotations(Vec<u64>);

impl Rotations {
    /// Number of slots, at least 2, so that the range of rotations has a middle.
    fn slots(log_slots: u32) -> i64 {
        1 << log_slots.max(1)
    }

    fn insert(&mut self, rotation: i64, log_slots: u32) {
        let slots = Self::slots(log_slots);
        if self.0.is_empty() {
            self.0.resize((slots as usize).div_ceil(64), 0);
        }
        let bit = (rotation + slots / 2) as usize;
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn iter(&self, log_slots: u32) -> impl Iterator<Item = i32> {
        let first = -(Self::slots(log_slots) / 2) as i32;
        let bits = self.0.iter().enumerate().flat_map(|(index, &word)| {
            let is_set = move |bit: &usize| word >> bit & 1 == 1;
            (0..64).filter(is_set).map(move |bit| 64 * index + bit)
        });
        bits.map(move |bit| first + bit as i32)
    }
}

/// Values of every diagonal, each of length `2^log_length`, with the weights of operand `k` multiplied by
/// `factors[k]`.
pub fn diagonals(
    terms: &[Term],
    factors: &[f64],
    output: &Layout,
    log_slots: u32,
) -> BTreeMap<Diagonal, Vec<f32>> {
    let geometry = Geometry::new(terms, output, log_slots);
    let mut found: BTreeMap<Diagonal, Vec<f32>> = BTreeMap::new();
    for (term, factor) in terms.iter().zip(factors) {
        visit(term, output, geometry, |diagonal, slot, (_, weight)| {
            let zeros = || vec![0.0; 1 << geometry.log_length];
            found.entry(diagonal).or_insert_with(zeros)[slot] += (weight * factor) as f32;
        });
    }
    found
}

/// Order in which the diagonals of a linear node are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Baby steps, giant steps and pairs.
    pub bsgs: BsgsSchedule,
    /// Form of hoisting: which key switches of rotations share their divisions by the special primes.
    pub hoisting: Hoisting,
}

/// Baby-step/giant-step schedule of products and rotations (Halevi and Shoup, 2014).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BsgsSchedule {
    /// Width of the giant steps, in slots.
    pub giant_width: u32,
    /// Difference between the rotations of the two diagonals of a pair, in slots; 0 if there are no pairs.
    pub pair_shift: u32,
}

/// For example `giant width 64, pair shift 1, double hoisting`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BsgsSchedule { giant_width, pair_shift } = self.bsgs;
        let hoisting = match self.hoisting {
            Hoisting::Single => "single",
            Hoisting::Double => "double",
        };
        write!(f, "giant width {giant_width}, pair shift {pair_shift}, {hoisting} hoisting")
    }
}

/// Diagonals grouped for evaluation: each key takes one product, its value is the diagonal, if any, whose rotation
/// is larger by `shift` and that takes part in that product.
pub fn pairs<'a>(
    ascending: impl IntoIterator<Item = &'a Diagonal>,
    shift: u32,
) -> BTreeMap<Diagonal, Option<Diagonal>> {
    let mut pairs: BTreeMap<Diagonal, Option<Diagonal>> = BTreeMap::new();
    for &diagonal in ascending {
        let first = Diagonal { rotation: diagonal.rotation - shift as i32, ..diagonal };
        match pairs.get_mut(&first) {
            Some(second @ None) => *second = Some(diagonal),
            _ => {
                pairs.insert(diagonal, None);
            }
        }
    }
    pairs
}

/// Indices of the input ciphertexts that have pairs.
pub fn packed_inputs(pairs: &BTreeMap<Diagonal, Option<Diagonal>>) -> BTreeSet<u32> {
    pairs.iter().filter(|(_, second)| second.is_some()).map(|(first, _)| first.input).collect()
}

/// Splits a rotation into a giant step, a multiple of `step`, and a baby step.
pub fn split_rotation(rotation: i32, step: u32) -> (i32, i32) {
    let step = step as i32;
    let giant = (rotation + step / 2).div_euclid(step) * step;
    (giant, rotation - giant)
}

/// Products and rotations that evaluating a set of diagonals takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The baby-step/giant-step schedule.
    pub schedule: BsgsSchedule,
    /// Number of products with a diagonal or a pair.
    pub products: usize,
    /// Input ciphertexts that have pairs.
    pub packed_inputs: BTreeSet<u32>,
    /// Number of input ciphertexts that are rotated by some baby step.
    pub rotated_inputs: usize,
    /// Pairs of input ciphertext and non-zero baby step.
    pub baby_steps: BTreeSet<(u32, i32)>,
    /// Pairs of output ciphertext and non-zero giant step.
    pub giant_steps: BTreeSet<(u32, i32)>,
}

impl Steps {
    /// Steps for diagonals that are still to be paired.
    pub fn new(diagonals: &BTreeSet<Diagonal>, schedule: BsgsSchedule) -> Self {
        Self::of_pairs(&pairs(diagonals, schedule.pair_shift), schedule)
    }

    /// Steps for diagonals that [`pairs`] has paired.
    pub fn of_pairs(pairs: &BTreeMap<Diagonal, Option<Diagonal>>, schedule: BsgsSchedule) -> Self {
        let width = schedule.giant_width;
        let split = |d: &Diagonal| (d.input, d.output, split_rotation(d.rotation, width));
        let splits: Vec<_> = pairs.keys().map(split).collect();
        let baby_steps = splits.iter().filter(|(_, _, (_, baby))| *baby != 0);
        let giant_steps = splits.iter().filter(|(_, _, (giant, _))| *giant != 0);
        let baby_steps: BTreeSet<_> =
            baby_steps.map(|&(input, _, (_, baby))| (input, baby)).collect();
        let giant_steps: BTreeSet<_> =
            giant_steps.map(|&(_, output, (giant, _))| (output, giant)).collect();
        let rotated_inputs =
            baby_steps.iter().map(|&(input, _)| input).collect::<BTreeSet<_>>().len();
        let packed_inputs = packed_inputs(pairs);
        Self {
            schedule,
            products: pairs.len(),
            packed_inputs,
            rotated_inputs,
            baby_steps,
            giant_steps,
        }
    }

    /// Number of operations of each kind, for `outputs` output ciphertexts and diagonals of length `period`.
    pub fn counts(&self, outputs: usize, period: usize) -> TransformSteps {
        TransformSteps {
            inputs: self.rotated_inputs,
            outputs,
            baby_steps: self.baby_steps.len(),
            giant_steps: self.giant_steps.len(),
            products: self.products,
            packed_inputs: self.packed_inputs.len(),
            period,
        }
    }

    /// Distinct rotations that need a key, modulo the number of slots.
    pub fn rotations(&self, log_slots: u32) -> BTreeSet<i64> {
        let slots = 1i64 << log_slots;
        let baby_steps = self.baby_steps.iter().map(|&(_, baby)| i64::from(baby).rem_euclid(slots));
        let giant_steps =
            self.giant_steps.iter().map(|&(output, giant)| (output as usize, giant.into()));
        let shift = (!self.packed_inputs.is_empty()).then_some(self.schedule.pair_shift.into());
        baby_steps.chain(GiantSteps::new(giant_steps, slots).rotations()).chain(shift).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Digit;
    use crate::matrix::{Conv, ConvAxis};

    /// Evaluates diagonals on slots in the clear, as the definition says.
    fn apply(
        diagonals: &BTreeMap<Diagonal, Vec<f32>>,
        inputs: &[Vec<f64>],
        outputs: usize,
        geometry: Geometry,
    ) -> Vec<Vec<f64>> {
        let slots = 1usize << geometry.log_slots;
        let mut out = vec![vec![0.0; slots]; outputs];
        for (d, values) in diagonals {
            let input = &inputs[d.input as usize];
            for (s, out) in out[d.output as usize].iter_mut().enumerate() {
                let from = (s as i64 + i64::from(d.rotation)).rem_euclid(slots as i64) as usize;
                *out += f64::from(values[s % values.len()]) * input[from % input.len()];
            }
        }
        for fold in geometry.folds() {
            for out in &mut out {
                let mut rotated = out.clone();
                rotated.rotate_left(fold as usize);
                out.iter_mut().zip(rotated).for_each(|(a, b)| *a += b);
            }
        }
        out
    }

    fn check(matrices: &[Matrix], layouts: &[Layout], output: &Layout, log_slots: u32) -> usize {
        let mut first_ciphertext = 0;
        let mut terms = Vec::new();
        let mut inputs = Vec::new();
        let mut expected = vec![0.0; output.len];
        for (k, (matrix, layout)) in matrices.iter().zip(layouts).enumerate() {
            terms.push(Term { matrix, layout, first_ciphertext });
            let x: Vec<f64> =
                (0..layout.len).map(|e| ((e * 13 + k * 7) % 17) as f64 - 8.0).collect();
            inputs.extend(layout.pack(&x, log_slots));
            first_ciphertext = inputs.len();
            let mut entries = Vec::new();
            for (o, sum) in expected.iter_mut().enumerate() {
                matrix.row(o, &mut entries);
                *sum +=
                    entries.iter().map(|&(c, w)| w * x[c as usize]).sum::<f64>() * (k + 1) as f64;
            }
        }
        let factors: Vec<f64> = (1..=matrices.len()).map(|k| k as f64).collect();
        let geometry = Geometry::new(&terms, output, log_slots);
        let diagonals = diagonals(&terms, &factors, output, log_slots);
        assert_eq!(
            diagonals.keys().copied().collect::<BTreeSet<_>>(),
            structure(&terms, output, log_slots)
        );
        let out = apply(&diagonals, &inputs, output.ciphertexts(log_slots), geometry);
        for (a, b) in output.unpack(&out, log_slots).iter().zip(&expected) {
            assert!((a - b).abs() < 1e-3, "{a} is not {b}");
        }
        // The result repeats with the period of its layout.
        for slots in &out {
            let period = 1 << output.log_repeat(log_slots);
            assert!(slots.iter().enumerate().all(|(s, &v)| (v - slots[s % period]).abs() < 1e-3));
        }
        diagonals.len()
    }

    fn dense(rows: usize, cols: usize) -> Matrix {
        let weights = (0..rows * cols).map(|k| ((k * 31) % 23) as f32 - 11.0).collect();
        Matrix::Dense { outer: 1, rows, cols, inner: 1, weights }
    }

    #[test]
    fn dense_matrices_need_as_many_diagonals_as_the_shorter_side() {
        let c = Layout::contiguous;
        assert_eq!(check(&[dense(8, 32)], &[c(32)], &c(8), 6), 8);
        assert_eq!(check(&[dense(32, 8)], &[c(8)], &c(32), 6), 8);
        assert_eq!(check(&[dense(10, 50)], &[c(50)], &c(10), 8), 16);
        // As many as there are, and one less.
        let (matrix, layout) = (dense(10, 50), c(50));
        let terms = [Term { matrix: &matrix, layout: &layout, first_ciphertext: 0 }];
        let bounded = |most| bounded_structure(&terms, &c(10), 8, most).map(|found| found.len());
        assert_eq!((bounded(16), bounded(15)), (Some(16), None));
        // Inputs and outputs of several ciphertexts.
        check(&[dense(8, 50)], &[c(50)], &c(8), 4);
        check(&[dense(50, 8)], &[c(8)], &c(50), 4);
        check(&[dense(40, 50)], &[c(50)], &c(40), 4);
    }

    #[test]
    fn operands_of_different_periods_are_summed() {
        let c = Layout::contiguous;
        for log_slots in [3, 5, 7, 9] {
            check(
                &[dense(20, 60), dense(20, 5), Matrix::identity(20)],
                &[c(60), c(5), c(20)],
                &c(20),
                log_slots,
            );
            check(&[dense(70, 60), dense(70, 5)], &[c(60), c(5)], &c(70), log_slots);
        }
    }

    #[test]
    fn pairs_are_apart_by_the_shift() {
        let diagonal = |input, rotation| Diagonal { output: 0, input, rotation };
        let diagonals: BTreeSet<_> = [-2, 0, 1, 2, 3, 6]
            .map(|r| diagonal(0, r))
            .into_iter()
            .chain([diagonal(1, 4)])
            .collect();
        let pairs_of = |shift| {
            let pairs = pairs(&diagonals, shift);
            assert_eq!(packed_inputs(&pairs), (0..u32::from(shift > 0)).collect());
            let rotations = |(first, second): (Diagonal, Option<Diagonal>)| {
                second.map(|second: Diagonal| {
                    assert_eq!((first.output, first.input), (second.output, second.input));
                    (first.rotation, second.rotation)
                })
            };
            pairs.into_iter().filter_map(rotations).collect::<Vec<_>>()
        };
        assert_eq!(pairs_of(0), []);
        assert_eq!(pairs_of(1), [(0, 1), (2, 3)]);
        assert_eq!(pairs_of(2), [(-2, 0), (1, 3)]);
        assert_eq!(pairs_of(4), [(-2, 2)]);
        let steps = Steps::new(&diagonals, BsgsSchedule { giant_width: 4, pair_shift: 2 });
        assert_eq!((steps.products, steps.packed_inputs.len()), (5, 1));
        // -2, 1, 2 and 6 of one input, 4 of the other.
        assert_eq!(steps.baby_steps, BTreeSet::from([(0, -2), (0, 1)]));
        assert_eq!(steps.giant_steps, BTreeSet::from([(0, 4), (0, 8)]));
        assert_eq!(steps.rotations(6), BTreeSet::from([1, 2, 4, 62]));
    }

    #[test]
    fn gapped_layouts() {
        let digit = |divisor, modulus, stride| Digit { divisor, modulus, stride };
        let gapped =
            Layout::new(16, vec![digit(1, 2, 2), digit(2, 2, 8), digit(4, 2, 1), digit(8, 2, 4)]);
        let spread = Layout::new(12, vec![digit(1, 3, 2), digit(3, 4, 16)]);
        for log_slots in [2, 4, 6, 8] {
            check(&[dense(16, 12)], std::slice::from_ref(&spread), &gapped, log_slots);
            check(&[dense(12, 16)], std::slice::from_ref(&gapped), &spread, log_slots);
        }
    }

    #[test]
    fn convolutions_by_their_geometry() {
        let axis = |stride, dilation, pad| {
            let output = (8 + 2 * pad - 2 * dilation - 1) / stride + 1;
            ConvAxis { input: 8, output, kernel: 3, stride, dilation, pad }
        };
        let digit = |divisor, modulus, stride| Digit { divisor, modulus, stride };
        let multiplexed =
            vec![digit(1, 8, 2), digit(8, 8, 16), digit(64, 2, 1), digit(128, 2, 128)];
        let inputs = [Layout::contiguous(256), Layout::new(256, multiplexed)];
        for axes in [[axis(1, 1, 1), axis(1, 1, 1)], [axis(2, 1, 0), axis(1, 2, 3)]] {
            let area = axes[0].output * axes[1].output;
            let outputs = [
                Layout::contiguous(6 * area),
                Layout::new(6 * area, vec![digit(1, area, 8), digit(area, 6, 1)]),
                // Cuts rows in two, which is not separable.
                Layout::new(6 * area, vec![digit(1, 4, 1), digit(4, (6 * area).div_ceil(4), 5)]),
            ];
            for groups in [1, 2] {
                let weights = (0..6 * 4 / groups * 9).map(|k| k as f32 - 9.5).collect();
                let axes = axes.to_vec();
                let conv = Conv { out_channels: 6, in_channels: 4, groups, axes, weights };
                for (input, output) in
                    inputs.iter().flat_map(|i| outputs.iter().map(move |o| (i, o)))
                {
                    for log_slots in [4, 6, 7, 12] {
                        let matrix = Matrix::Conv(conv.clone());
                        check(&[matrix], std::slice::from_ref(input), output, log_slots);
                    }
                }
            }
        }
    }

    #[test]
    fn steps_recompose() {
        for rotation in -40..40 {
            for step in [1, 2, 3, 8, 64] {
                let (giant, baby) = split_rotation(rotation, step);
                assert_eq!(giant + baby, rotation);
                assert_eq!(giant % step as i32, 0);
                assert!(2 * baby.unsigned_abs() <= step);
            }
        }
    }
}
