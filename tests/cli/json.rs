//! The keys of `--json` that scripts rely on, and what the numbers say of each other.

use std::path::Path;

use serde_json::Value;

use super::command::{COMMANDS, json, pic, succeed};
use super::files::{compile, copies, examples, fresh_folder, shared};

const SUMMARY: [&str; 13] = [
    "log_n",
    "log_qp",
    "security_bits",
    "secret",
    "rotations",
    "levels",
    "activations",
    "predicted",
    "program_hash",
    "input",
    "input_range",
    "output_range",
    "calibration_samples",
];

#[track_caller]
fn assert_keys(value: &Value, keys: &[&str]) {
    let object = value.as_object().expect("an object");
    for key in keys {
        assert!(object.contains_key(*key), "no `{key}` in {value:#}");
    }
}

#[test]
fn compile_and_inspect_say_the_same() {
    let printed = std::fs::read_to_string(shared().join("other.json")).unwrap();
    let compiled: Value = serde_json::from_str(&printed).unwrap();
    let inspected = json(shared(), "inspect other.pic");
    for value in [&compiled, &inspected] {
        assert_keys(value, &SUMMARY);
        assert_keys(
            &value["predicted"],
            &[
                "seconds",
                "kernels",
                "threads",
                "measured_factor",
                "target",
                "target_seconds",
                "peak_bytes",
                "memory",
                "precision_bits",
                "fidelity",
            ],
        );
        let memory = value["predicted"]["memory"].as_object().unwrap();
        for part in ["key", "diagonal", "matrix", "ciphertext", "workspace"] {
            assert!(memory.contains_key(&format!("{part}_bytes")), "{part}");
        }
        let sum: u64 = memory.values().map(|bytes| bytes.as_u64().unwrap()).sum();
        assert_eq!(value["predicted"]["peak_bytes"], sum);
        for layer in value["activations"].as_array().unwrap() {
            assert_keys(layer, &["name", "kind", "degree", "depth", "range", "r", "level"]);
            assert_eq!(layer["kind"], "sigmoid");
        }
    }
    for key in SUMMARY {
        assert_eq!(compiled[key], inspected[key], "{key}");
    }
    assert_eq!(inspected["security_bits"], 128);
    for (file, part, line) in [
        ("other.pic", "complete", "the complete model"),
        ("other.server", "server", "the part for servers"),
        ("other.client", "client", "the part for clients"),
    ] {
        assert_eq!(json(shared(), &format!("inspect {file}"))["part"], part);
        let text = succeed(shared(), &format!("inspect {file}")).stdout;
        assert!(text.lines().any(|l| l.starts_with("file ") && l.contains(line)), "{text}");
    }
    let text = succeed(shared(), "inspect other.pic").stdout;
    assert!(
        text.contains("stretch") && succeed(shared(), "inspect --help").stdout.contains("stretch")
    );
    assert_eq!(inspected["activations"].as_array().unwrap().len(), 2);
}

#[test]
fn compiling_again_gives_the_same_program() {
    let folder = copies("again", &["other.onnx"]);
    let program = succeed(&folder, &format!("{} --emit program", compile("other"))).stdout;
    assert!(program.contains("polynomial(degree"), "{program}");
    let hash = |folder: &Path| json(folder, "inspect other.pic")["program_hash"].clone();
    assert_eq!(hash(&folder), hash(shared()));
}

#[test]
fn files_for_clients_hold_no_weights() {
    let value = json(shared(), "inspect model.client");
    assert_keys(&value, &SUMMARY);
    assert_eq!(value["activations"], Value::Null);
    let hash = |name: &str| json(shared(), &format!("inspect {name}"))["program_hash"].clone();
    assert_eq!(hash("model.client"), hash("model.pic"));
    assert_ne!(hash("model.pic"), hash("other.pic"));
}

