//! Masking of messages: a fresh error, a uniform polynomial, and its product with the secret.

use rand_core::Rng;

use crate::ring::{Basis, Domain, Poly, Ring, SecretPoly, sample};

/// A fresh error polynomial in the NTT domain.
pub(super) fn error(ring: &Ring, basis: Basis, rng: &mut impl Rng) -> Poly {
    let mut error = ring.from_signed(&sample::gaussian(rng, ring.degree()), basis);
    ring.ntt(&mut error);
    error
}

/// A fresh seed and the uniform polynomial expanded from it.
pub(super) fn uniform(
    ring: &Ring,
    basis: Basis,
    rng: &mut impl Rng,
) -> ([u8; sample::SEED_BYTES], Poly) {
    let mut seed = [0; sample::SEED_BYTES];
    rng.fill_bytes(&mut seed);
    (seed, ring.uniform(&seed, basis, Domain::Ntt))
}

/// `value − a·s`, given a: the other half of an encryption of `value` under s.
pub(super) fn mask(ring: &Ring, mut value: Poly, a: &Poly, s: &Poly) -> Poly {
    let product = SecretPoly::from(ring.mul(a, s));
    ring.sub_assign(&mut value, &product);
    value
}
