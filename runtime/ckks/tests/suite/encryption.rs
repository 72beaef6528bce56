//! Encryption, decryption, and what must not work.

use crate::common::*;
use pic_ckks::model::{Parameters, ParametersError, SecurityLevel};
use pic_ckks::{Context, Error, KeyRequest, PublicKey, SecretKey};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn decryption_undoes_encryption(shape in shapes(0), log_slots in 0u32..=9, seed: u64) {
        let mut s = shape.setup(seed, &KeyRequest::default());
        for slots in [1 << log_slots, s.context.parameters().max_slots()] {
            let values = s.random(slots);
            let encrypted = s.encrypt(&values);
            assert_near(&s.decrypt(&encrypted), &values);

            let public = PublicKey::generate(&s.secret, &mut s.rng);
            for level in 0..=s.level() {
                let plaintext = s.context.encode_complex(&values, SCALE, level).unwrap();
                let encrypted = public.encrypt(&plaintext, &mut s.rng).unwrap();
                assert_eq!((encrypted.level(), encrypted.slots()), (level, slots));
                assert_near(&s.decrypt(&encrypted), &values);
            }
        }
    }
}

#[test]
fn a_secure_set_works_at_full_size() {
    let moduli = [&[48.0][..], &[40.0; 3]].concat();
    let parameters =
        Parameters::from_bits(13, &moduli, &[45.0], 4, SecurityLevel::Bits128).unwrap_err();
    assert!(matches!(parameters, ParametersError::DigitTooLarge { digit: 0, .. }));
    let parameters =
        Parameters::from_bits(13, &moduli[..3], &[48.0], 3, SecurityLevel::Bits128).unwrap();
    let mut s = setup(parameters, 1, &request(2, &[5]));
    let values = s.random(4096);
    let x = s.encrypt(&values);
    let square = s.evaluator.multiply_rescale(&x, &x).unwrap();
    let rotated = s.evaluator.rotate(&square, 5).unwrap();
    let expected: Vec<_> = (0..4096).map(|j| values[(j + 5) % 4096].powi(2)).collect();
    assert_near(&s.decrypt(&rotated), &expected);
}

#[test]
fn another_key_decrypts_to_garbage() {
    let mut s = Shape { log_n: 10, levels: 1, digits: 2 }.setup(2, &KeyRequest::default());
    let values = s.random(512);
    let encrypted = s.encrypt(&values);
    let other = SecretKey::generate(&s.context, &mut s.rng);
    let decrypted = s.context.decode_complex(&other.decrypt(&encrypted).unwrap()).unwrap();
    // Uniform modulo an 88-bit number, at a scale of 40 bits.
    assert!(decrypted.iter().all(|v| v.norm() > 2f64.powi(30)));
}

#[test]
fn encryptions_are_randomised() {
    let mut s = Shape { log_n: 10, levels: 0, digits: 1 }.setup(3, &KeyRequest::default());
    let values = s.random(4);
    let bytes = |c: pic_ckks::Ciphertext, context: &Context| c.to_bytes(context).unwrap();
    let (a, b) = (s.encrypt(&values), s.encrypt(&values));
    assert_ne!(bytes(a, &s.context), bytes(b, &s.context));
}

#[test]
fn contexts_do_not_mix() {
    let shape = Shape { log_n: 10, levels: 1, digits: 2 };
    let mut s = shape.setup(4, &request(1, &[1]));
    let mut t = shape.setup(4, &request(1, &[1]));
    let values = [1.0, 2.0];
    let (a, b) = (s.encrypt_real(&values), t.encrypt_real(&values));
    let plaintext = t.context.encode(&values, SCALE, 1).unwrap();
    assert_eq!(s.secret.decrypt(&b).unwrap_err(), Error::ContextMismatch);
    assert_eq!(s.evaluator.add(&a, &b).unwrap_err(), Error::ContextMismatch);
    assert_eq!(s.evaluator.multiply(&b, &b).unwrap_err(), Error::ContextMismatch);
    assert_eq!(s.evaluator.rotate(&b, 1).unwrap_err(), Error::ContextMismatch);
    assert_eq!(s.evaluator.multiply_plain(&a, &plaintext).unwrap_err(), Error::ContextMismatch);
    assert_eq!(s.secret.encrypt(&plaintext, &mut s.rng).unwrap_err(), Error::ContextMismatch);
    assert_eq!(s.context.decode(&plaintext).unwrap_err(), Error::ContextMismatch);
    assert_eq!(b.to_bytes(&s.context).unwrap_err(), Error::ContextMismatch);
}

#[test]
fn secrets_are_not_printed() {
    // SecretKey has no Debug at all; this holds its bytes to the expected size instead.
    let s = Shape { log_n: 10, levels: 0, digits: 1 }.setup(5, &KeyRequest::default());
    let bytes = s.secret.to_bytes();
    let again = SecretKey::from_bytes(&s.context, &bytes).unwrap();
    assert_eq!(*again.to_bytes(), *bytes);
}
