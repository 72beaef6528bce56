//! Evaluation keys: the public keys that an evaluator works with.

use std::collections::BTreeMap;

use super::{EncapsulationKeys, SwitchingKey};
use crate::context::ContextId;
use crate::model::KeyRequest;
use crate::{Context, Error};

/// A set of evaluation keys: relinearisation, Galois and encapsulation keys under one secret. They
/// reveal nothing of messages or the secret, under the usual circular-security assumption.
#[derive(Debug, Clone)]
pub struct EvaluationKeys {
    pub(crate) relinearization: Option<SwitchingKey>,
    /// Galois keys by Galois element g: the switching key from s to σ_g⁻¹(s). The evaluator
    /// switches first and applies σ_g to the two results, rather than to every digit before the
    /// switch.
    pub(crate) galois: BTreeMap<u64, SwitchingKey>,
    pub(crate) encapsulation: Option<EncapsulationKeys>,
    pub(crate) context: ContextId,
}

impl EvaluationKeys {
    /// The empty set of keys, for operations that need none.
    pub fn none(context: &Context) -> Self {
        let context = context.id();
        Self { relinearization: None, galois: BTreeMap::new(), encapsulation: None, context }
    }

    /// Bytes of memory held.
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

    /// The Galois element and key that rotate an n-slot ciphertext by r. Any rotation ≡ r mod n is
    /// suitable; r modulo N/2 and r modulo n are tried. `None` if r is zero modulo n.
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

/// The Galois elements of a request, each with the highest level at which it is used.
pub(crate) fn galois_keys(context: &Context, request: &KeyRequest) -> BTreeMap<u64, usize> {
    let mut levels = BTreeMap::new();
    let rotations =
        request.rotations.iter().map(|(&r, &level)| (rotation_element(context, r), level));
    let conjugation = request.conjugation.map(|level| (conjugation_element(context), level));
    for (element, level) in rotations.chain(conjugation).filter(|(element, _)| *element != 1) {
        let highest = levels.entry(element).or_insert(level);
        *highest = level.max(*highest);
    }
    levels
}

/// Galois element of a rotation by r to the left: 5^r mod 2N.
pub(crate) fn rotation_element(context: &Context, rotation: i64) -> u64 {
    let order = context.parameters().max_slots() as i64;
    power(context, 5, rotation.rem_euclid(order) as u64)
}

/// Galois element of the conjugation: −1 mod 2N.
pub(crate) fn conjugation_element(context: &Context) -> u64 {
    2 * context.ring().degree() as u64 - 1
}

pub(super) fn power(context: &Context, mut base: u64, mut exponent: u64) -> u64 {
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
