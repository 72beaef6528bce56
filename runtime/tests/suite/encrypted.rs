//! Client and server on ciphertexts, against the definition of programs.

use pic_ir::memory::least_server_bytes;
use pic_ir::program::{Fault, Op, ProgramError, Value, VerifiedProgram};
use pic_runtime::clear::{Clear, Noise};
use pic_runtime::{Artifact, Client, Error, Server};

use crate::support::{
    bootstrapped_program, output_error, predicted_error, random_program, reference, sample,
    tolerance,
};

/// Encrypts, runs and decrypts.
fn run(program: &VerifiedProgram, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let artifact = Artifact::new(program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let output = server.run(&client.encrypt(samples).unwrap()).unwrap();
    client.decrypt_raw(&output).unwrap().into_iter().map(|answer| answer.outputs).collect()
}

/// Over many programs, the error is neither above nor far below what is predicted.
#[test]
fn errors_are_of_the_predicted_size() {
    let mut squares = Vec::new();
    for seed in 100..124 {
        let program = random_program(8, seed);
        let samples = [sample(&program, seed)];
        let exact = reference(&program, &samples[0]).pop().unwrap();
        let unit = program.output_value().half_width * predicted_error(&program);
        let output = run(&program, &samples).remove(0);
        let errors = exact.iter().zip(output).map(|(e, o)| (e - f64::from(o)) / unit);
        squares.extend(errors.map(|e| e * e));
    }
    let ratio = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    assert!((0.4..1.6).contains(&ratio), "measured over predicted: {ratio}");
}

/// Levels run out and are restored; the simulation adds errors of the size of the true ones.
#[test]
fn bootstraps_give_levels_back() {
    for (log_n, log_slots) in [(10, 9), (10, 4)] {
        let program = bootstrapped_program(log_n, log_slots, 5);
        let samples = [sample(&program, 1)];
        let output = run(&program, &samples).remove(0);
        let error = output_error(&program, &samples[0], &output);
        assert!(error < tolerance(&program), "{error}");
        let std: Vec<f64> =
            pic_ir::precision::errors(&program).iter().map(|e| e.own.sqrt()).collect();
        let noise = Some(Noise { std: &std, seed: 3 });
        let simulated = Clear::new(&program).run(&samples, noise).unwrap().outputs.remove(0);
        let error = output_error(&program, &samples[0], &simulated);
        assert!((0.01..1.0).contains(&(error / tolerance(&program))), "{error}");
    }
}

#[test]
fn diagonals_beyond_the_memory_limit_compute_the_same() {
    let program = random_program(8, 21);
    let samples = [sample(&program, 1)];
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let input = client.encrypt(&samples).unwrap();
    let mut sizes = Vec::new();
    let least = least_server_bytes(&program);
    for limit in [least, least + 200_000, u64::MAX] {
        let keys = client.make_evaluation_keys().unwrap();
        let server = Server::builder(&artifact).memory_limit(limit).build(keys).unwrap();
        let output = client.decrypt_raw(&server.run(&input).unwrap()).unwrap();
        assert!(output_error(&program, &samples[0], &output[0].outputs) < tolerance(&program));
        sizes.push(server.memory().diagonal_bytes);
    }
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");

    let keys = client.make_evaluation_keys().unwrap();
    let error = Server::builder(&artifact).memory_limit(least - 1).build(keys).unwrap_err();
    let Error::Memory { needed, available, .. } = error else { panic!("{error}") };
    assert_eq!((needed, available), (least, least - 1));
}

#[test]
fn clear_and_encrypted_runs_agree() {
    let program = random_program(9, 77);
    let samples: Vec<_> = (0..3).map(|k| sample(&program, k)).collect();
    let clear = Clear::new(&program).run(&samples, None).unwrap().outputs;
    let scale = program.output_value().half_width;
    for (clear, encrypted) in clear.iter().zip(run(&program, &samples)) {
        for (a, b) in clear.iter().zip(encrypted) {
            assert!(f64::from((a - b).abs()) < tolerance(&program) * scale, "{a} {b}");
        }
    }
}

#[test]
fn steps_are_observed_in_order_and_memory_is_known() {
    let program = random_program(7, 4);
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let input = client.encrypt(&[sample(&program, 0), sample(&program, 1)]).unwrap();
    let mut steps = Vec::new();
    server.run_observed(&input, &mut |sample, step| steps.push((sample, step.clone()))).unwrap();
    let names = program.values[1..].iter().map(|v| v.name.as_str());
    let expected: Vec<_> = (0..2).flat_map(|s| names.clone().map(move |n| (s, n))).collect();
    let found: Vec<_> = steps.iter().map(|(s, step)| (*s, step.name.as_str())).collect();
    assert_eq!(found, expected);
    for (_, step) in &steps {
        let value = &program.values[step.id as usize];
        assert_eq!(step.level_out, value.level);
        assert!(step.level_in >= step.level_out + value.op.depth());
        assert!(step.seconds > 0.0 && step.start >= 0.0);
    }
    // The input and the widest value live at once, at least.
    let one = 2 * 8 * 128 * 8;
    let memory = server.memory();
    assert!(memory.ciphertext_bytes > one && memory.ciphertext_bytes.is_multiple_of(16 * 128));
    assert!(memory.key_bytes > 0 && memory.diagonal_bytes > 0);
}

/// What runs on the server neither names a secret key nor can reach the client.
#[test]
fn server_sources_know_no_secret() {
    for source in [
        include_str!("../../src/server.rs"),
        include_str!("../../src/ckks.rs"),
        include_str!("../../src/engine.rs"),
        include_str!("../../src/ciphertexts.rs"),
    ] {
        for word in ["SecretKey", "crate::client", ".decrypt(&", "secret_rng"] {
            assert!(!source.contains(word), "{word}");
        }
    }
}

/// A folded coefficient leaves no choice of scale.
#[test]
fn other_scales_of_folded_polynomials_are_refused() {
    let mut program = bootstrapped_program(10, 4, 6).into_program();
    let is_polynomial = |value: &Value| matches!(value.op, Op::Polynomial { .. });
    let id = program.values.iter().position(is_polynomial).unwrap();
    program.values[id].scale *= 1.001;
    let fault = program.verify().unwrap_err();
    assert!(matches!(fault, ProgramError::Value { fault: Fault::Scale, .. }), "{fault}");
}
