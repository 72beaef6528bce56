//! Polynomials modulo `X^N + 1` and a set of word-sized primes: the layer below the scheme.
//!
//! | file | subject |
//! |---|---|
//! | `modulus` | one prime, single residues |
//! | `basis` | which primes, which domain |
//! | `poly`, `pool` | storage |
//! | `arithmetic` | transforms, sums, products, automorphisms |
//! | `rns` | changing the basis: ModUp, ModDown, rescaling |
//! | `gadget` | the inner product of key switching |
//! | `switch` | whole key switches |
//! | `packed` | polynomials stored to be multiplied with |
//! | `products` | sums of products with many factors |
//! | `hoisting` | the same with rotated operands |
//! | `subring` | polynomials in a power of X |
//! | `integers` | from signed integers, back to real numbers, raw bytes |
//! | `sample` | random polynomials |
//! | `kernels` | the inner loops |
//!
//! Nothing here depends on ciphertexts, keys, scales or levels. Operands that do not fit together
//! (basis, domain, ring) are bugs of the caller and panic; outside data is refused with a
//! [`RingError`].

mod arithmetic;
mod basis;
mod error;
mod gadget;
mod hoisting;
mod integers;
mod kernels;
mod modulus;
mod packed;
mod poly;
mod pool;
mod products;
mod rns;
pub mod sample;
mod subring;
mod switch;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use pic_ckks_model::KernelSet;
use pic_ckks_model::primes::MIN_RESIDUE_BYTES;

pub use basis::{Basis, Domain};
pub use error::RingError;
pub use gadget::Digits;
pub use hoisting::{Operand, Rotation};
pub use kernels::{detect as detect_kernels, is_available as kernels_available};
pub use modulus::{MAX_PRIME_BITS, Modulus, ntt_primes_below};
pub use packed::{PackedLimb, PackedPoly};
pub use poly::{Poly, SecretPoly};
pub use products::Residues;
pub use switch::KeySwitch;

use arithmetic::SlotPermutation;
use kernels::{Kernels, Ntt};
use pool::Pool;
use rns::BaseConverter;

/// Number of different sizes, in bytes, of packed residues.
const RESIDUE_SIZES: usize = MAX_PRIME_BITS.div_ceil(8) as usize + 1 - MIN_RESIDUE_BYTES;

/// The ring `Z_q[X]/(X^N + 1)` for each prime `q` of a list, with all precomputed tables.
///
/// Tables take about 0.2 (SIMD) to 2 (portable) MiB a prime at `N = 2^16`; a ring is made once and
/// shared.
pub struct Ring {
    log_n: u32,
    kernels: Kernels,
    primes: Vec<Prime>,
    pool: Arc<Pool>,
    /// Pools of packed limbs, by the bytes of a residue.
    packed_pools: [Arc<Pool>; RESIDUE_SIZES],
    permutations: Cache<u64, SlotPermutation>,
    converters: Cache<Basis, BaseConverter>,
    subrings: Cache<usize, Ring>,
}

struct Prime {
    modulus: Modulus,
    root: u64,
    ntt: Ntt,
}

impl Ring {
    /// log2 of the smallest degree.
    const MIN_LOG_DEGREE: u32 = 4;

    /// The ring of degree `2^log_n` over the given primes, which are identified by their index in
    /// the list. Uses the kernels of [`detect_kernels`].
    ///
    /// # Errors
    /// [`RingError::Degree`] if the degree is outside `2^4 … 2^17`, [`RingError::PrimeCount`],
    /// [`RingError::DuplicatePrime`], [`RingError::NotPrime`], [`RingError::PrimeTooLarge`] or
    /// [`RingError::NotNttFriendly`] if the primes are not 1 to 128 distinct primes below 2^50 that
    /// are 1 modulo `2N`, and the errors of [`detect_kernels`].
    pub fn new(log_n: u32, primes: &[u64]) -> Result<Self, RingError> {
        Self::with_kernels(log_n, primes, detect_kernels()?)
    }

    /// [`Ring::new`] with a given kernel set, for comparisons.
    ///
    /// # Errors
    /// The errors of [`Ring::new`], and [`RingError::KernelsUnavailable`].
    pub fn with_kernels(log_n: u32, primes: &[u64], kernels: KernelSet) -> Result<Self, RingError> {
        if !(Self::MIN_LOG_DEGREE..=17).contains(&log_n) {
            return Err(RingError::Degree { log_n });
        }
        if !(1..=Basis::CAPACITY).contains(&primes.len()) {
            return Err(RingError::PrimeCount { count: primes.len() });
        }
        let kernels = Kernels::new(kernels, log_n)?;
        let mut seen = HashSet::new();
        let primes = primes.iter().map(|&q| {
            if !seen.insert(q) {
                return Err(RingError::DuplicatePrime { prime: q });
            }
            Prime::new(log_n, q, kernels)
        });
        Ok(Self {
            log_n,
            kernels,
            primes: primes.collect::<Result<_, _>>()?,
            pool: Arc::new(Pool::new(1 << log_n)),
            packed_pools: std::array::from_fn(|k| {
                Arc::new(Pool::new((MIN_RESIDUE_BYTES + k) << (log_n - 3)))
            }),
            permutations: Cache::default(),
            converters: Cache::default(),
            subrings: Cache::default(),
        })
    }

