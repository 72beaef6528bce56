//! Making the keys that an evaluator gets, from the secret.

use std::io::{self, Write};

use rand_core::{CryptoRng, SeedableRng};
use rayon::prelude::*;

use super::evaluation::{galois_keys, power};
use super::masking::{error, mask, uniform};
use super::{EncapsulationKeys, EvaluationKeys, Pair, SecretKey, SwitchingKey};
use crate::model::KeyRequest;
use crate::model::bootstrapping::EphemeralWeight;
use crate::model::security::max_log_sparse_modulus;
use crate::ring::sample::{self, ChaCha20Rng};
use crate::ring::{Basis, Poly, SecretPoly};
use crate::serialization::{self, RELINEARIZATION};
use crate::{Context, Error};

/// Evaluation keys that are about to be made: a request that has been checked, with a generator for each key.
///
/// ```
/// use pic_ckks::model::{Parameters, SecurityLevel};
/// use pic_ckks::{Context, EvaluationKeys, KeyGeneration, KeyRequest, SecretKey, secret_rng};
///
/// let parameters = Parameters::from_bits(13, &[45.0, 35.0], &[45.0], 1, SecurityLevel::Bits128)?;
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
    relinearization: Option<Task<usize>>,
    /// With the Galois elements, in ascending order.
    galois: Vec<(u64, Task<usize>)>,
    encapsulation: Option<Task<EphemeralWeight>>,
}

/// A level or a weight, and a generator.
type Task<T> = (T, ChaCha20Rng);

impl EvaluationKeys {
    /// Makes the requested keys. [`KeyGeneration`] writes them without holding them all.
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`], [`Error::SparseSecret`].
    pub fn generate(
        secret: &SecretKey,
        request: &KeyRequest,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        Ok(KeyGeneration::new(secret, request, rng)?.keys())
    }
}

impl<'a> KeyGeneration<'a> {
    /// Checks a request.
    ///
    /// # Errors
    /// [`Error::LevelTooHigh`], [`Error::SparseSecret`].
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
        let mut rng = || ChaCha20Rng::from_rng(rng);
        Ok(Self {
            secret,
            relinearization: request.relinearization.map(|level| (level, rng())),
            galois: galois.into_iter().map(|(element, level)| (element, (level, rng()))).collect(),
            encapsulation: request.encapsulation.map(|weight| (weight, rng())),
        })
    }

    /// Makes the keys.
    fn keys(self) -> EvaluationKeys {
        let Self { secret, relinearization, galois, encapsulation } = self;
        EvaluationKeys {
            relinearization: relinearization.map(|task| relinearization_key(secret, task)),
            galois: galois
                .into_par_iter()
                .map(|(element, task)| (element, galois_key(secret, element, task)))
                .collect(),
            encapsulation: encapsulation.map(|task| EncapsulationKeys::generate(secret, task)),
            context: secret.context().id(),
        }
    }

    /// Makes the keys, as many at once as there are threads, and writes each as [`EvaluationKeys::write_to`] would,
    /// without holding the others.
    ///
    /// # Errors
    /// Whatever the writer reports.
    pub fn write_to(self, writer: &mut impl Write) -> io::Result<()> {
        let Self { secret, relinearization, mut galois, encapsulation } = self;
        let context = secret.context();
        let count = usize::from(relinearization.is_some()) + galois.len();
        serialization::write_head(context, count, writer)?;
        if let Some(task) = relinearization {
            let key = relinearization_key(secret, task);
            serialization::write_key(RELINEARIZATION, &key, writer)?;
        }
        while !galois.is_empty() {
            let side_by_side = rayon::current_num_threads().min(galois.len());
            let tasks: Vec<_> = galois.drain(..side_by_side).collect();
            let made: Vec<_> = tasks
                .into_par_iter()
                .map(|(element, task)| (element, galois_key(secret, element, task)))
                .collect();
            for (element, key) in &made {
                serialization::write_key(*element, key, writer)?;
            }
        }
        let encapsulation = encapsulation.map(|task| EncapsulationKeys::generate(secret, task));
        serialization::write_end(encapsulation.as_ref(), writer)
    }
}

fn relinearization_key(secret: &SecretKey, task: Task<usize>) -> SwitchingKey {
    let square = SecretPoly::from(secret.context().ring().mul(secret.poly(), secret.poly()));
    SwitchingKey::generate(secret.context(), &square, secret.poly(), task)
}

fn galois_key(secret: &SecretKey, element: u64, task: Task<usize>) -> SwitchingKey {
    let context = secret.context();
    let to = context.ring().automorphism(secret.poly(), inverse(context, element));
    SwitchingKey::generate(context, secret.poly(), &SecretPoly::from(to), task)
}

/// The unit group modulo 2N has exponent N/2.
fn inverse(context: &Context, element: u64) -> u64 {
    power(context, element, context.parameters().max_slots() as u64 - 1)
}

impl SwitchingKey {
    /// Both secrets are in the NTT domain, on all primes.
    fn generate(context: &Context, from: &Poly, to: &Poly, (level, mut rng): Task<usize>) -> Self {
        let ring = context.ring();
        let special = context.special_basis();
        let basis = context.basis_at(level).expect("a level that was checked").union(special);
        let (mut parts, mut seeds) = (Vec::new(), Vec::new());
        for digit in context.parameters().digit_ranges(level) {
            let (seed, a) = uniform(ring, basis, &mut rng);
            let mut b = mask(ring, error(ring, basis, &mut rng), &a, to);
            let from = SecretPoly::from(from.restricted(Basis::from_indices(digit)));
            ring.add_lifted_assign(&mut b, &from, special);
            parts.push((ring.pack(&b), ring.pack(&a)));
            seeds.push(seed);
        }
        Self { level, parts, seeds }
    }
}

impl EncapsulationKeys {
    fn generate(secret: &SecretKey, (weight, mut rng): Task<EphemeralWeight>) -> Self {
        let context = secret.context();
        let ring = context.ring();
        let [low, high] = Self::bases(context);
        // Rings so small that they are no use but in tests have room for fewer.
        let weight = weight.get().min(ring.degree() / 2);
        let sparse = sample::sparse_ternary(&mut rng, ring.degree(), weight);
        let mut sparse = SecretPoly::from(ring.from_signed(&sparse, high));
        ring.ntt(&mut sparse);
        Self {
            to_sparse: Pair::generate(context, secret.poly(), &sparse, low, &mut rng),
            from_sparse: Pair::generate(context, &sparse, secret.poly(), high, &mut rng),
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
            let keys = EncapsulationKeys::generate(&secret, (weight, secret_rng().unwrap()));
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
