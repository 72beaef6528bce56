//! What clients get to see of answers: rounded, marked, or with noise for others.

use pic_ir::calibration::Calibration;
use pic_ir::program::{Program, VerifiedProgram};
use pic_runtime::sharing::{LEAST_SHARED_PRECISION, flooding_bits};
use pic_runtime::{Answer, Artifact, Client, EncryptedOutput, Error, Server};

use crate::support::{changed, output_error, predicted_error, random_program, sample};

/// A program whose prediction is that of its operations.
fn predicted_program(log_n: u32, seed: u64) -> VerifiedProgram {
    let program = random_program(log_n, seed);
    let precision_bits = -predicted_error(&program).log2();
    changed(program, |program| program.predicted.precision_bits = precision_bits)
}

fn answer(artifact: &Artifact, client: &Client, sample: &[f32]) -> EncryptedOutput {
    let server = Server::new(artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let input = client.encrypt_out_of_range(&[sample]).unwrap();
    server.run(&input).unwrap()
}

#[test]
fn inputs_beyond_the_half_width_are_refused() {
    let program = random_program(6, 2);
    let client = Client::generate(&Artifact::new(&program, None).unwrap()).unwrap();
    let good = sample(&program, 1);
    // Inputs of these programs are stored as they are over 2.
    for (value, refused) in [(2.0f32, false), (-2.0, false), (2.001, true), (-1e9, true)] {
        let mut samples = [good.clone(), good.clone()];
        samples[1][0] = value;
        let encrypted = client.encrypt(&samples);
        match encrypted {
            Ok(_) => assert!(!refused, "{value}"),
            Err(Error::OutOfRange {
                sample: 1,
                index: 0,
                value: found,
                range,
                preprocessed: false,
            }) => {
                assert!(refused && found == value && range == [-2.0, 2.0], "{value}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// A value that only another channel ever had is refused, although it could be stored.
#[test]
fn inputs_unlike_those_of_their_channel_are_refused() {
    // With two channels of so many elements that they show a distribution.
    let len = |program: &Program| program.input.shape.iter().product::<usize>();
    let mut programs = (0..).map(|seed| random_program(6, seed));
    let program = programs.find(|p| len(p) % 2 == 0 && len(p) >= 32).unwrap();
    let len = len(&program);
    let program = changed(program, |program| program.input.shape = vec![2, len / 2]);
    // From 0 to 1 and from −1 to 0.
    let seen: Vec<f32> =
        (0..len).map(|k| if k < len / 2 { (k % 2) as f32 } else { -((k % 2) as f32) }).collect();
    let calibration = Calibration::new(&program.input.shape, &[&seen], 1e6);
    let artifact = Artifact::calibrated(&program, &calibration, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    client.encrypt(&[&seen]).unwrap();
    for (index, value, refused) in [
        (0, 1.24f32, false),
        (0, -0.24, false),
        (0, 1.26, true),
        (0, -0.26, true),
        (len - 1, -1.24, false),
        (len - 1, 0.26, true),
        (len - 1, 1.0, true),
    ] {
        let mut sample = seen.clone();
        sample[index] = value;
        match client.encrypt(&[sample]) {
            Ok(_) => assert!(!refused, "{index} {value}"),
            Err(Error::OutOfRange { index: found, .. }) => {
                assert!(refused && found == index, "{index} {value}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    let [low, high] = client.info().input_range();
    assert!((low + 1.25).abs() < 1e-5 && (high - 1.25).abs() < 1e-5);
}

#[test]
fn what_is_no_number_is_not_reliable() {
    let program = predicted_program(6, 3);
    let artifact = Artifact::new(&program, None).unwrap();
    let info = artifact.client().unwrap();
    let outputs = vec![0.0; program.output_value().layout.len];
    assert!(Answer::new(&info, outputs.clone(), None).reliable);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut outputs = outputs.clone();
        outputs[0] = value;
        assert!(!Answer::new(&info, outputs, None).reliable, "{value}");
    }
}

#[test]
fn answers_beyond_the_range_of_calibration_are_not_reliable() {
    let program = predicted_program(7, 3);
    let sample = sample(&program, 1);
    let run = |largest_output| {
        let shape = &program.input.shape;
        let calibration = Calibration::new(shape, &[&sample], largest_output);
        let artifact = Artifact::calibrated(&program, &calibration, None).unwrap();
        let client = Client::generate(&artifact).unwrap();
        client.decrypt(&answer(&artifact, &client, &sample)).unwrap().remove(0)
    };
    let found = run(1e6);
    assert!(found.reliable && found.class().is_some());
    let largest = found.outputs.iter().fold(0.0f64, |a, &v| a.max(f64::from(v).abs()));
    let unreliable = run(0.9 * largest);
    assert!(!unreliable.reliable && unreliable.class().is_none());
    assert!(run(1.1 * largest).reliable);
}

#[test]
fn decrypted_values_are_multiples_of_the_grid() {
    let program = predicted_program(8, 5);
    let sample = sample(&program, 2);
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let output = answer(&artifact, &client, &sample);
    let deviation = program.output_value().half_width * predicted_error(&program);
    let grid = client.info().output_grid();
    assert!((deviation..2.0 * deviation).contains(&grid), "{grid} {deviation}");
    let (rounded, raw) = (client.decrypt(&output).unwrap(), client.decrypt_raw(&output).unwrap());
    let pairs = || rounded[0].outputs.iter().zip(&raw[0].outputs);
    for (&rounded, &raw) in pairs() {
        assert_eq!(f64::from(rounded) / grid, (f64::from(raw) / grid).round());
    }
    assert!(pairs().any(|(rounded, raw)| rounded != raw), "exact values are shown");
}

/// Whether an answer at the end of the range is reliable follows the noise, and not the scheme's error.
#[test]
fn verdicts_on_shared_answers_hide_the_error() {
    let program = predicted_program(4, 5);
    // Of a ring so small that rounding leaves the precision.
    let sample = sample(&program, 2);
    let queries = 40;
    let outputs = program.output_value().layout.len;
    let precision_bits = LEAST_SHARED_PRECISION + flooding_bits(queries, outputs);
    let program = changed(program, |program| program.predicted.precision_bits = precision_bits);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let setup = |largest_output| {
        let calibration = Calibration::new(&program.input.shape, &[&sample], largest_output);
        Artifact::calibrated(&program, &calibration, None).unwrap()
    };
    let artifact = setup(1e6);
    let client = Client::generate(&artifact).unwrap();
    let exact = client.decrypt_raw(&answer(&artifact, &client, &sample)).unwrap().remove(0);
    let largest = exact.outputs.iter().fold(0.0f64, |a, &v| a.max(f64::from(v).abs()));

    let artifact = setup(largest);
    let client = Client::generate(&artifact).unwrap();
    let output = answer(&artifact, &client, &sample);
    let counter = client.shared_answers(&secret);
    let reliable = (0..queries)
        .filter(|_| client.decrypt_for_sharing(&output, queries, &counter).unwrap()[0].reliable)
        .count() as u64;
    assert!((1..queries).contains(&reliable), "{reliable} of {queries}");
}

/// The noise of shared answers has the size that was asked for, and is fresh each time.
#[test]
fn shared_answers_hide_the_error() {
    let program = predicted_program(4, 5);
    let sample = sample(&program, 2);
    let half_width = program.output_value().half_width;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("secret");
    let queries = 100;
    let setup = |bits: f64| {
        let program = changed(program.clone(), |program| program.predicted.precision_bits = bits);
        let artifact = Artifact::new(&program, None).unwrap();
        let client = Client::generate(&artifact).unwrap();
        let output = answer(&artifact, &client, &sample);
        (client, output)
    };
    let outputs = program.output_value().layout.len;
    let needed = LEAST_SHARED_PRECISION + flooding_bits(queries, outputs);

    let (client, output) = setup(needed - 2.0);
    let counter = client.shared_answers(&key);
    match client.decrypt_for_sharing(&output, queries, &counter).unwrap_err() {
        Error::SharingPrecision { needed, available, .. } => {
            assert!((needed - available - 2.0).abs() < 1e-9);
        }
        other => panic!("{other}"),
    }
    assert!(!counter.path().exists(), "nothing was shared");

    // A program that claims the precision: what is tested is the noise.
    let (client, output) = setup(needed);
    let counter = client.shared_answers(&key);
    let expected = half_width * (-LEAST_SHARED_PRECISION).exp2();
    let mut squares = Vec::new();
    for _ in 0..queries {
        let shared = client.decrypt_for_sharing(&output, queries, &counter).unwrap().remove(0);
        let error = output_error(&program, &sample, &shared.outputs);
        assert!(error < 8.0 * (-LEAST_SHARED_PRECISION).exp2(), "{error}");
        let exact = client.decrypt_raw(&output).unwrap().remove(0).outputs;
        let pairs = shared.outputs.iter().zip(exact);
        squares.extend(pairs.map(|(a, b)| f64::from(a - b).powi(2)));
    }
    let found = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    // Rounding adds up to 1 %; the rest is what so many samples of a normal distribution may show.
    let tolerance = 0.01 + 5.0 / (2.0 * squares.len() as f64).sqrt();
    assert!((found / expected - 1.0).abs() < tolerance, "{found} {expected}");
    let error = client.decrypt_for_sharing(&output, queries, &counter).unwrap_err();
    assert!(matches!(error, Error::SharingLimit { shared: 100, asked: 1, limit: 100 }), "{error}");
    // Another key under the same name starts anew.
    let (other, _) = setup(needed);
    assert_ne!(other.shared_answers(&key).path(), counter.path());
}
