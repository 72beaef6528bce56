//! Counts of elementary operations of ciphertext operations; [`unit_costs`](crate::unit_costs)
//! prices them.
//!
//! Counts follow the algorithms of `pic_ckks`: hybrid key switching, hoisted linear transforms, one
//! division for relinearising and rescaling. Memory traffic is counted for data larger than caches:
//! keys, diagonals and operands.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Range};

use serde::{Deserialize, Serialize};

use crate::Parameters;
use crate::chebyshev::{ChebyshevPlan, Node, power_depth};
use crate::primes::residue_bytes;

/// Numbers of elementary operations, on all limbs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpCounts {
    /// Number-theoretic transforms, in coefficients × log2 N.
    pub transforms: f64,
    /// Modular multiplications, in coefficients.
    pub multiplications: f64,
    /// Base conversions, in coefficients × source limbs × target limbs.
    pub conversions: f64,
    /// 64-bit words read from memory or written to it.
    pub words: f64,
}

impl Add for OpCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            transforms: self.transforms + other.transforms,
            multiplications: self.multiplications + other.multiplications,
            conversions: self.conversions + other.conversions,
            words: self.words + other.words,
        }
    }
}

impl AddAssign for OpCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<usize> for OpCounts {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        let times = times as f64;
        Self {
            transforms: self.transforms * times,
            multiplications: self.multiplications * times,
            conversions: self.conversions * times,
            words: self.words * times,
        }
    }
}

impl Sum for OpCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Self::add)
    }
}

/// Form of hoisting of a linear transform: which rotations share their divisions by the special
/// primes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hoisting {
    /// Single hoisting: each rotated input is divided by P at once and multiplied modulo the chain
    /// primes only, so that diagonals need no residues for the special primes. Faster for many
    /// diagonals per rotation.
    Single,
    /// Double hoisting: inner sums are taken modulo QP, and only they are divided by P (Bossuat et
    /// al., Eurocrypt 2021, §4). Faster for few diagonals per rotation.
    Double,
}

/// Numbers of operations of a baby-step/giant-step linear transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformSteps {
    /// Number of input ciphertexts that are rotated, so that each is decomposed into digits once.
    pub inputs: usize,
    /// Number of output ciphertexts.
    pub outputs: usize,
    /// Number of baby-step rotations, zero steps excluded, over all inputs.
    pub baby_steps: usize,
    /// Number of giant-step rotations, zero steps excluded, over all outputs.
    pub giant_steps: usize,
    /// Number of diagonals, each a product with a plaintext.
    pub products: usize,
    /// Number of inputs x that real–imaginary packing replaces by x + i·rot(x), so that one complex
    /// diagonal does the work of two real ones. If there are any, each output is a real part, which
    /// takes a conjugation.
    pub packed_inputs: usize,
    /// Period with which diagonals repeat, in slots; one period is stored and read.
    pub period: usize,
}

/// Number of equal neighbouring residues of which one is stored, for a diagonal in the NTT domain
/// that repeats with a period (in slots).
pub fn stored_run(parameters: &Parameters, period: usize) -> usize {
    (parameters.max_slots() / period).min(parameters.degree() / MIN_RESIDUES)
}

/// Fewest residues stored for a polynomial modulo one prime: the smallest supported ring degree.
const MIN_RESIDUES: usize = 16;

/// Counts the operations of ciphertexts at a level, on the primes {q0, …, q_level} without the
/// omitted ones.
#[derive(Debug, Clone)]
pub struct OpCounter<'a> {
    parameters: &'a Parameters,
    omitted: Range<usize>,
}

impl<'a> OpCounter<'a> {
    /// Counter for ciphertexts that lack the chain primes with the indices `omitted`.
    pub fn new(parameters: &'a Parameters, omitted: Range<usize>) -> Self {
        Self { parameters, omitted }
    }