#[test]
fn simulate_and_verify_compare_with_the_plain_network() {
    let common = [
        "samples",
        "accuracy",
        "plain_accuracy",
        "agreement",
        "max_error",
        "unreliable",
        "refused",
        "unusual",
        "out_of_range",
    ];
    let simulated = json(
        shared(),
        &format!(
            "simulate model.pic --input {0}/test_x.npy --labels {0}/test_y.npy",
            examples().display()
        ),
    );
    assert_keys(&simulated, &common);
    assert_eq!(simulated["samples"], 360);
    // As the training script measured with ONNX Runtime: 355 of 360.
    assert_eq!(simulated["plain_accuracy"], 355.0 / 360.0);
    let count = |key: &str| (simulated[key].as_f64().unwrap() * 360.0).round() as i64;
    let (drop, differ) = (count("plain_accuracy") - count("accuracy"), 360 - count("agreement"));
    assert!(drop.abs() <= differ && differ < 18, "{simulated:#}");

    let unlabelled = json(shared(), "simulate model.pic --input two.npy");
    assert_eq!((&unlabelled["accuracy"], &unlabelled["samples"]), (&Value::Null, &2.into()));

    let verified = json(shared(), "verify model.pic --input two.npy --count 1");
    assert_keys(&verified, &common);
    assert_keys(
        &verified,
        &[
            "predicted",
            "seconds_per_sample",
            "warm_seconds",
            "keygen_seconds",
            "peak_bytes",
            "predicted_precision_bits",
            "measured_precision_bits",
        ],
    );
    assert_eq!(verified["samples"], 1);
    let layers = verified["layers"].as_array().unwrap();
    for layer in layers {
        assert_keys(layer, &["name", "kind", "seconds", "level_in", "level_out"]);
    }
    // Layers are nearly all of a run's time.
    let sum: f64 = layers.iter().map(|l| l["seconds"].as_f64().unwrap()).sum();
    let total = verified["seconds_per_sample"].as_f64().unwrap();
    assert!(sum <= total && sum > 0.5 * total, "{sum} of {total}");
    let bits = |key: &str| verified[key].as_f64().unwrap();
    let (predicted, measured) = (bits("predicted_precision_bits"), bits("measured_precision_bits"));
    assert!(measured > predicted - 2.0, "{measured} bits, {predicted} were predicted");
}

#[test]
fn client_and_server_report() {
    let folder =
        copies("json-run", &["model.pic", "model.keys", "x.ct", "model.secret", "two.npy"]);
    let keys = json(&folder, "keygen model.pic --secret-key s --evaluation-keys e");
    assert_keys(&keys, &["program_hash", "key_bytes", "seconds"]);
    let encrypted = json(&folder, "encrypt model.pic --secret-key s --input two.npy -o z.ct");
    assert_eq!(encrypted["samples"], 2);
    let run = json(&folder, "run model.pic --evaluation-keys model.keys --input x.ct -o y.ct");
    assert_keys(&run, &["samples", "predicted", "seconds", "peak_bytes", "operations"]);
    assert_eq!((&run["samples"], &run["layers"]), (&2.into(), &Value::Null));
    let decrypted = json(&folder, "decrypt model.pic --secret-key model.secret --input y.ct");
    assert_keys(&decrypted, &["outputs", "top", "reliable"]);
    assert_eq!(decrypted["reliable"], serde_json::json!([true, true]));
    assert_eq!(decrypted["outputs"][1].as_array().unwrap().len(), 10);
}

#[test]
fn run_accounts_for_its_time() {
    let folder = copies("account", &["model.pic", "model.keys", "x.ct"]);
    let arguments = "run model.pic --evaluation-keys model.keys --input x.ct -o y.ct";
    let run = json(&folder, &format!("{arguments} --layers"));
    let (layers, operations) =
        (run["layers"].as_array().unwrap(), run["operations"].as_array().unwrap());
    let sum = |values: &[&Value], key: &str| -> f64 {
        values.iter().map(|v| v[key].as_f64().unwrap()).sum()
    };
    // Every value of the program but its input, under its own kind.
    let counts = &json(&folder, "inspect model.pic")["operations"];
    for (kind, key) in [
        ("linear", "linear"),
        ("polynomial", "polynomials"),
        ("product", "products"),
        ("bootstrap", "bootstraps"),
    ] {
        let of_kind: Vec<&Value> = layers.iter().filter(|l| l["kind"] == kind).collect();
        assert_eq!(counts[key], of_kind.len(), "{kind}");
        let operation = operations.iter().find(|o| o["kind"] == kind);
        assert_eq!(operation.is_some(), !of_kind.is_empty(), "{kind}");
        let Some(operation) = operation else { continue };
        assert_eq!(operation["count"], of_kind.len());
        for key in ["level_in", "level_out"] {
            let total = operation[key].as_f64().unwrap() * of_kind.len() as f64;
            assert!((total - sum(&of_kind, key)).abs() < 1e-9, "{kind} {key}");
        }
        assert!((operation["seconds"].as_f64().unwrap() - sum(&of_kind, "seconds")).abs() < 1e-9);
    }
    let shares = sum(&operations.iter().collect::<Vec<_>>(), "share");
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    let (seconds, total) = (
        2.0 * sum(&layers.iter().collect::<Vec<_>>(), "seconds"),
        run["seconds"].as_f64().unwrap(),
    );
    assert!(seconds <= total && seconds > 0.5 * total, "{seconds} of {total}");

    let name = layers[0]["name"].as_str().unwrap();
    let short = succeed(&folder, arguments).stdout;
    let long = succeed(&folder, &format!("{arguments} --layers")).stdout;
    assert!(short.contains("mean level in") && !short.contains(name), "{short}");
    assert!(long.contains("mean level in") && long.contains(name), "{long}");
}

