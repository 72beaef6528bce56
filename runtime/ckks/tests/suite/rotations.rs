//! Rotations, hoisting, conjugation.

use crate::common::*;
use pic_ckks::{Complex64, Error, KeyRequest};
use proptest::prelude::*;

fn rotated(values: &[Complex64], rotation: i64) -> Vec<Complex64> {
    let slots = values.len() as i64;
    (0..slots).map(|j| values[(j + rotation).rem_euclid(slots) as usize]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rotations_move_slots(
        shape in shapes(0),
        log_slots in 1u32..=9,
        rotations in prop::collection::vec(-600i64..600, 1..4),
        seed: u64,
    ) {
        let mut s = shape.setup(seed, &request(shape.levels, &rotations));
        for slots in [1 << log_slots, s.context.parameters().max_slots()] {
            let values = s.random(slots);
            let mut x = s.encrypt(&values);
            for level in (0..=s.level()).rev() {
                x.drop_to_level(level).unwrap();
                let hoisted = s.evaluator.rotate_hoisted(&x, &rotations).unwrap();
                for (&r, hoisted) in rotations.iter().zip(&hoisted) {
                    assert_near(&s.decrypt(hoisted), &rotated(&values, r));
                    assert_near(&s.decrypt(&s.evaluator.rotate(&x, r).unwrap()), &rotated(&values, r));
                }
                let conjugates: Vec<_> = values.iter().map(Complex64::conj).collect();
                assert_near(&s.decrypt(&s.evaluator.conjugate(&x).unwrap()), &conjugates);
            }
        }
    }

    #[test]
    fn rotated_copies_add_up(count in 1u32..20, step in prop::sample::select(vec![-3i64, 1, 8]), seed: u64) {
        let mut needed: Vec<i64> = (0..5).map(|k| step << k).collect();
        needed.extend((1..5).map(|k| step * i64::from(count & ((1 << k) - 1))));
        let mut s = Shape { log_n: 10, levels: 1, digits: 2 }.setup(seed, &request(1, &needed));
        let values = s.random(64);
        let x = s.encrypt(&values);
        let sum = s.evaluator.rotate_and_sum(&x, step, count).unwrap();
        let term = |j: usize, i: u32| {
            values[(j as i64 + step * i64::from(i)).rem_euclid(64) as usize]
        };
        let expected: Vec<Complex64> =
            (0..64).map(|j| (0..count).map(|i| term(j, i)).sum()).collect();
        assert_near(&s.decrypt(&sum), &expected);
    }
}

#[test]
fn missing_keys_are_named() {
    let shape = Shape { log_n: 10, levels: 1, digits: 1 };
    let request = KeyRequest { rotations: [(1, 0)].into(), ..KeyRequest::default() };
    let mut s = shape.setup(1, &request);
    let x = s.encrypt_real(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(s.evaluator.rotate(&x, 2).unwrap_err(), Error::MissingRotationKey { rotation: 2 });
    assert_eq!(s.evaluator.rotate(&x, 1).unwrap_err(), Error::KeyLevel { key: 0, operand: 1 });
    assert_eq!(s.evaluator.conjugate(&x).unwrap_err(), Error::MissingConjugationKey);
    assert!(matches!(s.evaluator.rotate_and_sum(&x, 1, 0).unwrap_err(), Error::NoOperands(_)));
    assert_eq!(
        s.evaluator.rotate_and_sum(&x, i64::MIN + 2, 2).unwrap_err(),
        Error::MissingRotationKey { rotation: -2 }
    );
    // A rotation by a multiple of the slot count is none, and needs no key.
    assert_near_real(&s.decrypt(&s.evaluator.rotate(&x, -8).unwrap()), &[1.0, 2.0, 3.0, 4.0]);
    let mut low = x.clone();
    low.drop_to_level(0).unwrap();
    // 5 ≡ 1 modulo the slot count: the key for 1 serves.
    assert_near_real(&s.decrypt(&s.evaluator.rotate(&low, 5).unwrap()), &[2.0, 3.0, 4.0, 1.0]);
}
