//! Ends of networks that the client computes: its outputs are those that ONNX Runtime gives for the whole file, while
//! classes, precision and what is shared stay those of the logits.

use std::path::PathBuf;

use pic::data::Samples;
use pic::evaluation::{TestSet, simulate, verify};
use pic::{Artifact, Client, Compiler, EncryptedOutput, Options, Server, Task};
use pic_compiler::dataset::prediction;
use pic_compiler::frontend::import_path;
use pic_ir::postprocessing::Step;
use pic_runtime::sharing::precision_needed;

/// A file of the corpus, which has the outputs of ONNX Runtime.
fn file(name: &str, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    folder.join(format!("{name}.{extension}"))
}

/// The input of a file, and a few others of that size.
fn samples(name: &str) -> Vec<Vec<f32>> {
    let network = import_path(file(name, "onnx")).unwrap().network;
    let shape = &network.graph[network.input()].shape;
    let given: Vec<Vec<f32>> =
        Samples::read(file(name, "x.npy"), shape).unwrap().iter().map(<[f32]>::to_vec).collect();
    let len = given[0].len();
    let other = |k: usize| (0..len).map(|i| ((k * 37 + i * 11) % 29) as f32 / 7.0 - 2.0).collect();
    given.into_iter().chain((1..60).map(other)).collect()
}

fn compile(name: &str, options: Options) -> Artifact {
    let compiler = Compiler::from_onnx(file(name, "onnx")).unwrap().options(options);
    compiler.calibration(samples(name)).compile().unwrap()
}

/// The client, and the encrypted answer to the input of the file.
fn ask(artifact: &Artifact, name: &str) -> (Client, EncryptedOutput) {
    let client = Client::generate(&artifact.client_only().unwrap()).unwrap();
    let keys = client.make_evaluation_keys().unwrap();
    let server = Server::new(&artifact.server_only().unwrap(), keys).unwrap();
    let question = client.encrypt(&samples(name)[..1]).unwrap();
    let answer = server.run(&question).unwrap();
    (client, answer)
}

#[test]
fn outputs_are_those_of_the_whole_file() {
    for (name, tolerance) in [
        ("final_softmax", 1e-2),
        ("final_softmax_opset_7", 1e-2),
        ("final_softmax_of_network", 2e-2),
        ("final_softmax_of_sigmoid", 1e-2),
        ("final_softmax_of_one_class", 1e-2),
        ("final_log_softmax", 3e-2),
        ("final_sigmoid_of_network", 2e-2),
        ("final_clip_of_network", 1e-2),
        ("final_top_k", 1e-2),
        ("final_arg_max_squeezed", 0.0),
        ("final_arg_min", 0.0),
        ("final_softmax_arg_max", 0.0),
    ] {
        // Closely, whatever its outputs are.
        let options =
            Options { task: Some(Task::Regression), max_error: Some(0.002), ..Options::default() };
        let artifact = compile(name, options);
        let (client, answer) = ask(&artifact, name);
        let info = client.info();
        assert!(!info.postprocessing.is_identity(), "{name}");
        let shape = info.outputs_shape().unwrap();
        let expected = Samples::read(file(name, "y.npy"), &shape).unwrap();
        let answer = client.decrypt(&answer).unwrap().remove(0);
        assert!(answer.reliable, "{name}");
        assert_eq!(answer.class(), Some(prediction(&answer.logits)), "{name}");
        assert_eq!(answer.outputs.len(), shape.iter().product::<usize>(), "{name}");
        let expected = expected.iter().next().unwrap();
        for (found, expected) in answer.outputs.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance, "{name}: {found} is not {expected}");
        }
    }
}

/// They keep the order, so that a polynomial for them would only cost.
#[test]
fn final_activations_are_not_encrypted() {
    for (name, functions) in [
        ("final_sigmoid_of_network", &["sigmoid"][..]),
        ("final_clip_of_network", &["clip(0, 0.5)"]),
    ] {
        let artifact = compile(name, Options::default());
        let (info, model) = (artifact.client().unwrap(), artifact.model().unwrap());
        assert_eq!(model.activations.layers.len(), 1, "{name}: the tanh");
        let found = info.postprocessing.steps.iter().map(Step::to_string);
        assert_eq!(found.collect::<Vec<_>>(), functions, "{name}");
    }
}

/// What programs are compared by does not see postprocessing.
#[test]
fn logits_are_what_is_compared() {
    let name = "final_arg_max_squeezed";
    let artifact = compile(name, Options::default());
    let samples = samples(name);
    let test = TestSet::new(&samples, None).unwrap();
    let simulated = simulate(&artifact, test, Some(0), &()).unwrap();
    let verified = verify(&artifact, test.first(1.try_into().unwrap()), &()).unwrap();
    for comparison in [&simulated.comparison, &verified.comparison] {
        assert_eq!((comparison.agreement, comparison.unreliable), (Some(1.0), 0));
        assert!(comparison.max_error < 0.01, "{comparison:?}");
    }
    assert!(verified.measured_precision_bits.unwrap() > verified.predicted.precision_bits - 2.0);
}

#[test]
fn what_is_shared_is_computed_from_hidden_logits() {
    let (name, queries) = ("final_softmax_of_network", 2);
    let min_precision_bits = precision_needed(queries, 4) + 4.0;
    let artifact = compile(name, Options { min_precision_bits, ..Options::default() });
    let (client, answer) = ask(&artifact, name);
    let folder = tempfile::tempdir().unwrap();
    let counter = client.shared_answers(&folder.path().join("secret.key"));
    let shared = client.decrypt_for_sharing(&answer, queries, &counter).unwrap().remove(0);
    let exact = client.decrypt_raw(&answer).unwrap().remove(0);
    let info = client.info();
    // The noise is far larger than the scheme's error, and what remains of the logits is a multiple of a power of two.
    let differ = shared
        .logits
        .iter()
        .zip(&exact.logits)
        .filter(|(a, b)| (f64::from(*a - *b)).abs() > 100.0 * info.output_deviation());
    assert!(differ.count() >= 2, "{:?} {:?}", shared.logits, exact.logits);
    let least = 2f32.powi((info.output_deviation() * 1000.0).log2().floor() as i32);
    assert!(shared.logits.iter().all(|v| (v / least).fract() == 0.0), "{:?}", shared.logits);
    let expected = info.postprocessing.apply(&info.output.shape, &shared.logits);
    assert_eq!(shared.outputs, expected);
    assert!((shared.outputs.iter().sum::<f32>() - 1.0).abs() < 1e-6);
}
