//! Names from files on their way to the terminal: nothing in them acts there.

use std::fs;
use std::path::Path;

use pic::{Artifact, Model};
use pic_ir::program::Program;
use serde_json::Value;

use super::command::{Run, pic};
use super::files::{compile, copies, examples, shared};

/// Sets the title, clears the screen, breaks the line, begins a command as one character, reverses what follows.
const NASTY: &str = "\x1b]0;x\x07\x1b[2J\nforged: line\r\u{9b}2J\u{202e}";

#[track_caller]
fn assert_harmless(run: &Run) {
    for printed in [&run.stdout, &run.stderr] {
        let acting = |c: char| {
            c != '\n' && c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{9b}')
        };
        assert!(!printed.contains(acting), "{printed:?}");
        assert!(
            !printed.lines().any(|line| line.trim_start().starts_with("forged")),
            "{printed:?}"
        );
    }
}

/// Replaces a name in a protobuf or in postcard, where strings stand behind their length.
fn rename(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from}");
    bytes
}

fn nasty(length: usize) -> String {
    NASTY
        .chars()
        .take_while(|c| c.len_utf8() == 1)
        .chain("x".repeat(length).chars())
        .take(length)
        .collect()
}

/// An artifact with every name made nasty.
fn nasty_artifact(path: &Path) {
    let artifact = Artifact::open(&shared().join("model.pic")).unwrap();
    let mut program: Program = artifact.program().unwrap().into_program();
    let mut model: Model = artifact.model().unwrap();
    program.values.iter_mut().for_each(|value| value.name = NASTY.to_owned() + &value.name);
    program.input.name = NASTY.into();
    model
        .network
        .graph
        .node_weights_mut()
        .for_each(|node| node.name = NASTY.to_owned() + &node.name);
    model.activations.layers.iter_mut().for_each(|l| l.name = NASTY.to_owned() + &l.name);
    Artifact::new(&program.verify().unwrap(), Some(&model)).unwrap().write(path).unwrap();
}

#[test]
fn names_in_artifacts_are_escaped() {
    let folder = copies("terminal", &["two.npy"]);
    nasty_artifact(&folder.join("nasty.pic"));
    for arguments in [
        "inspect nasty.pic",
        "simulate nasty.pic --input two.npy",
        "keygen nasty.pic --secret-key s --evaluation-keys e",
        "encrypt nasty.pic --secret-key s --input two.npy -o x.ct",
        "run nasty.pic --evaluation-keys e --input x.ct -o y.ct --layers",
        "decrypt nasty.pic --secret-key s --input y.ct",
    ] {
        for json in ["", " --json --force"] {
            let is_keygen = arguments.starts_with("keygen");
            let json = if is_keygen { json } else { &json[..json.len().min(7)] };
            let run = pic(&folder, format!("{arguments}{json}").split_whitespace());
            assert_eq!(run.code, Some(0), "{arguments}{json}: {run:#?}");
            assert_harmless(&run);
            if !json.is_empty() {
                let _: Value = serde_json::from_str(&run.stdout).unwrap();
            }
        }
    }
    let run = pic(&folder, ["inspect", "nasty.pic", "--json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(value["activations"][0]["name"].as_str().unwrap().starts_with(NASTY));
}

/// ONNX files whose names act, compiled or refused.
#[test]
fn names_in_networks_are_escaped() {
    let folder = copies("terminal-onnx", &["model.onnx"]);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/bad");
    let calibration = format!("--calibration {}/calibration_x.npy", examples().display());
    // Every string of a node or value that a message names.
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for name in ["x", "y", "w", "MaxPool", "Softmax", "Add", "com.example", "N", "h"] {
            let mut changed = bytes.clone();
            let to = nasty(name.len().max(1));
            for at in 0..bytes.len().saturating_sub(name.len()) {
                // A length, then the name.
                if usize::from(bytes[at]) == name.len()
                    && bytes[at + 1..].starts_with(name.as_bytes())
                {
                    changed[at + 1..at + 1 + name.len()].copy_from_slice(to.as_bytes());
                }
            }
            if changed == bytes {
                continue;
            }
            fs::write(folder.join("bad.onnx"), changed).unwrap();
            for json in ["", "--json"] {
                let arguments = format!("compile bad.onnx {calibration} -o m.pic {json}");
                let run = pic(&folder, arguments.split_whitespace());
                assert_eq!(run.code, Some(1), "{}: {run:#?}", path.display());
                assert_harmless(&run);
            }
        }
    }
    let onnx = fs::read(folder.join("model.onnx")).unwrap();
    let name = Artifact::open(&shared().join("model.pic")).unwrap().program().unwrap().values[1]
        .name
        .clone();
    let name = name.split('#').next().unwrap().to_owned();
    fs::write(folder.join("model.onnx"), rename(&onnx, &name, &nasty(name.len()))).unwrap();
    let run = pic(&folder, format!("{} --emit program", compile("model")).split_whitespace());
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_harmless(&run);
    assert!(run.stdout.contains("\\u{1b}"), "{}", run.stdout);
}