    /// Operations on whole limbs: numbers of transforms, of elementwise multiplications, and of
    /// base conversions (pairs of a source and a target limb).
    pub fn limbs(&self, transforms: usize, multiplications: usize, conversions: usize) -> OpCounts {
        let n = self.parameters.degree() as f64;
        OpCounts {
            transforms: transforms as f64 * n * f64::from(self.parameters.log_n()),
            multiplications: multiplications as f64 * n,
            conversions: conversions as f64 * n,
            words: 0.0,
        }
    }

    /// Memory traffic of reading or writing whole limbs.
    fn moved(&self, limbs: usize) -> OpCounts {
        OpCounts { words: (limbs * self.parameters.degree()) as f64, ..OpCounts::default() }
    }

    /// Memory traffic of reading so many bytes.
    fn read(&self, bytes: u64) -> OpCounts {
        OpCounts { words: bytes as f64 / 8.0, ..OpCounts::default() }
    }

    /// Number of chain primes of a ciphertext at a level.
    pub fn primes(&self, level: usize) -> usize {
        self.without_omitted(0..level + 1)
    }

    /// Number of chain primes and special primes of a ciphertext modulo QP.
    fn extended(&self, level: usize) -> usize {
        self.primes(level) + self.parameters.special().len()
    }

    fn without_omitted(&self, range: Range<usize>) -> usize {
        let overlap =
            range.end.min(self.omitted.end).saturating_sub(range.start.max(self.omitted.start));
        range.len() - overlap
    }

    /// Numbers of primes of the digits that a ciphertext at a level touches.
    fn digits(&self, level: usize) -> impl Iterator<Item = usize> {
        let sizes = self.parameters.digit_ranges(level).map(|range| self.without_omitted(range));
        sizes.filter(|&size| size > 0)
    }

    /// Decomposition of a polynomial into digits, each raised to all primes (ModUp).
    fn decompose(&self, level: usize) -> OpCounts {
        let (all, own) = (self.extended(level), self.primes(level));
        let raise = |size| self.limbs(all - size, 0, size * (all - size));
        self.limbs(own, own, 0) + self.digits(level).map(raise).sum()
    }

    /// Inner product of all digits with both halves of a switching key.
    fn inner_product(&self, level: usize) -> OpCounts {
        let limbs = 2 * self.digits(level).count() * self.extended(level);
        self.limbs(0, limbs, 0) + self.read(self.key_bytes(level))
    }

    /// Division of one polynomial by the product of `dropped` primes, with `left` primes remaining
    /// (ModDown, rescale).
    pub fn divide(&self, dropped: usize, left: usize) -> OpCounts {
        self.limbs(dropped + left, left, dropped * left)
    }

    /// A key switch at a level: rotation or conjugation.
    pub fn key_switch(&self, level: usize) -> OpCounts {
        let division = self.divide(self.parameters.special().len(), self.primes(level));
        self.decompose(level) + self.inner_product(level) + division * 2
    }

    /// Division of both halves by the special primes and the highest prime of the chain.
    fn divide_rescale(&self, level: usize) -> OpCounts {
        self.divide(self.parameters.special().len() + 1, self.primes(level) - 1) * 2
    }

    fn relinearize_rescale(&self, level: usize) -> OpCounts {
        let times_special = self.limbs(0, 2 * self.primes(level), 0);
        self.decompose(level)
            + self.inner_product(level)
            + times_special
            + self.divide_rescale(level)
    }

    /// Rescaling of a ciphertext at a level.
    pub fn rescale(&self, level: usize) -> OpCounts {
        self.divide(1, self.primes(level) - 1) * 2
    }

    /// A product of two ciphertexts at a level, relinearised and rescaled.
    pub fn product(&self, level: usize) -> OpCounts {
        self.tensor(level) + self.relinearize_rescale(level)
    }

    /// A product of two ciphertexts without relinearisation: four products of polynomials.
    fn tensor(&self, level: usize) -> OpCounts {
        let primes = self.primes(level);
        self.limbs(0, 4 * primes, 0) + self.moved(7 * primes)
    }

