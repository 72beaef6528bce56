//! The frontend and its rewrites against ONNX Runtime (the corpus in `tests/onnx`) and tract.
//!
//! The corpus does not know the compiler: this file lists what of it must be refused, and why.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis};
use ndarray_npy::read_npy;
use pic_compiler::evaluate::{Batch, Evaluation, exact_layers};
use pic_compiler::frontend::{Fault, ImportError, import, import_path};
use pic_compiler::reference::Reference;
use pic_compiler::rewrite::simplify;
use pic_ir::network::{Network, Op};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/onnx")
}

/// All ONNX files of a folder, by name.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let onnx = entries.filter(|path| path.extension().is_some_and(|e| e == "onnx"));
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> = onnx.map(|path| (name(&path), path)).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn evaluate(network: &Network, sample: &[f32]) -> Vec<f32> {
    let batch = Batch::from_samples(&[sample]);
    Evaluation::new(network, batch, &exact_layers(network)).output().sample(0)
}

/// The largest difference relative to the largest expected value.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, |a, b| a.max(b.abs()));
    let error = largest(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    error / largest(&mut expected.iter().copied()).max(1e-3)
}

/// Files that ONNX accepts and that we refuse: they move the batch axis, or hold stacks of
/// matrices.
const REFUSED: &[&str] = &["gemm_const_left", "gemm_trans_a", "transpose_default"];

#[test]
fn corpus_agrees_with_onnx_runtime_and_tract() {
    let mut failures = Vec::new();
    for (name, path) in files(&corpus()) {
        let x: ArrayD<f32> = read_npy(path.with_extension("x.npy")).unwrap();
        let y: ArrayD<f32> = read_npy(path.with_extension("y.npy")).unwrap();
        let (x, expected) = (x.into_raw_vec_and_offset().0, y.iter().copied().collect::<Vec<_>>());
        let imported = match import_path(&path) {
            Err(_) if REFUSED.contains(&&*name) => continue,
            Ok(_) if REFUSED.contains(&&*name) => {
                failures.push(format!("{name}: imported, but listed as refused"));
                continue;
            }
            Ok(imported) => imported.network,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let simplified = simplify(&imported);
        for (what, network) in [("imported", &imported), ("simplified", &simplified)] {
            network.verify().unwrap();
            let shape = &network.graph[network.output].shape;
            if shape != &y.shape()[1..] {
                failures.push(format!("{name}: {what} shape {shape:?}, not {:?}", &y.shape()[1..]));
            }
            let error = difference(&evaluate(network, &x), &expected);
            if error.is_nan() || error > 1e-4 {
                failures.push(format!("{name}: {what} differs by {error}\n{network}"));
            }
        }
        match Reference::new(&std::fs::read(&path).unwrap()).and_then(|r| r.run(&x)) {
            Ok(found) => {
                let error = difference(&found, &expected);
                if error.is_nan() || error > 1e-4 {
                    failures.push(format!("{name}: tract differs by {error}"));
                }
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
