//! Inputs and answers unlike those of calibration: no wrong answer looks like an answer.

use std::fs;

use pic::Artifact;
use serde_json::Value;

use super::command::{fail, json, pic, succeed};
use super::files::{compile, copies, examples, images, npy, shared};

fn digits() -> Vec<Vec<f32>> {
    images(&fs::read(examples().join("test_x.npy")).unwrap())
}

/// Each of these runs to the end and gives a class, and none is that of the digit.
#[test]
fn inputs_that_no_sample_was_like_are_refused_and_their_answers_marked() {
    let folder = copies("range", &["model.client", "model.pic", "model.secret", "model.keys"]);
    let digit = digits()[0].clone();
    let times = |factor: f32| digit.iter().map(|v| v * factor).collect::<Vec<_>>();
    let bytes: Vec<f32> = blake3::hash(b"a")
        .as_bytes()
        .iter()
        .chain(blake3::hash(b"b").as_bytes())
        .map(|&byte| byte.into())
        .collect();
    let strange = [times(2.0), times(4.0), times(1000.0), bytes];
    fs::write(folder.join("x.npy"), npy(&[4, 1, 8, 8], &strange.concat())).unwrap();
    let encrypt = "encrypt model.client --secret-key model.secret --input x.npy -o x.ct";
    for index in 0..strange.len() {
        let refused = fail(&folder, &format!("{encrypt} --index {index}"));
        let words =
            ["sample 0: value", "-4.0000 to 20.0000", "pic::input::range", "--allow-out-of-range"];
        for word in words {
            assert!(refused.contains(word), "`{word}` is not in: {refused}");
        }
    }

    // Pixels are 0 to 16. A negative one could be stored, and an answer to it need not be marked.
    let mut negative = digit.clone();
    negative[27] = -4.5;
    fs::write(folder.join("negative.npy"), npy(&[1, 1, 8, 8], &negative)).unwrap();
    let encrypt_negative = encrypt.replace("x.npy", "negative.npy");
    let refused = fail(&folder, &encrypt_negative);
    assert!(refused.contains("value 27 is -4.5"), "{refused}");

    let encrypted = json(&folder, &format!("{encrypt} --allow-out-of-range"));
    let warnings = encrypted["warnings"].as_array().unwrap();
    for sample in 0..strange.len() {
        let of_sample = |w: &&Value| w.as_str().unwrap().contains(&format!("sample {sample}"));
        assert!(warnings.iter().filter(of_sample).count() >= 1, "{warnings:?}");
    }
    succeed(&folder, "run model.pic --evaluation-keys model.keys --input x.ct -o y.ct");
    let decrypt = "decrypt model.client --secret-key model.secret --input y.ct";
    let decrypted = |options: &str| {
        let run = pic(&folder, format!("{decrypt} {options}").split_whitespace());
        assert_eq!(run.code, Some(3), "{run:#?}");
        run.stdout
    };
    let text = decrypted("");
    assert_eq!(text.lines().filter(|line| line.contains("unreliable")).count(), 4, "{text}");
    let shown: Value = serde_json::from_str(&decrypted("--json -o y.npy")).unwrap();
    let all: Value = serde_json::from_str(&decrypted("--json --raw")).unwrap();
    let raw = decrypted("--raw");
    assert_eq!(raw.matches("unreliable: outputs are not within").count(), 4, "{raw}");
    for sample in 0..strange.len() {
        for value in [&shown, &all] {
            assert_eq!(value["top"][sample], Value::Null, "{value}");
            assert_eq!(value["reliable"][sample], false, "{value}");
        }
        let outputs = |value: &Value| value["outputs"][sample].as_array().unwrap().clone();
        assert!(outputs(&shown).iter().all(Value::is_null), "{shown}");
        assert!(outputs(&all).iter().all(|v| v.as_f64().unwrap().is_finite()), "{all}");
    }
    let written = fs::read(folder.join("y.npy")).unwrap();
    let nan = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap()).is_nan();
    assert!(written[128..].chunks(4).all(nan), "a file of outputs that mean nothing");
}