#[test]
fn goals_change_the_choice() {
    let printed = std::fs::read_to_string(shared().join("model.json")).unwrap();
    let default: Value = serde_json::from_str(&printed).unwrap();
    let front = default["front"].as_array().unwrap();
    let of = |point: &Value, key: &str| point[key].as_f64().unwrap();
    for pair in front.windows(2) {
        assert!(of(&pair[0], "seconds") < of(&pair[1], "seconds"));
        assert!(of(&pair[0], "loss") > of(&pair[1], "loss"));
    }
    assert!(default["uniform"].is_array());

    let folder = copies("goals", &["model.onnx"]);
    let seconds = |value: &Value| value["predicted"]["seconds"].as_f64().unwrap();
    let compiled = |goal: &str, product: &str| {
        let arguments = format!("{} {goal} --emit {product}", compile("model"));
        assert!(succeed(&folder, &arguments).stdout.contains("Relu"), "{product}");
        json(&folder, "inspect model.pic")
    };
    let loose = compiled("--max-accuracy-drop 50%", "activations");
    assert!(seconds(&loose) <= seconds(&default));
    // With time to spare and no word on accuracy, the most accurate program within the budget.
    let budget = 3.0 * seconds(&default);
    let slow = compiled(&format!("--latency-budget {budget}"), "plan");
    assert!(seconds(&slow) <= budget && seconds(&slow) > seconds(&default));
}

#[test]
fn methods_are_compared_encrypted_and_simulated() {
    let folder = copies("compare", &["model.onnx"]);
    let arguments = compile("model").replace("compile", "compare");
    let test = examples().join("test_x.npy").display().to_string();
    let labels = examples().join("test_y.npy").display().to_string();
    let found = json(
        &folder,
        &format!(
            "{arguments} --input {test} --input-labels {labels} --encrypted 1 --methods joint,uniform"
        ),
    );
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, method) in rows.iter().zip(["joint", "uniform"]) {
        assert_eq!(row["method"], method);
        assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["precision_bits"].as_f64().unwrap() > 5.0, "{row}");
        let drop = row["plain_accuracy"].as_f64().unwrap() - row["accuracy"].as_f64().unwrap();
        // Half a point is expected, and 360 images tell it to ± 0.37.
        assert!(drop <= 0.0125, "{row}");
    }
}

#[test]
fn bench_writes_a_cost_model_that_compile_reads() {
    let folder = copies("bench", &["other.onnx"]);
    let report =
        json(&folder, "bench --log-n 13 --budget 1ms --only operations --output cost.json");
    assert_keys(&report, &["kernels", "threads", "figures", "bootstraps", "cost_model", "speed"]);
    check_figures(&report, "operations");
    let written = std::fs::read(folder.join("cost.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written, report["cost_model"]);
    let arguments = format!("{} --cost cost.json --emit profile", compile("other"));
    assert!(succeed(&folder, &arguments).stdout.contains("profile over"));
}

#[test]
fn bench_measures_what_is_asked_for_alone() {
    let report = json(&fresh_folder("kernels"), "bench --log-n 15 --budget 1ms --only kernels");
    check_figures(&report, "kernels");
    assert!(report["cost_model"].is_null() && report["bootstraps"].as_array().unwrap().is_empty());
    let transform = &report["figures"][0];
    // Not all kernels have targets.
    if let Some(most) = transform["target"]["one_thread_seconds"].as_f64() {
        assert_eq!(transform["met"], transform["one_thread_seconds"].as_f64().unwrap() <= most);
    }
}

fn check_figures(report: &Value, part: &str) {
    let figures = report["figures"].as_array().unwrap();
    assert!(!figures.is_empty());
    for figure in figures {
        assert_keys(
            figure,
            &[
                "part",
                "what",
                "log_n",
                "limbs",
                "one_thread_seconds",
                "all_threads_seconds",
                "target",
                "met",
                "peak_bytes",
            ],
        );
        assert_eq!(figure["part"], part);
        assert!(figure["one_thread_seconds"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn every_command_explains_itself() {
    let folder = fresh_folder("help");
    for command in COMMANDS {
        let help = succeed(&folder, &format!("{command} --help")).stdout;
        assert!(help.contains("Example:") && help.contains(&format!("pic {command}")), "{help}");
    }
    assert_eq!(pic(&folder, ["compile"]).code, Some(2));
    assert_eq!(pic(&folder, ["unknown"]).code, Some(2));
}
