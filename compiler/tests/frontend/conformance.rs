//! ONNX's own test cases of operators, which `tests/onnx/conformance.py` writes to a folder.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;
use ndarray_npy::read_npy;
use pic_compiler::frontend::{ImportError, import_path};

use crate::{difference, onnx_files, outputs};

/// Agreement relative to the largest output; the cases ask for 1e-3.
const TOLERANCE: f32 = 1e-3;

/// What became of the cases of one operator.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// Number of refusals by their message.
    refused: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[test]
fn conformance() {
    let Some(folder) = std::env::var_os("PIC_ONNX_CASES") else {
        eprintln!(
            "skipped: PIC_ONNX_CASES is not set (tests/onnx/conformance.py writes the cases)"
        );
        return;
    };
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for (name, path) in onnx_files(Path::new(&folder)) {
        let operator = name.split("__").next().expect("a first part");
        let tally = tallies.entry(operator.into()).or_default();
        match judged(&path) {
            Ok(Outcome::Right) => tally.passed += 1,
            Ok(Outcome::Wrong(fault)) => tally.wrong.push(format!("{name}: {fault}")),
            Err(error) => *tally.refused.entry(reason(&error)).or_default() += 1,
        }
    }
    println!("operator, passed, refused, wrong");
    for (operator, tally) in &tallies {
        let refused: usize = tally.refused.values().sum();
        let (passed, wrong) = (tally.passed, tally.wrong.len());
        println!("{operator}, {passed}, {refused}, {wrong}");
        tally.refused.iter().for_each(|(reason, count)| println!("    {count} x {reason}"));
        tally.wrong.iter().for_each(|wrong| println!("    WRONG {wrong}"));
    }
    let wrong: Vec<&String> = tallies.values().flat_map(|t| &t.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

enum Outcome {
    Right,
    Wrong(String),
}

/// Compares an imported case with what it expects.
fn judged(path: &Path) -> Result<Outcome, ImportError> {
    let import = import_path(path)?;
    let x: ArrayD<f32> = read_npy(path.with_extension("x.npy")).unwrap();
    let y: ArrayD<f32> = read_npy(path.with_extension("y.npy")).unwrap();
    let of_network = &import.network.graph[import.network.output].shape;
    let shape = import.postprocessing.verify(of_network).unwrap();
    if y.ndim() == 0 || y.shape()[0] != x.shape()[0] || y.shape()[1..] != shape[..] {
        let found = format!("{:?} expected for a sample of {shape:?}", y.shape());
        return Ok(Outcome::Wrong(found));
    }
    let rows = |a: &ArrayD<f32>| -> Vec<Vec<f32>> {
        a.outer_iter().map(|row| row.iter().copied().collect()).collect()
    };
    let differences = rows(&x).into_iter().zip(rows(&y));
    let mut errors = differences.map(|(x, y)| difference(&outputs(&import, &x), &y));
    let wrong = errors.find(|error| error.is_nan() || *error > TOLERANCE);
    Ok(wrong.map_or(Outcome::Right, |error| Outcome::Wrong(format!("differs by {error}"))))
}

/// The reason of a refusal without its place.
fn reason(error: &ImportError) -> String {
    match error {
        ImportError::File { error, .. } => reason(error),
        ImportError::Nodes(refusals) => {
            format!("{}: {}", refusals[0].op_type, refusals[0].fault).chars().take(120).collect()
        }
        other => other.to_string().chars().take(120).collect(),
    }
}
