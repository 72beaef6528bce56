//! Simulating and verifying by the library, without the command.

use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex};

use pic::data::{Samples, read_labels};
use pic::evaluation::{TestSet, simulate, verify};
use pic::{Answer, Artifact, Compiler, Error, Progress};

const SHAPE: [usize; 3] = [1, 8, 8];

fn file(name: &str) -> String {
    format!("{}/examples/digits/{name}", env!("CARGO_MANIFEST_DIR"))
}

static ARTIFACT: LazyLock<Artifact> = LazyLock::new(|| {
    let samples = Samples::read(file("calibration_x.npy"), &SHAPE).unwrap();
    let compiler = Compiler::from_onnx(file("mlp_sigmoid.onnx")).unwrap();
    compiler.calibration(samples.iter()).compile().unwrap()
});

/// The stages that were told.
#[derive(Default)]
struct Stages(Mutex<Vec<String>>);

impl Progress for Stages {
    fn stage(&self, name: &str, _: u64) {
        self.0.lock().unwrap().push(name.into());
    }

    fn advance(&self, _: u64) {}
}

#[test]
fn simulated_and_encrypted_answers_agree() {
    let info = ARTIFACT.client().unwrap();
    let samples = Samples::read(file("test_x.npy"), &info.input.shape).unwrap();
    let labels = read_labels(file("test_y.npy"), samples.count(), 10).unwrap();
    let samples = samples.preprocessed(&info.preprocessing).unwrap();
    let all = TestSet::new(&samples, Some(&labels)).unwrap();
    let test = all.first(NonZeroUsize::new(2).unwrap());

    let simulated = simulate(&ARTIFACT, test, None, &()).unwrap();
    let stages = Stages::default();
    let verified = verify(&ARTIFACT, test, &stages).unwrap();
    assert_eq!(*stages.0.lock().unwrap(), ["keys", "run", "compare"]);
    let classes = |answers: &[Answer]| answers.iter().map(Answer::class).collect::<Vec<_>>();
    assert_eq!(classes(&simulated.answers), classes(&verified.answers));
    assert_eq!(classes(&verified.answers), [Some(labels[0]), Some(labels[1])]);
    for comparison in [&simulated.comparison, &verified.comparison] {
        assert_eq!((comparison.samples, comparison.accuracy), (2, Some(1.0)));
        assert_eq!((comparison.refused, comparison.unreliable), (0, 0));
    }
    assert!(verified.measured_precision_bits.unwrap() > verified.predicted.precision_bits - 2.0);
    let values = ARTIFACT.program().unwrap().values.len();
    assert_eq!(verified.layers.len(), values - 1);
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let samples = [vec![0.0; 64]];
    let test = TestSet::new(&samples, None).unwrap();
    for (part, missing) in
        [(ARTIFACT.server_only().unwrap(), "model"), (ARTIFACT.client_only().unwrap(), "program")]
    {
        let simulated = simulate(&part, test, None, &()).unwrap_err();
        let verified = verify(&part, test, &()).unwrap_err();
        for error in [simulated, verified] {
            let Error::MissingPart { part } = error else { panic!("{error}") };
            assert_eq!(part, missing);
        }
    }
    let short = [vec![0.0; 63]];
    let test = TestSet::new(&short, None).unwrap();
    let simulated = simulate(&ARTIFACT, test, None, &()).unwrap_err();
    let verified = verify(&ARTIFACT, test, &()).unwrap_err();
    for error in [simulated, verified] {
        assert!(matches!(error, Error::SampleLength { found: 63, expected: 64, .. }), "{error}");
    }
}
