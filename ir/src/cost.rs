//! What operations cost: counts of elementary work, priced by constants measured on a machine.
//!
//! Counts follow the hybrid key switching and the double-hoisted linear transform that the runtime
//! executes; `pic bench` measures the prices. Memory traffic is not counted apart: it is part of the price of
//! multiplications.

use pic_ckks_model::Parameters;
use pic_ckks_model::chebyshev::{ChebyshevPlan, Node, power_depth};
pub use pic_ckks_model::work::Work;
use serde::{Deserialize, Serialize};

use crate::transform::Steps;

/// Prices of elementary work, seconds on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// Per N·log2 N coefficients of a transform.
    pub transform: f64,
    /// Per coefficient of a modular multiplication with its memory traffic.
    pub multiplication: f64,
    /// Per coefficient and pair of limbs of a base conversion.
    pub conversion: f64,
    /// Threads of the machine measured.
    pub threads: usize,
    /// How many times faster all of these threads are than one.
    pub speedup: f64,
}

impl Default for CostModel {
    /// Of two cores with AVX-512-IFMA, as `pic bench` measures them, but for multiplications: those
    /// stream keys and diagonals from memory, which its small operands do not show.
    fn default() -> Self {
        Self {
            transform: 7.0e-11,
            multiplication: 4.5e-10,
            conversion: 8.0e-11,
            threads: 2,
            speedup: 1.3,
        }
    }
}

impl CostModel {
    /// Wall-clock seconds of some work on all threads.
    pub fn seconds(&self, work: Work) -> f64 {
        let one = work.transforms * self.transform
            + work.multiplications * self.multiplication
            + work.conversions * self.conversion;
        one / self.speedup
    }
}

/// Counts the work of operations under given parameters.
#[derive(Clone, Copy, Debug)]
pub struct Counter<'a> {
    /// The parameters.
    pub parameters: &'a Parameters,
}

