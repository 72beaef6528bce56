//! Evaluation plans for polynomials in the Chebyshev basis on \[-1, 1\].
//!
//! A plan is a schedule of ciphertext operations, computed from the coefficients alone: the
//! executor (`pic_ckks`) follows it, and a cost model counts it. Nothing is evaluated on
//! ciphertexts here.
//!
//! # Method
//! Paterson–Stockmeyer in the Chebyshev basis with optimal depth, after Bossuat, Mouchet,
//! Troncoso-Pastoriza and Hubaux, "Efficient Bootstrapping for Approximate Homomorphic Encryption
//! with Non-Sparse Keys" (Eurocrypt 2021), §5.
//!
//! - *Powers*: `T_{a+b} = 2·T_a·T_b − T_{|a−b|}`, so T_i costs one product and has depth ⌈log2 i⌉.
//! - *Division*: from `2·T_m·T_j = T_{m+j} + T_{|m−j|}` follows, for p = Σ p_i T_i,
//!   `p = q·T_m + r` with `q_0 = p_m`, `q_j = 2·p_{m+j}`, and `r` = the part of p below m, minus
//!   Σ_{j≥1} p_{m+j} T_{|m−j|}.
//! - *Depth*: a scalar product costs a level, too. A polynomial of degree d < 2^D fits depth D:
//!   dividing by T_m with m = 2^(D−1) leaves q of degree < 2^(D−1), for depth D−1, and r of
//!   smaller degree, which has depth D to spare, because `q·T_m + r` is rescaled once after the
//!   addition. Hence depth ⌈log2(d + 1)⌉, which is optimal.
//! - *Folding*: the coefficient of the highest of 2^D + 1 terms costs a level more only because it is
//!   multiplied with. If the result may have any scale, `q·T_m` with `q = q_m·T_m + …`, m = 2^(D−1), is
//!   summed at the scale of T_m over |q_m|: at that scale T_m itself *is* q_m·T_m. Hence degree 2^D at depth
//!   D ([`ChebyshevPlan::absorbing`]), for as many products as degree 2^D − 1 takes. The result has the
//!   scale that follows ([`ChebyshevPlan::output_scale`]).
//! - *Exponentials*: H_k = i^k·T_k has the same identities but for signs, so that exp(iωu), whose
//!   coefficients alternate between real and imaginary, is a real combination of H_k(iu)
//!   ([`PolynomialBasis::Imaginary`]).
//! - *Choice*: which T_i to compute and where to divide is searched: for each baby-step bound g the
//!   powers up to g, the giant steps g·2^k and perhaps the powers of two are at hand, and the divisions
//!   with the fewest products are found by dynamic programming on the *support* of the polynomial.
//!   Parity needs no special case: an even polynomial never asks for odd powers, an odd one divided
//!   by an even T_m stays odd, and even + c·T_1 costs no more products than its even part. Powers
//!   nobody asks for are dropped, and the cheapest candidate wins. Up to degree 31, no schedule of
//!   this form with any other set of powers is cheaper (tested exhaustively).

use std::collections::{BTreeSet, HashMap};

use num_complex::Complex64;
use thiserror::Error;

/// Highest supported degree; beyond it, f64 coefficients and scales lose more than they gain.
pub const MAX_DEGREE: usize = 127;

/// A schedule for the evaluation of one polynomial on a ciphertext. See the [module
/// documentation](self).
#[derive(Debug, Clone, PartialEq)]
pub struct ChebyshevPlan {
    degree: usize,
    powers: Vec<Power>,
    root: Node,
}

/// Basis in which the coefficients of a polynomial are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolynomialBasis {
    /// T_k, for inputs in \[−1, 1\].
    Chebyshev,
    /// H_k(x) = i^k·T_k(x/i), for inputs in i·\[−1, 1\]: real coefficients give complex exponentials.
    Imaginary,
}

impl PolynomialBasis {
    /// The factor r in T_{a+b} = 2·T_a·T_b + r·T_{a−b}, a ≥ b.
    fn rest(self, b: usize) -> f64 {
        if self == Self::Imaginary && b % 2 == 1 { 1.0 } else { -1.0 }
    }
}

