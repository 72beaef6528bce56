//! Bytes: round trips, and hostile ones.

use std::sync::Arc;

use crate::common::*;
use pic_ckks::model::bootstrapping::EphemeralWeight;
use pic_ckks::ring::sample::ChaCha20Rng;
use pic_ckks::{
    Ciphertext, Error, EvaluationKeys, Evaluator, FormatError, KeyGeneration, KeyRequest,
    PublicKey, SecretKey, SeededCiphertext,
};
use proptest::prelude::*;
use rand_core::SeedableRng;

struct Samples {
    s: Setup,
    values: Vec<pic_ckks::Complex64>,
    secret: Vec<u8>,
    public: Vec<u8>,
    evaluation: Vec<u8>,
    ciphertext: Vec<u8>,
    seeded: Vec<u8>,
}

fn samples() -> Samples {
    let mut s = Shape { log_n: 4, levels: 2, digits: 2 }.setup(1, &request(2, &[]));
    let values = s.random(8);
    let request = KeyRequest { encapsulation: Some(EphemeralWeight::W32), ..request(1, &[1, 3]) };
    let keys = EvaluationKeys::generate(&s.secret, &request, &mut s.rng).unwrap();
    let mut evaluation = Vec::new();
    keys.write_to(&s.context, &mut evaluation).unwrap();
    let plaintext = s.context.encode_complex(&values, SCALE, 1).unwrap();
    let seeded = s.secret.encrypt(&plaintext, &mut s.rng).unwrap();
    Samples {
        secret: s.secret.to_bytes().to_vec(),
        public: PublicKey::generate(&s.secret, &mut s.rng).to_bytes(),
        evaluation,
        seeded: seeded.to_bytes(&s.context).unwrap(),
        ciphertext: seeded.expand(&s.context).unwrap().to_bytes(&s.context).unwrap(),
        values,
        s,
    }
}

/// Keys that are written as they are made are those that are made first and written then.
#[test]
fn keys_are_the_same_when_written_one_by_one() {
    let s = Shape { log_n: 5, levels: 3, digits: 2 }.setup(1, &request(2, &[]));
    let request = KeyRequest {
        encapsulation: Some(EphemeralWeight::W32),
        ..request(2, &[1, 2, 3, 4, 5, 6, 7, -1])
    };
    let mut all = Vec::new();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let keys = EvaluationKeys::generate(&s.secret, &request, &mut rng).unwrap();
    keys.write_to(&s.context, &mut all).unwrap();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut one_by_one = Vec::new();
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let making = KeyGeneration::new(&s.secret, &request, &mut rng).unwrap();
        pool.install(|| making.write_to(&mut one_by_one)).unwrap();
        assert!(one_by_one == all, "{threads} threads");
    }
}

impl Samples {
    fn all(&self) -> [&[u8]; 5] {
        [&self.secret, &self.public, &self.evaluation, &self.ciphertext, &self.seeded]
    }

    /// Reads bytes as the object with that index in [`Samples::all`].
    fn read(&self, kind: usize, bytes: &[u8]) -> Result<(), Error> {
        let context = &self.s.context;
        match kind {
            0 => SecretKey::from_bytes(context, bytes).map(drop),
            1 => PublicKey::from_bytes(context, bytes).map(drop),
            2 => EvaluationKeys::from_bytes(context, bytes).map(drop),
            3 => Ciphertext::from_bytes(context, bytes).map(drop),
            _ => SeededCiphertext::from_bytes(context, bytes).map(drop),
        }
    }
}

