//! Generation of evaluation keys from the secret.

use std::io::{self, Write};

use rand_core::{CryptoRng, SeedableRng};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::evaluation::{galois_keys, power};
use super::masking::{error, mask, uniform};
use super::names::RELINEARIZATION;
use super::{EncapsulationKeys, EvaluationKeys, Pair, SecretKey, SwitchingKey};
use crate::model::KeyRequest;
use crate::model::bootstrapping::EphemeralWeight;
use crate::model::security::max_log_sparse_modulus;
use crate::ring::sample::{self, ChaCha20Rng, SEED_BYTES};
use crate::ring::{Basis, Poly, SecretPoly};
use crate::serialization;
use crate::{Context, Error};

/// A generation of evaluation keys: a checked request, with an independent stream of random numbers
/// for each key, so that keys can be generated in parallel and written one by one.
///
/// ```
/// use pic_ckks::model::{Parameters, SecurityLevel};
/// use pic_ckks::{Context, EvaluationKeys, KeyGeneration, KeyRequest, SecretKey, secret_rng};
///
/// let parameters = Parameters::from_bits(13, &[45.0, 35.0], &[46.0], 2, SecurityLevel::Bits128)?;
/// let context = Context::new(parameters)?;
/// let mut rng = secret_rng()?;
/// let secret = SecretKey::generate(&context, &mut rng);
/// let request = KeyRequest { relinearization: Some(1), ..KeyRequest::default() };
/// let mut file = Vec::new();
/// KeyGeneration::new(&secret, &request, &mut rng)?.write_to(&mut file)?;
/// let keys = EvaluationKeys::from_bytes(&context, &file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyGeneration<'a> {
    secret: &'a SecretKey,
    /// Seed of all generators. Each generator is created where it is used, because moving one would
    /// leave copies of its state in memory.
    seed: Zeroizing<[u8; SEED_BYTES]>,
    relinearization: Option<usize>,
    /// Levels of the Galois keys by element, in ascending order.
    galois: Vec<(u64, usize)>,
    encapsulation: Option<EphemeralWeight>,
}

/// Numbers of the random streams of keys without a Galois element; even, as Galois elements are
/// odd.
const RELINEARIZATION_STREAM: u64 = 0;
const ENCAPSULATION_STREAM: u64 = 2;

impl EvaluationKeys {
    /// Generates the requested keys in memory; [`KeyGeneration::write_to`] writes them without
    /// holding them all.
    ///
    /// ```
    /// # use pic_ckks::model::{Parameters, SecurityLevel};
    /// # use pic_ckks::{Context, EvaluationKeys, KeyRequest, SecretKey, secret_rng};
    /// # let parameters =
    /// #     Parameters::from_bits(10, &[48.0, 40.0], &[49.0], 2, SecurityLevel::Insecure)?;
    /// # let context = Context::new(parameters)?;
    /// # let mut rng = secret_rng()?;
    /// # let secret = SecretKey::generate(&context, &mut rng);
    /// // A relinearisation key for products at level 1, a key for rotations by one slot.
    /// let mut request = KeyRequest { relinearization: Some(1), ..KeyRequest::default() };
    /// request.rotate(1, 1);
    /// let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;
    /// assert_eq!(keys.bytes() as u64, request.bytes(context.parameters()));
    /// # Ok::<(), pic_ckks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`] if a key is requested for a level that the chain does not have,
    /// [`Error::SparseSecret`] if the parameters are not secure for the ephemeral secret.
    pub fn generate(
        secret: &SecretKey,
        request: &KeyRequest,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        Ok(KeyGeneration::new(secret, request, rng)?.keys())
    }
}

