//! Sums, differences and constants.

use crate::common::*;
use pic_ckks::{Error, KeyRequest};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sums_are_slotwise(shape in shapes(0), log_slots in 0u32..=9, constant in -4.0..4.0f64, seed: u64) {
        let mut s = shape.setup(seed, &KeyRequest::default());
        let slots = 1 << log_slots;
        let (a, b) = (s.random(slots), s.random(slots));
        let (x, y) = (s.encrypt(&a), s.encrypt(&b));
        let each = |f: &dyn Fn(usize) -> pic_ckks::Complex64| (0..slots).map(f).collect::<Vec<_>>();

        assert_near(&s.decrypt(&s.evaluator.add(&x, &y).unwrap()), &each(&|j| a[j] + b[j]));
        assert_near(&s.decrypt(&s.evaluator.sub(&x, &y).unwrap()), &each(&|j| a[j] - b[j]));
        assert_near(&s.decrypt(&s.evaluator.negate(&x).unwrap()), &each(&|j| -a[j]));

        let plaintext = s.context.encode_complex(&b, SCALE, s.level()).unwrap();
        let mut z = x.clone();
        s.evaluator.add_plain_assign(&mut z, &plaintext).unwrap();
        s.evaluator.add_constant_assign(&mut z, constant).unwrap();
        assert_near(&s.decrypt(&z), &each(&|j| a[j] + b[j] + constant));
        s.evaluator.sub_plain_assign(&mut z, &plaintext).unwrap();
        assert_near(&s.decrypt(&z), &each(&|j| a[j] + constant));
        assert_eq!((z.level(), z.scale()), (s.level(), SCALE));
    }
}

#[test]
fn mismatched_operands_are_named() {
    let mut s = Shape { log_n: 10, levels: 2, digits: 1 }.setup(1, &KeyRequest::default());
    let x = s.encrypt_real(&[1.0, 2.0]);
    let wide = s.encrypt_real(&[1.0; 4]);
    assert_eq!(s.evaluator.add(&x, &wide).unwrap_err(), Error::SlotsMismatch { left: 2, right: 4 });
    let mut low = x.clone();
    low.drop_to_level(1).unwrap();
    assert_near_real(&s.decrypt(&low), &[1.0, 2.0]);
    assert_eq!(s.evaluator.add(&x, &low).unwrap_err(), Error::LevelMismatch { left: 2, right: 1 });
    assert_eq!(
        low.drop_to_level(2).unwrap_err(),
        Error::LevelsExhausted { operation: "dropping", needed: 2, level: 1 }
    );
    let mut other = x.clone();
    other.set_scale(SCALE * 1.000001).unwrap();
    assert!(matches!(s.evaluator.add(&x, &other).unwrap_err(), Error::ScaleMismatch { .. }));
    assert!(matches!(other.set_scale(0.0).unwrap_err(), Error::InvalidScale(_)));
    let plaintext = s.context.encode(&[1.0, 2.0], SCALE, 1).unwrap();
    assert_eq!(
        s.evaluator.add_plain_assign(&mut x.clone(), &plaintext).unwrap_err(),
        Error::LevelMismatch { left: 2, right: 1 }
    );
    assert_eq!(
        s.evaluator.add_constant_assign(&mut x.clone(), f64::NAN).unwrap_err(),
        Error::NotFinite { index: 0 }
    );
    assert!(matches!(
        s.evaluator.add_constant_assign(&mut x.clone(), 1e300).unwrap_err(),
        Error::CoefficientOverflow { .. }
    ));
}
