//! Files: round trips, roles, and what does not belong together.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ir::activations::{Activations, Approximation};
use pic_ir::function::Function;
use pic_ir::layout::Layout;
use pic_ir::matrix::Matrix;
use pic_ir::network::{self, Network};
use pic_ir::profile::Profile;
use pic_ir::program::VerifiedProgram;
use pic_runtime::artifact::CompileFacts;
use pic_runtime::container::{ContainerError, Kind};
use pic_runtime::{
    Artifact, Client, EncryptedInput, EncryptedOutput, Error, EvaluationKeyFile, Model, Server,
};
use tempfile::TempDir;

use crate::support::{Builder, Random, changed, output_error, random_program, sample, tolerance};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub fn model() -> Model {
    let mut network = Network::with_input("x", vec![3]);
    let activation = network::Node {
        name: "act".into(),
        provenance: vec!["act (Relu)".into()],
        op: network::Op::Activation(Function::Relu),
        shape: vec![3],
    };
    network.push(activation, &[network.input()]);
    let matrices = vec![Matrix::identity(3).compose(Matrix::Diagonal(vec![1.0, 2.0, 3.0]))];
    let linear = network::Node {
        name: "fc".into(),
        provenance: vec![],
        op: network::Op::Linear { matrices, bias: Some(vec![0.5; 3]) },
        shape: vec![3],
    };
    network.push(linear, &[network.output]);
    let layer = Approximation {
        name: "act".into(),
        function: Function::Relu,
        center: 0.0,
        half_width: 2.0,
        stretch: 1.0,
        coefficients: vec![0.5, 0.5, 0.25],
        error: 0.1,
        loss: 0.1,
    };
    Model {
        network,
        activations: Activations { layers: vec![layer] },
        profile: Profile { samples: 1, layers: vec![] },
        facts: CompileFacts { held_back: 97, ..CompileFacts::default() },
    }
}

#[test]
fn artifacts_keep_their_three_parts() {
    let (folder, program, model) = (Folder::new(), random_program(7, 1), model());
    let artifact = Artifact::new(&program, Some(&model)).unwrap();
    artifact.write(&folder.path("model.pic")).unwrap();
    let read = Artifact::open(&folder.path("model.pic")).unwrap().allow_insecure_parameters();
    assert_eq!(read.program_hash(), artifact.program_hash());
    assert_eq!(read.program().unwrap(), program);
    let found = read.model().unwrap();
    assert_eq!(found.activations, model.activations);
    assert_eq!(found.facts, model.facts);
    assert_eq!(found.network.to_string(), model.network.to_string());
    let client = read.client().unwrap();
    assert_eq!(client.parameters, program.parameters);
    assert_eq!(client.keys, program.keys);
    assert_eq!(client.input_encoding.layout, program.values[0].layout);
    assert_eq!(client.output_encoding.scale, program.output_value().scale);
}

#[test]
fn clients_get_no_weights() {
    let (folder, program) = (Folder::new(), random_program(7, 1));
    let artifact = Artifact::new(&program, Some(&model())).unwrap();
    artifact.write_client_only(&folder.path("client.pic")).unwrap();
    let client = Artifact::open(&folder.path("client.pic")).unwrap().allow_insecure_parameters();
    assert_eq!(client.client().unwrap(), artifact.client().unwrap());
    assert!(matches!(client.program(), Err(Error::MissingPart { part: "program" })));
    assert!(matches!(client.model(), Err(Error::MissingPart { part: "model" })));
    // Keys made with it serve the whole artifact.
    let client = Client::generate(&client).unwrap();
    Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
}

#[test]
fn servers_get_no_calibration_profile() {
    let (folder, program) = (Folder::new(), random_program(7, 1));
    let artifact = Artifact::new(&program, Some(&model())).unwrap();
    artifact.write_server_only(&folder.path("server.pic")).unwrap();
    let server = Artifact::open(&folder.path("server.pic")).unwrap().allow_insecure_parameters();
    assert_eq!(server.program_hash(), artifact.program_hash());
    assert_eq!(server.program().unwrap(), program);
    assert!(matches!(server.model(), Err(Error::MissingPart { part: "model" })));
    let keys = Client::generate(&artifact).unwrap().make_evaluation_keys().unwrap();
    Server::new(&server, keys).unwrap();
}

