//! The context: parameters with everything precomputed that operations under them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::encoding::slots::SlotTransforms;
use crate::model::Parameters;
use crate::model::op_counts::stored_run;
use crate::ring::{Basis, Ring};

/// A CKKS instance. Every object made under it can only be used under it.
#[derive(Debug)]
pub struct Context {
    parameters: Parameters,
    ring: Arc<Ring>,
    slot_transforms: SlotTransforms,
    id: ContextId,
}

/// Distinguishes the contexts of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContextId(u64);

impl Context {
    /// Precomputes for the given parameters.
    ///
    /// # Errors
    /// Those of [`Ring::new`]; none for validated parameters in practice.
    pub fn new(parameters: Parameters) -> Result<Arc<Self>, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let primes: Vec<u64> =
            parameters.moduli().iter().chain(parameters.special()).copied().collect();
        Ok(Arc::new(Self {
            ring: Arc::new(Ring::new(parameters.log_n(), &primes)?),
            slot_transforms: SlotTransforms::default(),
            id: ContextId(NEXT.fetch_add(1, Ordering::Relaxed)),
            parameters,
        }))
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The ring. Prime indices are those of the chain, then the special primes.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The ring in which vectors that repeat with a period have as few residues as are stored.
    pub(crate) fn ring_of_period(&self, period: usize) -> Arc<Ring> {
        match stored_run(&self.parameters, period) {
            1 => Arc::clone(&self.ring),
            run => self.ring.subring(run),
        }
    }

    /// The basis {q0, …, q_level} of a level.
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`].
    pub fn basis_at(&self, level: usize) -> Result<Basis, Error> {
        let highest = self.parameters.max_level();
        if level > highest {
            return Err(Error::LevelTooHigh { level, highest });
        }
        Ok(Basis::from_indices(0..=level))
    }

    /// The special primes.
    pub fn special_basis(&self) -> Basis {
        let chain = self.parameters.moduli().len();
        Basis::from_indices(chain..chain + self.parameters.special().len())
    }

    /// The special prime of sparse-secret encapsulation.
    pub(crate) fn encapsulation_basis(&self) -> Basis {
        Basis::single(self.parameters.moduli().len() + self.parameters.encapsulation_prime())
    }

    /// log2 of the product of the primes of a basis.
    pub fn log_modulus(&self, basis: Basis) -> f64 {
        basis.iter().map(|i| self.prime(i).log2()).sum()
    }

    /// The prime with this index as a real number.
    pub(crate) fn prime(&self, index: usize) -> f64 {
        self.ring.modulus(index).value() as f64
    }

    /// Residues of a number for each prime of a basis.
    pub(crate) fn residues(&self, value: i128, basis: Basis) -> Vec<u64> {
        basis.iter().map(|i| self.ring.modulus(i).reduce_i128(value)).collect()
    }

    pub(crate) fn id(&self) -> ContextId {
        self.id
    }

    pub(crate) fn check_own(&self, id: ContextId) -> Result<(), Error> {
        if id == self.id { Ok(()) } else { Err(Error::ContextMismatch) }
    }

    pub(crate) fn slot_transforms(&self) -> &SlotTransforms {
        &self.slot_transforms
    }

    /// Identifies the parameters in serialised objects.
    pub(crate) fn fingerprint(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"pic-ckks parameters v1");
        let p = &self.parameters;
        for count in [p.log_n() as usize, p.moduli().len(), p.special().len(), p.digits()] {
            hasher.update(&(count as u64).to_le_bytes());
        }
        for prime in p.moduli().iter().chain(p.special()) {
            hasher.update(&prime.to_le_bytes());
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        fingerprint
    }
}

/// A scale that makes sense: finite and above zero.
pub(crate) fn check_scale(scale: f64) -> Result<(), Error> {
    if scale.is_finite() && scale > 0.0 { Ok(()) } else { Err(Error::InvalidScale(scale)) }
}

/// The prime that rescaling drops first: the one with the highest index.
pub(crate) fn top(basis: Basis) -> usize {
    basis.iter().next_back().expect("a basis of a ciphertext is never empty")
}

/// Without its `count` highest primes.
pub(crate) fn lowered(basis: Basis, count: usize) -> Basis {
    Basis::from_indices(basis.iter().take(basis.len() - count))
}
