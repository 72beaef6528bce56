//! Making the keys that an evaluator gets, from the secret.

use rand_core::{CryptoRng, SeedableRng};
use rayon::prelude::*;

use super::evaluation::{galois_keys, power};
use super::masking::{error, mask, uniform};
use super::{EncapsulationKeys, EvaluationKeys, Pair, SecretKey, SwitchingKey};
use crate::model::KeyRequest;
use crate::model::bootstrapping::SPARSE_WEIGHT;
use crate::model::security::max_log_sparse_modulus;
use crate::ring::sample::{self, ChaCha20Rng};
use crate::ring::{Basis, Poly, SecretPoly};
use crate::{Context, Error};

impl EvaluationKeys {
    /// Makes the requested keys.
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`], [`Error::SparseSecret`].
    pub fn generate(
        secret: &SecretKey,
        request: &KeyRequest,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let context = secret.context();
        let ring = context.ring();
        if request.encapsulation {
            EncapsulationKeys::check_security(context)?;
        }
        let relinearization = request.relinearization.map(|level| {
            let square = SecretPoly::from(ring.mul(secret.poly(), secret.poly()));
            SwitchingKey::generate(context, &square, secret.poly(), level, rng)
        });

        let seeded: Vec<_> = galois_keys(context, request)
            .into_iter()
            .map(|key| (key, ChaCha20Rng::from_rng(rng)))
            .collect();
        let generate = |((element, level), mut rng)| {
            let to: Poly = ring.automorphism(secret.poly(), inverse(context, element));
            let to = SecretPoly::from(to);
            let key = SwitchingKey::generate(context, secret.poly(), &to, level, &mut rng)?;
            Ok((element, key))
        };
        Ok(Self {
            relinearization: relinearization.transpose()?,
            galois: seeded.into_par_iter().map(generate).collect::<Result<_, Error>>()?,
            encapsulation: request.encapsulation.then(|| EncapsulationKeys::generate(secret, rng)),
            context: context.id(),
        })
    }
}

/// The unit group modulo 2N has exponent N/2.
fn inverse(context: &Context, element: u64) -> u64 {
    power(context, element, context.parameters().max_slots() as u64 - 1)
}

impl SwitchingKey {
    /// Both secrets are in the NTT domain, on all primes.
    fn generate(
        context: &Context,
        from: &Poly,
        to: &Poly,
        level: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let ring = context.ring();
        let special = context.special_basis();
        let basis = context.basis_at(level)?.union(special);
        let (mut parts, mut seeds) = (Vec::new(), Vec::new());
        for digit in context.parameters().digit_ranges(level) {
            let (seed, a) = uniform(ring, basis, rng);
            let mut b = mask(ring, error(ring, basis, rng), &a, to);
            let from = SecretPoly::from(from.restricted(Basis::from_indices(digit)));
            ring.add_lifted_assign(&mut b, &from, special);
            parts.push((ring.pack(&b), ring.pack(&a)));
            seeds.push(seed);
        }
        Ok(Self { level, parts, seeds })
    }
}

impl EncapsulationKeys {
    fn generate(secret: &SecretKey, rng: &mut impl CryptoRng) -> Self {
        let context = secret.context();
        let ring = context.ring();
        let [low, high] = Self::bases(context);
        // Rings so small that they are no use but in tests have room for fewer.
        let weight = SPARSE_WEIGHT.min(ring.degree() / 2);
        let sparse = sample::sparse_ternary(rng, ring.degree(), weight);
        let mut sparse = SecretPoly::from(ring.from_signed(&sparse, high));
        ring.ntt(&mut sparse);
        Self {
            to_sparse: Pair::generate(context, secret.poly(), &sparse, low, rng),
            from_sparse: Pair::generate(context, &sparse, secret.poly(), high, rng),
        }
    }

    /// Refuses parameters under which the sparse secret would be less secure than the main one.
    fn check_security(context: &Context) -> Result<(), Error> {
        let parameters = context.parameters();
        let security = parameters.security();
        let log_modulus = parameters.log_encapsulation_modulus();
        let limit = max_log_sparse_modulus(parameters.log_n(), security).unwrap_or(0.0);
        if log_modulus <= limit {
            Ok(())
        } else {
            Err(Error::SparseSecret { log_modulus, limit, security })
        }
    }
}

impl Pair {
    /// Both secrets are in the NTT domain, on the primes of the basis at least.
    fn generate(
        context: &Context,
        from: &Poly,
        to: &Poly,
        basis: Basis,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let (ring, special) = (context.ring(), context.encapsulation_basis());
        let (seed, a) = uniform(ring, basis, rng);
        let mut b = mask(ring, error(ring, basis, rng), &a, to);
        let from = SecretPoly::from(from.restricted(basis.difference(special)));
        ring.add_lifted_assign(&mut b, &from, special);
        Self { polys: (ring.pack(&b), ring.pack(&a)), seed }
    }
}
