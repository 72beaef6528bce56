//! Linear transforms against dense matrix–vector products.

use std::collections::BTreeSet;

use crate::common::*;
use pic_ckks::model::giant_steps::GiantSteps;
use pic_ckks::model::op_counts::OpCounter;
use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::{
    Complex64, ComplexPart, Error, Hoisting, KeyRequest, LinearTransform, Term, TransformShape,
};
use proptest::prelude::*;

/// All generalised diagonals of a block matrix: baby steps below `baby_steps`, giant steps beyond.
/// `matrix[o][i]` is the row-major block from input i to output o.
fn terms(
    matrix: &[Vec<Vec<Complex64>>],
    slots: usize,
    baby_steps: usize,
) -> Vec<(Term, Vec<Complex64>)> {
    let mut terms = Vec::new();
    for (output, row) in matrix.iter().enumerate() {
        for (input, block) in row.iter().enumerate() {
            for shift in 0..slots {
                let (baby, giant) = (shift % baby_steps, shift / baby_steps * baby_steps);
                // rot_giant(diagonal ⊙ rot_baby(x))[j] = diagonal[j + giant]·x[j + giant + baby].
                let diagonal = (0..slots)
                    .map(|j| {
                        let row = (j + slots - giant) % slots;
                        block[row * slots + (row + shift) % slots]
                    })
                    .collect();
                let (giant, baby) = (giant as i64, baby as i64);
                terms.push((Term { output, input, giant, baby }, diagonal));
            }
        }
    }
    terms
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn transforms_are_matrix_products(
        shape in shapes(1),
        inputs in 1usize..=2,
        outputs in 1usize..=2,
        log_slots in 0u32..=4,
        log_baby_steps in 0u32..=4,
        as_ntt in 0usize..6,
        hoisting in prop_oneof![Just(Hoisting::Single), Just(Hoisting::Double)],
        part in prop_oneof![Just(ComplexPart::Whole), Just(ComplexPart::Real)],
        seed: u64,
    ) {
        let slots = 1usize << log_slots;
        let baby_steps = 1usize << log_baby_steps.min(log_slots);
        // One key for all giant steps.
        let rotations: Vec<i64> = (1..baby_steps as i64)
            .chain((baby_steps < slots).then_some(baby_steps as i64))
            .collect();
        let mut s = shape.setup(seed, &request(shape.levels, &rotations));
        let matrix: Vec<Vec<Vec<Complex64>>> = (0..outputs)
            .map(|_| (0..inputs).map(|_| s.random(slots * slots)).collect())
            .collect();
        let vectors: Vec<Vec<Complex64>> = (0..inputs).map(|_| s.random(slots)).collect();
        let encrypted: Vec<_> = vectors.iter().map(|v| s.encrypt(v)).collect();

        let output_scale = 2f64.powf(39.7);
        let transform_shape = TransformShape {
            inputs, outputs, slots, level: shape.levels, input_scale: SCALE, output_scale, hoisting, part,
        };
        let terms = terms(&matrix, slots, baby_steps);
        let count = terms.len();
        let budget = as_ntt * transform_shape.estimate_bytes(&s.context, 1, usize::MAX);
        let transform = LinearTransform::new(&s.context, transform_shape, terms, budget).unwrap();
        let estimate = transform_shape.estimate_bytes(&s.context, count, budget);
        // Diagonals of this scale take 8 bytes a coefficient, not the 4 of the estimate.
        let compact = count.saturating_sub(as_ntt) * 8 * slots;
        prop_assert_eq!(transform.bytes(), estimate + compact);
        prop_assert!(transform.rotations().iter().all(|r| rotations.contains(r)));

        let results = s.evaluator.linear_transform(&encrypted, &transform).unwrap();
        prop_assert_eq!(results.len(), outputs);
        for (o, result) in results.iter().enumerate() {
            prop_assert_eq!((result.level(), result.scale()), (shape.levels - 1, output_scale));
            let entry = |row: usize| -> Complex64 {
                let sum: Complex64 = (0..inputs)
                    .flat_map(|i| (0..slots).map(move |c| (i, c)))
                    .map(|(i, c)| matrix[o][i][row * slots + c] * vectors[i][c])
                    .sum();
                if part == ComplexPart::Real { sum.re.into() } else { sum }
            };
            let expected: Vec<Complex64> = (0..slots).map(entry).collect();
            assert_near(&s.decrypt(result), &expected);
        }
    }
}

