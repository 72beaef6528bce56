//! Hybrid key switching: keys and the decomposition of what they are applied to.
//!
//! After Han and Ki, "Better Bootstrapping for Approximate Homomorphic Encryption" (CT-RSA 2020):
//! the chain is cut in digits; with g_j ≡ 1 modulo the primes of digit j and 0 modulo the other
//! chain primes, the key from s' to s is `(b_j, a_j)` with `b_j + a_j·s = e_j + P·g_j·s'` modulo QP.
//! If d_j lifts c from digit j to QP, then Σ d_j·(b_j, a_j) encrypts P·c·s' under s, and dividing by
//! P leaves little noise. A key with fewer primes is a valid key for those primes: it is generated
//! for the highest level at which it is used.

use rand_core::CryptoRng;

use super::{error, mask, uniform};
use crate::context::top;
use crate::ring::{Basis, Poly, sample};
use crate::{Context, Error};

/// A key from one secret to another, for operands up to a level.
#[derive(Debug, Clone)]
pub(crate) struct SwitchingKey {
    pub(crate) level: usize,
    /// The pairs (b_j, a_j), in the NTT domain on {q0, …, q_level} ∪ P.
    pub(crate) parts: Vec<(Poly, Poly)>,
    /// What the a_j expand from.
    pub(crate) seeds: Vec<[u8; sample::SEED_BYTES]>,
}

impl SwitchingKey {
    /// Both secrets are in the NTT domain, on all primes.
    pub(super) fn generate(
        context: &Context,
        from: &Poly,
        to: &Poly,
        level: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let ring = context.ring();
        let basis = context.basis_at(level)?.union(context.special_basis());
        let special: Vec<i128> =
            context.special_basis().iter().map(|i| ring.modulus(i).value().into()).collect();
        let (mut parts, mut seeds) = (Vec::new(), Vec::new());
        for digit in context.parameters().digit_ranges(level) {
            let (seed, a) = uniform(ring, basis, rng);
            let mut b = mask(ring, error(ring, basis, rng), &a, to);
            for i in digit {
                let q = ring.modulus(i);
                let p = special.iter().fold(1, |p, &s| q.mul(p, q.reduce_i128(s)));
                for (b, &s) in b.limb_mut(i).iter_mut().zip(from.limb(i)) {
                    *b = q.add(*b, q.mul(p, s));
                }
            }
            parts.push((b, a));
            seeds.push(seed);
        }
        Ok(Self { level, parts, seeds })
    }

    /// `(u0, u1)` on the basis of the digits, an encryption of P·c·s' where the digits are c's.
    pub(crate) fn apply(&self, context: &Context, digits: &[Poly]) -> Result<(Poly, Poly), Error> {
        let operand = top(digits[0].basis().difference(context.special_basis()));
        if operand > self.level {
            return Err(Error::KeyLevel { key: self.level, operand });
        }
        Ok(context.ring().inner_product(digits, &self.parts))
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|(b, a)| 8 * b.degree() * (b.basis().len() + a.basis().len())).sum()
    }
}

/// Lifts a polynomial (NTT domain, on chain primes) digit by digit to its basis and the special
/// primes.
pub(crate) fn decompose(context: &Context, poly: &Poly) -> Vec<Poly> {
    let (ring, basis) = (context.ring(), poly.basis());
    let target = basis.union(context.special_basis());
    let digits = context.parameters().digit_ranges(top(basis));
    let digits = digits.map(|range| Basis::from_indices(range).intersection(basis));
    digits
        .map(|digit| {
            if digit.is_empty() {
                // Keeps digits and key parts aligned where a basis leaves a whole digit out.
                ring.zero(target, poly.domain())
            } else {
                ring.mod_up(poly, digit, target)
            }
        })
        .collect()
}
