//! Evaluation of polynomials in the Chebyshev basis by the plans of [`crate::model::chebyshev`].
//!
//! Scales are determined from the result backwards: a node whose scale after rescaling by q must be
//! S sums its terms at S·q. Constants are encoded at S·q over the exact scale of the power that
//! they multiply, and a quotient is computed at that scale itself, so that every sum is of exactly
//! equal scales and the result has exactly the requested scale. A absorbed term is a power at another
//! scale; the plan states the scale of the result at which the two agree
//! ([`ChebyshevPlan::output_scale`]).

use std::collections::BTreeMap;

use super::{Degree2Ciphertext, Evaluator, check_scales};
use crate::context::{check_scale, lowered, top};
use crate::model::ChebyshevPlan;
use crate::model::chebyshev::{Node, Power, power_depth};
use crate::{Ciphertext, Error};

/// The powers T_i of the input computed so far, by index i.
struct Powers<'a> {
    input: &'a Ciphertext,
    higher: BTreeMap<u32, Ciphertext>,
}

impl Powers<'_> {
    fn get(&self, index: u32) -> &Ciphertext {
        if index == 1 { self.input } else { &self.higher[&index] }
    }
}

impl Evaluator {
    /// Evaluates a polynomial in every slot. The slots must hold values in \[−1, 1\], or in i·\[−1,
    /// 1\] for plans in [`PolynomialBasis::Imaginary`](crate::model::chebyshev::PolynomialBasis).
    ///
    /// The result has exactly `target_scale` and is exactly `plan.depth()` levels below `x`. The
    /// scale of `x` should be within a few percent of the primes consumed: the scale of T_i
    /// deviates from it by that ratio to the power i. If the plan absorbs a coefficient,
    /// `target_scale` must be [`ChebyshevPlan::output_scale`].
    ///
    /// ```
    /// use pic_ckks::model::ChebyshevPlan;
    /// # let (_context, evaluator, encrypt, decrypt) =
    /// #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest_setup.rs"));
    ///
    /// // T_3(x) = 4x³ − 3x, two levels deep.
    /// let plan = ChebyshevPlan::new(&[0.0, 0.0, 0.0, 1.0])?;
    /// let x = encrypt(&[0.5, -0.5, 1.0, 0.0]);
    /// let y = evaluator.evaluate_chebyshev(&x, &plan, x.scale())?;
    /// assert_eq!(y.level(), x.level() - 2);
    /// assert!((decrypt(&y)[0] + 1.0).abs() < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelsExhausted`] if `x` has fewer levels than the plan
    /// needs, [`Error::InvalidScale`], [`Error::ScaleMismatch`] if a absorbed plan has another output
    /// scale, [`Error::ScaleOverflow`], [`Error::MissingRelinearizationKey`], [`Error::KeyLevel`].
    pub fn evaluate_chebyshev(
        &self,
        x: &Ciphertext,
        plan: &ChebyshevPlan,
        target_scale: f64,
    ) -> Result<Ciphertext, Error> {
        self.context.check_own(x.context)?;
        check_scale(target_scale)?;
        let depth = plan.depth() as usize;
        self.check_capacity(target_scale, x.basis_below(depth, "polynomial evaluation")?)?;
        let mut powers = Powers { input: x, higher: BTreeMap::new() };
        for power in plan.powers() {
            let value = self.power(power, &powers)?;
            powers.higher.insert(power.index, value);
        }
        self.node(plan.root(), &powers, depth, target_scale)
    }

    /// T_index = 2·T_a·T_b ∓ T_{a−b}, rescaled.
    fn power(&self, power: &Power, powers: &Powers) -> Result<Ciphertext, Error> {
        let consumed = power_depth(power.index) as usize - 1;
        let basis = lowered(powers.input.basis(), consumed);
        let mut sum = self.tensor_on(basis, powers.get(power.a), powers.get(power.b))?;
        self.double_degree2_assign(&mut sum);
        if power.a == power.b {
            self.add_constant_to_tensor(&mut sum, power.rest)?;
        } else {
            let rest = (powers.get(power.a - power.b), power.rest);
            self.add_combination_to_tensor(&mut sum, &[rest])?;
        }
        self.relinearize_rescale(&sum)
    }

    /// The value of a node at the given scale, `consumed` levels below the input.
    fn node(
        &self,
        node: &Node,
        powers: &Powers,
        consumed: usize,
        scale: f64,
    ) -> Result<Ciphertext, Error> {
        if node.is_absorbed_alone() {
            let mut sum = self.zero(powers.input, lowered(powers.input.basis(), consumed), scale);
            self.add_absorbed(node, powers, &mut sum)?;
            self.add_constant_assign(&mut sum, node.constant)?;
            return Ok(sum);
        }
        let basis = lowered(powers.input.basis(), consumed - 1);
        let sum_scale = scale * self.context.prime(top(basis));
        let mut sum: Option<Degree2Ciphertext> = None;
        for product in &node.products {
            let power = powers.get(product.power);
            let quotient =
                self.node(&product.quotient, powers, consumed - 1, sum_scale / power.scale)?;
            let product = self.tensor_on(basis, &quotient, power)?;
            match &mut sum {
                Some(sum) => self.add_degree2_assign(sum, &product)?,
                None => sum = Some(product),
            }
        }
        let linear: Vec<_> = node.linear.iter().map(|&(i, c)| (powers.get(i), c)).collect();
        let value = match sum {
            Some(mut sum) => {
                self.add_combination_to_tensor(&mut sum, &linear)?;
                self.add_constant_to_tensor(&mut sum, node.constant)?;
                self.relinearize_rescale(&sum)?
            }
            None => {
                let mut sum = self.zero(powers.input, basis, sum_scale);
                self.add_combination_assign(&mut sum, &linear)?;
                self.add_constant_assign(&mut sum, node.constant)?;
                self.rescale(sum)?
            }
        };
        let mut value = Ciphertext { scale, ..value };
        self.add_absorbed(node, powers, &mut value)?;
        Ok(value)
    }

    /// Adds the absorbed term of a node, if any: ±T_i, whose scale is |c| times that of the node's
    /// value.
    fn add_absorbed(
        &self,
        node: &Node,
        powers: &Powers,
        value: &mut Ciphertext,
    ) -> Result<(), Error> {
        let Some((index, coefficient)) = node.absorbed else { return Ok(()) };
        let power = powers.get(index);
        check_scales(power.scale, value.scale * coefficient.abs())?;
        let term = Ciphertext { scale: value.scale, ..power.clone() };
        if coefficient > 0.0 {
            self.add_assign(value, &term)
        } else {
            self.sub_assign(value, &term)
        }
    }
}
