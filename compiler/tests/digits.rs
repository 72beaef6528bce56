//! Compiles the example networks and holds the result against what the passes promise.

use std::path::Path;
use std::time::Instant;

use pic_compiler::compile::{Compiled, compile};
use pic_compiler::dataset::RawSamples;
use pic_compiler::error::CompileError;
use pic_compiler::options::Options;
use pic_compiler::progress::Progress;
use pic_ir::prediction::Fidelity;
use pic_ir::program::Op;

/// Prints when each stage begins.
struct Stages(Instant);

impl Progress for Stages {
    fn stage(&self, name: &str, _: u64) {
        println!("{:8.3} s: {name}", self.0.elapsed().as_secs_f64());
    }

    fn advance(&self, _: u64) {}
}

struct Digits {
    onnx: Vec<u8>,
    samples: Vec<Vec<f32>>,
    labels: Vec<usize>,
}

fn digits(model: &str) -> Digits {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    // Both arrays are in version 1 of the format: the header's length is its bytes 8 and 9.
    let body =
        |bytes: &[u8]| bytes[10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))..].to_vec();
    let x = body(&read("calibration_x.npy"));
    let y = body(&read("calibration_y.npy"));
    Digits {
        onnx: read(model),
        samples: x.chunks(64).map(|s| s.iter().map(|&v| f32::from(v)).collect()).collect(),
        labels: y.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize).collect(),
    }
}

fn run(model: &str, options: &Options) -> Compiled {
    let data = digits(model);
    let samples: Vec<&[f32]> = data.samples.iter().map(|s| &s[..]).collect();
    let calibration = RawSamples { samples: &samples, labels: Some(&data.labels) };
    compile(&data.onnx, calibration, None, options, &Stages(Instant::now())).unwrap()
}

#[test]
fn compiles_every_example_within_the_default_drop() {
    for model in ["cnn_relu.onnx", "cnn_gelu.onnx", "mlp_sigmoid.onnx"] {
        let start = Instant::now();
        let compiled = run(model, &Options::default());
        println!("{model}: {:?}", start.elapsed());
        compiled.activations.verify(&compiled.network).unwrap();
        compiled.plan.verify(&compiled.network).unwrap();
        assert!(matches!(compiled.program.output_value().op, Op::Linear { .. }));
        assert!(compiled.program.predicted.precision_bits >= 9.0);
        let fidelity = compiled.measured.fidelity;
        let Fidelity::Accuracy { plain, drop, standard_error } = fidelity else { panic!("labels") };
        assert!(plain > 0.9 && drop <= 0.005 && standard_error > 0.0, "{fidelity:?}");
        assert_eq!(compiled.program.predicted.fidelity, Some(fidelity));
        for pair in compiled.front.windows(2) {
            assert!(pair[0].seconds <= pair[1].seconds && pair[0].loss > pair[1].loss);
        }
    }
}

fn degrees(compiled: &Compiled) -> Vec<usize> {
    compiled.activations.layers.iter().map(|layer| layer.degree()).collect()
}

#[test]
fn goals_change_the_degrees_as_they_should() {
    let model = "cnn_relu.onnx";
    let strict = run(model, &Options::default());
    let loose = run(model, &Options { max_accuracy_drop: Some(0.05), ..Options::default() });
    assert!(loose.program.predicted.seconds() < strict.program.predicted.seconds());
    assert!(degrees(&loose).iter().sum::<usize>() < degrees(&strict).iter().sum());

    // A budget alone asks for the most accurate choice that it allows.
    let seconds = |compiled: &Compiled| compiled.program.predicted.seconds();
    let budget = 1.05 * seconds(&loose);
    let fast = run(model, &Options { latency_budget: Some(budget), ..Options::default() });
    assert!(seconds(&fast) <= 1.05 * budget, "{} s for a budget of {budget} s", seconds(&fast));
    let slow = run(model, &Options { latency_budget: Some(2.0 * budget), ..Options::default() });
    let loss = |c: &Compiled| c.activations.layers.iter().map(|layer| layer.loss).sum::<f64>();
    assert!(loss(&slow) < loss(&fast));

    let data = digits(model);
    let samples: Vec<&[f32]> = data.samples.iter().map(|s| &s[..]).collect();
    let impossible = Options { latency_budget: Some(1e-6), ..Options::default() };
    let calibration = RawSamples { samples: &samples, labels: Some(&data.labels) };
    let error = compile(&data.onnx, calibration, None, &impossible, &()).unwrap_err();
    let CompileError::Latency { nearest, .. } = error else { panic!("{error}") };
    assert!(nearest > 1e-3 && nearest <= seconds(&loose) * 1.05);
}

#[test]
fn no_uniform_degree_beats_the_front() {
    for model in ["cnn_relu.onnx", "cnn_gelu.onnx", "mlp_sigmoid.onnx"] {
        let compiled = run(model, &Options { max_accuracy_drop: Some(0.05), ..Options::default() });
        let mut beaten = 0;
        for uniform in &compiled.uniform {
            let layerwise = compiled.front.iter().filter(|p| p.seconds <= uniform.seconds);
            let best = layerwise.map(|p| p.loss).fold(f64::INFINITY, f64::min);
            assert!(best <= uniform.loss * (1.0 + 1e-9), "{model}: {uniform:?} against {best}");
            beaten += usize::from(best < 0.99 * uniform.loss);
        }
        assert!(beaten > 0, "{model}: the layerwise choice is better nowhere");
    }
}
