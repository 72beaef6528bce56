//! What is refused: with a message that says what, where and why, code 1, and nothing left behind.

use std::fs;
use std::path::Path;

use super::command::{command, fail, finish, json, pic, succeed};
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
    assert_says(&compile(&corpus("floor.onnx")), &["Floor", "remove the rounding"]);
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
    fs::write(folder.join("labels.npy"), npy(&[2], &[9.0, 10.0])).unwrap();
    for command in ["simulate", "verify"] {
        assert_says(
            &fail(&folder, &format!("{command} model.pic --input two.npy --labels labels.npy")),
            &["the label of sample 1 is 10", "10 classes, 0 to 9", "pic::input::label"],
        );
    }
}

/// Opening a pipe would wait for ever, as would reading a device.
#[test]
fn inputs_that_are_no_files() {
    let folder = copies("no-files", &["model.pic", "model.secret", "model.onnx", "two.npy"]);
    fs::create_dir(folder.join("folder")).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.join("fifo")).status().unwrap();
    assert!(made.success());
    let calibration = format!("--calibration {}/calibration_x.npy", examples().display());
    for (name, words) in [
        ("fifo", "a pipe or a device"),
        ("/dev/zero", "a pipe or a device"),
        ("folder", "it is a folder"),
        ("empty", "it is empty"),
        ("missing", "No such file"),
    ] {
        for arguments in [
            format!("encrypt model.pic --secret-key model.secret -o x.ct --input {name}"),
            format!("simulate model.pic --input two.npy --labels {name}"),
            format!("compile {name} {calibration} -o m.pic"),
            format!("compile model.onnx {calibration} -o m.pic --cost {name}"),
        ] {
            assert_says(&fail(&folder, &arguments), &[name, words]);
        }
    }
}

/// Nothing is said to begin that cannot end.
#[test]
fn folders_that_are_not_written_to() {
    use std::os::unix::fs::PermissionsExt;
    let folder = copies("no-folder", &["model.client"]);
    let keygen = "keygen model.client --evaluation-keys keys --secret-key";
    assert_says(&fail(&folder, &format!("{keygen} missing/s")), &["missing/s"]);
    let locked = folder.join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        println!("skipped: this user writes to every folder");
        fs::remove_file(locked.join("probe")).unwrap();
    } else {
        assert_says(&fail(&folder, &format!("{keygen} locked/s")), &["its folder cannot be"]);
    }
}

/// Arguments that are not understood: the limit is told, code 2, as JSON where that was asked for.
#[test]
fn arguments() {
    let folder = copies("bad-arguments", &["model.pic", "model.onnx", "model.secret", "two.npy"]);
    let refused = |arguments: &str| {
        let run = pic(&folder, arguments.split_whitespace());
        assert_eq!((run.code, &run.stdout[..]), (Some(2), ""), "pic {arguments}\n{run:#?}");
        run.stderr
    };
    let (verify, decrypt) =
        ("verify model.pic --input two.npy", "decrypt m --secret-key s --input y");
    let compile = files::compile("model");
    for arguments in [
        format!("{verify} --count 0"),
        format!("{decrypt} --top 0"),
        format!("{decrypt} --share 0"),
        format!("{decrypt} --share -1"),
        format!("{compile} --shareable 0"),
    ] {
        assert_says(&refused(&arguments), &["at least 1"]);
    }
    for threads in ["0", "-1", "100000"] {
        let message = refused(&format!("inspect model.pic --threads {threads}"));
        assert_says(&message, &["from 1 to 1024 threads"]);
    }
    assert_says(
        &refused("encrypt m --secret-key s --input x --index -1 -o y"),
        &["counted from 0"],
    );
    for useless in ["--scale 0", "--scale 0/255", "--scale 1e-300"] {
        assert_says(&refused(&format!("{compile} {useless}")), &["would be the same"]);
    }
    for useless in ["--std 0", "--std -1", "--std 1,0"] {
        assert_says(&refused(&format!("{compile} {useless}")), &["above 0"]);
    }

    let value: serde_json::Value =
        serde_json::from_str(&refused(&format!("{verify} --count 0 --json"))).unwrap();
    assert_eq!(value["error"]["code"], "pic::usage");
    assert_says(value["error"]["message"].as_str().unwrap(), &["--count", "at least 1"]);
    assert!(succeed(&folder, "verify --help --json").stdout.contains("Usage"));

    let mut many = command(&folder);
    many.env("RAYON_NUM_THREADS", "100000").args(["inspect", "model.pic"]);
    let run = finish(&mut many);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert_says(&run.stderr, &["at most 1024 threads"]);
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
    let folder = copies(
        "other-kind",
        &[
            "model.pic",
            "model.client",
            "model.server",
            "model.secret",
            "x.ct",
            "two.npy",
            "model.keys",
        ],
    );
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
        &["client's part", "`program`", "pic::artifact::part", "MODEL.pic"],
    );
    assert_says(
        &fail(&folder, "run model.client --evaluation-keys model.keys --input x.ct -o z.ct"),
        &["client's part", "pic::artifact::part", "server's part"],
    );
    assert_says(
        &fail(&folder, "verify model.server --input two.npy"),
        &["server's part", "`model`", "pic::artifact::part", "MODEL.pic"],
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