/// The computation of one basis polynomial: T_index = 2·T_a·T_b + rest·T_{a−b} with a + b = index
/// and a ≥ b (T_0 = 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// Degree of the computed polynomial.
    pub index: u32,
    /// Index of the larger factor.
    pub a: u32,
    /// Index of the smaller factor.
    pub b: u32,
    /// Factor of T_{a−b}: −1, or 1 for odd b in the imaginary basis.
    pub rest: f64,
}

/// A node of the schedule: the sum `constant + Σ c_i·T_i + Σ quotient_j·T_{m_j}`. All terms are
/// brought to one level and scale, relinearised (if there are products) and rescaled once. The
/// absorbed term, if any, is added after that.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// The coefficient of T_0.
    pub constant: f64,
    /// Scalar products c_i·T_i, i ≥ 1, as pairs (i, c_i).
    pub linear: Vec<(u32, f64)>,
    /// Products of a power with the value of another node.
    pub products: Vec<Product>,
    /// Absorbed term c·T_i as the pair (i, c): the node's scale is that of T_i divided by |c|, so
    /// that the term is ±T_i without a product.
    pub absorbed: Option<(u32, f64)>,
}

/// One term `quotient·T_power` of a [`Node`].
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Degree i of the T_i that the quotient is multiplied by.
    pub power: u32,
    /// The factor of the power, a sum of its own.
    pub quotient: Node,
}

/// Numbers of ciphertext operations of a plan, for cost models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Counts {
    /// Products of two ciphertexts (squares included).
    pub products: usize,
    /// Relinearisations: fewer than products where several products are summed first.
    pub relinearizations: usize,
    /// Products of a ciphertext with a scalar.
    pub scalar_products: usize,
    /// Rescalings.
    pub rescales: usize,
}

/// Reasons for which a list of coefficients has no plan.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum ChebyshevError {
    /// The polynomial is constant, so that there is nothing to evaluate.
    #[error("the polynomial is a constant")]
    Constant,
    /// The degree is above [`MAX_DEGREE`].
    #[error("polynomial degree {0} is above {MAX_DEGREE}")]
    Degree(usize),
    /// A coefficient is infinite or not a number.
    #[error("coefficient {index} is {value}")]
    NotFinite {
        /// The index of the coefficient.
        index: usize,
        /// Its value.
        value: f64,
    },
}

/// The multiplicative depth of a polynomial with these Chebyshev coefficients: ⌈log2(d + 1)⌉ for
/// degree d (trailing zeros do not count), 0 for constants.
pub fn depth(coefficients: &[f64]) -> u32 {
    let length = coefficients.iter().rposition(|&c| c != 0.0).map_or(1, |d| d + 1);
    length.next_power_of_two().trailing_zeros()
}

/// The multiplicative depth if the leading coefficient may be absorbed into the scale of the result:
/// ⌈log2 d⌉ for a degree d > 1 that is a power of two, otherwise [`depth`].
pub fn absorbing_depth(coefficients: &[f64]) -> u32 {
    match coefficients.iter().rposition(|&c| c != 0.0) {
        Some(degree) if can_absorb(degree) => power_depth(degree as u32),
        _ => depth(coefficients),
    }
}

/// The divisor of the result's scale when a polynomial is absorbed: twice the leading coefficient if
/// the degree is a power of two above 1, otherwise `None`.
pub fn absorbed_coefficient(coefficients: &[f64]) -> Option<f64> {
    let degree = coefficients.iter().rposition(|&c| c != 0.0)?;
    can_absorb(degree).then(|| 2.0 * coefficients[degree])
}

/// Returns whether absorbing the leading coefficient saves a level at this degree.
fn can_absorb(degree: usize) -> bool {
    degree > 1 && degree.is_power_of_two()
}

/// The depth ⌈log2 i⌉ of T_i, i ≥ 1.
pub fn power_depth(index: u32) -> u32 {
    index.next_power_of_two().trailing_zeros()
}

