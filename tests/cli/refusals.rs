//! What is refused: with a message that says what, where and why, code 1, and nothing left behind.

use std::fs;
use std::path::Path;

use super::command::{fail, json, succeed};
use super::files::{self, copies, examples, npy};

fn corpus(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/bad").join(name);
    path.display().to_string()
}

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[test]
fn models() {
    let folder = copies("bad-models", &["model.onnx"]);
    let calibration = format!("--calibration {}/calibration_x.npy", examples().display());
    let compile = |model: &str| fail(&folder, &format!("compile {model} {calibration} -o m.pic"));
    assert_says(&compile("missing.onnx"), &["missing.onnx", "pic::file"]);
    assert_says(&compile(&corpus("text.onnx")), &["not an ONNX model"]);
    assert_says(&compile(&corpus("truncated.onnx")), &["pic::compile::import"]);
    assert_says(&compile(&corpus("max_pool.onnx")), &["MaxPool", "AveragePool"]);
    let several = compile(&corpus("several_unsupported.onnx"));
    assert!(several.matches("node `").count() > 1, "{several}");
}

#[test]
fn calibration() {
    let folder = copies("bad-calibration", &["model.onnx", "two.npy"]);
    let write = |name: &str, shape: &[usize], values: &[f32]| {
        fs::write(folder.join(name), npy(shape, values)).unwrap();
    };
    write("one.npy", &[1, 8, 8], &[1.0; 64]);
    write("flat.npy", &[2, 64], &[1.0; 128]);
    let mut values = [1.0; 192];
    values[100] = f32::NAN;
    write("nan.npy", &[3, 1, 8, 8], &values);
    fs::write(folder.join("text.npy"), "not an array").unwrap();
    write("labels.npy", &[3], &[0.0; 3]);

    let compile = |rest: &str| fail(&folder, &format!("compile model.onnx --calibration {rest}"));
    assert_says(&compile("missing.npy"), &["missing.npy", "pic::input::read"]);
    assert_says(&compile("text.npy"), &["text.npy", "neither a .npy nor a .npz"]);
    assert_says(&compile("flat.npy"), &["[2, 64]", "[1, 8, 8]", "pic::input::shape"]);
    assert_says(&compile("nan.npy"), &["nan.npy", "sample 1", "not a number"]);
    assert_says(
        &compile("one.npy"),
        &["1 calibration sample is too few", "pic::compile::calibration"],
    );
    assert_says(&compile("two.npy --labels labels.npy"), &["3 labels for 2 samples"]);
    assert_says(&compile("two.npy --mean 1,2"), &["mean", "pic::compile::preprocessing"]);
    assert_says(&compile("two.npy --cost text.npy"), &["pic::cost"]);
}

#[test]
fn goals_out_of_reach() {
    let folder = copies("bad-goals", &["model.onnx"]);
    let compile = |goal: &str| fail(&folder, &format!("{} {goal}", files::compile("model")));
    assert_says(&compile("--latency-budget 1ms"), &["nearest feasible", "pic::compile::latency"]);
    assert_says(&compile("--min-precision 60"), &["60.0 bits", "pic::compile::precision"]);
    assert_says(&compile("--memory-limit 1MiB"), &["bytes", "pic::compile::memory"]);
}

#[test]
fn inputs() {
    let folder = copies("bad-inputs", &["model.pic", "model.secret", "two.npy"]);
    fs::write(folder.join("flat.npy"), npy(&[64], &[0.0; 64])).unwrap();
    fs::write(folder.join("inf.npy"), npy(&[1, 8, 8], &[f32::INFINITY; 64])).unwrap();
    let encrypt = |rest: &str| {
        fail(
            &folder,
            &format!("encrypt model.pic --secret-key model.secret -o x.ct --input {rest}"),
        )
    };
    assert_says(&encrypt("flat.npy"), &["[64]", "[1, 8, 8]"]);
    assert_says(&encrypt("inf.npy"), &["sample 0", "infinite"]);
    assert_says(&encrypt("two.npy --index 2"), &["no sample 2", "holds 2"]);
    assert_says(
        &fail(&folder, "simulate model.pic --input two.npy --labels two.npy"),
        &["128 labels for 2 samples"],
    );
}

#[test]
fn keys_and_ciphertexts_of_another_program() {
    let folder = copies(
        "other-program",
        &[
            "model.pic",
            "other.pic",
            "model.secret",
            "other.secret",
            "other.keys",
            "x.ct",
            "y.ct",
            "two.npy",
        ],
    );
    let hashes: Vec<String> = ["model.pic", "other.pic"]
        .iter()
        .map(|name| {
            json(&folder, &format!("inspect {name}"))["program_hash"].as_str().unwrap().into()
        })
        .collect();
    let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
    for arguments in [
        "encrypt model.pic --secret-key other.secret --input two.npy -o z.ct",
        "decrypt other.pic --secret-key other.secret --input y.ct",
        "run model.pic --evaluation-keys other.keys --input x.ct -o z.ct",
        "run other.pic --evaluation-keys other.keys --input x.ct -o z.ct",
    ] {
        assert_says(&fail(&folder, arguments), &["pic::key::program", hashes[0], hashes[1]]);
    }
}

