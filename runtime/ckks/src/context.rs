//! The context of a CKKS instance: its parameters with the precomputations shared by all
//! operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::encoding::slots::SlotTransforms;
use crate::model::Parameters;
use crate::model::op_counts::stored_run;
use crate::ring::{Basis, Ring};

/// A CKKS instance: ring, precomputed tables and parameters. Keys, plaintexts and ciphertexts can
/// be used only under the context that made them.
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
    /// Precomputes the tables of the ring for the given parameters.
    ///
    /// ```
    /// use pic_ckks::Context;
    /// use pic_ckks::model::{Parameters, SecurityLevel};
    ///
    /// // N = 2^13, q0 of 45 bits, two levels of 30 bits, one special prime of 45 bits.
    /// let chain = [45.0, 30.0, 30.0];
    /// let parameters = Parameters::from_bits(13, &chain, &[45.0], 3, SecurityLevel::Bits128)?;
    /// let context = Context::new(parameters)?;
    /// assert_eq!(context.parameters().max_slots(), 4096);
    /// assert_eq!(context.parameters().max_level(), 2);
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Ring`] if the environment variable `PIC_KERNELS` names a kernel set that does not
    /// exist or that this processor cannot run. Validated parameters cause no error.
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

    /// The parameters of the instance.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The ring. Its prime indices count the chain from q0 up, then the special primes.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The subring in which a polynomial of a vector with the given period (in slots) has one
    /// residue for each stored one.
    pub(crate) fn ring_of_period(&self, period: usize) -> Arc<Ring> {
        match stored_run(&self.parameters, period) {
            1 => Arc::clone(&self.ring),
            run => self.ring.subring(run),
        }
    }

    /// The basis {q0, …, q_level} of a level.
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`] if the chain has no such level.
    pub fn basis_at(&self, level: usize) -> Result<Basis, Error> {
        let highest = self.parameters.max_level();
        if level > highest {
            return Err(Error::LevelTooHigh { level, highest });
        }
        Ok(Basis::from_indices(0..=level))
    }

    /// The basis of all special primes.
    pub fn special_basis(&self) -> Basis {
        let chain = self.parameters.moduli().len();
        Basis::from_indices(chain..chain + self.parameters.special().len())
    }

    /// The basis of the special prime that sparse-secret encapsulation uses.
    pub(crate) fn encapsulation_basis(&self) -> Basis {
        Basis::single(self.parameters.moduli().len() + self.parameters.encapsulation_prime())
    }

    /// log2 of the product of the primes of a basis.
    pub fn log_modulus(&self, basis: Basis) -> f64 {
        basis.iter().map(|i| self.prime(i).log2()).sum()
    }

    /// The prime with this index, as a floating-point number.
    pub(crate) fn prime(&self, index: usize) -> f64 {
        self.ring.modulus(index).value() as f64
    }

    /// Residues of an integer modulo each prime of a basis, ascending.
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

    /// Fingerprint of the parameters, by which serialised objects are matched.
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

/// Refuses a scale that is not a finite number above zero.
pub(crate) fn check_scale(scale: f64) -> Result<(), Error> {
    if scale.is_finite() && scale > 0.0 { Ok(()) } else { Err(Error::InvalidScale(scale)) }
}

/// The index of the prime that rescaling drops: the highest of the basis.
pub(crate) fn top(basis: Basis) -> usize {
    basis.iter().next_back().expect("a basis of a ciphertext is never empty")
}

/// The basis without its `count` highest primes.
pub(crate) fn lowered(basis: Basis, count: usize) -> Basis {
    Basis::from_indices(basis.iter().take(basis.len() - count))
}
