//! The range check: what it says of honest samples and of such that leave an interval, on plain numbers and encrypted.

use std::path::Path;
use std::sync::LazyLock;

use pic_compiler::compile::Compiled;
use pic_compiler::dataset::RawSamples;
use pic_compiler::evaluate::{Batch, Evaluation, Layer};
use pic_compiler::options::Options;
use pic_ir::activations::Approximation;
use pic_ir::precision::errors;
use pic_ir::program::{self, Program};
use pic_runtime::clear::{Clear, Simulation};
use pic_runtime::{Artifact, Client, Server};

/// Eight-bit digits: 400 images for calibration, and others.
fn images(name: &str) -> Vec<Vec<f32>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    // Arrays in version 1 of the format: the header's length is its bytes 8 and 9.
    let body = &bytes[10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))..];
    body.chunks(64).map(|image| image.iter().map(|&v| f32::from(v)).collect()).collect()
}

fn compile(range_check: bool) -> Compiled {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits");
    let onnx = std::fs::read(folder.join("cnn_relu.onnx")).unwrap();
    let samples = images("calibration_x.npy");
    let samples: Vec<&[f32]> = samples.iter().map(|s| &s[..]).collect();
    // So deep that powers of inputs have levels.
    let options = Options { range_check, latency_budget: Some(0.041), ..Options::default() };
    let calibration = RawSamples { samples: &samples, labels: None };
    pic_compiler::compile::compile(&onnx, calibration, None, &options, &()).unwrap()
}

/// Two ReLUs, found once for all tests.
fn compiled() -> &'static Compiled {
    static COMPILED: LazyLock<Compiled> = LazyLock::new(|| compile(true));
    &COMPILED
}

/// The largest |u| that the polynomials of each layer take, for each of some samples.
fn largest_inputs(compiled: &Compiled, samples: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let Compiled { corrected, activations, .. } = compiled;
    let layers: Vec<_> = activations.layers.iter().map(Layer::Approximate).collect();
    let views: Vec<&[f32]> = samples.iter().map(|s| &s[..]).collect();
    let evaluation = Evaluation::new(corrected, Batch::from_samples(&views), &layers);
    let largest = |(layer, (node, _)): (&Approximation, (_, _))| {
        let input = evaluation.value(corrected.operands(node)[0]);
        let u = |lane: usize| {
            let stored = |x: f32| ((f64::from(x) - layer.center) / layer.half_width).abs();
            input.sample(lane).into_iter().map(stored).fold(0.0, f64::max)
        };
        (0..samples.len()).map(u).collect()
    };
    activations.layers.iter().zip(corrected.activations()).map(largest).collect()
}

/// Images whose pixels are all within the range that clients encrypt, and which take the inputs of the second ReLU out of its interval, but not
/// those of the first: pixels of honest images are turned off or on as long as that helps.
fn dishonest() -> Vec<Vec<f32>> {
    let compiled = compiled();
    let leave = |image: &Vec<f32>| {
        let mut image = image.clone();
        for _ in 0..64 {
            let turned = |pixel: usize| {
                let mut turned = image.clone();
                turned[pixel] = if turned[pixel] > 8.0 { 0.0 } else { 20.0 };
                turned
            };
            let turned: Vec<Vec<f32>> = (0..64).map(turned).collect();
            let largest = largest_inputs(compiled, &turned);
            let worth = |k: &usize| if largest[0][*k] < 0.98 { largest[1][*k] } else { 0.0 };
            let best = (0..64).max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap();
            let now = largest_inputs(compiled, std::slice::from_ref(&image))[1][0];
            if worth(&best) <= now {
                break;
            }
            image = turned[best].clone();
        }
        image
    };
    let images: Vec<Vec<f32>> = images("test_x.npy")[..24].iter().map(leave).collect();
    let largest = largest_inputs(compiled, &images);
    println!("largest inputs of both ReLUs: {largest:.2?}");
    let leaves = |k: &usize| largest[0][*k] < 1.0 && largest[1][*k] > 1.05;
    (0..images.len()).filter(leaves).map(|k| images[k].clone()).collect()
}