impl ChebyshevPlan {
    /// Plans the evaluation of Σ coefficients\[i\]·T_i with the fewest ciphertext products found at
    /// optimal depth.
    ///
    /// ```
    /// use pic_ckks_model::ChebyshevPlan;
    ///
    /// // T_0/2 + T_3 = 4x³ − 3x + 1/2.
    /// let plan = ChebyshevPlan::new(&[0.5, 0.0, 0.0, 1.0])?;
    /// assert_eq!(plan.depth(), 2);
    /// assert_eq!(plan.evaluate(0.5), -0.5);
    /// # Ok::<(), pic_ckks_model::chebyshev::ChebyshevError>(())
    /// ```
    ///
    /// # Errors
    /// [`ChebyshevError::Constant`] if no coefficient but the first is nonzero,
    /// [`ChebyshevError::Degree`] above [`MAX_DEGREE`], [`ChebyshevError::NotFinite`].
    pub fn new(coefficients: &[f64]) -> Result<Self, ChebyshevError> {
        Self::in_basis(PolynomialBasis::Chebyshev, coefficients)
    }

    /// [`ChebyshevPlan::new`] for coefficients in the given basis.
    ///
    /// # Errors
    /// The errors of [`ChebyshevPlan::new`].
    pub fn in_basis(basis: PolynomialBasis, coefficients: &[f64]) -> Result<Self, ChebyshevError> {
        let degree = checked_degree(coefficients)?;
        let polynomial = &coefficients[..=degree];
        let budget = depth(polynomial);
        let root = |divider: &mut Divider| {
            divider.divisions(support(polynomial), budget)?;
            Some(divider.divide(polynomial.to_vec(), budget))
        };
        Ok(Self::best(basis, degree, budget, root))
    }

    /// Plans the evaluation with the leading coefficient absorbed into the scale: for a degree 2^D >
    /// 1 the plan has depth D and its result the scale [`ChebyshevPlan::output_scale`]. Other
    /// degrees are planned as by [`ChebyshevPlan::new`].
    ///
    /// # Errors
    /// The errors of [`ChebyshevPlan::new`].
    pub fn absorbing(coefficients: &[f64]) -> Result<Self, ChebyshevError> {
        let degree = checked_degree(coefficients)?;
        if !can_absorb(degree) {
            return Self::new(coefficients);
        }
        let budget = power_depth(degree as u32);
        let root = |divider: &mut Divider| {
            divider.divide_absorbing(coefficients[..=degree].to_vec(), budget)
        };
        Ok(Self::best(PolynomialBasis::Chebyshev, degree, budget, root))
    }

    /// The plan with the fewest operations over all choices of divisors.
    fn best(
        basis: PolynomialBasis,
        degree: usize,
        budget: u32,
        root: impl Fn(&mut Divider) -> Option<Node>,
    ) -> Self {
        Divider::candidates(basis, budget)
            .filter_map(|mut divider| root(&mut divider))
            .map(|root| Self { degree, powers: schedule_powers(basis, &root), root })
            .min_by_key(Self::counts)
            .expect("dividing by powers of two always fits the depth")
    }

    /// The scale of the result if a coefficient is absorbed, for an input at a scale and level of the
    /// chain `moduli`; `None` if the caller may choose the scale.
    pub fn output_scale(&self, input_scale: f64, level: usize, moduli: &[u64]) -> Option<f64> {
        let (power, coefficient) = self.absorbed_term()?;
        let square = |scale: f64, depth: usize| scale * scale / moduli[level - depth] as f64;
        let last = power_depth(power) as usize;
        let scale = (0..last).fold(input_scale, square);
        Some(square(scale, last) / coefficient.abs())
    }

    fn absorbed_term(&self) -> Option<(u32, f64)> {
        self.root.products.iter().find_map(|product| product.quotient.absorbed)
    }

    /// The degree of the polynomial.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Number of levels consumed: exactly ⌈log2(degree + 1)⌉, or one less if a coefficient is
    /// absorbed at degree 2^D.
    pub fn depth(&self) -> u32 {
        power_depth(self.degree as u32 + u32::from(self.absorbed_term().is_none()))
    }