#[test]
fn insecure_parameters_take_an_explicit_word() {
    let (folder, program) = (Folder::new(), random_program(7, 1));
    Artifact::new(&program, None).unwrap().write(&folder.path("model.pic")).unwrap();
    let artifact = Artifact::open(&folder.path("model.pic")).unwrap();
    assert!(matches!(artifact.client(), Err(Error::Insecure(_))));
    assert!(matches!(artifact.program(), Err(Error::Insecure(_))));
    assert!(matches!(Client::generate(&artifact), Err(Error::Insecure(_))));
    assert!(artifact.allow_insecure_parameters().program().is_ok());
}

#[test]
fn secure_parameters_take_none() {
    let bits = [46.0, 30.0, 30.0];
    let parameters = Parameters::from_bits(13, &bits, &[47.0], 3, SecurityLevel::Bits128).unwrap();
    let random = &mut Random(1);
    let mut b = Builder::new(parameters, Layout::contiguous(30), 1.0);
    let matrix = random.dense(10, 30);
    b.linear(&[0], vec![matrix], None, Layout::contiguous(10), random);
    let (folder, program) = (Folder::new(), b.finish());
    Artifact::new(&program, None).unwrap().write(&folder.path("model.pic")).unwrap();
    let artifact = Artifact::open(&folder.path("model.pic")).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let sample = sample(&program, 0);
    let output = server.run(&client.encrypt(&[&sample]).unwrap()).unwrap();
    let output = client.decrypt_raw(&output).unwrap().remove(0).outputs;
    assert!(output_error(&program, &sample, &output) < tolerance(&program));
}

#[test]
fn missing_empty_and_foreign_files_are_named() {
    let folder = Folder::new();
    std::fs::write(folder.path("empty"), b"").unwrap();
    std::fs::write(folder.path("text"), b"weights: none").unwrap();
    for name in ["missing", "empty", "text", "."] {
        let error = Artifact::open(&folder.path(name)).unwrap_err();
        let Error::Read { path, source } = &error else { panic!("{error}") };
        assert_eq!(*path, folder.path(name));
        let expected = match name {
            "missing" | "." => matches!(source, ContainerError::Io(_)),
            _ => matches!(source, ContainerError::Magic),
        };
        assert!(expected, "{error}");
    }
    let nowhere = folder.path("missing").join("model.pic");
    let artifact = Artifact::new(&random_program(6, 1), None).unwrap();
    assert!(matches!(artifact.write(&nowhere), Err(Error::Write { .. })));
}

