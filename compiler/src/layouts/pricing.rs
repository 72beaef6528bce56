//! Price of a linear node between layouts, with the giant steps and pairs that make it cheapest.

use std::collections::BTreeSet;

use pic_ckks_model::Parameters;
use pic_ckks_model::op_counts::{OpCounter, TransformSteps};
use pic_ckks_model::unit_costs::hoisting;
use pic_ir::cost::{CostModel, linear};
use pic_ir::layout::Layout;
use pic_ir::matrix::Matrix;
use pic_ir::transform::{
    BsgsSchedule, Diagonal, Geometry, Steps, Term, packed_inputs, pairs, split_rotation, structure,
};

use super::Transform;

/// Prices of linear nodes in one ring, at one level.
pub(super) struct Pricing<'a> {
    counter: OpCounter<'a>,
    cost: CostModel,
    level: usize,
    /// log2 of the slots of a ciphertext.
    pub log_slots: u32,
}

impl<'a> Pricing<'a> {
    /// Prices of linear nodes whose operands are at `level` of the chain of `parameters`.
    pub fn new(cost: CostModel, parameters: &'a Parameters, level: usize) -> Self {
        let log_slots = parameters.log_n() - 1;
        Self { counter: OpCounter::new(parameters, 0..0), cost, level, log_slots }
    }

    /// Price of a linear node with these operands and this layout of its output, without pairs, because finding their
    /// best shift takes long. If the price exceeds `limit` seconds, a lower bound may be returned.
    pub fn price(&self, terms: &[(&Matrix, &Layout)], output: &Layout, limit: f64) -> Price {
        let found = self.diagonals(terms, output);
        let products = found.diagonals.len();
        let (inputs, baby_steps, giant_steps) = (0, 0, 0);
        let outputs = found.outputs;
        let period = found.period;
        let products = TransformSteps {
            inputs,
            outputs,
            baby_steps,
            giant_steps,
            products,
            packed_inputs: 0,
            period,
        };
        let bound = self.seconds(&products, found.folds);
        if bound > limit {
            return Price { seconds: bound, is_exact: false };
        }
        Price { seconds: self.cheapest(&found).0, is_exact: true }
    }

    /// The transform of a linear node that takes the least predicted time, among the widths of giant steps and the
    /// shifts of pairs that are tried.
    pub fn transform(&self, terms: &[(&Matrix, &Layout)], output: &Layout) -> Transform {
        let found = self.diagonals(terms, output);
        let cheapest = |shift| {
            let (seconds, giant_width) = self.cheapest(&found.paired(shift));
            (seconds, BsgsSchedule { giant_width, pair_shift: shift })
        };
        let schedules = shifts(self.log_slots).map(cheapest);
        let best = schedules.min_by(|a, b| a.0.total_cmp(&b.0)).expect("shifts include none");
        let steps = Steps::new(&found.diagonals, best.1);
        Transform { steps, outputs: found.outputs, period: found.period, folds: found.folds }
    }

    fn diagonals(&self, operands: &[(&Matrix, &Layout)], output: &Layout) -> Diagonals {
        let mut first_ciphertext = 0;
        let mut terms = Vec::new();
        for &(matrix, layout) in operands {
            terms.push(Term { matrix, layout, first_ciphertext });
            first_ciphertext += layout.ciphertexts(self.log_slots);
        }
        let geometry = Geometry::new(&terms, output, self.log_slots);
        Diagonals {
            diagonals: structure(&terms, output, self.log_slots),
            packed_inputs: 0,
            inputs: first_ciphertext,
            outputs: output.ciphertexts(self.log_slots),
            period: 1 << geometry.log_length,
            folds: geometry.folds().count(),
        }
    }

    /// Seconds with the best width of giant steps, and that width.
    fn cheapest(&self, found: &Diagonals) -> (f64, u32) {
        let seconds = |width| (self.seconds(&found.count(width), found.folds), width);
        let widths = step_widths(&found.diagonals, self.log_slots);
        widths.map(seconds).min_by(|a, b| a.0.total_cmp(&b.0)).expect("widths include one slot")
    }

