//! No output destroys a secret key, an input, or another output of the same command; who may read outputs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::command::{fail, succeed};
use super::files::{compile, copies, fresh_folder};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every output option of every command, given the secret key.
#[test]
fn no_output_replaces_a_secret_key() {
    let names = [
        "model.onnx",
        "model.pic",
        "model.client",
        "model.secret",
        "model.keys",
        "x.ct",
        "y.ct",
        "two.npy",
    ];
    let folder = copies("replacing", &names);
    let key = fs::read(folder.join("model.secret")).unwrap();
    fs::write(folder.join("other.secret"), &key).unwrap();
    symlink("other.secret", folder.join("link")).unwrap();
    let run = "run model.pic --evaluation-keys model.keys --input x.ct";
    let decrypt = "decrypt model.client --secret-key model.secret --input y.ct";
    let encrypt = "encrypt model.client --secret-key model.secret --input two.npy";
    let keygen = "keygen model.client --secret-key new --evaluation-keys";
    for target in ["other.secret", "./other.secret", "link", "model.secret"] {
        for command in [
            format!("{} -o {target}", compile("model")),
            format!("{} --client-output {target}", compile("model")),
            format!("{} --server-output {target}", compile("model")),
            format!("{keygen} {target}"),
            format!("{keygen} {target} --force"),
            format!("{encrypt} -o {target}"),
            format!("{run} -o {target}"),
            format!("{run} -o new --trace {target}"),
            format!("{decrypt} -o {target}"),
            format!("bench -o {target}"),
        ] {
            let message = fail(&folder, &command);
            for word in ["secret key", "pic::file::secret_key", "choose another name"] {
                assert!(message.contains(word), "{command}: {message}");
            }
            for name in ["model.secret", "other.secret"] {
                assert!(fs::read(folder.join(name)).unwrap() == key, "{command}");
            }
        }
    }
}

#[test]
fn keys_of_a_pair_are_two_files() {
    let folder = copies("equal-paths", &["model.client"]);
    fs::create_dir(folder.join("sub")).unwrap();
    symlink("sub", folder.join("alias")).unwrap();
    let keygen = |secret: &str, evaluation: &str| {
        let arguments = format!(
            "keygen model.client --force --secret-key {secret} --evaluation-keys {evaluation}"
        );
        let message = fail(&folder, &arguments);
        assert!(message.contains("the same file"), "{message}");
    };
    keygen("k", "k");
    keygen("k", "./k");
    keygen("sub/k", "alias/k");
    fs::write(folder.join("k"), "").unwrap();
    fs::hard_link(folder.join("k"), folder.join("hard")).unwrap();
    symlink("k", folder.join("link")).unwrap();
    keygen("k", "hard");
    keygen("link", "k");
}

/// Neither key is written where the other cannot be.
#[test]
fn keys_come_together_or_not_at_all() {
    let folder = copies("half-a-pair", &["model.client"]);
    fs::create_dir(folder.join("sub")).unwrap();
    let keygen = |secret: &str, evaluation: &str| {
        fail(
            &folder,
            &format!("keygen model.client --secret-key {secret} --evaluation-keys {evaluation}"),
        )
    };
    keygen("new", "missing/keys");
    keygen("missing/new", "keys");
    keygen("new", "sub");
    keygen("sub", "keys");
}

#[test]
fn no_output_replaces_an_input() {
    let names =
        ["model.onnx", "model.pic", "model.secret", "model.keys", "x.ct", "y.ct", "two.npy"];
    let folder = copies("inputs", &names);
    let before: Vec<_> = names.map(|name| fs::read(folder.join(name)).unwrap()).into();
    let run = "run model.pic --evaluation-keys model.keys --input x.ct";
    for command in [
        format!("{} -o model.onnx", compile("model")),
        "compile model.onnx --calibration two.npy -o new --client-output two.npy".into(),
        "keygen model.pic --secret-key new --evaluation-keys model.pic".into(),
        "keygen model.pic --secret-key model.pic --evaluation-keys new --force".into(),
        "encrypt model.pic --secret-key model.secret --input two.npy -o two.npy".into(),
        "encrypt model.pic --secret-key model.secret --input two.npy -o ./model.pic".into(),
        format!("{run} -o x.ct"),
        format!("{run} -o model.keys"),
        format!("{run} -o y.ct --trace x.ct"),
        "decrypt model.pic --secret-key model.secret --input y.ct -o y.ct".into(),
        "decrypt model.pic --secret-key model.secret --input y.ct --question x.ct -o x.ct".into(),
    ] {
        let message = fail(&folder, &command);
        for word in ["also an input", "pic::file::in_use"] {
            assert!(message.contains(word), "{command}: {message}");
        }
    }
    let message = fail(&folder, &format!("{run} -o new --trace ./new"));
    assert!(message.contains("the same file"), "{message}");
    for (name, before) in names.iter().zip(before) {
        assert!(fs::read(folder.join(name)).unwrap() == before, "{name}");
    }
}

#[test]
fn answers_and_traces_are_private() {
    let names = ["model.pic", "model.secret", "model.keys", "x.ct"];
    let folder = copies("modes", &names);
    // What others could read does not stay so.
    for name in ["y.npy", "t.json"] {
        fs::write(folder.join(name), "").unwrap();
        fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o644)).unwrap();
    }
    succeed(
        &folder,
        "run model.pic --evaluation-keys model.keys --input x.ct -o y.ct --trace t.json",
    );
    succeed(&folder, "decrypt model.pic --secret-key model.secret --input y.ct -o y.npy");
    assert_eq!(mode(&folder.join("y.npy")), 0o600);
    assert_eq!(mode(&folder.join("t.json")), 0o600);
    // As the mask of the process says, which is that of this one, too.
    let plain = fresh_folder("mask").join("plain");
    fs::write(&plain, "").unwrap();
    assert_eq!(mode(&folder.join("y.ct")), mode(&plain));
}
