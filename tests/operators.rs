//! Every operator of the corpus compiles to a program whose simulated answers follow the plain network, or is refused
//! with a reason.
//!
//! Files are compiled as regressions on normal samples. `PIC_OPERATORS` picks the files whose names begin with one of
//! its parts between commas, and prints a line for each.

use std::collections::BTreeMap;
use std::path::Path;

use pic::evaluation::{TestSet, simulate, verify};
use pic::{Compiler, Options, Task};
use pic_compiler::compile::compile_network;
use pic_compiler::dataset::RawSamples;
use pic_compiler::evaluate::{exact_layers, outputs};
use pic_compiler::frontend::import_path;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Node, Op};
use rayon::prelude::*;

/// Largest root mean square error that is asked for, relative to the spread of the outputs.
const MOST: f64 = 0.02;

/// Files that are refused, and a part of the message: those that move the batch, and those for which polynomials are not
/// accurate enough. Near a jump they are wrong however they are made; sums of exponentials of random attention scores, and
/// inverse norms of three random numbers, differ by orders of magnitude; a clip has two kinks, for which there is no
/// composition.
const REFUSED: &[(&str, &str)] = &[
    ("attention", "in layer `Softmax_11#6`"),
    ("channels_last_opset_9", "in layer `Clip_11`"),
    ("final_arg_max_first", "in layer `Clip_0`"),
    ("final_arg_max_last", "in layer `Clip_0`"),
    ("gemm_const_left", "operand 0 is constant"),
    ("gemm_trans_a", "mixes the samples"),
    ("greater", "in layer `Greater_0#2`"),
    ("greater_or_equal", "in layer `GreaterOrEqual_0#2`"),
    ("less_or_equal", "in layer `LessOrEqual_0#2`"),
    ("less_two", "in layer `Less_1#2`"),
    ("logic_constant", "in layer `Greater_0#2`"),
    ("logic_or", "in layer `Less_1#2`"),
    ("logic_xor", "in layer `Less_1#2`"),
    ("lp_normalization", "in layer `LpNormalization_0#4`"),
    ("shrink", "in layer `Shrink_0`"),
    ("shrink_outwards", "in layer `Shrink_0`"),
    ("sign", "in layer `Sign_0`"),
    ("thresholded_relu", "in layer `ThresholdedRelu_0`"),
    ("transpose_default", "mixes the samples"),
    ("where_constant", "in layer `Less_0#2`"),
    ("where_constants", "in layer `Greater_0#2`"),
];

/// Files that take long to compile, because they need bootstrapping: they are left out unless asked for.
const SLOW: &[&str] = &[
    "attention",
    "channels_last_opset_9",
    "global_max_pool",
    "logic_or",
    "logic_xor",
    "max_pool_3d",
    "max_pool_dilations",
    "max_pool_overlapping",
    "max_pool_pads",
    "max_pool_same_lower",
    "max_three",
    "reduce_max",
    "reduce_max_opset_18",
    "reduce_min",
    "residual_option_a",
    "residual_projection",
    "where_encrypted",
];

/// Normal numbers by Box and Muller from a linear congruential generator, the same on every machine.
fn normal_samples(count: usize, len: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    let mut normal = || {
        let (u, v) = (uniform(), uniform());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    };
    (0..count).map(|_| (0..len).map(|_| normal()).collect()).collect()
}

fn views(samples: &[Vec<f32>]) -> Vec<&[f32]> {
    samples.iter().map(Vec::as_slice).collect()
}

/// The network of a file with its outputs doubled, so that no activation is the last node, which would be left to the
/// client; and the length of its input.
fn doubled(path: &Path) -> Result<(Network, usize), String> {
    let mut network = import_path(path).map_err(|error| error.to_string())?.network;
    let (input, output) = (network.input(), network.output);
    let (len, shape) = (network.graph[input].len(), network.graph[output].shape.clone());
    let matrices = vec![Matrix::Scalar { len: network.graph[output].len(), value: 2.0 }];
    let op = Op::Linear { matrices, bias: None };
    network.push(Node { name: "doubled".into(), provenance: vec![], op, shape }, &[output]);
    Ok((network, len))
}

