//! Files made to harm: whoever makes them also makes their hashes right.

use std::io::Write;

use pic_ir::function::Function;
use pic_ir::layout::{Digit, Layout};
use pic_ir::postprocessing::Step;
use pic_ir::program::RangeCheck;
use pic_runtime::artifact::{Encoding, RangeCheckPart};
use pic_runtime::container::{Container, Kind, ProgramHash, Writer};
use pic_runtime::{
    Artifact, Client, ClientInfo, EncryptedInput, EncryptedOutput, Error, EvaluationKeyFile, Server,
};
use proptest::prelude::*;

use crate::files::model;
use crate::support::{changed, parts, random_program, sample};

/// A section and whether it is compressed.
type Section = (&'static str, Vec<u8>, bool);

fn rebuild(kind: Kind, program: ProgramHash, sections: &[Section]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), kind, program).unwrap();
    for (name, bytes, compressed) in sections {
        if *compressed {
            writer.compressed(name, bytes).unwrap();
        } else {
            writer.raw(name, |w| w.write_all(bytes)).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn sections(
    bytes: &[u8],
    kind: Kind,
    names: &[(&'static str, bool)],
) -> (ProgramHash, Vec<Section>) {
    let container = Container::parse(bytes.to_vec(), kind).unwrap();
    let section = |&(name, compressed): &(&'static str, bool)| {
        (name, container.plain(name, 1 << 30).unwrap().into_owned(), compressed)
    };
    (container.program_hash(), names.iter().map(section).collect())
}

/// [`parts`] as a section.
fn parts_section(client: &[u8], program: &[u8]) -> (ProgramHash, Section) {
    let (hash, parts) = parts(client, program);
    (hash, ("parts", parts, false))
}

/// Changes to bytes: positions are taken modulo the length.
#[derive(Clone, Debug)]
enum Damage {
    Truncate(usize),
    Set(Vec<(usize, u8)>),
    Append(Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Truncate(at) => bytes.truncate(at % bytes.len()),
            Self::Append(more) => bytes.extend(more),
            Self::Set(changes) => {
                for &(at, value) in changes {
                    let at = at % bytes.len();
                    bytes[at] = value;
                }
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::Truncate),
        prop::collection::vec(any::<(usize, u8)>(), 1..4).prop_map(Damage::Set),
        // The first bytes of a section hold its lengths and counts.
        prop::collection::vec((0usize..64, any::<u8>()), 1..4).prop_map(Damage::Set),
        prop::collection::vec(any::<u8>(), 1..9).prop_map(Damage::Append),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn artifacts_are_refused_or_sound(which in 0usize..3, damage in damage()) {
        let names = [("client", true), ("program", true), ("model", true), ("parts", false)];
        let artifact = Artifact::new(&random_program(6, 1), Some(&model())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pic");
        artifact.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (honest, mut sections) = sections(&bytes, Kind::Artifact, &names);
        let (hash, parts_) = parts_section(&sections[0].1, &sections[1].1);
        prop_assert_eq!((hash, &parts_), (honest, &sections[3]));
        damage.apply(&mut sections[which].1);
        let (hash, parts) = parts_section(&sections[0].1, &sections[1].1);
        sections[3] = parts;
        let bytes = rebuild(Kind::Artifact, hash, &sections);
        let artifact = Artifact::from_bytes(bytes).unwrap().allow_insecure_parameters();
        let _ = artifact.client();
        let _ = artifact.model();
        let _ = artifact.program();
    }
}

#[test]
fn ciphertexts_and_keys_are_refused_or_sound() {
    let program = random_program(5, 4);
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let keys = client.make_evaluation_keys().unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let input = client.encrypt(&[sample(&program, 0)]).unwrap();
    let output = server.run(&input).unwrap();
    let batch = [("shape", false), ("ciphertexts", false)];
    let answers = [("shape", false), ("ciphertexts", false), ("question", false)];
    let key_names = [("key", false), ("evaluation keys", false)];
    let config = ProptestConfig { cases: 256, ..ProptestConfig::default() };
    proptest!(config, |(which in 0usize..2, damage in damage())| {
        let rebuilt = |bytes: &[u8], kind: Kind, names: &[(&'static str, bool)]| {
            let (hash, mut sections) = sections(bytes, kind, names);
            damage.apply(&mut sections[which].1);
            rebuild(kind, hash, &sections)
        };
        let bytes = rebuilt(input.as_bytes(), Kind::EncryptedInput, &batch);
        if let Ok(input) = EncryptedInput::from_bytes(bytes) {
            let _ = server.run(&input);
        }
        let bytes = rebuilt(output.as_bytes(), Kind::EncryptedOutput, &answers);
        if let Ok(output) = EncryptedOutput::from_bytes(bytes) {
            let _ = client.decrypt(&output);
        }
        let bytes = rebuilt(keys.as_bytes().unwrap(), Kind::EvaluationKeys, &key_names);
        if let Ok(keys) = EvaluationKeyFile::from_bytes(bytes) {
            let _ = Server::new(&artifact, keys);
        }
    });
}

/// The wrong level, scale or number of ciphertexts in a well-formed file.
#[test]
fn ciphertexts_that_do_not_conform_are_refused() {
    let program = random_program(6, 4);
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let names = [("shape", false), ("ciphertexts", false)];
    let input = client.encrypt(&[sample(&program, 0), sample(&program, 1)]).unwrap();
    let (hash, good) = sections(input.as_bytes(), Kind::EncryptedInput, &names);
    let refused = |sections: &[Section], property: &str| {
        let bytes = rebuild(Kind::EncryptedInput, hash, sections);
        let input = EncryptedInput::from_bytes(bytes).unwrap();
        match server.run(&input).unwrap_err() {
            Error::Conformance { property: found, .. } => assert_eq!(found, property),
            other => panic!("{other}"),
        }
    };
    // One sample of twice as many ciphertexts.
    let mut sections_ = good.clone();
    let shape = &mut sections_[0].1;
    let (samples, ciphertexts) = (shape[32], shape[33]);
    (shape[32], shape[33]) = (1, samples * ciphertexts);
    refused(&sections_, "number of ciphertexts");

    // An honest client of a program that differs in level or scale, its file relabelled.
    let with = |change: &dyn Fn(&mut pic_ir::program::Value), property| {
        let other = changed(program.clone(), |program| change(&mut program.values[0]));
        let other = Artifact::new(&other, None).unwrap();
        let other = Client::generate(&other).unwrap();
        let input = other.encrypt(&[sample(&program, 0)]).unwrap();
        let (_, mut sections) = sections(input.as_bytes(), Kind::EncryptedInput, &names);
        sections[0].1[..32].copy_from_slice(&good[0].1[..32]);
        refused(&sections, property);
    };
    with(&|input| input.scale *= 2.0, "scale");
    with(&|input| input.level += 1, "level");
}

/// An artifact in a file, as its sections.
fn artifact_sections(seed: u64) -> (ProgramHash, Vec<Section>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pic");
    Artifact::new(&random_program(6, seed), None).unwrap().write(&path).unwrap();
    let names = [("client", true), ("program", true), ("parts", false)];
    sections(&std::fs::read(&path).unwrap(), Kind::Artifact, &names)
}

fn load(hash: ProgramHash, sections: &[&Section]) -> Result<Artifact, Error> {
    let sections: Vec<Section> = sections.iter().map(|&section| section.clone()).collect();
    let bytes = rebuild(Kind::Artifact, hash, &sections);
    Artifact::from_bytes(bytes).map(Artifact::allow_insecure_parameters)
}

#[test]
fn a_program_section_that_is_not_the_stated_one_is_refused() {
    let ((hash, first), (other, second)) = (artifact_sections(1), artifact_sections(2));
    // Another program under the same hashes, and under its own.
    let refused = load(hash, &[&first[0], &second[1], &first[2]]).unwrap().program().unwrap_err();
    assert!(matches!(refused, Error::PartHash { part: "program", .. }), "{refused}");
    let refused = load(hash, &[&second[0], &second[1], &second[2]]).unwrap_err();
    assert!(
        matches!(refused, Error::ProgramHash { stated, found } if (stated, found) == (hash, other)),
        "{refused}"
    );
    // Parts of two programs, of which an attacker makes one.
    let (mixed, parts) = parts_section(&first[0].1, &second[1].1);
    let refused = load(mixed, &[&first[0], &second[1], &parts]).unwrap().program().unwrap_err();
    assert!(matches!(refused, Error::ClientPart), "{refused}");
    for wrong in [vec![], vec![0; 63], vec![0; 65]] {
        let refused = load(hash, &[&first[0], &first[1], &("parts", wrong, false)]).unwrap_err();
        assert!(matches!(refused, Error::Parts), "{refused}");
    }
}

/// What a client is given says what it decrypts and which keys it makes: none of it can be another under the
/// honest program hash, for which the client has a secret key.
#[test]
fn forged_client_parts_are_refused() {
    let (hash, honest) = artifact_sections(1);
    let info: ClientInfo = postcard::from_bytes(&honest[0].1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let artifact = load(hash, &[&honest[0], &honest[2]]).unwrap();
    Client::generate(&artifact).unwrap().write_secret_key(&secret, false).unwrap();
    Client::open(&artifact, &secret).unwrap();

    let forge = |what: &str, change: &dyn Fn(&mut ClientInfo)| {
        let mut forged = info.clone();
        change(&mut forged);
        assert_ne!(forged, info, "{what}");
        let client = ("client", postcard::to_stdvec(&forged).unwrap(), true);
        // Under the honest hashes.
        let artifact = load(hash, &[&client, &honest[2]]).unwrap();
        let refused = |error: Error| {
            assert!(matches!(error, Error::PartHash { part: "client", .. }), "{what}: {error}");
        };
        refused(artifact.client().unwrap_err());
        refused(Client::open(&artifact, &secret).err().unwrap());
        // With hashes made for it under the honest program hash.
        let (other, parts) = parts_section(&client.1, &honest[1].1);
        let error = load(hash, &[&client, &parts]).unwrap_err();
        assert!(matches!(error, Error::ProgramHash { .. }), "{what}: {error}");
        // With those and their own program hash it is another program, of which there is no key.
        let artifact = load(other, &[&client, &parts]).unwrap();
        artifact.client().unwrap();
        let error = Client::open(&artifact, &secret).err().unwrap();
        assert!(matches!(error, Error::OtherProgram { .. }), "{what}: {error}");
    };
    forge("half width of the output", &|info| info.output_encoding.half_width *= 3.0);
    forge("layout with other places", &|info| {
        let layout = &mut info.output_encoding.layout;
        let len = layout.len;
        let mirrored = Digit { divisor: 1, modulus: len, stride: 2 };
        *layout = Layout::new(len, vec![mirrored]);
    });
    forge("preprocessing", &|info| info.preprocessing.scale *= 2.0);
    forge("postprocessing", &|info| {
        info.postprocessing.steps.push(Step::Activation(Function::Relu));
    });
    forge("more keys", &|info| {
        let level = info.parameters.max_level();
        (1..8).for_each(|rotation| info.keys.rotate(rotation, level));
        info.keys.relinearization = Some(level);
    });
}

/// By these a client would hide too little of the scheme's error, or take for reliable what is not.
#[test]
fn client_parts_that_promise_the_impossible_are_refused() {
    let (_, honest) = artifact_sections(1);
    let info: ClientInfo = postcard::from_bytes(&honest[0].1).unwrap();
    let refused = |change: &dyn Fn(&mut ClientInfo)| {
        let mut forged = info.clone();
        change(&mut forged);
        let client = ("client", postcard::to_stdvec(&forged).unwrap(), true);
        let (hash, parts) = parts_section(&client.1, &honest[1].1);
        let error = load(hash, &[&client, &parts]).unwrap().client().err();
        assert!(error.as_ref().is_none_or(|e| matches!(e, Error::ClientPart)), "{error:?}");
        error.is_some()
    };
    let checked = |limit, half_width| {
        refused(&|info: &mut ClientInfo| {
            let layout = Layout::contiguous(1);
            let encoding = Encoding { layout, half_width, ..info.output_encoding.clone() };
            let encoding = Encoding { center: 0.0, ..encoding };
            let check = RangeCheck { first: 1, limit };
            info.range_check = Some(RangeCheckPart { check, encoding });
        })
    };
    assert!(!refused(&|_| ()) && !checked(1.0, 32.0));
    assert!(checked(1.0, 0.5) && checked(1.0, 5e-324) && checked(5e-324, 32.0));
    for bits in [60.0, f64::INFINITY, f64::NAN, -100.0] {
        assert!(refused(&|info| info.predicted.precision_bits = bits), "{bits}");
    }
    for work in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(refused(&|info| info.predicted.work.transforms = work), "{work}");
    }
    assert!(refused(&|info| info.output_encoding.half_width = 5e-324));
    let step = |step: Step| refused(&|info| info.postprocessing.steps = vec![step.clone()]);
    let outputs = info.output.shape.iter().product::<usize>();
    let fits = Step::Gather { sources: vec![outputs as u32 - 1], shape: vec![1] };
    assert!(!step(fits) && !step(Step::Softmax { axes: 0..1 }));
    assert!(step(Step::Gather { sources: vec![outputs as u32], shape: vec![1] }));
    assert!(step(Step::Softmax { axes: 0..usize::MAX }));
    assert!(step(Step::ArgMax { axis: usize::MAX, keeps_axis: false, takes_last: true }));
    assert!(step(Step::TopK { axis: 0, count: usize::MAX, positions: true }));
    assert!(step(Step::Reshape { shape: vec![usize::MAX, usize::MAX] }));
    assert!(refused(&|info| {
        info.postprocessing.steps = vec![Step::Activation(Function::Relu); 1000];
    }));
}

/// A server that mixes answers up.
#[test]
fn answers_to_other_questions_are_found() {
    let program = random_program(6, 4);
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let ask = || client.encrypt(&[sample(&program, 0)]).unwrap();
    let (first, second) = (ask(), ask());
    let answer = |question: &EncryptedInput| {
        let answer = server.run(question).unwrap();
        EncryptedOutput::from_bytes(answer.as_bytes().to_vec()).unwrap()
    };
    answer(&first).check_question(&first).unwrap();
    assert_eq!(answer(&first).question(), blake3::hash(first.as_bytes()));
    let error = answer(&second).check_question(&first).unwrap_err();
    assert!(
        matches!(error, Error::OtherQuestion { expected, found }
            if (expected, found) == (first.hash(), second.hash())),
        "{error}"
    );

    // The answer to one of two samples under the name of both.
    let both = client.encrypt(&[sample(&program, 0), sample(&program, 1)]).unwrap();
    let names = [("shape", false), ("question", false), ("ciphertexts", false)];
    let (hash, mut some) = sections(answer(&first).as_bytes(), Kind::EncryptedOutput, &names);
    some[1].1 = both.hash().as_bytes().to_vec();
    let some = EncryptedOutput::from_bytes(rebuild(Kind::EncryptedOutput, hash, &some)).unwrap();
    let error = some.check_question(&both).unwrap_err();
    assert!(matches!(error, Error::Conformance { property: "samples", .. }), "{error}");
}

/// Deeply nested products in a model would exhaust the stack of a recursive decoder.
#[test]
fn nesting_does_not_recurse() {
    use pic_ir::matrix::Matrix;

    // A product is written as its variant and its number of factors; a million levels of it.
    let product = postcard::to_stdvec(&Matrix::Product(vec![])).unwrap();
    assert_eq!(product.len(), 2);
    let nested: Vec<u8> = std::iter::repeat_n([product[0], 1], 1_000_000).flatten().collect();
    postcard::from_bytes::<Matrix>(&nested).unwrap_err();
}