    /// The basis polynomials to compute, in ascending order of index, T_1 excluded. Each has depth
    /// [`power_depth`] and depends only on earlier ones.
    pub fn powers(&self) -> &[Power] {
        &self.powers
    }

    /// The root node, whose value is the result.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Numbers of ciphertext operations of the plan.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            products: self.powers.len(),
            relinearizations: self.powers.len(),
            scalar_products: self.powers.iter().filter(|p| p.a != p.b).count(),
            rescales: self.powers.len(),
        };
        self.root.visit(&mut |node| {
            counts.products += node.products.len();
            counts.relinearizations += usize::from(!node.products.is_empty());
            counts.scalar_products += node.linear.len();
            counts.rescales += usize::from(!node.is_absorbed_alone());
        });
        counts
    }

    /// Evaluates the plan in plaintext on a real number, by the same steps as on a ciphertext.
    pub fn evaluate(&self, x: f64) -> f64 {
        self.evaluate_complex(x.into()).re
    }

    /// Evaluates the plan in plaintext on a complex number, by the same steps as on a ciphertext.
    pub fn evaluate_complex(&self, x: Complex64) -> Complex64 {
        self.root.evaluate(&self.power_values(x))
    }

    /// Values T_i(x) by index i, for the powers of the plan, T_0 and T_1; all other entries are
    /// zero.
    pub(crate) fn power_values(&self, x: Complex64) -> Vec<Complex64> {
        let mut values = vec![Complex64::ZERO; self.degree + 2];
        (values[0], values[1]) = (Complex64::ONE, x);
        for p in &self.powers {
            values[p.index as usize] = 2.0 * values[p.a as usize] * values[p.b as usize]
                + p.rest * values[(p.a - p.b) as usize];
        }
        values
    }
}

impl Node {
    /// Returns whether the node consists of a absorbed term and a constant only, so that nothing is
    /// rescaled.
    pub fn is_absorbed_alone(&self) -> bool {
        self.absorbed.is_some() && self.linear.is_empty() && self.products.is_empty()
    }

    /// Calls `visit` on this node and on every quotient below it.
    pub fn visit(&self, visit: &mut impl FnMut(&Node)) {
        visit(self);
        self.products.iter().for_each(|product| product.quotient.visit(visit));
    }

    /// The value of the node, given the values of the powers by index.
    pub(crate) fn evaluate(&self, powers: &[Complex64]) -> Complex64 {
        let linear = self.linear.iter().chain(&self.absorbed);
        let linear = linear.map(|&(i, c)| c * powers[i as usize]);
        let products =
            self.products.iter().map(|p| p.quotient.evaluate(powers) * powers[p.power as usize]);
        self.constant + linear.sum::<Complex64>() + products.sum::<Complex64>()
    }
}

/// Divides polynomials by the powers at hand, with the fewest divisions.
struct Divider {
    basis: PolynomialBasis,
    /// Set of available powers: bit i stands for T_i.
    available: u128,
    /// Degrees m of the divisors T_m, descending.
    giant_steps: Vec<u32>,
    /// Memo of [`Divider::solve`]: (support, depth budget) → fewest divisions and the first
    /// divisor.
    memo: HashMap<(u128, u32), Option<(u32, u32)>>,
}

impl Divider {
    /// All dividers to try: every baby-step bound g, with the giant steps g·2^k up to some bound,
    /// with or without the powers of two.
    fn candidates(basis: PolynomialBasis, budget: u32) -> impl Iterator<Item = Self> {
        let highest = 1u32 << (budget - 1);
        let doublings = move |first: u32| (0..budget).map(move |k| first << k);
        let with_bounds = move |baby_steps: u32, giant_steps: BTreeSet<u32>| {
            let bounds: Vec<u32> = giant_steps.range(baby_steps..=highest).copied().collect();
            bounds.into_iter().map(move |bound| {
                let giant_steps: Vec<u32> = giant_steps.range(..=bound).rev().copied().collect();
                let available = (1..=baby_steps)
                    .chain(giant_steps.iter().copied())
                    .fold(0, |set, i| set | bit(i));
                Self { basis, available, giant_steps, memo: HashMap::new() }
            })
        };
        (1..=highest).flat_map(move |baby_steps| {
            let own = doublings(baby_steps).collect();
            let all = doublings(baby_steps).chain(doublings(1)).collect();
            with_bounds(baby_steps, all).chain(with_bounds(baby_steps, own))
        })
    }

