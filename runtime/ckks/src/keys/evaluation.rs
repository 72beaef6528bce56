//! Evaluation keys: what the evaluator may know.

use std::collections::BTreeMap;

use rand_core::{CryptoRng, SeedableRng};
use rayon::prelude::*;

use super::{EncapsulationKeys, SecretKey, SwitchingKey};
use crate::context::ContextId;
use crate::model::KeyRequest;
use crate::ring::sample::ChaCha20Rng;
use crate::ring::{Poly, SecretPoly};
use crate::{Context, Error};

/// Keys for evaluation. They reveal nothing, but they are bound to one secret.
#[derive(Debug, Clone)]
pub struct EvaluationKeys {
    pub(crate) relinearization: Option<SwitchingKey>,
    /// By Galois element g: the key from s to σ_g⁻¹(s). The evaluator switches first and applies
    /// σ_g to the two results, rather than to every digit before.
    pub(crate) galois: BTreeMap<u64, SwitchingKey>,
    pub(crate) encapsulation: Option<EncapsulationKeys>,
    pub(crate) context: ContextId,
}

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

        let mut levels = BTreeMap::new();
        let rotations =
            request.rotations.iter().map(|(&r, &level)| (rotation_element(context, r), level));
        let conjugation = request.conjugation.map(|level| (conjugation_element(context), level));
        for (element, level) in rotations.chain(conjugation).filter(|(element, _)| *element != 1) {
            let highest = levels.entry(element).or_insert(level);
            *highest = level.max(*highest);
        }
        let seeded: Vec<_> =
            levels.into_iter().map(|key| (key, ChaCha20Rng::from_rng(rng))).collect();
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

    /// No keys at all, for an evaluator that needs none.
    pub fn none(context: &Context) -> Self {
        let context = context.id();
        Self { relinearization: None, galois: BTreeMap::new(), encapsulation: None, context }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let switching = self.galois.values().chain(&self.relinearization).map(SwitchingKey::bytes);
        let encapsulation = self.encapsulation.iter().map(EncapsulationKeys::bytes);
        switching.chain(encapsulation).sum()
    }

    pub(crate) fn encapsulation(&self) -> Result<&EncapsulationKeys, Error> {
        self.encapsulation.as_ref().ok_or(Error::MissingEncapsulationKeys)
    }

    pub(crate) fn relinearization(&self) -> Result<&SwitchingKey, Error> {
        self.relinearization.as_ref().ok_or(Error::MissingRelinearizationKey)
    }

    /// The Galois element and key that rotate an n-slot ciphertext by r: any rotation ≡ r mod n
    /// does, and r modulo N/2 and modulo n are looked for. `None` if nothing has to be done.
    pub(crate) fn rotation(
        &self,
        context: &Context,
        rotation: i64,
        slots: usize,
    ) -> Result<Option<(u64, &SwitchingKey)>, Error> {
        let reduced = rotation.rem_euclid(slots as i64);
        if reduced == 0 {
            return Ok(None);
        }
        let key = [rotation, reduced].into_iter().find_map(|r| {
            let element = rotation_element(context, r);
            Some((element, self.galois.get(&element)?))
        });
        key.map(Some).ok_or(Error::MissingRotationKey { rotation })
    }

    pub(crate) fn conjugation(&self, context: &Context) -> Result<(u64, &SwitchingKey), Error> {
        let element = conjugation_element(context);
        let key = self.galois.get(&element).ok_or(Error::MissingConjugationKey)?;
        Ok((element, key))
    }
}

/// 5^r mod 2N.
pub(crate) fn rotation_element(context: &Context, rotation: i64) -> u64 {
    let order = context.parameters().max_slots() as i64;
    power(context, 5, rotation.rem_euclid(order) as u64)
}

/// −1 mod 2N.
fn conjugation_element(context: &Context) -> u64 {
    2 * context.ring().degree() as u64 - 1
}

/// The unit group modulo 2N has exponent N/2.
fn inverse(context: &Context, element: u64) -> u64 {
    power(context, element, context.parameters().max_slots() as u64 - 1)
}

fn power(context: &Context, mut base: u64, mut exponent: u64) -> u64 {
    let mask = 2 * context.ring().degree() as u64 - 1;
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = (result * base) & mask;
        }
        base = (base * base) & mask;
        exponent >>= 1;
    }
    result
}