/// Giant steps with gaps, in both directions and around the circle, of outputs that share few of them.
#[test]
fn giant_steps_share_the_keys_that_the_model_lists() {
    let shape = Shape { log_n: 10, levels: 2, digits: 2 };
    let slots = 64usize;
    // By output; the last one's are multiples of 16 modulo the slots, all but none.
    let giant_steps: [&[i64]; 4] =
        [&[-24, -16, -8, 0, 8, 40, 32], &[-21, 45, 3], &[0], &[16, -16, 160]];
    let baby_steps = [0i64, 1, -2];
    let sums = (0..)
        .zip(giant_steps)
        .flat_map(|(o, giant_steps)| giant_steps.iter().map(move |&g| (o, g)));
    let mut keys = GiantSteps::new(sums.clone(), slots as i64).rotations();
    // Apart, they would take ten.
    assert_eq!(keys, BTreeSet::from([2, 3, 8, 16, 24, 40]));
    keys.extend([1, 62]);

    for hoisting in [Hoisting::Single, Hoisting::Double] {
        let run = |keys: &BTreeSet<i64>| {
            let rotations: Vec<i64> = keys.iter().copied().collect();
            let mut s = shape.setup(7, &request(2, &rotations));
            let transform_shape = TransformShape {
                inputs: 1,
                outputs: giant_steps.len(),
                slots,
                level: 2,
                input_scale: SCALE,
                output_scale: SCALE,
                hoisting,
                part: ComplexPart::Whole,
            };
            let terms = sums.clone().flat_map(|(output, giant)| {
                baby_steps.map(|baby| Term { output, input: 0, giant, baby })
            });
            let terms: Vec<_> = terms.map(|term| (term, s.random_real(slots))).collect();
            let transform =
                LinearTransform::new(&s.context, transform_shape, terms.clone(), usize::MAX);
            let transform = transform.unwrap();
            let values = s.random_real(slots);
            let x = s.encrypt_real(&values);
            let results = s.evaluator.linear_transform(std::slice::from_ref(&x), &transform)?;
            for (output, result) in results.iter().enumerate() {
                let at = |j: usize, by: i64| (j as i64 + by).rem_euclid(slots as i64) as usize;
                let entry = |j| -> f64 {
                    let own = terms.iter().filter(|(term, _)| term.output == output);
                    let term = |(term, diagonal): &(Term, Vec<f64>)| {
                        diagonal[at(j, term.giant)] * values[at(j, term.giant + term.baby)]
                    };
                    own.map(term).sum()
                };
                let expected: Vec<f64> = (0..slots).map(entry).collect();
                assert_near_real(&s.decrypt(result), &expected);
            }
            Ok(transform.rotations())
        };
        assert_eq!(run(&keys), Ok(keys.clone()));
        for &rotation in &keys {
            let mut others = keys.clone();
            others.remove(&rotation);
            let missing = run(&others).unwrap_err();
            let Error::MissingRotationKey { rotation: found } = missing else {
                panic!("{missing:?}")
            };
            assert_eq!(found.rem_euclid(slots as i64), rotation);
        }
    }
}

/// Low levels with primes below 2^32, diagonals of all periods: what convolutions are made of.
#[test]
fn diagonals_may_repeat() {
    let parameters =
        Parameters::from_bits(11, &[34.0, 25.0, 28.0], &[45.0, 45.0], 2, SecurityLevel::Insecure);
    let mut s = setup(parameters.unwrap(), 5, &request(2, &[1, 2, 3, 4, 8]));
    let (slots, scale) = (1024, 2f64.powi(25));
    let values = s.random_real(slots);
    let message = s.context.encode(&values, scale, 2).unwrap();
    let x = s.secret.encrypt(&message, &mut s.rng).unwrap().expand(&s.context).unwrap();
    for hoisting in [Hoisting::Single, Hoisting::Double] {
        let mut bytes = Vec::new();
        for period in [1024, 512, 256, 128, 64, 16, 1] {
            let shape = TransformShape {
                inputs: 1,
                outputs: 1,
                slots,
                level: 2,
                input_scale: scale,
                output_scale: scale,
                hoisting,
                part: ComplexPart::Whole,
            };
            let diagonals: Vec<Vec<f64>> = (0..12).map(|_| s.random_real(period)).collect();
            let terms = diagonals.iter().zip(0i64..).map(|(diagonal, k)| {
                (Term { output: 0, input: 0, giant: k / 4 * 4, baby: k % 4 }, diagonal.clone())
            });
            let transform = LinearTransform::new(&s.context, shape, terms, usize::MAX).unwrap();
            let counter = OpCounter::new(s.context.parameters(), 0..0);
            let predicted = 12 * counter.diagonal_bytes(2, period, hoisting);
            assert_eq!(transform.bytes() as u64, predicted);
            bytes.push(predicted);
            let result =
                s.evaluator.linear_transform(std::slice::from_ref(&x), &transform).unwrap();
            let result = s.decrypt(&result[0]);
            for j in 0..slots {
                let term = |(k, diagonal): (usize, &Vec<f64>)| {
                    diagonal[(j + k / 4 * 4) % period] * values[(j + k) % slots]
                };
                let expected: f64 = diagonals.iter().enumerate().map(term).sum();
                // Rounding errors at a scale of 2^25 are about √(1024·114) / 2^25, 2^-16 in all.
                assert!((result[j].re - expected).abs() < 2f64.powi(-12), "{hoisting:?} {period}");
            }
        }
        // Primes of 34, 25 and 28 bits, two special ones of 45; half the period, half the bytes.
        let residues = if hoisting == Hoisting::Single { 5 + 4 + 4 } else { 5 + 4 + 4 + 6 + 6 };
        assert_eq!(bytes[0], 12 * 2048 * residues);
        assert!(bytes[..5].windows(2).all(|pair| pair[0] == 2 * pair[1]));
    }
}