/// Every step as a process of its own would do it.
#[test]
fn the_whole_path_through_files() {
    let (folder, program) = (Folder::new(), random_program(8, 2));
    let [model, secret, keys, input, output] =
        ["model.pic", "secret", "keys", "in.ct", "out.ct"].map(|name| folder.path(name));
    Artifact::new(&program, None).unwrap().write(&model).unwrap();
    let artifact = || Artifact::open(&model).unwrap().allow_insecure_parameters();
    let samples: Vec<_> = (0..3).map(|k| sample(&program, k)).collect();
    {
        let client = Client::generate(&artifact()).unwrap();
        client.write_secret_key(&secret, false).unwrap();
        client.write_evaluation_keys(&keys).unwrap();
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
        let error = client.write_secret_key(&secret, false).unwrap_err();
        let Error::Write { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::AlreadyExists);
        client.write_secret_key(&secret, true).unwrap();
    }
    Client::open(&artifact(), &secret).unwrap().encrypt(&samples).unwrap().write(&input).unwrap();
    {
        let keys = EvaluationKeyFile::open(&keys).unwrap();
        let server = Server::new(&artifact(), keys).unwrap();
        let input = EncryptedInput::open(&input).unwrap();
        assert_eq!(input.samples(), 3);
        server.run(&input).unwrap().write(&output).unwrap();
    }
    let client = Client::open(&artifact(), &secret).unwrap();
    let outputs = client.decrypt_raw(&EncryptedOutput::open(&output).unwrap()).unwrap();
    for (sample, output) in samples.iter().zip(&outputs) {
        assert!(output_error(&program, sample, &output.outputs) < tolerance(&program));
    }
    // Each file is refused where another kind is needed.
    let kind = |error| match error {
        Error::Read { source: ContainerError::Kind { expected, found }, .. } => (expected, found),
        other => panic!("{other}"),
    };
    assert_eq!(
        kind(EncryptedOutput::open(&input).unwrap_err()),
        (Kind::EncryptedOutput, Kind::EncryptedInput)
    );
    assert_eq!(
        kind(Client::open(&artifact(), &keys).err().unwrap()),
        (Kind::SecretKey, Kind::EvaluationKeys)
    );
    assert_eq!(
        kind(EvaluationKeyFile::open(&secret).unwrap_err()),
        (Kind::EvaluationKeys, Kind::SecretKey)
    );
    assert_eq!(kind(Artifact::open(&secret).unwrap_err()), (Kind::Artifact, Kind::SecretKey));
}

fn setup(program: &VerifiedProgram) -> (Artifact, Client, Server) {
    let artifact = Artifact::new(program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    (artifact, client, server)
}

#[test]
fn keys_and_ciphertexts_of_other_clients_and_programs_are_refused() {
    let program = random_program(7, 3);
    let renamed = changed(program.clone(), |p| p.values[1].name = "another".into());
    let (artifact, client, server) = setup(&program);
    let (other_artifact, other_program_client, other_program_server) = setup(&renamed);
    let other_client = Client::generate(&artifact).unwrap();
    let samples = [sample(&program, 0)];
    let input = client.encrypt(&samples).unwrap();
    let output = server.run(&input).unwrap();

    let hashes = |error| match error {
        Error::OtherProgram { expected, found, .. } => (expected, found),
        other => panic!("{other}"),
    };
    let pair = (other_artifact.program_hash(), artifact.program_hash());
    assert_eq!(hashes(other_program_client.decrypt(&output).unwrap_err()), pair);
    assert_eq!(hashes(other_program_server.run(&input).unwrap_err()), pair);
    let keys = client.make_evaluation_keys().unwrap();
    assert_eq!(hashes(Server::new(&other_artifact, keys).unwrap_err()), pair);
    let folder = Folder::new();
    client.write_secret_key(&folder.path("secret"), false).unwrap();
    let error = Client::open(&other_artifact, &folder.path("secret")).err().unwrap();
    assert_eq!(hashes(error), pair);
    let text = other_program_client.decrypt(&output).unwrap_err().to_string();
    assert!(text.contains(&pair.0.to_string()) && text.contains(&pair.1.to_string()), "{text}");

    let other_key = |error| assert!(matches!(error, Error::OtherKey { .. }), "{error}");
    other_key(other_client.decrypt(&output).unwrap_err());
    let foreign = other_client.encrypt(&samples).unwrap();
    other_key(server.run(&foreign).unwrap_err());
}

#[test]
fn unusable_samples_are_refused() {
    let program = random_program(6, 2);
    let (_, client, _) = setup(&program);
    let good = sample(&program, 1);
    let error = client.encrypt(&[&good[..], &good[1..]]).unwrap_err();
    assert!(matches!(error, Error::SampleLength { sample: 1, .. }), "{error}");
    for value in [f32::NAN, f32::INFINITY] {
        let mut bad = good.clone();
        bad[0] = value;
        let error = client.encrypt(&[bad]).unwrap_err();
        assert!(matches!(error, Error::NotFinite { sample: 0, index: 0, .. }), "{error}");
    }
    let none: [Vec<f32>; 0] = [];
    assert!(matches!(client.encrypt(&none), Err(Error::Batch { samples: 0, .. })));
}
