//! Products, relinearisation, rescaling.

use crate::common::*;
use pic_ckks::{Complex64, Error, KeyRequest};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn products_are_slotwise(shape in shapes(1), log_slots in 0u32..=9, scalar in -2.0..2.0f64, seed: u64) {
        let mut s = shape.setup(seed, &request(shape.levels, &[]));
        let slots = 1 << log_slots;
        let (a, b) = (s.random(slots), s.random(slots));
        let (x, y) = (s.encrypt(&a), s.encrypt(&b));
        let product: Vec<Complex64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
        let top = s.context.parameters().moduli()[s.level()] as f64;

        let fused = s.evaluator.multiply_rescale(&x, &y).unwrap();
        assert_near(&s.decrypt(&fused), &product);
        assert_eq!((fused.level(), fused.scale()), (s.level() - 1, SCALE * SCALE / top));
        let separate = s.evaluator.multiply(&x, &y).unwrap();
        assert_eq!(separate.scale(), SCALE * SCALE);
        assert_near(&s.decrypt(&separate), &product);
        assert_near(&s.decrypt(&s.evaluator.rescale(separate).unwrap()), &product);

        let square: Vec<Complex64> = a.iter().map(|a| a * a).collect();
        assert_near(&s.decrypt(&s.evaluator.multiply_rescale(&x, &x).unwrap()), &square);
        // The same value in another object takes the general path.
        assert_near(&s.decrypt(&s.evaluator.multiply_rescale(&x, &x.clone()).unwrap()), &square);

        let plaintext = s.context.encode_complex(&b, top, s.level()).unwrap();
        let plain = s.evaluator.multiply_plain(&x, &plaintext).unwrap();
        let plain = s.evaluator.rescale(plain).unwrap();
        assert_near(&s.decrypt(&plain), &product);
        assert!((plain.scale() / SCALE - 1.0).abs() < 1e-15);

        let scaled = s.evaluator.multiply_scalar(&x, scalar, top).unwrap();
        let scaled = s.evaluator.rescale(scaled).unwrap();
        assert_near(&s.decrypt(&scaled), &a.iter().map(|a| a * scalar).collect::<Vec<_>>());
        let tripled = s.evaluator.multiply_scalar(&x, 3.0, 1.0).unwrap();
        assert_eq!(tripled.scale(), SCALE);
        assert_near(&s.decrypt(&tripled), &a.iter().map(|a| a * 3.0).collect::<Vec<_>>());
    }

    #[test]
    fn sums_of_products_share_a_relinearisation(shape in shapes(1), seed: u64) {
        let mut s = shape.setup(seed, &request(shape.levels, &[]));
        let (a, b) = (s.random(8), s.random(8));
        let (x, y) = (s.encrypt(&a), s.encrypt(&b));
        let mut sum = s.evaluator.tensor(&x, &y).unwrap();
        s.evaluator.add_degree2_assign(&mut sum, &s.evaluator.tensor(&x, &x).unwrap()).unwrap();
        let expected: Vec<Complex64> = a.iter().zip(&b).map(|(a, b)| a * b + a * a).collect();
        assert_near(&s.decrypt(&s.evaluator.relinearize(&sum).unwrap()), &expected);
        assert_near(&s.decrypt(&s.evaluator.relinearize_rescale(&sum).unwrap()), &expected);
    }

    /// Down to the last level, with a key that was made for the level of its first use only.
    #[test]
    fn keys_work_at_their_level_and_below(shape in shapes(3), seed: u64) {
        let level = shape.levels - 1;
        let mut s = shape.setup(seed, &request(level, &[]));
        // Within the unit circle, so that repeated squares stay there.
        let mut expected: Vec<_> = s.random(16).iter().map(|v| v / 2f64.sqrt()).collect();
        let mut x = s.encrypt(&expected);
        prop_assert_eq!(
            s.evaluator.multiply(&x, &x).unwrap_err(),
            Error::KeyLevel { key: level, operand: shape.levels }
        );
        x.drop_to_level(level).unwrap();
        while x.level() > 0 {
            x = s.evaluator.multiply_rescale(&x, &x).unwrap();
            expected.iter_mut().for_each(|v| *v *= *v);
            assert_near(&s.decrypt(&x), &expected);
        }
    }
}

#[test]
fn impossible_products_are_refused() {
    let shape = Shape { log_n: 10, levels: 1, digits: 1 };
    let mut s = shape.setup(1, &KeyRequest::default());
    let x = s.encrypt_real(&[1.0, 2.0]);
    assert_eq!(s.evaluator.multiply(&x, &x).unwrap_err(), Error::MissingRelinearizationKey);
    let mut low = x.clone();
    low.drop_to_level(0).unwrap();
    assert!(matches!(
        s.evaluator.multiply(&low, &low).unwrap_err(),
        Error::ScaleOverflow { log_scale: 80.0, .. }
    ));
    let exhausted = Error::LevelsExhausted { operation: "rescaling", needed: 1, level: 0 };
    assert_eq!(s.evaluator.rescale(low.clone()).unwrap_err(), exhausted);
    low.set_scale(2f64.powi(20)).unwrap();
    assert_eq!(s.evaluator.multiply_rescale(&low, &low).unwrap_err(), exhausted);
    assert!(matches!(
        s.evaluator.multiply_scalar(&x, 1.0, f64::INFINITY).unwrap_err(),
        Error::InvalidScale(_)
    ));
}
