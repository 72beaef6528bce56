//! The clear engine against the definition of programs.

use pic_ir::program::Op;
use pic_runtime::Error;
use pic_runtime::clear::{Clear, Noise};
use proptest::prelude::*;

use crate::support::{Random, changed, output_error, random_program, reference, sample};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Diagonals are single-precision, which bounds the agreement.
    #[test]
    fn computes_what_programs_mean(log_n in 4u32..=9, seed: u64) {
        let program = random_program(log_n, seed);
        let samples: Vec<_> = (0..3).map(|k| sample(&program, seed ^ k)).collect();
        let simulation = Clear::new(&program).run(&samples, None).unwrap();
        for (sample, output) in samples.iter().zip(&simulation.outputs) {
            let error = output_error(&program, sample, output);
            prop_assert!(error < 2e-6, "{error}");
        }
        prop_assert!(simulation.outside.iter().all(|&(_, share)| share == 0.0));
    }
}

#[test]
fn shares_of_inputs_outside_the_interval() {
    let program = random_program(7, 5);
    let id = program.values.iter().position(|v| matches!(v.op, Op::Polynomial { .. })).unwrap();
    let operand = program.values[id].op.operands()[0] as usize;
    // So narrow that some inputs of the polynomial must fall outside.
    let program = changed(program, |program| program.values[operand].half_width *= 0.05);
    let samples: Vec<_> = (0..20).map(|k| sample(&program, k)).collect();
    let (center, half_width) = (program.values[operand].center, program.values[operand].half_width);
    let inputs = samples.iter().flat_map(|s| reference(&program, s).swap_remove(operand));
    let outside = inputs.map(|x| f64::from(u8::from((x - center).abs() > half_width)));
    let total = (20 * program.values[id].layout.len) as f64;
    let expected = outside.sum::<f64>() / total;
    assert!(expected > 0.0 && expected < 1.0, "{expected}");
    let simulation = Clear::new(&program).run(&samples, None).unwrap();
    assert_eq!(simulation.outside, vec![(id as u32, expected)]);
}

#[test]
fn noise_has_the_deviation_asked_for() {
    let program = random_program(8, 11);
    let clear = Clear::new(&program);
    let samples = vec![sample(&program, 3); 2000];
    let exact = &clear.run(&samples[..1], None).unwrap().outputs[0];
    let mut std = vec![0.0; program.values.len()];
    *std.last_mut().unwrap() = 0.01;
    let noisy = clear.run(&samples, Some(Noise { std: &std, seed: 1 })).unwrap().outputs;
    let half_width = program.output_value().half_width;
    let errors = noisy.iter().flat_map(|output| output.iter().zip(exact));
    let errors: Vec<f64> = errors.map(|(a, b)| f64::from(a - b) / half_width).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let deviation = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    // Several standard errors of at least 2000 draws.
    assert!(mean.abs() < 1e-3 && (deviation - 0.01).abs() < 1e-3, "{mean} {deviation}");
    assert_ne!(noisy[0], noisy[1]);
    let again = clear.run(&samples, Some(Noise { std: &std, seed: 1 })).unwrap().outputs;
    assert_eq!(noisy, again);
}

/// Injecting each operation's own error, as predicted, makes the whole error that is predicted.
#[test]
fn noise_accumulates_as_predicted() {
    let program = random_program(8, 12);
    let clear = Clear::new(&program);
    let samples = vec![sample(&program, 3); 500];
    let exact = &clear.run(&samples[..1], None).unwrap().outputs[0];
    let errors = pic_ir::precision::errors(&program);
    // So much larger that they stand out from the single precision of outputs; small errors add up alike.
    let factor = 4096.0;
    let std: Vec<f64> = errors.iter().map(|e| factor * e.own.sqrt()).collect();
    let noisy = clear.run(&samples, Some(Noise { std: &std, seed: 2 })).unwrap().outputs;
    let differences = noisy.iter().flat_map(|output| output.iter().zip(exact));
    let squares = differences.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let measured = (squares / (exact.len() * noisy.len()) as f64).sqrt();
    let predicted = factor * errors.last().unwrap().total.sqrt();
    let ratio = measured / program.output_value().half_width / predicted;
    assert!((0.5..1.5).contains(&ratio), "measured over predicted: {ratio}");
}

#[test]
fn unusable_samples_are_refused() {
    let program = random_program(6, 2);
    let clear = Clear::new(&program);
    let good = sample(&program, 1);
    let mut random = Random(4);
    let short = random.floats(good.len() + 1);
    let error = clear.run(&[good.clone(), short], None).unwrap_err();
    assert!(matches!(error, Error::SampleLength { sample: 1, .. }), "{error}");
    let mut bad = good;
    bad[0] = f32::NAN;
    let error = clear.run(&[bad], None).unwrap_err();
    assert!(matches!(error, Error::NotFinite { sample: 0, index: 0, .. }), "{error}");
}