    /// The polynomial as a node that fits the depth budget; its degree must be below 2^budget.
    fn divide(&mut self, mut polynomial: Vec<f64>, budget: u32) -> Node {
        let mut node = Node::default();
        loop {
            let top = polynomial.iter().rposition(|&c| c != 0.0).unwrap_or(0);
            if top == 0 {
                node.constant = polynomial[0];
                return node;
            }
            if self.is_linear(top as u32, budget) {
                node.linear.push((top as u32, polynomial[top]));
                polynomial[top] = 0.0;
                continue;
            }
            let (_, power) = self
                .solve(support(&polynomial), budget)
                .expect("the caller has checked that these powers are enough");
            let quotient = self.split(&mut polynomial, power as usize);
            let quotient = self.divide(quotient, budget - 1);
            node.products.push(Product { power, quotient });
        }
    }

    /// [`Divider::divide`] for degree 2^budget, with the leading coefficient absorbed; `None` if that
    /// does not fit.
    fn divide_absorbing(&mut self, mut polynomial: Vec<f64>, budget: u32) -> Option<Node> {
        let half = polynomial.len() / 2;
        let mut quotient = self.split(&mut polynomial, half);
        let leading = quotient.pop().expect("the quotient has degree 2^(budget − 1)");
        let power = half as u32;
        if self.available & bit(power) == 0 {
            return None;
        }
        self.divisions(support(&quotient), budget - 1)?;
        self.divisions(support(&polynomial), budget)?;
        let mut node = self.divide(polynomial, budget);
        let absorbed = Some((power, leading));
        let quotient = Node { absorbed, ..self.divide(quotient, budget - 1) };
        node.products.push(Product { power, quotient });
        Some(node)
    }

    /// Divides the polynomial by T_m: leaves the remainder in place and returns the quotient.
    fn split(&self, polynomial: &mut [f64], m: usize) -> Vec<f64> {
        let top = polynomial.iter().rposition(|&c| c != 0.0).unwrap_or(0);
        let upper = polynomial[m..=top].to_vec();
        polynomial[m..].fill(0.0);
        for (j, &c) in upper.iter().enumerate().skip(1) {
            polynomial[m.abs_diff(j)] += self.basis.rest(m.min(j)) * c;
        }
        upper.iter().enumerate().map(|(j, &c)| if j == 0 { c } else { 2.0 * c }).collect()
    }

    /// Fewest divisions for a polynomial of this support, and the first divisor; `None` if no
    /// divisor fits the budget. The support must need a division.
    fn solve(&mut self, support: u128, budget: u32) -> Option<(u32, u32)> {
        if let Some(&known) = self.memo.get(&(support, budget)) {
            return known;
        }
        let top = degree(support);
        let mut best: Option<(u32, u32)> = None;
        for m in self.giant_steps.clone() {
            if m >= top || power_depth(m) + 1 > budget || (top - m) >> (budget - 1) != 0 {
                continue;
            }
            let upper = support >> m;
            let mut remainder = support & (bit(m) - 1);
            for j in (1..=degree(upper)).filter(|&j| upper & bit(j) != 0) {
                remainder |= bit(m.abs_diff(j));
            }
            let divisions =
                self.divisions(upper, budget - 1).zip(self.divisions(remainder, budget));
            if let Some((quotient, rest)) = divisions
                && best.is_none_or(|(fewest, _)| 1 + quotient + rest < fewest)
            {
                best = Some((1 + quotient + rest, m));
            }
        }
        self.memo.insert((support, budget), best);
        best
    }