impl Counter<'_> {
    fn work(&self, transforms: usize, multiplications: usize, conversions: usize) -> Work {
        let n = self.parameters.degree() as f64;
        Work {
            transforms: transforms as f64 * n * f64::from(self.parameters.log_n()),
            multiplications: multiplications as f64 * n,
            conversions: conversions as f64 * n,
            words: 0.0,
        }
    }

    /// Limbs of a polynomial on Q_level·P.
    fn extended(&self, level: usize) -> usize {
        level + 1 + self.parameters.special().len()
    }

    /// Cutting a polynomial into digits and raising each to Q·P.
    fn decompose(&self, level: usize) -> Work {
        let all = self.extended(level);
        let digit = |range: std::ops::Range<usize>| {
            let targets = all - range.len();
            self.work(targets, 0, range.len() * targets)
        };
        self.work(level + 1, level + 1, 0) + self.parameters.digit_ranges(level).map(digit).sum()
    }

    /// Products of all digits with both halves of a key.
    fn inner_product(&self, level: usize) -> Work {
        let digits = self.parameters.digit_ranges(level).len();
        self.work(0, 2 * digits * self.extended(level), 0)
    }

    /// Dividing one polynomial on Q·P by P.
    fn mod_down(&self, level: usize) -> Work {
        let special = self.parameters.special().len();
        self.work(special + level + 1, level + 1, special * (level + 1))
    }

    /// A key switch without its digits' decomposition.
    fn hoisted(&self, level: usize) -> Work {
        self.inner_product(level) + self.mod_down(level) * 2
    }

    /// A rotation or relinearisation.
    pub fn key_switch(&self, level: usize) -> Work {
        self.decompose(level) + self.hoisted(level)
    }

    /// Dropping the last prime of a ciphertext of the given level.
    pub fn rescale(&self, level: usize) -> Work {
        self.work(1 + level, level, 0) * 2
    }

    /// Product of two ciphertexts, relinearised and rescaled.
    pub fn product(&self, level: usize) -> Work {
        self.work(0, 4 * (level + 1), 0) + self.key_switch(level) + self.rescale(level)
    }

    /// A linear transform whose operands are at `level`, with `outputs` ciphertexts and `folds`
    /// rotations of each afterwards. Plaintexts are held in transformed form.
    pub fn linear(&self, steps: &Steps, outputs: usize, folds: usize, level: usize) -> Work {
        let extended = self.extended(level);
        let baby = self.inner_product(level) + self.work(0, extended, 0);
        let giant = self.mod_down(level)
            + self.decompose(level)
            + self.inner_product(level)
            + self.work(0, extended, 0);
        self.decompose(level) * steps.rotated_inputs
            + baby * steps.babies.len()
            + self.work(0, 2 * extended, 0) * steps.products
            + giant * steps.giants.len()
            + (self.mod_down(level) * 2 + self.rescale(level)) * outputs
            + self.key_switch(level.saturating_sub(1)) * (outputs * folds)
    }

    /// A polynomial evaluated on one ciphertext at `level`.
    pub fn polynomial(&self, plan: &ChebyshevPlan, level: usize) -> Work {
        let at = |depth: u32| level.saturating_sub(depth.max(1) as usize - 1);
        let mut work: Work =
            plan.powers().iter().map(|p| self.product(at(power_depth(p.index)))).sum();
        plan.root().visit(&mut |node| {
            let level = at(node_depth(node));
            work += self.work(
                0,
                2 * (level + 1) * node.linear.len() + 4 * (level + 1) * node.products.len(),
                0,
            );
            if !node.products.is_empty() {
                work += self.key_switch(level);
            }
            work += self.rescale(level);
        });
        work
    }

    /// Bytes of a key-switching key generated for `level`, both halves in memory.
    pub fn key_bytes(&self, level: usize) -> u64 {
        let digits = self.parameters.digit_ranges(level).len();
        (2 * digits * self.extended(level) * self.parameters.degree() * 8) as u64
    }

    /// Bytes of a pair of polynomials on Q_level·P.
    pub fn extended_bytes(&self, level: usize) -> u64 {
        (2 * self.extended(level) * self.parameters.degree() * 8) as u64
    }

    /// Bytes of a ciphertext.
    pub fn ciphertext_bytes(&self, level: usize) -> u64 {
        (2 * (level + 1) * self.parameters.degree() * 8) as u64
    }

    /// Bytes of the diagonals of a linear transform, transformed on Q_level·P.
    pub fn plaintext_bytes(&self, steps: &Steps, level: usize) -> u64 {
        (steps.products * self.extended(level) * self.parameters.degree() * 8) as u64
    }
}

/// Depth of the value of a node: ⌈log2(degree + 1)⌉.
fn node_depth(node: &Node) -> u32 {
    fn degree(node: &Node) -> u32 {
        let linear = node.linear.iter().map(|&(index, _)| index).max().unwrap_or(0);
        let products =
            node.products.iter().map(|p| p.power + degree(&p.quotient)).max().unwrap_or(0);
        linear.max(products)
    }
    (degree(node) + 1).next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::SecurityLevel;

    fn parameters() -> Parameters {
        Parameters::from_bits(13, &[50.0, 40.0, 40.0, 40.0], &[50.0], 4, SecurityLevel::Insecure)
            .unwrap()
    }

    #[test]
    fn key_switch_counts_match_a_hand_count() {
        let p = parameters();
        let n = p.degree() as f64;
        // Level 3, four digits of one limb, one special prime: 4 inverse transforms, 4·4 raised
        // limbs, then 2·(1 + 4) for the two divisions by P.
        let work = Counter { parameters: &p }.key_switch(3);
        assert_eq!(work.transforms, (4 + 16 + 10) as f64 * n * 13.0);
        assert_eq!(work.conversions, (16 + 8) as f64 * n);
        assert_eq!(work.multiplications, (4 + 2 * 4 * 5 + 8) as f64 * n);
    }

    #[test]
    fn cost_grows_with_level_and_degree() {
        let p = parameters();
        let counter = Counter { parameters: &p };
        let model = CostModel::default();
        let plan = |d: usize| ChebyshevPlan::new(&vec![1.0; d + 1]).unwrap();
        let seconds = |d: usize, level: usize| model.seconds(counter.polynomial(&plan(d), level));
        assert!(seconds(3, 3) > seconds(3, 2));
        assert!(seconds(7, 3) > seconds(3, 3));
    }
}
