//! Keys of sparse-secret encapsulation: to an ephemeral sparse secret at the lowest modulus, and
//! back.
//!
//! After Bossuat, Troncoso-Pastoriza and Hubaux, "Bootstrapping for Approximate Homomorphic
//! Encryption with Negligible Failure-Probability by Using Sparse-Secret Encapsulation" (ACNS 2022).
//! The sparse secret s̃ masks data modulo q0·p only, for which it is secure. The key back is under
//! the main secret s. A switched polynomial has coefficients below q0, whatever its modulus, so
//! that one pair modulo Q·p suffices, without digits.

use crate::ring::{Basis, Digits, KeySwitch, PackedPoly, Poly, sample};
use crate::{Ciphertext, Context};

/// The key pair from the main secret to a sparse one and back.
#[derive(Debug, Clone)]
pub(crate) struct EncapsulationKeys {
    /// Key to the sparse secret, modulo q0·p only: a larger modulus would break the sparse secret.
    pub(crate) to_sparse: Pair,
    /// Key back to the main secret, modulo Q·p.
    pub(crate) from_sparse: Pair,
}

/// A switching key of one digit: `(b, a)` with `b + a·to = e + p·from`.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) polys: (PackedPoly, PackedPoly),
    /// Seed from which a is expanded.
    pub(crate) seed: [u8; sample::SEED_BYTES],
}

impl EncapsulationKeys {
    /// The bases of the two keys.
    pub(crate) fn bases(context: &Context) -> [Basis; 2] {
        let special = context.encapsulation_basis();
        let chain = context.ring().basis().difference(context.special_basis());
        [Basis::single(0).union(special), chain.union(special)]
    }

    /// Raises a ciphertext modulo q0 to a larger basis: it then encrypts m + q0·I, I small.
    pub(crate) fn mod_raise(&self, context: &Context, a: &Ciphertext, target: Basis) -> Ciphertext {
        let ring = context.ring();
        let (c0, c1) = self.to_sparse.apply(context, &a.c0, &a.c1, a.basis());
        let c0 = ring.convert(&c0, target);
        let (c0, c1) = self.from_sparse.apply(context, &c0, &c1, target);
        Ciphertext { c0, c1, ..*a }
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        let pairs = [&self.to_sparse, &self.from_sparse];
        pairs.into_iter().map(|Pair { polys: (b, a), .. }| b.bytes() + a.bytes()).sum()
    }
}

impl Pair {
    /// `(c0, 0) + c1·from` on the target basis, which c0 is on; c1 is small, on any basis.
    fn apply(&self, context: &Context, c0: &Poly, c1: &Poly, target: Basis) -> (Poly, Poly) {
        context.ring().switch_key(&KeySwitch {
            digits: Digits::Of(c1, &[c1.basis()]),
            key: &[&self.polys],
            basis: target,
            special: context.encapsulation_basis(),
            dropped: Basis::EMPTY,
            addends: [Some(c0), None],
            galois_element: 1,
        })
    }
}
