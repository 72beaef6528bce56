//! Answers that others may see.

use std::fs;

use serde_json::Value;

use super::command::{fail, json, pic, succeed};
use super::files::{compile, copies, shared};

#[test]
fn top_shows_classes_and_no_values() {
    let decrypt = "decrypt model.client --secret-key model.secret --input y.ct";
    let all = json(shared(), decrypt);
    let top = json(shared(), &format!("{decrypt} --top 2"));
    assert!(top.get("outputs").is_none(), "{top}");
    for sample in 0..2 {
        let outputs: Vec<f64> = serde_json::from_value(all["outputs"][sample].clone()).unwrap();
        let mut order: Vec<usize> = (0..10).collect();
        order.sort_by(|&a, &b| outputs[b].total_cmp(&outputs[a]));
        assert_eq!(top["classes"][sample], serde_json::json!(order[..2]));
        assert_eq!(top["top"][sample], order[0]);
    }
    let text = succeed(shared(), &format!("{decrypt} --top 2")).stdout;
    assert!(!text.contains('(') && !text.contains('.'), "{text}");
    assert_eq!(pic(shared(), format!("{decrypt} --top 1 --raw").split_whitespace()).code, Some(2));
}

#[test]
fn answers_are_shared_with_noise_and_counted() {
    let folder =
        copies("sharing", &["model.onnx", "model.client", "model.secret", "y.ct", "two.npy"]);
    let decrypt = |model: &str, answers: u64| {
        format!("decrypt {model}.client --secret-key {model}.secret --input y.ct --share {answers}")
    };
    // The model was not compiled for it.
    let refused = fail(&folder, &decrypt("model", 4));
    for word in ["too few", "pic::sharing::precision", "--shareable"] {
        assert!(refused.contains(word), "`{word}` is not in: {refused}");
    }

    let compiled = json(
        &folder,
        &format!(
            "{} -o shareable.pic --client-output shareable.client --shareable 4 \
             --failure 64 --ephemeral-weight 48",
            compile("model")
        ),
    );
    // 6 bits for the answer, 15 for statistical security and half of log2(12 · 4 · 10).
    let needed = 6.0 + 15.0 + 0.5 * 480f64.log2();
    assert!(compiled["predicted"]["precision_bits"].as_f64().unwrap() >= needed, "{compiled}");
    let notes: Vec<String> = serde_json::from_value(compiled["notes"].clone()).unwrap();
    for option in ["--failure", "--ephemeral-weight"] {
        let said = |note: &String| note.starts_with(option) && note.contains("no bootstraps");
        assert_eq!(notes.iter().filter(|note| said(note)).count(), 1, "{notes:?}");
    }
    let inspected = json(&folder, "inspect shareable.client");
    assert_eq!((&inspected["part"], &compiled["part"]), (&"client".into(), &"complete".into()));
    assert!(inspected["shareable_answers"].as_u64().unwrap() >= 4, "{inspected}");
    assert_eq!(inspected["shareable_answers"], compiled["shareable_answers"]);
    assert_eq!(json(&folder, "inspect model.client")["shareable_answers"], 0);
    succeed(
        &folder,
        "keygen shareable.client --secret-key shareable.secret --evaluation-keys keys",
    );
    succeed(
        &folder,
        "encrypt shareable.client --secret-key shareable.secret --input two.npy -o x.ct",
    );
    succeed(&folder, "run shareable.pic --evaluation-keys keys --input x.ct -o y.ct");
    let exact =
        json(&folder, "decrypt shareable.client --secret-key shareable.secret --input y.ct");
    let share = decrypt("shareable", 4);
    let first = json(&folder, &share);
    assert_eq!(first["shared"], serde_json::json!({ "answers": 2, "limit": 4, "remaining": 2 }));
    let second = json(&folder, &share);
    assert_eq!(second["shared"]["remaining"], 0);
    assert!(exact.get("shared").is_none(), "{exact}");
    assert_ne!(first["outputs"], second["outputs"], "the noise is fresh");
    assert_eq!((&first["top"], &second["top"]), (&exact["top"], &exact["top"]));
    let error = |value: &Value| {
        let values = |v: &Value| {
            serde_json::from_value::<Vec<Vec<f64>>>(v["outputs"].clone()).unwrap().concat()
        };
        let pairs = values(value).into_iter().zip(values(&exact)).collect::<Vec<_>>();
        (pairs.iter().map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / pairs.len() as f64).sqrt()
    };
    // Larger by far than the rounding of exact answers, and the answers are still of use.
    assert!(error(&first) > 0.01 && error(&first) < 2.0, "{}", error(&first));

    // Two answers each: the limit is reached.
    let refused = fail(&folder, &share);
    for word in ["4 answers", "limit of 4", "pic::sharing::limit", "pic keygen"] {
        assert!(refused.contains(word), "`{word}` is not in: {refused}");
    }
    let names =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        names.filter(|n| n.starts_with("shareable.secret.") && n.ends_with(".shared")).count(),
        1
    );
}
