//! `pic compile --timing` and `--dump-after`: what the passes take and make.

use pic_compiler::pass::Pass;

use super::command::{json, pic, succeed};
use super::files::{examples, fresh_folder};

fn compile(options: &str) -> String {
    let folder = examples();
    let folder = folder.display();
    format!(
        "compile {folder}/mlp_sigmoid.onnx --calibration {folder}/calibration_x.npy -o m.pic {options}"
    )
}

#[test]
fn every_pass_is_timed() {
    let folder = fresh_folder("timing");
    let report = json(&folder, &compile("--timing --range-check"));
    let names = |name: &str| report["timing"].as_array().unwrap().iter().any(|t| t["pass"] == name);
    // Compositions are for what single polynomials are not accurate enough for.
    for pass in Pass::ALL.into_iter().filter(|&pass| pass != Pass::Compose) {
        assert!(names(pass.name()), "{pass} in {:#}", report["timing"]);
    }
    let text = succeed(&folder, &compile("--timing")).stdout;
    assert!(text.contains("all passes") && text.contains("canonicalize"), "{text}");
}

#[test]
fn products_of_passes_are_printed() {
    let folder = fresh_folder("dump");
    let run = succeed(&folder, &compile("--dump-after isolate,lower"));
    let (isolated, lowered) = run.stderr.split_once("== lower\n").unwrap();
    assert!(isolated.contains("== isolate\n%0: [1, 8, 8] = input"), "{isolated}");
    assert!(isolated.contains(" = sigmoid %") && !isolated.contains("polynomial"), "{isolated}");
    assert!(
        lowered.contains(" = polynomial(degree ") && !lowered.contains("sigmoid %"),
        "{lowered}"
    );
    let refused = pic(&folder, compile("--dump-after fold").split_whitespace());
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("there is no pass `fold`"), "{}", refused.stderr);
}
