//! Parameters, keys and comparisons shared by the tests.

use std::sync::Arc;

use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::ring::sample::ChaCha20Rng;
use pic_ckks::{Ciphertext, Complex64, Context, EvaluationKeys, Evaluator, KeyRequest, SecretKey};
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};

/// At scales of 2^40, N ≤ 2^13 and values of size one, an operation adds errors with a standard
/// deviation below 2^-28: key switching about 2^-30, fresh encryption √(N/2)·3.2·√(2N/3) / 2^40 at
/// most 2^-29. 2^-22 is beyond six deviations of dozens of them, and far below any wrong result.
pub const TOLERANCE: f64 = 1.0 / (1 << 22) as f64;

/// The scale that goes with it.
pub const SCALE: f64 = (1u64 << 40) as f64;

/// A client and a server in one.
pub struct Setup {
    pub context: Arc<Context>,
    pub secret: SecretKey,
    pub evaluator: Evaluator,
    pub rng: ChaCha20Rng,
}

/// Shape of an insecure parameter set with 40-bit primes.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub log_n: u32,
    pub levels: usize,
    pub digits: usize,
}

/// Small random shapes with at least so many levels.
pub fn shapes(min_levels: usize) -> impl Strategy<Value = Shape> {
    (10u32..=12, min_levels..=min_levels + 3)
        .prop_flat_map(|(log_n, levels)| (Just(log_n), Just(levels), 1..=levels + 1))
        .prop_map(|(log_n, levels, digits)| Shape { log_n, levels, digits })
}

impl Shape {
    pub fn parameters(self) -> Parameters {
        let moduli: Vec<f64> =
            (0..=self.levels).map(|i| if i == 0 { 48.0 } else { 40.0 }).collect();
        let special = vec![49.0; moduli.len().div_ceil(self.digits)];
        let security = SecurityLevel::Insecure;
        Parameters::from_bits(self.log_n, &moduli, &special, self.digits, security).unwrap()
    }

    pub fn setup(self, seed: u64, request: &KeyRequest) -> Setup {
        setup(self.parameters(), seed, request)
    }
}

pub fn setup(parameters: Parameters, seed: u64, request: &KeyRequest) -> Setup {
    let context = Context::new(parameters).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let secret = SecretKey::generate(&context, &mut rng);
    let keys = EvaluationKeys::generate(&secret, request, &mut rng).unwrap();
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
    Setup { context, secret, evaluator, rng }
}

/// A request for relinearisation at a level and some rotations at the same one.
pub fn request(level: usize, rotations: &[i64]) -> KeyRequest {
    KeyRequest {
        relinearization: Some(level),
        rotations: rotations.iter().map(|&r| (r, level)).collect(),
        conjugation: Some(level),
        encapsulation: None,
    }
}

impl Setup {
    pub fn level(&self) -> usize {
        self.context.parameters().max_level()
    }

    pub fn random(&mut self, slots: usize) -> Vec<Complex64> {
        let mut unit = || self.rng.next_u64() as f64 / 2f64.powi(63) - 1.0;
        (0..slots).map(|_| Complex64 { re: unit(), im: unit() }).collect()
    }

    pub fn random_real(&mut self, slots: usize) -> Vec<f64> {
        self.random(slots).into_iter().map(|v| v.re).collect()
    }

    /// A fresh encryption at the top level and [`SCALE`].
    pub fn encrypt(&mut self, values: &[Complex64]) -> Ciphertext {
        let plaintext = self.context.encode_complex(values, SCALE, self.level()).unwrap();
        let seeded = self.secret.encrypt(&plaintext, &mut self.rng).unwrap();
        seeded.expand(&self.context).unwrap()
    }

    pub fn encrypt_real(&mut self, values: &[f64]) -> Ciphertext {
        let values: Vec<Complex64> = values.iter().map(|&v| v.into()).collect();
        self.encrypt(&values)
    }

    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Vec<Complex64> {
        self.context.decode_complex(&self.secret.decrypt(ciphertext).unwrap()).unwrap()
    }
}

/// The largest distance of two vectors.
pub fn distance(a: &[Complex64], b: &[Complex64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
}

pub fn assert_near(actual: &[Complex64], expected: &[Complex64]) {
    let error = distance(actual, expected);
    assert!(error < TOLERANCE, "error 2^{:.1}", error.log2());
}

pub fn assert_near_real(actual: &[Complex64], expected: &[f64]) {
    let expected: Vec<Complex64> = expected.iter().map(|&v| v.into()).collect();
    assert_near(actual, &expected);
}
