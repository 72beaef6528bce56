//! What programs are priced for, how fast this machine is, and what follows for what is printed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::command::{Run, command, fail, finish, json, pic, succeed};
use super::files::{compile, copies, fresh_folder, shared};

#[test]
fn the_same_target_gives_the_same_bytes() {
    let folder = copies("same-target", &["other.onnx"]);
    let compiled = |output: &str, options: &str, kernels: Option<&str>| {
        let arguments = format!("{} {options} -o {output}", compile("other"));
        let mut command = command(&folder);
        command.args(arguments.split_whitespace()).env_remove("PIC_KERNELS");
        command.envs(kernels.map(|kernels| ("PIC_KERNELS", kernels)));
        let run = finish(&mut command);
        assert_eq!(run.code, Some(0), "{run:#?}");
        fs::read(folder.join(output)).unwrap()
    };
    let here = compiled("a.pic", "--target ifma:2", None);
    assert_eq!(here, compiled("b.pic", "--target ifma", Some("portable")));
    assert_eq!(here, compiled("c.pic", "--target ifma:2 --threads 1", None));
    assert_ne!(here, compiled("d.pic", "--target portable:4", None));

    let predicted = |name: &str| json(&folder, &format!("inspect {name}"))["predicted"].clone();
    let (ifma, portable) = (predicted("a.pic"), predicted("d.pic"));
    assert_eq!((&ifma["target"], &portable["target"]), (&"ifma:2".into(), &"portable:4".into()));
    let seconds = |value: &Value| value["target_seconds"].as_f64().unwrap();
    assert!(seconds(&ifma) < seconds(&portable));
    let text = succeed(&folder, "inspect d.pic").stdout;
    assert!(text.contains("of memory") && text.contains(" keys, "), "{text}");
}

#[test]
fn without_a_target_it_is_this_machine() {
    let predicted = &json(shared(), "inspect model.pic")["predicted"];
    let here = format!("{}:{}", predicted["kernels"].as_str().unwrap(), predicted["threads"]);
    assert_eq!(predicted["target"], here);
    assert_eq!(predicted["seconds"], predicted["target_seconds"]);
    assert_eq!(predicted["measured_factor"], Value::Null);
    // Another number of threads: another forecast for the same program.
    let alone = &json(shared(), "inspect model.pic --threads 1")["predicted"];
    assert_eq!((&alone["threads"], &alone["target"]), (&1.into(), &predicted["target"]));
    if predicted["threads"] != 1 {
        assert!(alone["seconds"].as_f64() > predicted["seconds"].as_f64());
        let text = succeed(shared(), "inspect model.pic --threads 1").stdout;
        assert!(text.contains("for which it was compiled"), "{text}");
    }
}

#[test]
fn what_is_no_target_is_refused() {
    let folder = copies("bad-target", &["model.onnx"]);
    let compiled = |target: &str| {
        let arguments = format!("{} --target {target}", compile("model"));
        let run = pic(&folder, arguments.split_whitespace());
        assert_eq!(run.code, Some(2), "{run:#?}");
        run.stderr
    };
    for target in ["avx", "avx:2", ":2", "IFMA"] {
        let message = compiled(target);
        assert!(message.contains("ifma, fma512, fma256 and portable"), "{message}");
    }
    for target in ["ifma:0", "ifma:", "ifma:many", "ifma:99999"] {
        let message = compiled(target);
        assert!(message.contains("from 1 to 1024"), "{message}");
    }
    assert!(compiled("ifma --cost cost.json").contains("cannot be used with"));
}

#[test]
fn prices_of_no_machine_are_refused() {
    let folder = copies("bad-cost", &["model.onnx"]);
    let good = r#"{"target":"fma256:4","prices":{"transform":1e-10,"multiplication":1e-10,"conversion":1e-10,"word":1e-10},"speedup":2.0}"#;
    for bad in [
        "{}".into(),
        good.replace("fma256:4", "fma256:0"),
        good.replace("2.0", "0.0"),
        good.replace("1e-10,\"word", "-1,\"word"),
    ] {
        fs::write(folder.join("cost.json"), &bad).unwrap();
        let message = fail(&folder, &format!("{} --cost cost.json", compile("model")));
        assert!(message.contains("pic::cost") && message.contains("pic bench"), "{bad}: {message}");
    }
}

