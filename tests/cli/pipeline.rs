//! The whole path: model owner, client and server in folders of their own.

use std::fs;

use pic::Artifact;
use pic_compiler::dataset::prediction;
use pic_compiler::reference::Reference;
use pic_runtime::clear::Clear;

use super::command::{fail, json, pic, succeed};
use super::files::{copies, examples, fresh_folder, images, npy, shared};

#[test]
fn separate_processes_meet_only_in_files() {
    let (client, server) =
        (copies("client", &["model.client"]), copies("server", &["model.server"]));
    fs::copy(examples().join("test_x.npy"), client.join("x.npy")).unwrap();
    succeed(&client, "keygen model.client --secret-key secret --evaluation-keys keys");
    succeed(&client, "encrypt model.client --secret-key secret --input x.npy --index 3 -o x.ct");

    // The server gets three files; the network and the secret key are out of reach.
    for name in ["keys", "x.ct"] {
        fs::rename(client.join(name), server.join(name)).unwrap();
    }
    let secret = fs::read(client.join("secret")).unwrap();
    fs::remove_file(client.join("secret")).unwrap();
    succeed(&server, "run model.server --evaluation-keys keys --input x.ct -o y.ct --trace t.json");

    fs::write(client.join("secret"), secret).unwrap();
    fs::rename(server.join("y.ct"), client.join("y.ct")).unwrap();
    let decrypted = json(&client, "decrypt model.client --secret-key secret --input y.ct -o y.npy");

    // The answer is that of the original file.
    let sample = images(&fs::read(client.join("x.npy")).unwrap())[3].clone();
    let onnx = fs::read(examples().join("cnn_relu.onnx")).unwrap();
    let plain = Reference::new(&onnx).unwrap().run(&sample).unwrap();
    assert_eq!(decrypted["top"][0], prediction(&plain));
    let trace = fs::read_to_string(server.join("t.json")).unwrap();
    assert!(trace.contains("traceEvents"));
    // And the file holds the very outputs that were printed.
    let printed: Vec<f32> = serde_json::from_value(decrypted["outputs"][0].clone()).unwrap();
    assert_eq!(fs::read(client.join("y.npy")).unwrap()[128..], npy(&[10], &printed)[128..]);
}

/// Encryption adds no more error than the compiler predicted: the program in the clear gives the same
/// outputs to eight standard deviations.
#[test]
fn decrypted_outputs_are_those_of_the_program() {
    let folder = shared();
    let decrypted = json(folder, "decrypt model.client --secret-key model.secret --input y.ct");
    let program = Artifact::open(&folder.join("model.pic")).unwrap().program().unwrap();
    let samples = images(&fs::read(examples().join("test_x.npy")).unwrap());
    let exact = Clear::new(&program).run(&samples[..2], None).unwrap().outputs;
    let bound =
        8.0 * program.output_value().half_width * (-program.predicted.precision_bits).exp2();
    for (sample, expected) in exact.iter().enumerate() {
        for (class, &expected) in expected.iter().enumerate() {
            let found = decrypted["outputs"][sample][class].as_f64().unwrap();
            let error = (found - f64::from(expected)).abs();
            assert!(error < bound, "{found} is not {expected} within {bound}");
        }
    }
}

#[test]
fn demo_shows_the_right_answer() {
    let folder = fresh_folder("demo");
    let run = succeed(&folder, "demo");
    for word in ["█", "answer", "plain network", "largest error", "peak memory"] {
        assert!(run.stdout.contains(word), "{word} is not in\n{}", run.stdout);
    }
    assert!(run.stdout.contains("7 (plain network 7, label 7)"), "{}", run.stdout);
    assert!(fail(&folder, "demo --index 1000").contains("no sample 1000"));
}

#[test]
fn preprocessing_is_kept_in_the_artifact() {
    // The same images in units of 1/8, given to a model compiled with --scale 8.
    let folder = copies("preprocessing", &["model.onnx"]);
    let read = |name: &str| images(&fs::read(examples().join(name)).unwrap());
    let eighths = |images: &[Vec<f32>]| {
        let values: Vec<f32> = images.concat().iter().map(|v| v / 8.0).collect();
        npy(&[images.len(), 1, 8, 8], &values)
    };
    fs::write(folder.join("x.npy"), eighths(&read("calibration_x.npy"))).unwrap();
    fs::write(folder.join("test.npy"), eighths(&read("test_x.npy")[..60])).unwrap();
    let compile = "compile model.onnx --calibration x.npy --scale 8 --emit network";
    assert!(succeed(&folder, compile).stdout.contains("relu"));
    let simulated = json(&folder, "simulate model.pic --input test.npy");
    assert!(simulated["agreement"].as_f64().unwrap() > 0.95, "{simulated}");
    // Images in the units of the ONNX file are eight times too large.
    let images = examples().join("test_x.npy").display().to_string();
    let raw = pic(&folder, ["simulate", "model.pic", "--json", "--input", &images]);
    assert!(raw.stderr.contains("outside the range"), "{raw:#?}");
    let raw: serde_json::Value = serde_json::from_str(&raw.stdout).unwrap();
    assert!(raw["agreement"].as_f64() < simulated["agreement"].as_f64(), "{raw}");
}

#[test]
fn build_scripts_run_the_command() {
    let folder = fresh_folder("build-script");
    let model = pic::build::Model::new(examples().join("mlp_sigmoid.onnx"))
        .calibration(examples().join("calibration_x.npy"))
        .labels(examples().join("calibration_y.npy"))
        .command(env!("CARGO_BIN_EXE_pic"))
        .folder(&folder);
    let artifact = Artifact::open(&model.compile().unwrap()).unwrap();
    let same = Artifact::open(&shared().join("other.pic")).unwrap();
    assert_eq!(artifact.program_hash(), same.program_hash());

    let refused = model.option("--security", "1").compile().unwrap_err();
    assert!(refused.to_string().contains("128, 192 or 256"), "{refused}");
}
