//! Evaluation keys: what the evaluator may know.

use std::collections::BTreeMap;

use super::{EncapsulationKeys, SwitchingKey};
use crate::context::ContextId;
use crate::model::KeyRequest;
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

/// 5^r mod 2N.
pub(crate) fn rotation_element(context: &Context, rotation: i64) -> u64 {
    let order = context.parameters().max_slots() as i64;
    power(context, 5, rotation.rem_euclid(order) as u64)
}

/// −1 mod 2N.
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
