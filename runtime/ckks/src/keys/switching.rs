//! Hybrid key switching: switching keys and the decomposition of polynomials into digits.
//!
//! After Han and Ki, "Better Bootstrapping for Approximate Homomorphic Encryption" (CT-RSA 2020):
//! the chain is cut in digits; with g_j ≡ 1 modulo the primes of digit j and 0 modulo the other
//! chain primes, the key from s' to s is `(b_j, a_j)` with `b_j + a_j·s = e_j + P·g_j·s'` modulo QP.
//! If d_j lifts c from digit j to QP, then Σ d_j·(b_j, a_j) encrypts P·c·s' under s, and dividing by
//! P leaves little noise. A key with fewer primes is a valid key for those primes: it is generated
//! for the highest level at which it is used.

use crate::context::top;
use crate::ring::{Basis, Digits, KeySwitch, PackedPoly, Poly, sample};
use crate::{Context, Error};

/// A switching key from one secret to another, for operands up to a level.
#[derive(Debug, Clone)]
pub(crate) struct SwitchingKey {
    pub(crate) level: usize,
    /// The pairs (b_j, a_j), in the NTT domain on {q0, …, q_level} ∪ P.
    pub(crate) parts: Vec<(PackedPoly, PackedPoly)>,
    /// Seeds from which the a_j are expanded.
    pub(crate) seeds: Vec<[u8; sample::SEED_BYTES]>,
}

impl SwitchingKey {
    /// Returns `(u0, u1)` modulo QP, an encryption of P·c·s' under s, for a polynomial c on chain
    /// primes.
    pub(crate) fn apply(&self, context: &Context, c: &Poly) -> Result<(Poly, Poly), Error> {
        let (indices, digits): (Vec<_>, Vec<_>) = digits(context, c.basis()).unzip();
        let parts = self.parts(&indices, c.basis())?;
        let target = c.basis().union(context.special_basis());
        Ok(context.ring().gadget_product(target, Digits::Of(c, &digits), &parts))
    }

    /// Key switch with what follows it: `addends + c·s'` for a polynomial c on chain primes,
    /// divided by the primes `dropped`, under an automorphism (Galois element 1 for none).
    pub(crate) fn switch(
        &self,
        context: &Context,
        c: &Poly,
        addends: [Option<&Poly>; 2],
        dropped: Basis,
        galois_element: u64,
    ) -> Result<(Poly, Poly), Error> {
        let (indices, digits): (Vec<_>, Vec<_>) = digits(context, c.basis()).unzip();
        let key = self.parts(&indices, c.basis())?;
        Ok(context.ring().switch_key(&KeySwitch {
            digits: Digits::Of(c, &digits),
            key: &key,
            basis: c.basis(),
            special: context.special_basis(),
            dropped,
            addends,
            galois_element,
        }))
    }

    /// The image of `addend + c·s'` under an automorphism, for one of several keys applied to the
    /// same decomposed c.
    pub(crate) fn switch_decomposed(
        &self,
        context: &Context,
        c: &Decomposition,
        addend: &Poly,
        galois_element: u64,
    ) -> Result<(Poly, Poly), Error> {
        Ok(context.ring().switch_key(&KeySwitch {
            digits: Digits::Raised(&c.raised),
            key: &self.parts_for(c)?,
            basis: c.basis,
            special: context.special_basis(),
            dropped: Basis::EMPTY,
            addends: [Some(addend), None],
            galois_element,
        }))
    }

    /// The parts of the key that correspond to the digits of a decomposed operand.
    pub(crate) fn parts_for(
        &self,
        c: &Decomposition,
    ) -> Result<Vec<&(PackedPoly, PackedPoly)>, Error> {
        self.parts(&c.indices, c.basis)
    }

    fn parts(
        &self,
        indices: &[usize],
        operand: Basis,
    ) -> Result<Vec<&(PackedPoly, PackedPoly)>, Error> {
        let operand = top(operand);
        if operand > self.level {
            return Err(Error::KeyLevel { key: self.level, operand });
        }
        Ok(indices.iter().map(|&j| &self.parts[j]).collect())
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|(b, a)| b.bytes() + a.bytes()).sum()
    }
}

/// The digits of a polynomial, each raised to the polynomial's basis and the special primes
/// (ModUp).
pub(crate) struct Decomposition {
    basis: Basis,
    /// Index of each digit within the whole chain.
    indices: Vec<usize>,
    raised: Vec<Poly>,
}

impl Decomposition {
    /// Decomposes a polynomial in the NTT domain on chain primes.
    pub(crate) fn new(context: &Context, c: &Poly) -> Self {
        let basis = c.basis();
        let target = basis.union(context.special_basis());
        let raise = |(j, digit)| (j, context.ring().mod_up(c, digit, target));
        let (indices, raised) = digits(context, basis).map(raise).unzip();
        Self { basis, indices, raised }
    }

    /// The raised digits.
    pub(crate) fn raised(&self) -> &[Poly] {
        &self.raised
    }
}

/// The digits that a basis touches, with their indices.
fn digits(context: &Context, basis: Basis) -> impl Iterator<Item = (usize, Basis)> {
    let ranges = context.parameters().digit_ranges(top(basis)).enumerate();
    let digits = ranges.map(move |(j, range)| (j, Basis::from_indices(range).intersection(basis)));
    digits.filter(|(_, digit)| !digit.is_empty())
}
