//! Chebyshev evaluation against Clenshaw's recurrence in f64.

use crate::common::*;
use pic_ckks::Error;
use pic_ckks::model::{ChebyshevPlan, chebyshev};
use proptest::prelude::*;

fn clenshaw(coefficients: &[f64], x: f64) -> f64 {
    let (mut next, mut after) = (0.0, 0.0);
    for &c in coefficients[1..].iter().rev() {
        (next, after) = (c + 2.0 * x * next - after, next);
    }
    coefficients[0] + x * next - after
}

/// Evaluates, and checks value, level and scale. The input is one level below the top.
fn check(s: &mut Setup, coefficients: &[f64], target_scale: f64) {
    let plan = ChebyshevPlan::new(coefficients).unwrap();
    let values = s.random_real(32);
    let mut x = s.encrypt_real(&values);
    x.drop_to_level(s.level() - 1).unwrap();
    let result = s.evaluator.evaluate_chebyshev(&x, &plan, target_scale).unwrap();
    let depth = chebyshev::depth(coefficients) as usize;
    assert_eq!((result.level(), result.scale()), (x.level() - depth, target_scale));
    let expected: Vec<f64> = values.iter().map(|&v| clenshaw(coefficients, v)).collect();
    assert_near_real(&s.decrypt(&result), &expected);
}

/// Coefficients of one polynomial with every degree, dense or of the parity of the degree.
fn random(s: &mut Setup, degree: usize, dense: bool) -> Vec<f64> {
    let mut coefficients = s.random_real(degree + 1);
    coefficients.iter_mut().enumerate().for_each(|(i, c)| {
        let keep = dense || i % 2 == degree % 2;
        *c *= if keep { 1.0 / (degree as f64).sqrt() } else { 0.0 };
    });
    coefficients[degree] += coefficients[degree].signum() * 0.1;
    coefficients
}

#[test]
fn every_degree_up_to_63() {
    let shape = Shape { log_n: 10, levels: 8, digits: 3 };
    let mut s = shape.setup(7, &request(7, &[]));
    for degree in 1..=63 {
        for dense in [true, false] {
            let coefficients = random(&mut s, degree, dense);
            check(&mut s, &coefficients, SCALE);
        }
    }
}

/// Scales differ from the primes, the leading coefficient is of either sign, and the result has the scale
/// that follows and no other.
#[test]
fn folded_coefficients() {
    let shape = Shape { log_n: 10, levels: 7, digits: 3 };
    let mut s = shape.setup(8, &request(7, &[]));
    let moduli = shape.parameters().moduli().to_vec();
    for (degree, sign) in (1..=6).flat_map(|k| [(1 << k, 1.0), (1 << k, -1.0)]) {
        for dense in [true, false] {
            let mut coefficients = random(&mut s, degree, dense);
            coefficients[degree] = sign * coefficients[degree].abs();
            let plan = ChebyshevPlan::absorbing(&coefficients).unwrap();
            let values = s.random_real(32);
            let x = s.encrypt_real(&values);
            let scale = plan.output_scale(x.scale(), x.level(), &moduli).unwrap();
            let result = s.evaluator.evaluate_chebyshev(&x, &plan, scale).unwrap();
            let depth = chebyshev::absorbing_depth(&coefficients) as usize;
            assert_eq!((result.level(), result.scale()), (x.level() - depth, scale));
            let expected: Vec<f64> = values.iter().map(|&v| clenshaw(&coefficients, v)).collect();
            assert_near_real(&s.decrypt(&result), &expected);
            assert!(matches!(
                s.evaluator.evaluate_chebyshev(&x, &plan, 1.01 * scale).unwrap_err(),
                Error::ScaleMismatch { .. }
            ));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_shape_scale_and_sparsity(
        shape in shapes(7),
        degree in 1usize..=63,
        zeros in any::<u64>(),
        log_scale in 38.0..41.0f64,
        seed: u64,
    ) {
        let mut s = shape.setup(seed, &request(shape.levels, &[]));
        let mut coefficients = random(&mut s, degree, true);
        for (i, c) in coefficients[..degree].iter_mut().enumerate() {
            *c *= (zeros >> i & 1) as f64;
        }
        // As a ReLU has it: a linear term beside anything.
        coefficients[1] += 0.5;
        check(&mut s, &coefficients, log_scale.exp2());
    }
}

#[test]
fn too_few_levels_are_refused() {
    let mut s = Shape { log_n: 10, levels: 2, digits: 1 }.setup(1, &request(2, &[]));
    let x = s.encrypt_real(&[0.5]);
    let plan = ChebyshevPlan::new(&[0.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
    assert_eq!(
        s.evaluator.evaluate_chebyshev(&x, &plan, SCALE).unwrap_err(),
        Error::LevelsExhausted { operation: "polynomial evaluation", needed: 3, level: 2 }
    );
    let plan = ChebyshevPlan::new(&[0.0, 1.0, 1.0]).unwrap();
    assert!(matches!(
        s.evaluator.evaluate_chebyshev(&x, &plan, 2f64.powi(60)).unwrap_err(),
        Error::ScaleOverflow { .. }
    ));
    assert!(matches!(
        s.evaluator.evaluate_chebyshev(&x, &plan, -1.0).unwrap_err(),
        Error::InvalidScale(_)
    ));
}