#[test]
fn malformed_transforms_are_refused() {
    let shape = Shape { log_n: 10, levels: 2, digits: 2 };
    let mut s = shape.setup(1, &KeyRequest::default());
    let good = TransformShape {
        inputs: 1,
        outputs: 1,
        slots: 4,
        level: 2,
        input_scale: SCALE,
        output_scale: SCALE,
        hoisting: Hoisting::Double,
        part: ComplexPart::Whole,
    };
    let term = Term { output: 0, input: 0, giant: 0, baby: 0 };
    let new = |shape, terms: Vec<(Term, usize)>| {
        let terms = terms.into_iter().map(|(term, length)| (term, vec![0.5; length]));
        LinearTransform::new(&s.context, shape, terms, 0)
    };
    let refused = |shape, terms| new(shape, terms).unwrap_err();
    assert_eq!(refused(good, vec![]), Error::EmptyOutput(0));
    assert_eq!(
        refused(TransformShape { outputs: 2, ..good }, vec![(term, 4)]),
        Error::EmptyOutput(1)
    );
    assert_eq!(
        refused(good, vec![(Term { input: 1, ..term }, 4)]),
        Error::TermOutOfRange { input: 1, output: 0, inputs: 1, outputs: 1 }
    );
    assert_eq!(refused(good, vec![(term, 8)]), Error::SlotsMismatch { left: 4, right: 8 });
    assert!(matches!(
        refused(TransformShape { level: 0, ..good }, vec![]),
        Error::LevelsExhausted { .. }
    ));
    assert!(matches!(
        refused(TransformShape { level: 3, ..good }, vec![]),
        Error::LevelTooHigh { .. }
    ));
    assert!(matches!(
        refused(TransformShape { output_scale: f64::NAN, ..good }, vec![]),
        Error::InvalidScale(_)
    ));

    let transform = new(good, vec![(Term { baby: 1, ..term }, 4)]).unwrap();
    let x = s.encrypt_real(&[1.0; 4]);
    let apply = |inputs: &[pic_ckks::Ciphertext]| {
        s.evaluator.linear_transform(inputs, &transform).unwrap_err()
    };
    assert_eq!(apply(&[]), Error::InputCount { expected: 1, actual: 0 });
    assert_eq!(apply(std::slice::from_ref(&x)), Error::MissingRotationKey { rotation: 1 });
    let mut other = x.clone();
    other.drop_to_level(1).unwrap();
    assert_eq!(apply(&[other]), Error::LevelMismatch { left: 2, right: 1 });
    let mut other = x;
    other.set_scale(2.0 * SCALE).unwrap();
    assert!(matches!(apply(&[other]), Error::ScaleMismatch { .. }));
}

#[test]
fn nothing_comes_of_nothing() {
    let s = Shape { log_n: 10, levels: 1, digits: 1 }.setup(1, &KeyRequest::default());
    let (input_scale, output_scale) = (SCALE, SCALE);
    let shape = TransformShape {
        inputs: 0,
        outputs: 0,
        slots: 4,
        level: 1,
        input_scale,
        output_scale,
        hoisting: Hoisting::Single,
        part: ComplexPart::Whole,
    };
    let terms: Vec<(Term, Vec<f64>)> = Vec::new();
    let transform = LinearTransform::new(&s.context, shape, terms, 0).unwrap();
    assert!(s.evaluator.linear_transform(&[], &transform).unwrap().is_empty());
}
