//! Evaluation keys and secret keys.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pic_runtime::container::{Container, Kind};
use pic_runtime::{Artifact, Client, EvaluationKeyFile, Server};

/// An artifact, and the two sections of keys for it.
static MADE: LazyLock<(Artifact, [Vec<u8>; 2])> = LazyLock::new(|| {
    let artifact = Artifact::new(&pic_fuzz::program(), None).unwrap();
    let keys = Client::generate(&artifact).unwrap().make_evaluation_keys().unwrap();
    let keys = keys.as_bytes().unwrap().to_vec();
    let keys = Container::parse(keys, Kind::EvaluationKeys).unwrap();
    let sections = ["key", "evaluation keys"].map(|name| keys.raw(name).unwrap().to_vec());
    (artifact, sections)
});

fuzz_target!(|input: (u32, &[u8])| {
    // What is fuzzed overwrites the keys from some position on: they are too large to be found.
    let (at, bytes) = input;
    let (artifact, [key, keys]) = &*MADE;
    let mut keys = keys.clone();
    let at = at as usize % keys.len();
    let end = (at + bytes.len()).min(keys.len());
    keys[at..end].copy_from_slice(&bytes[..end - at]);
    let sections: [(&str, &[u8]); 2] = [("key", key), ("evaluation keys", &keys)];
    let file = pic_fuzz::container(Kind::EvaluationKeys, artifact.program_hash(), &sections);
    let _ = Server::new(artifact, EvaluationKeyFile::from_bytes(file).unwrap(), 0);
});