/// What the check is defined to be, from the network itself: the weighted sum of powers of what activations take.
fn expected(compiled: &Compiled, sample: &[f32]) -> f64 {
    let Compiled { program, corrected, activations, .. } = compiled;
    let layers: Vec<_> = activations.layers.iter().map(Layer::Approximate).collect();
    let evaluation = Evaluation::new(corrected, Batch::from_samples(&[sample]), &layers);
    let program::Op::Linear { operands, matrices, .. } = &program.range_check_value().unwrap().op
    else {
        panic!("the sum is linear")
    };
    let mut sum = 0.0;
    for ((node, _), (&power, matrix)) in
        corrected.activations().iter().zip(operands.iter().zip(matrices))
    {
        let (input, exponent) = checked(program, power);
        let stored = &program.values[input as usize];
        let mut weights = vec![];
        matrix.row(0, &mut weights);
        let values = evaluation.value(corrected.operands(*node)[0]).sample(0);
        for (value, (_, weight)) in values.iter().zip(weights) {
            let u = (f64::from(*value) - stored.center) / stored.half_width;
            sum += weight * u.powi(exponent);
        }
    }
    sum
}

/// The value that a chain of squares begins with, and the power that it ends with.
fn checked(program: &Program, power: program::ValueId) -> (program::ValueId, i32) {
    match program.values[power as usize].op {
        program::Op::Product { operands: [a, b] } => {
            assert_eq!(a, b);
            let (input, exponent) = checked(program, a);
            (input, 2 * exponent)
        }
        program::Op::Polynomial { operand, ref coefficients } => {
            assert_eq!(coefficients, &[0.5, 0.0, 0.5]);
            (operand, 2)
        }
        _ => panic!("a power is made of squares"),
    }
}

/// Which layers see something out of their intervals.
fn outside(compiled: &Compiled, simulation: &Simulation) -> Vec<String> {
    let outside = simulation.outside.iter().filter(|&&(_, share)| share > 0.0);
    outside.map(|&(id, _)| compiled.program.values[id as usize].name.clone()).collect()
}

#[test]
fn an_inner_interval_that_is_left_is_seen() {
    let compiled = compiled();
    let check = compiled.program.range_check.unwrap();
    let clear = Clear::new(&compiled.program);

    let honest = images("test_x.npy");
    let simulation = clear.run(&honest, None).unwrap();
    assert_eq!(outside(compiled, &simulation), Vec::<String>::new());
    assert!(!simulation.range_checks.iter().any(|&sum| check.fails(sum)));

    let dishonest = dishonest();
    assert!(dishonest.len() >= 4);
    let simulation = clear.run(&dishonest, None).unwrap();
    assert_eq!(outside(compiled, &simulation), ["Relu_8"]);
    assert!(simulation.range_checks.iter().all(|&sum| check.fails(sum)));

    let sums = clear.run(&honest, None).unwrap().range_checks;
    for (sample, sum) in
        honest.iter().zip(sums).chain(dishonest.iter().zip(simulation.range_checks))
    {
        let expected = expected(compiled, sample);
        assert!((sum - expected).abs() <= 1e-4 * expected.max(check.limit), "{sum} {expected}");
    }
}

/// The same on ciphertexts, and the client finds it in the answer.
#[test]
fn clients_see_what_ciphertexts_say() {
    let compiled = compiled();
    let check = compiled.program.range_check.unwrap();
    let samples = [images("test_x.npy")[..4].to_vec(), dishonest()].concat();
    let expected = Clear::new(&compiled.program).run(&samples, None).unwrap().range_checks;

    let artifact = Artifact::calibrated(&compiled.program, &compiled.calibration, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let question = client.encrypt(&samples).unwrap();
    let encrypted = server.run(&question).unwrap();
    let answers = client.decrypt(&encrypted).unwrap();
    let sum = compiled.program.range_check_values().last().unwrap();
    let deviation = errors(&compiled.program)[sum].total.sqrt()
        * compiled.program.range_check_value().unwrap().half_width;
    println!("limit {:.3}, errors of {deviation:.4}", check.limit);
    assert!(deviation < 0.1 * check.limit);
    for (k, (answer, expected)) in answers.iter().zip(expected).enumerate() {
        let sum = answer.range_check.unwrap() * check.limit;
        println!("sample {k}: {sum:.4}, {expected:.4} on plain numbers");
        assert_eq!(answer.reliable, k < 4);
        if k < 4 {
            assert!((sum - expected).abs() < 8.0 * deviation);
        }
    }
}

/// It changes nothing in the rest of the program, and its price is in the forecast.
#[test]
fn the_rest_of_the_program_stays() {
    let plain = compile(false);
    let checked = compiled();
    let (plain, checked) = (&plain.program, &checked.program);
    let range = checked.range_check_values();
    let mut values = checked.values.clone();
    values.drain(range);
    assert_eq!(values, plain.values);
    assert_eq!(checked.parameters, plain.parameters);
    assert!(checked.predicted.seconds() > plain.predicted.seconds());
    assert_eq!(checked.predicted.precision_bits, plain.predicted.precision_bits);
}