    fn seconds(&self, steps: &TransformSteps, folds: usize) -> f64 {
        let hoisting = hoisting(&self.counter, steps, self.level);
        self.cost.seconds(linear(&self.counter, steps, folds, self.level, hoisting))
    }
}

/// Predicted time of a linear node.
#[derive(Clone, Copy)]
pub(super) struct Price {
    /// Predicted wall-clock time on the machine that the prices are of, seconds.
    pub seconds: f64,
    /// True if the seconds are exact, false if they are a lower bound.
    pub is_exact: bool,
}

/// Diagonals of a linear node, for counting steps.
struct Diagonals {
    /// All diagonals, or the first of each pair.
    diagonals: BTreeSet<Diagonal>,
    /// Number of inputs that have pairs.
    packed_inputs: usize,
    inputs: usize,
    outputs: usize,
    period: usize,
    folds: usize,
}

impl Diagonals {
    /// The diagonals after pairing by a shift: the first of each pair.
    fn paired(&self, shift: u32) -> Self {
        let pairs = pairs(&self.diagonals, shift);
        let packed_inputs = packed_inputs(&pairs).len();
        Self { diagonals: pairs.into_keys().collect(), packed_inputs, ..*self }
    }

    /// Numbers of steps for a width: the lengths of the lists that [`Steps::new`] makes.
    fn count(&self, width: u32) -> TransformSteps {
        let mut baby_steps = vec![false; self.inputs * (width as usize + 1)];
        let mut rotated = vec![false; self.inputs];
        let mut giant_steps = Vec::new();
        for d in &self.diagonals {
            let (giant, baby) = split_rotation(d.rotation, width);
            if baby != 0 {
                rotated[d.input as usize] = true;
                let index = d.input as usize * (width as usize + 1);
                baby_steps[index + (baby + width as i32 / 2) as usize] = true;
            }
            // Diagonals come in order, so that equal giant steps of a pair are neighbours.
            if giant != 0 && giant_steps.last() != Some(&(d.output, giant)) {
                giant_steps.push((d.output, giant));
            }
        }
        giant_steps.sort_unstable();
        giant_steps.dedup();
        let products = self.diagonals.len();
        TransformSteps {
            inputs: rotated.into_iter().filter(|&r| r).count(),
            outputs: self.outputs,
            baby_steps: baby_steps.into_iter().filter(|&b| b).count(),
            giant_steps: giant_steps.len(),
            products,
            packed_inputs: self.packed_inputs,
            period: self.period,
        }
    }
}

/// Shifts of pairs that are tried: none, which wins ties, 2^k and 3·2^k.
fn shifts(log_slots: u32) -> impl Iterator<Item = u32> {
    let powers = (0..log_slots).map(|k| 1u32 << k);
    let shifts = powers.flat_map(|p| [p, 3 * p]).filter(move |&s| s < 1 << log_slots);
    [0].into_iter().chain(shifts)
}

/// Widths of giant steps that are tried: 2^k and 3·2^k up to the largest rotation.
fn step_widths(diagonals: &BTreeSet<Diagonal>, log_slots: u32) -> impl Iterator<Item = u32> {
    let largest = diagonals.iter().map(|d| d.rotation.unsigned_abs()).max().unwrap_or(0);
    let powers = (0..=log_slots + 1).map(|k| 1u32 << k);
    powers.flat_map(|p| [p, 3 * p]).filter(move |&w| w <= 4 * largest + 1).chain([1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_steps() {
        let spread = |k: i32| Diagonal {
            output: (k % 2) as u32,
            input: (k % 3) as u32,
            rotation: k * k * 37 % 1000 - 500,
        };
        let diagonals: BTreeSet<Diagonal> = (0..200).map(spread).collect();
        let found = Diagonals {
            diagonals,
            packed_inputs: 0,
            inputs: 3,
            outputs: 2,
            period: 1024,
            folds: 0,
        };
        for shift in [0, 6, 37] {
            let paired = found.paired(shift);
            for width in step_widths(&paired.diagonals, 11) {
                let schedule = BsgsSchedule { giant_width: width, pair_shift: shift };
                let steps = Steps::new(&found.diagonals, schedule);
                assert_eq!(paired.count(width), steps.counts(2, 1024));
            }
        }
    }
}
