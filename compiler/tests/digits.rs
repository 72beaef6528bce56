//! Compiles the example networks and holds the result against what the passes promise.

use std::path::Path;
use std::time::Instant;

use pic_compiler::compile::{Compiled, Options, Progress, compile};
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
    compile(&data.onnx, &samples, Some(&data.labels), options, &Stages(Instant::now())).unwrap()
}

#[test]
fn compiles_every_example_within_the_default_drop() {
    for model in ["cnn_relu.onnx", "cnn_gelu.onnx", "mlp_sigmoid.onnx"] {
        let start = Instant::now();
        let compiled = run(model, &Options::default());
        println!("{model}: {:?}\n{}{}", start.elapsed(), compiled.program, compiled.activations);
        println!("{:?}\n{:?}", compiled.program.predicted, compiled.measured);
        compiled.program.verify().unwrap();
        compiled.activations.verify(&compiled.network).unwrap();
        compiled.plan.verify(&compiled.network).unwrap();
        assert!(matches!(compiled.program.output_value().op, Op::Linear { .. }));
        assert!(compiled.program.predicted.precision_bits >= 9.0);
        let classes = compiled.measured.classification.unwrap();
        assert!(classes.plain_accuracy - classes.accuracy <= 0.005);
        for pair in compiled.front.windows(2) {
            assert!(pair[0].seconds <= pair[1].seconds && pair[0].loss > pair[1].loss);
        }
    }
}
