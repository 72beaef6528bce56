//! The frontend and its rewrites against independent implementations: ONNX Runtime through the
//! corpus in `tests/onnx`, and tract.

mod batches;
mod conformance;
mod constants;
mod corpus;
mod definitions;
mod model;
mod models;
mod quantized;
mod refusals;
mod resnet;
mod rewrites;
mod tail;

use std::path::{Path, PathBuf};

use pic_compiler::evaluate::{Batch, Evaluation, exact_layers};
use pic_compiler::frontend::Import;
use pic_ir::network::Network;

/// The folder of small ONNX files; it does not know the compiler.
fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/onnx")
}

/// All ONNX files of a folder, by name.
fn onnx_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let onnx = entries.filter(|path| path.extension().is_some_and(|e| e == "onnx"));
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> = onnx.map(|path| (name(&path), path)).collect();
    files.sort();
    assert!(!files.is_empty(), "no ONNX files in {}", folder.display());
    files
}

/// The output of a network for one sample.
fn evaluate(network: &Network, sample: &[f32]) -> Vec<f32> {
    let batch = Batch::from_samples(&[sample]);
    Evaluation::new(network, batch, &exact_layers(network)).output().sample(0)
}

/// The outputs of a file for one sample: those of its network, and what the client makes of them.
fn outputs(import: &Import, sample: &[f32]) -> Vec<f32> {
    let shape = &import.network.graph[import.network.output].shape;
    import.postprocessing.apply(shape, &evaluate(&import.network, sample))
}

/// The largest difference relative to the largest expected value.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f32>| {
        // A NaN anywhere makes the result NaN, and every comparison with it fail.
        values.fold(0f32, |a, b| if b.is_nan() { b } else { b.abs().max(a) })
    };
    let error = largest(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    error / largest(&mut expected.iter().copied()).max(1e-3)
}
