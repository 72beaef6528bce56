//! Requests for evaluation keys: the keys that a computation needs, with their levels and sizes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Parameters;
use crate::bootstrapping::EphemeralWeight;
use crate::op_counts::OpCounter;
use crate::primes::residue_bytes;

/// A set of evaluation keys to generate, each with the highest level at which it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// Level of the relinearisation key, for products of ciphertexts.
    pub relinearization: Option<usize>,
    /// Rotation keys: level by rotation, in slots to the left; negative rotations are to the right.
    /// A rotation of n-slot ciphertexts may be requested modulo n.
    pub rotations: BTreeMap<i64, usize>,
    /// Level of the key for complex conjugation.
    pub conjugation: Option<usize>,
    /// Hamming weight of the ephemeral secret whose encapsulation keys raise the modulus in
    /// bootstrapping.
    pub encapsulation: Option<EphemeralWeight>,
}

impl KeyRequest {
    /// Adds a rotation key, or raises the level of one already requested.
    pub fn rotate(&mut self, rotation: i64, level: usize) {
        let highest = self.rotations.entry(rotation).or_insert(level);
        *highest = level.max(*highest);
    }

    /// Adds everything that another request contains. Of two ephemeral secrets the heavier is kept.
    pub fn include(&mut self, other: &Self) {
        self.relinearization = self.relinearization.max(other.relinearization);
        self.conjugation = self.conjugation.max(other.conjugation);
        self.encapsulation = self.encapsulation.max(other.encapsulation);
        for (&rotation, &level) in &other.rotations {
            self.rotate(rotation, level);
        }
    }

    /// Returns whether these keys suffice for every computation that the other request serves.
    pub fn covers(&self, other: &Self) -> bool {
        let mut both = self.clone();
        both.include(other);
        // EvalMod removes the integers of one weight.
        let secrets = [self, other].map(|request| request.encapsulation);
        both == *self && (secrets[1].is_none() || secrets[0] == secrets[1])
    }

    /// The highest level over all keys; `None` if there is no relinearisation, rotation or
    /// conjugation key.
    pub fn highest_level(&self) -> Option<usize> {
        let levels = self.rotations.values().copied();
        levels.chain(self.relinearization).chain(self.conjugation).max()
    }

    /// Bytes of the keys in memory, with packed residues.
    pub fn bytes(&self, parameters: &Parameters) -> u64 {
        let counter = OpCounter::new(parameters, 0..0);
        let levels = self.rotations.values().copied();
        let levels = levels.chain(self.relinearization).chain(self.conjugation);
        let keys: u64 = levels.map(|level| counter.key_bytes(level)).sum();
        keys + if self.encapsulation.is_some() { encapsulation_bytes(parameters) } else { 0 }
    }
}

/// Bytes of the key pair to the ephemeral secret and back.
fn encapsulation_bytes(parameters: &Parameters) -> u64 {
    let (chain, special) =
        (parameters.moduli(), parameters.special()[parameters.encapsulation_prime()]);
    let primes = [chain[0], special, special].into_iter().chain(chain.iter().copied());
    2 * parameters.degree() as u64 * primes.map(|prime| residue_bytes(prime) as u64).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_covers_both() {
        let a = KeyRequest { relinearization: Some(3), ..KeyRequest::default() };
        let mut b = KeyRequest { conjugation: Some(1), ..KeyRequest::default() };
        b.rotate(5, 2);
        b.rotate(5, 1);
        assert_eq!(b.rotations[&5], 2);
        assert!(!a.covers(&b) && !b.covers(&a));
        let mut both = a.clone();
        both.include(&b);
        assert!(both.covers(&a) && both.covers(&b));
        assert_eq!(both.highest_level(), Some(3));
    }

    /// EvalMod is made for the integers of one weight, so that a heavier secret is another, not a better one.
    #[test]
    fn keys_of_another_ephemeral_secret_do_not_serve() {
        let [none, light, heavy] = [None, Some(EphemeralWeight::W32), Some(EphemeralWeight::W64)]
            .map(|encapsulation| KeyRequest { encapsulation, ..KeyRequest::default() });
        assert!(light.covers(&light) && light.covers(&none));
        assert!(!none.covers(&light) && !heavy.covers(&light) && !light.covers(&heavy));
    }
}