/// Root mean square error of the simulated answers on new samples, relative to the spread of the plain ones.
fn error(path: &Path) -> Result<f64, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let (network, len) = doubled(path)?;
    let options =
        Options { task: Some(Task::Regression), max_error: Some(MOST), ..Options::default() };
    let (seen, new) = (normal_samples(256, len, 1), normal_samples(64, len, 2));
    let calibration = RawSamples { samples: &views(&seen), labels: None };
    let compiled =
        compile_network(&network, calibration, None, &options, &()).map_err(|e| text(&e))?;
    let artifact = Compiler::artifact(compiled).map_err(|e| text(&e))?;
    let test = TestSet::new(&new, None).map_err(|e| text(&e))?;
    let found = simulate(&artifact, test, Some(3), &()).map_err(|e| text(&e))?.answers;
    let plain = outputs(&network, &views(&new), &exact_layers(&network));
    let pairs = || {
        found
            .iter()
            .zip(&plain)
            .flat_map(|(a, b)| a.outputs.iter().zip(b.iter().map(|&y| f64::from(y))))
    };
    let count = pairs().count() as f64;
    let outputs = plain[0].len();
    let mean = |k: usize| plain.iter().map(|y| f64::from(y[k])).sum::<f64>() / plain.len() as f64;
    let means: Vec<f64> = (0..outputs).map(mean).collect();
    let spread =
        plain.iter().flat_map(|y| y.iter().zip(&means).map(|(y, m)| (f64::from(*y) - m).powi(2)));
    let spread = (spread.sum::<f64>() / count).sqrt();
    let squares = pairs().map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
    // Constant outputs have no spread.
    Ok((squares / count).sqrt() / if spread > 1e-6 { spread } else { 1.0 })
}

#[test]
fn operators_follow_the_plain_network() {
    let wanted = std::env::var("PIC_OPERATORS").ok();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let onnx = entries.filter(|path| path.extension().is_some_and(|e| e == "onnx"));
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let files: Vec<_> = onnx.map(|path| (name(&path), path)).collect();
    let is_wanted = |name: &str| match &wanted {
        Some(wanted) => wanted.split(',').any(|prefix| name.starts_with(prefix)),
        None => !SLOW.contains(&name),
    };
    let results: BTreeMap<String, Result<f64, String>> = files
        .into_par_iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, path)| {
            let start = std::time::Instant::now();
            let result = error(&path);
            if wanted.is_some() {
                println!("{name}: {result:.4?} in {:.1} s", start.elapsed().as_secs_f64());
            }
            (name, result)
        })
        .collect();
    let mut faults = vec![];
    for (name, result) in &results {
        let refusal = REFUSED.iter().find(|(refused, _)| refused == name);
        match (result, refusal) {
            (Ok(error), None) if *error <= 2.0 * MOST => {}
            (Err(message), Some((_, expected))) if message.contains(expected) => {}
            _ => faults.push(format!("{name}: {result:?}")),
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), results.len(), faults.join("\n"));
}

/// A ReLU by a composition, encrypted: what arrives is what the plain network says.
#[test]
fn compositions_run_encrypted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/relu.onnx");
    let (network, len) = doubled(&path).unwrap();
    let seen = normal_samples(256, len, 1);
    let options =
        Options { task: Some(Task::Regression), max_error: Some(0.004), ..Options::default() };
    let calibration = RawSamples { samples: &views(&seen), labels: None };
    let compiled = compile_network(&network, calibration, None, &options, &()).unwrap();
    assert!(
        compiled.notes.iter().any(|note| note.contains("compositions")),
        "{:?}",
        compiled.notes
    );
    let artifact = Compiler::artifact(compiled).unwrap();
    let new = normal_samples(1, len, 2);
    let verified = verify(&artifact, TestSet::new(&new, None).unwrap(), &()).unwrap();
    for (&x, &y) in new[0].iter().zip(&verified.answers[0].logits) {
        assert!((2.0 * x.max(0.0) - y).abs() < 0.02, "{x} {y}");
    }
}
