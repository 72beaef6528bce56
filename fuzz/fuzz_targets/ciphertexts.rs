//! Batches of ciphertexts, on their way to the server and back.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pic_runtime::container::{Container, Kind};
use pic_runtime::{Artifact, Client, EncryptedInput, EncryptedOutput, Server};

struct Made {
    artifact: Artifact,
    client: Client,
    server: Server,
    input: [Vec<u8>; 2],
    output: [Vec<u8>; 2],
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    let artifact = Artifact::new(&pic_fuzz::program(), None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let input = client.encrypt(&[[0.25; 8], [0.5; 8]]).unwrap();
    let output = server.run(&input).unwrap();
    let sections = |bytes: &[u8], kind| {
        let container = Container::parse(bytes.to_vec(), kind).unwrap();
        ["shape", "ciphertexts"].map(|name| container.raw(name).unwrap().to_vec())
    };
    let input = sections(input.as_bytes(), Kind::EncryptedInput);
    let output = sections(output.as_bytes(), Kind::EncryptedOutput);
    Made { artifact, client, server, input, output }
});

fuzz_target!(|change: (bool, bool, u32, Option<u16>, &[u8])| {
    // What is fuzzed overwrites one of the two sections from some position on, or ends it.
    let (is_input, is_shape, at, removed, bytes) = change;
    let made = &*MADE;
    let mut sections = if is_input { made.input.clone() } else { made.output.clone() };
    let section = &mut sections[usize::from(!is_shape)];
    *section = pic_fuzz::spliced(section, at, removed, bytes);
    // Answers have the hash of their question, whichever it is.
    let named: [(&str, &[u8]); 3] =
        [("shape", &sections[0]), ("ciphertexts", &sections[1]), ("question", &[0; 32])];
    let hash = made.artifact.program_hash();
    if is_input {
        let file = pic_fuzz::container(Kind::EncryptedInput, hash, &named[..2]);
        if let Ok(input) = EncryptedInput::from_bytes(file) {
            let _ = made.server.run(&input);
        }
    } else {
        let file = pic_fuzz::container(Kind::EncryptedOutput, hash, &named);
        if let Ok(output) = EncryptedOutput::from_bytes(file) {
            let _ = made.client.decrypt(&output);
        }
    }
});