    /// `log2(N)`.
    pub fn log_degree(&self) -> u32 {
        self.log_n
    }

    /// `N`, the number of coefficients of a polynomial.
    pub fn degree(&self) -> usize {
        1 << self.log_n
    }

    /// The basis of all primes.
    pub fn basis(&self) -> Basis {
        Basis::from_indices(0..self.primes.len())
    }

    /// The prime with this index.
    ///
    /// # Panics
    /// If the ring has no prime with this index.
    pub fn modulus(&self, index: usize) -> &Modulus {
        &self.primes[index].modulus
    }

    /// The primitive 2N-th root of unity `ψ` of the transform modulo this prime: `g^((q-1)/2N)` for
    /// the smallest `g ≥ 2` for which it is primitive. The meaning of stored residues depends on
    /// it.
    ///
    /// # Panics
    /// If there is no prime with this index.
    pub fn root(&self, index: usize) -> u64 {
        self.primes[index].root
    }

    /// The kernel set in use.
    pub fn kernels(&self) -> KernelSet {
        self.kernels.set()
    }

    /// The zero polynomial.
    ///
    /// # Panics
    /// If the basis contains primes that the ring does not have.
    pub fn zero(&self, basis: Basis, domain: Domain) -> Poly {
        let mut zero = self.scratch(basis, domain);
        zero.for_each_limb(|_, limb| limb.fill(0));
        zero
    }

    /// Returns memory of dropped polynomials to the operating system: the slabs without a
    /// polynomial in use.
    pub fn trim(&self) {
        self.pool.trim();
        self.packed_pools.iter().for_each(|pool| pool.trim());
        self.subrings.values().iter().for_each(|ring| ring.trim());
    }

    /// A polynomial with arbitrary contents, left by an earlier user of its memory, to be
    /// overwritten.
    pub(crate) fn scratch(&self, basis: Basis, domain: Domain) -> Poly {
        assert!(basis.is_subset(self.basis()), "{basis:?} has primes that the ring lacks");
        Poly::scratch(&self.pool, basis, domain)
    }

    fn assert_own(&self, poly: &Poly) {
        assert!(poly.is_from(&self.pool), "the polynomial belongs to another ring");
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let primes: Vec<u64> = self.primes.iter().map(|p| p.modulus.value()).collect();
        f.debug_struct("Ring")
            .field("log_n", &self.log_n)
            .field("kernels", &self.kernels.set())
            .field("primes", &primes)
            .finish_non_exhaustive()
    }
}

impl Prime {
    fn new(log_n: u32, q: u64, kernels: Kernels) -> Result<Self, RingError> {
        let modulus = Modulus::new(q)?;
        if !(q - 1).is_multiple_of(2 << log_n) {
            return Err(RingError::NotNttFriendly { prime: q, log_n });
        }
        let root = (2..q)
            .map(|g| modulus.pow(g, (q - 1) >> (log_n + 1)))
            .find(|&root| modulus.pow(root, 1 << log_n) == q - 1)
            .expect("the multiplicative group is cyclic and 2N divides its order");
        Ok(Self { modulus, root, ntt: Ntt::new(kernels, modulus, log_n, root) })
    }
}

/// Tables computed at first use and kept for the lifetime of the ring.
struct Cache<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: std::hash::Hash + Eq + Copy, V> Cache<K, V> {
    fn get_or_compute(&self, key: K, compute: impl FnOnce() -> V) -> Arc<V> {
        let found = self.lock().get(&key).cloned();
        found.unwrap_or_else(|| {
            // Two threads may both compute; the first result stays.
            let value = Arc::new(compute());
            Arc::clone(self.lock().entry(key).or_insert(value))
        })
    }

    fn values(&self) -> Vec<Arc<V>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<V>>> {
        // A panic while the map is locked cannot leave it inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod test_support;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_validated() {
        let good: Vec<u64> = ntt_primes_below(1 << 30, 4).take(3).collect();
        let refused = |log_n, primes: &[u64]| Ring::new(log_n, primes).unwrap_err();
        assert!(Ring::new(4, &good).is_ok());
        assert_eq!(refused(3, &good), RingError::Degree { log_n: 3 });
        assert_eq!(refused(18, &good), RingError::Degree { log_n: 18 });
        assert_eq!(refused(4, &[]), RingError::PrimeCount { count: 0 });
        let many: Vec<u64> = ntt_primes_below(1 << 30, 4).take(129).collect();
        assert_eq!(refused(4, &many), RingError::PrimeCount { count: 129 });
        let twice = [good[0], good[1], good[0]];
        assert_eq!(refused(4, &twice), RingError::DuplicatePrime { prime: good[0] });
        assert_eq!(refused(4, &[33]), RingError::NotPrime { value: 33 });
        assert_eq!(refused(4, &[101]), RingError::NotNttFriendly { prime: 101, log_n: 4 });
        assert_eq!(refused(4, &[u64::MAX]), RingError::PrimeTooLarge { prime: u64::MAX });
    }
}