    fn divisions(&mut self, mut support: u128, budget: u32) -> Option<u32> {
        while degree(support) > 0 && self.is_linear(degree(support), budget) {
            support &= !bit(degree(support));
        }
        if degree(support) == 0 { Some(0) } else { self.solve(support, budget).map(|(n, _)| n) }
    }

    /// Returns whether c·T_i can be a scalar product within the depth budget.
    fn is_linear(&self, index: u32, budget: u32) -> bool {
        self.available & bit(index) != 0 && power_depth(index) < budget
    }
}

/// Chooses the products that compute the powers used by a node, and the powers that these depend
/// on.
fn schedule_powers(basis: PolynomialBasis, root: &Node) -> Vec<Power> {
    let mut needed = BTreeSet::new();
    root.visit(&mut |node| {
        needed.extend(node.linear.iter().chain(&node.absorbed).map(|&(i, _)| i));
        needed.extend(node.products.iter().map(|p| p.power));
    });
    let mut powers = Vec::new();
    let mut current = needed.last().copied();
    while let Some(index) = current.filter(|&i| i > 1) {
        let half_depth = 1u32 << (power_depth(index) - 1);
        // Fewest powers not yet needed, the cheapest of them, a square rather than a product.
        let (a, b) = (index.div_ceil(2)..=half_depth.min(index - 1))
            .map(|a| (a, index - a))
            .min_by_key(|&(a, b)| {
                let new: BTreeSet<u32> =
                    [a, b, a - b].into_iter().filter(|i| *i > 1 && !needed.contains(i)).collect();
                (new.len(), new.iter().sum::<u32>(), a != b)
            })
            .expect("every index above one is a sum of two smaller ones");
        powers.push(Power { index, a, b, rest: basis.rest(b as usize) });
        needed.extend([a, b, a - b]);
        current = needed.range(..index).next_back().copied();
    }
    powers.reverse();
    powers
}

fn checked_degree(coefficients: &[f64]) -> Result<usize, ChebyshevError> {
    if let Some(index) = coefficients.iter().position(|c| !c.is_finite()) {
        return Err(ChebyshevError::NotFinite { index, value: coefficients[index] });
    }
    match coefficients.iter().rposition(|&c| c != 0.0).unwrap_or(0) {
        0 => Err(ChebyshevError::Constant),
        degree if degree > MAX_DEGREE => Err(ChebyshevError::Degree(degree)),
        degree => Ok(degree),
    }
}

fn bit(index: u32) -> u128 {
    1 << index
}

fn degree(support: u128) -> u32 {
    support.checked_ilog2().unwrap_or(0)
}