    /// A linear transform on inputs at a level, with its diagonals stored in the NTT domain.
    pub fn linear(&self, steps: &TransformSteps, level: usize, hoisting: Hoisting) -> OpCounts {
        let primes = self.primes(level);
        let divide = self.divide(self.parameters.special().len(), primes);
        let held = self.held(level, hoisting).count();
        let diagonal = self.read(self.diagonal_bytes(level, steps.period, hoisting));
        // Where inputs are divided, inner sums are multiplied by P again, otherwise inputs are.
        let divisions_per_baby_step = match hoisting {
            Hoisting::Single => 2,
            Hoisting::Double => 0,
        };
        let baby =
            self.inner_product(level) + self.limbs(0, primes, 0) + divide * divisions_per_baby_step;
        // With single hoisting, the first of those that follow each other has nothing to divide; that is
        // neglected.
        let giant =
            divide + self.decompose(level) + self.inner_product(level) + self.limbs(0, held, 0);
        let real_parts = if steps.packed_inputs > 0 { steps.outputs } else { 0 };
        self.key_switch(level) * steps.packed_inputs
            + self.decompose(level) * steps.inputs
            + baby * steps.baby_steps
            + (self.limbs(0, 2 * held, 0) + diagonal) * steps.products
            + giant * (steps.giant_steps + real_parts)
            + self.divide_rescale(level) * steps.outputs
    }

    /// The primes for which diagonals have residues: those of the chain and, with double hoisting,
    /// the special ones.
    fn held(&self, level: usize, hoisting: Hoisting) -> impl Iterator<Item = u64> {
        let chain = self.parameters.moduli()[..=level].iter().enumerate();
        let present = chain.filter(|(i, _)| !self.omitted.contains(i)).map(|(_, &q)| q);
        let special = match hoisting {
            Hoisting::Single => &[],
            Hoisting::Double => self.parameters.special(),
        };
        present.chain(special.iter().copied())
    }

    /// Evaluation of a polynomial by its plan on an operand at a level.
    pub fn polynomial(&self, plan: &ChebyshevPlan, level: usize) -> OpCounts {
        let power = |index| self.product(level + 1 - power_depth(index) as usize);
        let powers: OpCounts = plan.powers().iter().map(|p| power(p.index)).sum();
        powers + self.node(plan.root(), level + 1 - plan.depth() as usize)
    }

    /// A node of an evaluation plan whose terms are summed at a level.
    fn node(&self, node: &Node, level: usize) -> OpCounts {
        if node.is_absorbed_alone() {
            return OpCounts::default();
        }
        let quotients = node.products.iter().map(|p| self.node(&p.quotient, level + 1)).sum();
        let (linear, products) = (node.linear.len(), node.products.len());
        let division =
            if products == 0 { self.rescale(level) } else { self.relinearize_rescale(level) };
        self.limbs(0, 2 * self.primes(level) * linear, 0)
            + self.tensor(level) * products
            + division
            + quotients
    }

    /// Bytes in memory of one switching key for a level, both halves.
    pub fn key_bytes(&self, level: usize) -> u64 {
        let polynomials = 2 * self.digits(level).count() as u64;
        polynomials * self.diagonal_bytes(level, self.parameters.max_slots(), Hoisting::Double)
    }

    /// Bytes of a ciphertext at a level.
    pub fn ciphertext_bytes(&self, level: usize) -> u64 {
        16 * (self.primes(level) * self.parameters.degree()) as u64
    }

    /// Bytes of a ciphertext modulo QP, before its division by the special primes.
    pub fn extended_bytes(&self, level: usize) -> u64 {
        16 * (self.extended(level) * self.parameters.degree()) as u64
    }

