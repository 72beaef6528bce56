//! Evaluation keys, in memory and as a file, and secret keys.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pic_runtime::container::{Container, Kind};
use pic_runtime::{Artifact, Client, EvaluationKeyFile, Server};

struct Made {
    artifact: Artifact,
    /// The sections of evaluation keys and of a secret key.
    evaluation: [Vec<u8>; 2],
    secret: [Vec<u8>; 1],
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let artifact = Artifact::new(&pic_fuzz::program(), None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let keys = client.make_evaluation_keys().unwrap();
    let keys = keys.as_bytes().unwrap().to_vec();
    let keys = Container::parse(keys, Kind::EvaluationKeys).unwrap();
    let path = pic_fuzz::file(&[]);
    client.write_secret_key(path, true).unwrap();
    let secret = Container::open(path, Kind::SecretKey).unwrap();
    let evaluation = ["key", "evaluation keys"].map(|name| keys.raw(name).unwrap().to_vec());
    let secret = ["secret key"].map(|name| secret.raw(name).unwrap().to_vec());
    Made { artifact, evaluation, secret }
});

fuzz_target!(|input: (u8, u32, Option<u16>, &[u8])| {
    // What is fuzzed overwrites a section from some position on, or ends it: keys are too large to be found.
    let (which, at, removed, bytes) = input;
    let Made { artifact, evaluation, secret } = &*MADE;
    let change = |section: &Vec<u8>| pic_fuzz::spliced(section, at, removed, bytes);
    let hash = artifact.program_hash();
    if which % 3 == 2 {
        let secret = change(&secret[0]);
        let file = pic_fuzz::container(Kind::SecretKey, hash, &[("secret key", &secret)]);
        let _ = Client::open(artifact, pic_fuzz::file(&file));
        return;
    }
    let mut sections = evaluation.clone();
    let which = usize::from(which % 3);
    sections[which] = change(&sections[which]);
    let sections: [(&str, &[u8]); 2] = [("key", &sections[0]), ("evaluation keys", &sections[1])];
    let file = pic_fuzz::container(Kind::EvaluationKeys, hash, &sections);
    let path = pic_fuzz::file(&file);
    for keys in [EvaluationKeyFile::open(path), EvaluationKeyFile::from_bytes(file)] {
        let _ = Server::new(artifact, keys.unwrap());
    }
});