fn support(polynomial: &[f64]) -> u128 {
    (0u32..).zip(polynomial).filter(|(_, c)| **c != 0.0).fold(0, |set, (i, _)| set | bit(i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coefficients(degree: usize, keep: impl Fn(usize) -> bool) -> Vec<f64> {
        let value = |i: usize| ((i * 37 + 11) % 101) as f64 / 50.0 - 1.003;
        (0..=degree).map(|i| if i == degree || keep(i) { value(i) } else { 0.0 }).collect()
    }

    /// The usual shapes: dense, even, odd, even with a linear term.
    fn patterns(degree: usize) -> Vec<Vec<f64>> {
        let mut patterns = vec![coefficients(degree, |_| true)];
        if degree.is_multiple_of(2) {
            patterns.push(coefficients(degree, |i| i % 2 == 0));
            patterns.push(coefficients(degree, |i| i % 2 == 0 || i == 1));
        } else {
            patterns.push(coefficients(degree, |i| i % 2 == 1));
        }
        patterns
    }

    fn clenshaw(coefficients: &[f64], x: f64) -> f64 {
        let (mut next, mut after) = (0.0, 0.0);
        for &c in coefficients[1..].iter().rev() {
            (next, after) = (c + 2.0 * x * next - after, next);
        }
        coefficients[0] + x * next - after
    }

    /// The depth that executing the plan really takes.
    fn executed_depth(plan: &ChebyshevPlan) -> u32 {
        fn node_depth(node: &Node, powers: &HashMap<u32, u32>) -> u32 {
            let linear = node.linear.iter().map(|(i, _)| 1 + powers[i]);
            let absorbed = node.absorbed.iter().map(|(i, _)| powers[i]);
            let products = node
                .products
                .iter()
                .map(|p| 1 + powers[&p.power].max(node_depth(&p.quotient, powers)));
            linear.chain(absorbed).chain(products).max().unwrap_or(0)
        }
        let mut powers = HashMap::from([(1, 0)]);
        for p in plan.powers() {
            assert_eq!(p.a + p.b, p.index);
            assert!(p.a == p.b || powers.contains_key(&(p.a - p.b)));
            powers.insert(p.index, 1 + powers[&p.a].max(powers[&p.b]));
            assert_eq!(powers[&p.index], power_depth(p.index));
        }
        node_depth(plan.root(), &powers)
    }

    fn check(coefficients: &[f64]) {
        let plan = ChebyshevPlan::new(coefficients).unwrap();
        let expected = libm::log2(coefficients.len() as f64).ceil() as u32;
        assert_eq!(executed_depth(&plan), expected);
        assert_eq!((plan.depth(), depth(coefficients)), (expected, expected));
        let size: f64 = coefficients.iter().map(|c| c.abs()).sum();
        for k in 0..=20 {
            let x = f64::from(k) / 10.0 - 1.0;
            let error = (plan.evaluate(x) - clenshaw(coefficients, x)).abs();
            assert!(error < 1e-12 * size, "error {error} at {x}");
        }
    }

    #[test]
    fn value_and_depth_for_every_degree_and_pattern() {
        (1..=MAX_DEGREE).flat_map(patterns).for_each(|c| check(&c));
    }

    /// As polynomials H_{k+1} = 2x·H_k + H_{k−1}, whatever the input.
    #[test]
    fn imaginary_basis() {
        for degree in 1..=63 {
            for coefficients in patterns(degree) {
                let basis = PolynomialBasis::Imaginary;
                let plan = ChebyshevPlan::in_basis(basis, &coefficients).unwrap();
                let counts = ChebyshevPlan::new(&coefficients).unwrap().counts();
                assert_eq!((plan.degree(), plan.counts().products), (degree, counts.products));
                for x in [-0.3f64, 0.0, 0.2] {
                    let (mut value, mut h) = (coefficients[0], [1.0, x]);
                    for c in &coefficients[1..] {
                        value += c * h[1];
                        h = [h[1], 2.0 * x * h[1] + h[0]];
                    }
                    let size: f64 = h[1].abs() * coefficients.iter().map(|c| c.abs()).sum::<f64>();
                    assert!(
                        (plan.evaluate(x) - value).abs() < 1e-12 * (1.0 + size),
                        "{degree} {x}"
                    );
                }
            }
        }
    }

    #[test]
    fn known_product_counts() {
        let products = |c: &[f64]| ChebyshevPlan::new(c).unwrap().counts().products;
        // c_0 + c_1·x + c_2·T_2 takes one square; a single T_16 takes four.
        assert_eq!(products(&[0.5, 0.5, 0.3]), 1);
        let mut power = vec![0.0; 17];
        power[16] = 1.0;
        assert_eq!(products(&power), 4);
        // The linear term of a ReLU-like polynomial is free.
        for degree in (2..=62).step_by(2) {
            let even = coefficients(degree, |i| i % 2 == 0);
            let mut relu = even.clone();
            relu[1] = 0.5;
            assert_eq!(products(&relu), products(&even), "degree {degree}");
            assert!(products(&even) <= products(&coefficients(degree, |_| true)));
        }
    }

    #[test]
    fn no_schedule_of_any_powers_has_fewer_products() {
        for degree in 1..=31 {
            for coefficients in patterns(degree) {
                let counts = ChebyshevPlan::new(&coefficients).unwrap().counts();
                let best = exhaustive(&coefficients);
                assert_eq!(counts.products, best, "{coefficients:?}");
            }
        }
    }

    /// Fewest products over every closed set of powers, dividing by any of them.
    fn exhaustive(coefficients: &[f64]) -> usize {
        let budget = depth(coefficients);
        let highest = 1u32 << (budget - 1);
        let sets = 0..1u128 << (highest - 1).min(15);
        let best = sets.filter_map(|set| {
            let available = set << 2 | bit(1);
            let has = |i: u32| i == 0 || available & bit(i) != 0;
            let computable = |i: u32| {
                let half_depth = 1 << (power_depth(i) - 1);
                (i.div_ceil(2)..=half_depth)
                    .any(|a| a < i && has(a) && has(i - a) && has(2 * a - i))
            };
            let members: Vec<u32> = (2..=highest).filter(|&i| has(i)).collect();
            if !members.iter().all(|&i| computable(i)) {
                return None;
            }
            let giant_steps = members.iter().rev().copied().chain([1]).collect();
            let memo = HashMap::new();
            let basis = PolynomialBasis::Chebyshev;
            let mut divider = Divider { basis, available, giant_steps, memo };
            let divisions = divider.divisions(support(coefficients), budget)?;
            Some(members.len() + divisions as usize)
        });
        best.min().unwrap()
    }

    #[test]
    fn counts_match_a_hand_made_schedule() {
        // Degree 3: (c3·2·T_1 + c2)·T_2 + …: T_2 and one product, the sum relinearised once.
        let counts = ChebyshevPlan::new(&[0.1, 0.2, 0.3, 0.4]).unwrap().counts();
        let expected = Counts { products: 2, relinearizations: 2, scalar_products: 2, rescales: 3 };
        assert_eq!(counts, expected);
    }

    #[test]
    fn powers_of_two_absorb_their_leading_coefficient() {
        for degree in (1..7).map(|k| 1 << k) {
            for coefficients in patterns(degree) {
                let plan = ChebyshevPlan::absorbing(&coefficients).unwrap();
                assert_eq!(executed_depth(&plan), degree.ilog2());
                assert_eq!(
                    (plan.depth(), absorbing_depth(&coefficients)),
                    (degree.ilog2(), degree.ilog2())
                );
                let absorbed = plan.absorbed_term().map(|(_, coefficient)| coefficient);
                assert_eq!(absorbed, absorbed_coefficient(&coefficients));
                let size: f64 = coefficients.iter().map(|c| c.abs()).sum();
                for k in 0..=20 {
                    let x = f64::from(k) / 10.0 - 1.0;
                    let error = (plan.evaluate(x) - clenshaw(&coefficients, x)).abs();
                    assert!(error < 1e-12 * size, "error {error} at {x}");
                }
                if degree > 2 && coefficients[degree - 1] != 0.0 {
                    let below = ChebyshevPlan::new(&coefficients[..degree]).unwrap().counts();
                    assert!(plan.counts().products <= below.products, "degree {degree}");
                }
            }
        }
        let others = ChebyshevPlan::absorbing(&[0.1, 0.2, 0.3, 0.4]).unwrap();
        assert_eq!(others, ChebyshevPlan::new(&[0.1, 0.2, 0.3, 0.4]).unwrap());
        assert_eq!(others.output_scale(1e9, 3, &[1 << 30; 4]), None);
    }

    #[test]
    fn unusable_coefficients_are_refused() {
        assert_eq!(ChebyshevPlan::new(&[]), Err(ChebyshevError::Constant));
        assert_eq!(ChebyshevPlan::new(&[2.0, 0.0]), Err(ChebyshevError::Constant));
        assert_eq!(ChebyshevPlan::new(&[1.0; 129]), Err(ChebyshevError::Degree(128)));
        assert!(matches!(
            ChebyshevPlan::new(&[1.0, f64::NAN]),
            Err(ChebyshevError::NotFinite { index: 1, .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sparse_polynomials(
            pairs in prop::collection::vec((0usize..128, -2.0..2.0f64), 1..12),
            top in 1usize..128,
        ) {
            let mut coefficients = vec![0.0; top + 1];
            for (i, c) in pairs {
                coefficients[i % (top + 1)] = c;
            }
            coefficients[top] = 1.5;
            check(&coefficients);
        }
    }
}