impl<'a> KeyGeneration<'a> {
    /// Checks a request and draws the seed of all keys.
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`] if a key is requested for a level that the chain does not have,
    /// [`Error::SparseSecret`] if the parameters are not secure for the ephemeral secret.
    pub fn new(
        secret: &'a SecretKey,
        request: &KeyRequest,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let context = secret.context();
        let galois = galois_keys(context, request);
        for &level in galois.values().chain(&request.relinearization) {
            context.basis_at(level)?;
        }
        if request.encapsulation.is_some() {
            EncapsulationKeys::check_security(context)?;
        }
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        rng.fill_bytes(&mut *seed);
        let KeyRequest { relinearization, encapsulation, .. } = *request;
        Ok(Self {
            secret,
            seed,
            relinearization,
            galois: galois.into_iter().collect(),
            encapsulation,
        })
    }

    /// Generates all keys in memory.
    fn keys(self) -> EvaluationKeys {
        let galois = self.galois.par_iter();
        EvaluationKeys {
            relinearization: self.relinearization.map(|level| self.relinearization_key(level)),
            galois: galois
                .map(|&(element, level)| (element, self.galois_key(element, level)))
                .collect(),
            encapsulation: self.encapsulation.map(|weight| self.encapsulation_keys(weight)),
            context: self.secret.context().id(),
        }
    }

    /// Generates the keys, as many in parallel as there are threads, and writes each in the format
    /// of [`EvaluationKeys::write_to`], without holding the others.
    ///
    /// # Errors
    /// The errors of `writer`.
    pub fn write_to(self, writer: &mut impl Write) -> io::Result<()> {
        let count = usize::from(self.relinearization.is_some()) + self.galois.len();
        serialization::write_head(self.secret.context(), count, writer)?;
        if let Some(level) = self.relinearization {
            serialization::write_key(RELINEARIZATION, &self.relinearization_key(level), writer)?;
        }
        for some in self.galois.chunks(rayon::current_num_threads()) {
            let key = |&(element, level): &(u64, usize)| self.galois_key(element, level);
            let made: Vec<SwitchingKey> = some.par_iter().map(key).collect();
            for (&(element, _), key) in some.iter().zip(&made) {
                serialization::write_key(element, key, writer)?;
            }
        }
        let encapsulation = self.encapsulation.map(|weight| self.encapsulation_keys(weight));
        serialization::write_end(encapsulation.as_ref(), writer)
    }

    fn relinearization_key(&self, level: usize) -> SwitchingKey {
        let (context, secret) = (self.secret.context(), self.secret.poly());
        let square = SecretPoly::from(context.ring().mul(secret, secret));
        let mut rng = self.generator(RELINEARIZATION_STREAM);
        SwitchingKey::generate(context, &square, secret, level, &mut rng)
    }

    fn galois_key(&self, element: u64, level: usize) -> SwitchingKey {
        let (context, secret) = (self.secret.context(), self.secret.poly());
        let to = context.ring().automorphism(secret, inverse(context, element));
        let to = SecretPoly::from(to);
        SwitchingKey::generate(context, secret, &to, level, &mut self.generator(element))
    }

    fn encapsulation_keys(&self, weight: EphemeralWeight) -> EncapsulationKeys {
        let mut rng = self.generator(ENCAPSULATION_STREAM);
        EncapsulationKeys::generate(self.secret, weight, &mut rng)
    }

    fn generator(&self, stream: u64) -> ChaCha20Rng {
        let mut rng = ChaCha20Rng::from_seed(*self.seed);
        rng.set_stream(stream);
        rng
    }
}

/// Inverse of a Galois element modulo 2N; the unit group has exponent N/2.
fn inverse(context: &Context, element: u64) -> u64 {
    power(context, element, context.parameters().max_slots() as u64 - 1)
}

impl SwitchingKey {
    /// Generates a switching key. Both secrets are in the NTT domain, on all primes.
    fn generate(
        context: &Context,
        from: &Poly,
        to: &Poly,
        level: usize,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let ring = context.ring();
        let special = context.special_basis();
        let basis =
            context.basis_at(level).expect("levels were checked with the request").union(special);
        let (mut parts, mut seeds) = (Vec::new(), Vec::new());
        for digit in context.parameters().digit_ranges(level) {
            let (seed, a) = uniform(ring, basis, rng);
            let mut b = mask(ring, error(ring, basis, rng), &a, to);
            let from = SecretPoly::from(from.restricted(Basis::from_indices(digit)));
            ring.add_times_special_assign(&mut b, &from, special);
            parts.push((ring.pack(&b), ring.pack(&a)));
            seeds.push(seed);
        }
        Self { level, parts, seeds }
    }
}

impl EncapsulationKeys {
    fn generate(secret: &SecretKey, weight: EphemeralWeight, rng: &mut impl CryptoRng) -> Self {
        let context = secret.context();
        let ring = context.ring();
        let [low, high] = Self::bases(context);
        // Rings so small that they are no use but in tests have room for fewer.
        let weight = weight.get().min(ring.degree() / 2);
        let sparse = sample::sparse_ternary(rng, ring.degree(), weight);
        let mut sparse = SecretPoly::from(ring.from_signed(&sparse, high));
        ring.ntt(&mut sparse);
        Self {
            to_sparse: Pair::generate(context, secret.poly(), &sparse, low, rng),
            from_sparse: Pair::generate(context, &sparse, secret.poly(), high, rng),
        }
    }

    /// Refuses parameters under which the sparse secret would be less secure than the main secret.
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
    /// Generates a pair. Both secrets are in the NTT domain and have at least the primes of the
    /// basis.
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
        ring.add_times_special_assign(&mut b, &from, special);
        Self { polys: (ring.pack(&b), ring.pack(&a)), seed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Domain;
    use crate::ring::sample::secret_rng;
    use crate::test_support::context;

    /// With the main secret, the pair (b, a) with b + a·s = e + p·s̃ gives the ephemeral one away: modulo p it is e.
    #[test]
    fn ephemeral_secrets_have_the_weight_that_was_asked_for() {
        let (context, mut rng) = (context(10, 3), secret_rng().unwrap());
        let ring = context.ring();
        let secret = SecretKey::generate(&context, &mut rng);
        let special = context.encapsulation_basis();
        let [_, basis] = EncapsulationKeys::bases(&context);
        let p = context.parameters().special()[context.parameters().encapsulation_prime()];
        for weight in EphemeralWeight::ALL {
            let keys = EncapsulationKeys::generate(&secret, weight, &mut rng);
            let mut bytes = [Vec::new(), Vec::new()];
            keys.from_sparse.polys.0.write_to(&mut bytes[0]).unwrap();
            keys.from_sparse.polys.1.write_to(&mut bytes[1]).unwrap();
            let [mut sum, a] = bytes.map(|bytes| ring.read(&bytes, basis, Domain::Ntt).unwrap());
            ring.mul_add_assign(&mut sum, &a, &secret.poly().restricted(basis));
            let sum = ring.coefficients(&sum);

            let index = special.iter().next().unwrap();
            let (q0, q_p) = (ring.modulus(0), ring.modulus(index));
            let inverse = q0.inv(p % q0.value());
            let found = sum.limb(0).iter().zip(sum.limb(index)).map(|(&value, &error)| {
                let error = q_p.centered(error);
                assert!(error.abs() < 30);
                q0.centered(q0.mul(q0.sub(value, q0.reduce_i64(error)), inverse))
            });
            let found: Vec<i64> = found.collect();
            assert!(found.iter().all(|coefficient| coefficient.abs() <= 1));
            assert_eq!(found.iter().filter(|&&coefficient| coefficient != 0).count(), weight.get());
        }
    }
}
