//! What commands say and write of the end of a network that the client computes.

use std::fs;

use serde_json::Value;

use super::command::{json, succeed};
use super::files::{fresh_folder, npy};

/// Compiles a model of the corpus in a fresh folder, asks for the class of one sample, and returns the folder.
fn asked(name: &str, length: usize) -> std::path::PathBuf {
    let folder = fresh_folder(name);
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    fs::copy(corpus.join(format!("{name}.onnx")), folder.join("m.onnx")).unwrap();
    let sample = |k: usize| (0..length).map(move |i| ((k * 37 + i * 11) % 29) as f32 / 7.0 - 2.0);
    let samples: Vec<f32> = (0..60).flat_map(sample).collect();
    fs::write(folder.join("x.npy"), npy(&[60, length], &samples)).unwrap();
    let compiled = succeed(&folder, "compile m.onnx --calibration x.npy -o m.pic").stdout;
    assert!(compiled.contains("applied by the client after decryption"), "{compiled}");
    succeed(&folder, "keygen m.pic --secret-key s --evaluation-keys e");
    succeed(&folder, "encrypt m.pic --secret-key s --input x.npy --index 5 -o x.ct");
    succeed(&folder, "run m.pic --evaluation-keys e --input x.ct -o y.ct");
    folder
}

#[test]
fn probabilities_are_shown_and_written() {
    let folder = asked("final_softmax", 5);
    let inspected = succeed(&folder, "inspect m.pic").stdout;
    let line = "client       Softmax(axis 0): applied by the client after decryption → [4]";
    assert!(inspected.contains(line), "{inspected}");
    let summary = json(&folder, "inspect m.pic");
    let expected = serde_json::json!({ "steps": ["Softmax(axis 0)"], "output": [4] });
    assert_eq!(summary["postprocessing"], expected);

    let decrypted = json(&folder, "decrypt m.pic --secret-key s --input y.ct -o y.npy");
    let of = |key: &str| -> Vec<f64> { serde_json::from_value(decrypted[key][0].clone()).unwrap() };
    let (outputs, logits) = (of("outputs"), of("logits"));
    let weights: Vec<f64> = logits.iter().map(|v| v.exp()).collect();
    for (output, weight) in outputs.iter().zip(&weights) {
        assert!((output - weight / weights.iter().sum::<f64>()).abs() < 1e-6, "{decrypted}");
    }
    let written: Vec<f32> = outputs.iter().map(|&v| v as f32).collect();
    assert_eq!(fs::read(folder.join("y.npy")).unwrap()[128..], npy(&[4], &written)[128..]);
    // The value beside a class is its probability.
    let class = decrypted["top"][0].as_u64().unwrap() as usize;
    let text = succeed(&folder, "decrypt m.pic --secret-key s --input y.ct").stdout;
    let shown: f64 =
        text.split(['(', ')']).nth(1).and_then(|value| value.parse().ok()).expect("a value");
    assert!(text.starts_with(&format!("sample 0: {class} (")), "{text}");
    assert!((shown - outputs[class]).abs() < 0.05, "{text}");
}

#[test]
fn the_class_is_the_output_of_a_final_arg_max() {
    let folder = asked("final_arg_max_squeezed", 7);
    let decrypted = json(&folder, "decrypt m.pic --secret-key s --input y.ct -o y.npy");
    let class = decrypted["top"][0].as_u64().unwrap();
    assert_eq!(decrypted["outputs"][0][0].as_f64(), Some(class as f64));
    assert_eq!(decrypted["logits"][0].as_array().map(Vec::len), Some(7));
    // One number for each sample, without an axis of its own.
    let header = fs::read(folder.join("y.npy")).unwrap();
    assert!(String::from_utf8_lossy(&header[..128]).contains("(1,)"), "{header:?}");
    let top = json(&folder, "decrypt m.pic --secret-key s --input y.ct --top 1");
    assert_eq!(top["classes"], serde_json::json!([[class]]));
    assert_eq!((&top["outputs"], &top["logits"]), (&Value::Null, &Value::Null));
    let text = succeed(&folder, "decrypt m.pic --secret-key s --input y.ct").stdout;
    assert!(text.starts_with(&format!("sample 0: {class} (")), "{text}");
    let simulated = json(&folder, "simulate m.pic --input x.npy");
    assert_eq!(simulated["agreement"], 1.0);
}