/// Of images to which nothing was fitted, none is refused or unusual, and no answer is marked.
#[test]
fn honest_digits_pass() {
    let test = examples().join("test_x.npy").display().to_string();
    for model in ["model.pic", "other.pic"] {
        let simulated = json(shared(), &format!("simulate {model} --input {test}"));
        assert_eq!(simulated["samples"], 360);
        assert_eq!((&simulated["refused"], &simulated["unreliable"]), (&0.into(), &0.into()));
        let client = Artifact::open(&shared().join(model)).unwrap().client().unwrap();
        let unusual: Vec<_> = digits().iter().map(|digit| client.unusual(digit)).collect();
        let warned = unusual.iter().filter(|u| !u.is_empty()).count();
        assert_eq!(warned, 0, "{unusual:?}");
    }
    let encrypted = json(
        &copies("honest", &["model.client", "model.secret", "two.npy"]),
        "encrypt model.client --secret-key model.secret --input two.npy -o x.ct",
    );
    assert_eq!(encrypted["warnings"], Value::Array(vec![]));
}

/// Within the range, but nothing like a digit: encrypted, with a word.
#[test]
fn samples_in_range_that_are_unlike_calibration_are_warned_about() {
    let folder = copies("unusual", &["model.client", "model.pic", "model.secret"]);
    fs::write(folder.join("white.npy"), npy(&[1, 8, 8], &[16.0; 64])).unwrap();
    let run = succeed(
        &folder,
        "encrypt model.client --secret-key model.secret --input white.npy -o x.ct",
    );
    assert!(run.stderr.contains("warning") && run.stderr.contains("mean of channel 0"), "{run:#?}");
    assert!(run.stdout.starts_with("1 sample encrypted"), "{}", run.stdout);
    let simulate = "simulate model.pic --input white.npy";
    let counted = json(&folder, simulate);
    assert_eq!((&counted["refused"], &counted["unusual"]), (&0.into(), &1.into()), "{counted}");
    let text = succeed(&folder, simulate).stdout;
    assert!(text.contains("unusual      1 sample that `pic encrypt` warns of"), "{text}");
}

/// What the owner's commands count is what clients would be told.
#[test]
fn simulate_and_verify_count_the_same() {
    let folder = copies("counted", &["model.pic"]);
    let digit = digits()[0].clone();
    let samples = [digit.clone(), digit.iter().map(|v| v * 4.0).collect()];
    fs::write(folder.join("x.npy"), npy(&[2, 1, 8, 8], &samples.concat())).unwrap();
    fs::write(folder.join("labels.npy"), npy(&[2], &[7.0, 7.0])).unwrap();
    for (command, code) in [("simulate", 0), ("verify", 3)] {
        let run = |options: &str| {
            let arguments =
                format!("{command} model.pic --input x.npy --labels labels.npy {options}");
            let run = pic(&folder, arguments.split_whitespace());
            assert_eq!(run.code, Some(code), "{run:#?}");
            run
        };
        let found: Value = serde_json::from_str(&run("--json").stdout).unwrap();
        assert_eq!((&found["refused"], &found["unreliable"]), (&1.into(), &1.into()), "{command}");
        assert_eq!((&found["unusual"], &found["accuracy"]), (&0.into(), &0.5.into()), "{command}");
        let text = run("").stdout;
        assert!(text.contains("1 sample that `pic encrypt` refuses"), "{text}");
        if command == "verify" {
            // Of the digit alone.
            let measured = found["measured_precision_bits"].as_f64().unwrap();
            let predicted = found["predicted_precision_bits"].as_f64().unwrap();
            assert!(measured > predicted - 2.0, "{measured} bits, {predicted} were predicted");
            assert!(text.contains("without 1 unreliable answer"), "{text}");
        }
    }
    // No answer is left, and fewer samples are there than were asked for.
    let strange: Vec<f32> = digit.iter().map(|v| v * 4.0).collect();
    fs::write(folder.join("x.npy"), npy(&[1, 1, 8, 8], &strange)).unwrap();
    let run = pic(&folder, "verify model.pic --input x.npy --count 9".split_whitespace());
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(run.stdout.contains("precision    – ("), "{}", run.stdout);
    assert!(run.stderr.contains("`x.npy` holds 1 sample only"), "{}", run.stderr);
}

/// The client's part says whether answers will be checked.
#[test]
fn clients_are_told_of_the_range_check() {
    let folder = copies("told", &["other.onnx", "model.client"]);
    let compiled = compile("other");
    succeed(&folder, &format!("{compiled} --range-check --client-output other.client"));
    let complete = json(&folder, "inspect other.pic");
    let client = json(&folder, "inspect other.client");
    assert_eq!(client["range_check"]["limit"], complete["range_check"]["limit"]);
    assert!(client["range_check"]["limit"].as_f64().unwrap() > 0.0, "{client:#}");
    let text = succeed(&folder, "inspect other.client").stdout;
    assert!(text.contains("range check  limit"), "{text}");
    let text = succeed(&folder, "inspect model.client").stdout;
    assert!(text.contains("range check  none"), "{text}");
}