#[test]
fn what_is_read_works() {
    let mut samples = samples();
    let context = Arc::clone(&samples.s.context);
    let secret = SecretKey::from_bytes(&context, &samples.secret).unwrap();
    let decode = |c: &Ciphertext| context.decode_complex(&secret.decrypt(c).unwrap()).unwrap();

    let x = Ciphertext::from_bytes(&context, &samples.ciphertext).unwrap();
    assert_near(&decode(&x), &samples.values);
    let seeded = SeededCiphertext::from_bytes(&context, &samples.seeded).unwrap();
    assert_near(&decode(&seeded.expand(&context).unwrap()), &samples.values);
    assert!(samples.seeded.len() < samples.ciphertext.len() / 2 + 100);

    let keys = EvaluationKeys::from_bytes(&context, &samples.evaluation).unwrap();
    // Two polynomials of 16 residues for each prime: four keys of one digit on two moduli and two special
    // primes; encapsulation on one and on three moduli, with one special prime. The special primes have the
    // same bytes.
    let bytes = |q: &u64| (4..8).find(|bytes| q >> (8 * bytes) == 0).unwrap();
    let parameters = context.parameters();
    let moduli: Vec<usize> = parameters.moduli().iter().map(bytes).collect();
    let [special, same] = [0, 1].map(|i| bytes(&parameters.special()[i]));
    assert_eq!(special, same);
    let residues = 4 * (moduli[0] + moduli[1] + 2 * special)
        + (moduli[0] + special)
        + (moduli.iter().sum::<usize>() + special);
    assert_eq!(keys.bytes(), 2 * 16 * residues);
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
    let square = evaluator.multiply_rescale(&x, &x).unwrap();
    let squares: Vec<_> = samples.values.iter().map(|v| v * v).collect();
    assert_near(&decode(&square), &squares);
    let rotated: Vec<_> = (0..8).map(|j| samples.values[(j + 3) % 8]).collect();
    assert_near(&decode(&evaluator.rotate(&x, 3).unwrap()), &rotated);
    let conjugates: Vec<_> = samples.values.iter().map(|v| v.conj()).collect();
    assert_near(&decode(&evaluator.conjugate(&x).unwrap()), &conjugates);

    let public = PublicKey::from_bytes(&context, &samples.public).unwrap();
    let plaintext = context.encode_complex(&samples.values, SCALE, 2).unwrap();
    let encrypted = public.encrypt(&plaintext, &mut samples.s.rng).unwrap();
    assert_near(&decode(&encrypted), &samples.values);
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let samples = samples();
    for (kind, bytes) in samples.all().into_iter().enumerate() {
        samples.read(kind, bytes).unwrap();
        for length in 0..bytes.len() {
            let error = samples.read(kind, &bytes[..length]).unwrap_err();
            assert!(
                matches!(error, Error::Format(FormatError::Truncated { .. })),
                "{kind} {length}: {error}"
            );
        }
        let longer = [bytes, &[0]].concat();
        assert_eq!(
            samples.read(kind, &longer).unwrap_err(),
            Error::Format(FormatError::TrailingBytes(1))
        );
    }
}

#[test]
fn headers_are_checked() {
    let samples = samples();
    let other = Shape { log_n: 4, levels: 2, digits: 3 }.setup(1, &request(2, &[]));
    for (kind, bytes) in samples.all().into_iter().enumerate() {
        let changed = |at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x40;
            samples.read(kind, &bytes).unwrap_err()
        };
        assert!(matches!(changed(0), Error::Format(FormatError::Kind(_))));
        assert!(matches!(changed(4), Error::Format(FormatError::Kind(_))));
        assert_eq!(changed(5), Error::Format(FormatError::Version(0x42)));
        assert_eq!(changed(6), Error::Format(FormatError::OtherParameters));
    }
    assert_eq!(
        Ciphertext::from_bytes(&other.context, &samples.ciphertext).unwrap_err(),
        Error::Format(FormatError::OtherParameters)
    );
}

#[test]
fn fields_are_checked() {
    let samples = samples();
    let with = |kind: usize, at: usize, field: &[u8]| {
        let mut bytes = samples.all()[kind].to_vec();
        bytes[at..at + field.len()].copy_from_slice(field);
        samples.read(kind, &bytes).unwrap_err()
    };
    let header = 22;
    let field = |name| Error::Format(FormatError::Field(name));
    for basis in [0u128, 1 << 3, 1 << 127 | 3, u128::MAX] {
        assert_eq!(with(3, header, &basis.to_le_bytes()), field("basis"));
    }
    for scale in [0.0, -1.0, f64::INFINITY] {
        assert_eq!(with(3, header + 16, &scale.to_le_bytes()), Error::InvalidScale(scale));
    }
    for slots in [0u64, 3, 16, u64::MAX] {
        assert!(matches!(with(3, header + 24, &slots.to_le_bytes()), Error::SlotCount { .. }));
    }
    assert!(matches!(with(3, header + 32, &[0xff; 8]), Error::Ring(_)));
    assert_eq!(with(0, header, &[2]), field("secret coefficient"));
    // The first evaluation key is for relinearisation; 2 is no Galois element.
    assert_eq!(with(2, header + 4, &2u64.to_le_bytes()), field("Galois element"));
    assert_eq!(with(2, header + 4, &33u64.to_le_bytes()), field("Galois element"));
    assert!(matches!(with(2, header + 12, &[0xff; 4]), Error::LevelTooHigh { .. }));
    // More keys than there are: what follows is taken for another one.
    assert_eq!(with(2, header, &[0xff; 4]), field("Galois element"));
    let flag = samples.evaluation.len() - 2 * 32 - 8 * 16 * (2 + 4) - 1;
    assert_eq!(with(2, flag, &[2]), field("encapsulation"));
}

proptest! {
    /// Whatever the bytes, reading them ends with an object or an error.
    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let samples = samples();
        for (kind, bytes) in samples.all().into_iter().enumerate() {
            let mut bytes = bytes.to_vec();
            for flip in &flips {
                let bit = flip.index(8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let _ = samples.read(kind, &bytes);
        }
    }
}