#[test]
fn keys_of_another_client() {
    let folder = copies("other-client", &["model.pic", "x.ct", "y.ct"]);
    succeed(&folder, "keygen model.pic --secret-key mine --evaluation-keys keys");
    for arguments in [
        "run model.pic --evaluation-keys keys --input x.ct -o z.ct",
        "decrypt model.pic --secret-key mine --input y.ct",
    ] {
        assert_says(&fail(&folder, arguments), &["another secret key", "pic::key::other"]);
    }
}

#[test]
fn answers_to_another_question() {
    let folder =
        copies("other-question", &["model.client", "model.secret", "x.ct", "y.ct", "two.npy"]);
    succeed(&folder, "encrypt model.client --secret-key model.secret --input two.npy -o again.ct");
    let decrypt = "decrypt model.client --secret-key model.secret --input y.ct --question";
    succeed(&folder, &format!("{decrypt} x.ct"));
    assert_says(&fail(&folder, &format!("{decrypt} again.ct")), &["question", "pic::question"]);
}

/// Files of the version before are told from damaged ones.
#[test]
fn files_of_an_older_version() {
    let folder = copies("older", &["model.pic", "model.secret"]);
    for (name, arguments) in [
        ("model.pic", "inspect model.pic"),
        ("model.secret", "encrypt model.pic --secret-key model.secret --input x.npy -o x.ct"),
    ] {
        let good = fs::read(folder.join(name)).unwrap();
        let mut old = good.clone();
        old[8] = 4;
        fs::write(folder.join(name), old).unwrap();
        let words = ["version 4", "compile the model again", "pic::file::version"];
        assert_says(&fail(&folder, arguments), &words);
        fs::write(folder.join(name), good).unwrap();
    }
}

#[test]
fn files_of_another_kind() {
    let folder =
        copies("other-kind", &["model.pic", "model.client", "model.secret", "x.ct", "two.npy"]);
    for arguments in [
        "inspect x.ct",
        "inspect two.npy",
        "run model.pic --evaluation-keys model.secret --input x.ct -o z.ct",
        "decrypt model.pic --secret-key model.secret --input x.ct",
    ] {
        assert_says(&fail(&folder, arguments), &["pic::file::kind"]);
    }
    assert_says(
        &fail(&folder, "simulate model.client --input two.npy"),
        &["`program`", "pic::artifact::part"],
    );
}

#[test]
fn secret_keys_are_not_replaced() {
    let folder = copies("replace", &["model.client", "model.secret"]);
    let keygen = "keygen model.client --secret-key model.secret --evaluation-keys keys";
    let before = fs::read(folder.join("model.secret")).unwrap();
    assert_says(&fail(&folder, keygen), &["model.secret", "pic::key::exists", "--force"]);
    assert_eq!(fs::read(folder.join("model.secret")).unwrap(), before);
    succeed(&folder, &format!("{keygen} --force"));
    assert_ne!(fs::read(folder.join("model.secret")).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.join("model.secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Every kind of file, truncated and with single bits flipped.
#[test]
fn damaged_files() {
    let cases = [
        ("model.pic", "inspect model.pic", 24),
        ("model.secret", "encrypt model.pic --secret-key model.secret --input two.npy -o z.ct", 12),
        ("model.keys", "run model.pic --evaluation-keys model.keys --input x.ct -o z.ct", 6),
        ("x.ct", "run model.pic --evaluation-keys model.keys --input x.ct -o z.ct", 6),
        ("y.ct", "decrypt model.pic --secret-key model.secret --input y.ct", 12),
    ];
    let names = ["model.pic", "model.secret", "model.keys", "x.ct", "y.ct", "two.npy"];
    let folder = copies("damaged", &names);
    for (name, arguments, positions) in cases {
        let path = folder.join(name);
        let good = fs::read(&path).unwrap();
        for k in 0..positions {
            // From the first byte to the last.
            let position = k * (good.len() - 1) / (positions - 1);
            let mut bytes = good.clone();
            bytes[position] ^= 1 << (k % 8);
            fs::write(&path, bytes).unwrap();
            assert_says(&fail(&folder, arguments), &["pic::file"]);
            fs::write(&path, &good[..position]).unwrap();
            assert_says(&fail(&folder, arguments), &["pic::file"]);
        }
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn errors_are_json_too() {
    let folder = copies("json-errors", &["model.pic"]);
    let run = super::command::pic(&folder, ["inspect", "missing.pic", "--json"]);
    assert_eq!(run.code, Some(1));
    let value: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(value["error"]["code"], "pic::file");
    assert!(value["error"]["message"].as_str().unwrap().contains("missing.pic"));
}