/// Rows come while the benchmark runs, and an interrupted one has printed its figures.
#[test]
fn bench_prints_rows_as_they_are_measured() {
    let folder = fresh_folder("streaming");
    let mut command = command(&folder);
    let arguments = "bench --only kernels --log-n 15 --budget 100s";
    command.args(arguments.split_whitespace()).stdout(Stdio::piped());
    let mut child = command.env("RUST_BACKTRACE", "0").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let (kernels, heading) = (next(), next());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(kernels.contains(" kernels, ") && kernels.contains(" threads"), "{kernels}");
    assert!(heading.contains("log N") && heading.contains("1 thread"), "{heading}");

    let finished = succeed(&folder, "bench --only kernels --log-n 15 --budget 1ms").stdout;
    let widths: Vec<usize> = finished.lines().skip(1).map(|line| line.chars().count()).collect();
    assert!(widths.len() > 8 && widths[..9].iter().all(|&w| w == widths[0]), "{finished}");
}

#[test]
fn a_measured_factor_scales_forecasts_and_nothing_else() {
    let folder = copies("measured", &["model.pic", "other.onnx"]);
    let forecast = || json(&folder, "inspect model.pic")["predicted"].clone();
    let before = forecast();
    let file = folder.join(format!("pic/speed-{}.json", before["kernels"].as_str().unwrap()));
    let speed = json(&folder, "bench --quick --budget 1ms")["speed"].clone();
    let kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept, speed);

    // A machine three times as slow as the prices that are shipped say.
    let mut slow = kept;
    slow["factor"] = 3.0.into();
    slow["threads"] = 1.into();
    slow["gain"] = 1.0.into();
    fs::write(&file, slow.to_string()).unwrap();
    let after = forecast();
    assert_eq!(after["measured_factor"], 3.0);
    assert_eq!(after["target_seconds"], before["target_seconds"]);
    let ratio = after["seconds"].as_f64().unwrap() / before["seconds"].as_f64().unwrap();
    assert!((ratio - 3.0).abs() < 1e-6, "{ratio}");
    let text = succeed(&folder, "inspect model.pic").stdout;
    assert!(text.contains("measured factor 3.00"), "{text}");
    succeed(&folder, &compile("other"));
    let hash =
        |folder, name: &str| json(folder, &format!("inspect {name}"))["program_hash"].clone();
    assert_eq!(hash(&folder, "other.pic"), hash(shared(), "other.pic"));

    // Of another version: of no use, and nobody's fault.
    slow["version"] = "0.0.0".into();
    fs::write(&file, slow.to_string()).unwrap();
    let run = succeed(&folder, "inspect model.pic");
    assert!(!run.stderr.contains("warning") && !run.stdout.contains("measured"), "{run:#?}");
    // Nonsense: ignored, with a word.
    let nonsense = [
        String::new(),
        "no JSON".into(),
        "{}".into(),
        slow.to_string().replace("\"factor\":3.0", "\"factor\":-3.0"),
        slow.to_string().replace("\"factor\":3.0", "\"factor\":1e300"),
        slow.to_string().replace("\"threads\":1", "\"threads\":0"),
        "[".repeat(1 << 20),
    ];
    for text in nonsense {
        fs::write(&file, text).unwrap();
        assert_ignored(&succeed(&folder, "inspect model.pic"));
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_ignored(&succeed(&folder, "inspect model.pic"));
}

fn assert_ignored(run: &Run) {
    assert!(run.stderr.contains("is ignored") && run.stderr.contains("--quick"), "{run:#?}");
    assert!(!run.stdout.contains("measured") && !run.stderr.contains("panicked"), "{run:#?}");
}