    /// Bytes of a diagonal in the NTT domain at a level, for a vector that repeats with a period
    /// (in slots). With double hoisting it is also stored modulo the special primes.
    pub fn diagonal_bytes(&self, level: usize, period: usize, hoisting: Hoisting) -> u64 {
        let residues = self.parameters.degree() / stored_run(self.parameters, period);
        self.held(level, hoisting).map(|prime| (residue_bytes(prime) * residues) as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecurityLevel;
    use crate::unit_costs::{UnitCosts, hoisting};

    fn parameters() -> Parameters {
        let moduli = [50.0, 40.0, 40.0, 40.0, 40.0, 40.0];
        Parameters::from_bits(13, &moduli, &[49.0; 2], 3, SecurityLevel::Insecure).unwrap()
    }

    fn limbs(work: OpCounts) -> [f64; 3] {
        [work.transforms / 13.0, work.multiplications, work.conversions].map(|x| x / 8192.0)
    }

    #[test]
    fn a_key_switch_matches_a_hand_count() {
        let p = parameters();
        // Level 4: digits of 2, 2 and 1 primes raised to 7, then two divisions by 2 leaving 5.
        let work = OpCounter::new(&p, 0..0).key_switch(4);
        assert_eq!(limbs(work), [5. + 16. + 14., 5. + 2. * 3. * 7. + 10., 10. + 10. + 6. + 20.]);
        // Without primes 2 and 3: digits of 2 and 1 primes raised to 5.
        let work = OpCounter::new(&p, 2..4).key_switch(4);
        assert_eq!(limbs(work), [3. + 7. + 10., 3. + 2. * 2. * 5. + 6., 6. + 4. + 12.]);
    }

    #[test]
    fn a_polynomial_is_its_products_and_sums() {
        let p = parameters();
        let counter = OpCounter::new(&p, 0..0);
        // 1 + 2·T_1 + T_2 is (2 + 2·T_1)·T_1, as T_1² = (1 + T_2)/2: a scalar product, then a product
        // one level below.
        let plan = ChebyshevPlan::new(&[1.0, 2.0, 1.0]).unwrap();
        assert!(plan.powers().is_empty());
        let by_hand = counter.limbs(0, 2 * 6, 0) + counter.rescale(5) + counter.product(4);
        assert_eq!(counter.polynomial(&plan, 5), by_hand);
    }

    #[test]
    fn transforms_cost_their_rotations() {
        let p = parameters();
        let counter = OpCounter::new(&p, 0..0);
        let period = p.max_slots();
        let steps = TransformSteps {
            inputs: 1,
            outputs: 1,
            baby_steps: 3,
            giant_steps: 0,
            products: 1,
            packed_inputs: 0,
            period,
        };
        let work =
            |steps| UnitCosts::REFERENCE.seconds(counter.linear(&steps, 5, Hoisting::Double));
        let rotation = UnitCosts::REFERENCE.seconds(counter.key_switch(5));
        // Hoisted rotations are cheaper than a rotation each, giant steps about as dear.
        let baby_steps = work(steps) - work(TransformSteps { baby_steps: 0, ..steps });
        assert!(baby_steps < 0.5 * 3.0 * rotation);
        let giant = work(TransformSteps { giant_steps: 1, ..steps }) - work(steps);
        assert!((0.6..1.0).contains(&(giant / rotation)));
        // Pairing an input takes a rotation of it, and a conjugation of each output.
        let packing = work(TransformSteps { packed_inputs: 2, outputs: 3, ..steps })
            - work(TransformSteps { outputs: 3, ..steps });
        assert!((packing - 2.0 * rotation - 3.0 * giant).abs() < 1e-9 * rotation);
    }

    #[test]
    fn many_diagonals_a_rotation_are_hoisted_once() {
        let p = parameters();
        let counter = OpCounter::new(&p, 0..0);
        let steps = |products| TransformSteps {
            inputs: 1,
            outputs: 1,
            baby_steps: 8,
            giant_steps: 7,
            products,
            packed_inputs: 0,
            period: p.max_slots(),
        };
        assert_eq!(hoisting(&counter, &steps(16), 2), Hoisting::Double);
        assert_eq!(hoisting(&counter, &steps(1024), 2), Hoisting::Single);
        // Single hoisting divides 8 more pairs and leaves 2 of 5 limbs away.
        let work = |hoisting| limbs(counter.linear(&steps(100), 2, hoisting));
        let (single, double) = (work(Hoisting::Single), work(Hoisting::Double));
        let difference: [f64; 3] = std::array::from_fn(|i| double[i] - single[i]);
        assert_eq!(difference, [-16. * 5., 100. * 2. * 2. + 7. * 2. - 16. * 3., -16. * 6.]);
    }
}
