//! The sections of artifacts: the first byte says which of them the others are.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pic_ir::memory::{least_clear_bytes, least_server_bytes};
use pic_ir::program::{Program, ProgramError};
use pic_runtime::clear::Clear;
use pic_runtime::container::Kind;
use pic_runtime::{Artifact, Client, ClientInfo, Server};

static SECTIONS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let program = pic_fuzz::program();
    [
        postcard::to_stdvec(&ClientInfo::new(&program)).unwrap(),
        postcard::to_stdvec(&*program).unwrap(),
    ]
});

fuzz_target!(|bytes: &[u8]| {
    let [client, program] = &*SECTIONS;
    let Some((which, section)) = bytes.split_first() else { return };
    let which = usize::from(which % 4);
    if which == 3 {
        run(section);
        return;
    }
    let mut sections: [(&str, &[u8]); 4] =
        [("client", client), ("program", program), ("model", &[]), ("parts", &[])];
    sections[which].1 = section;
    let (hash, parts) = pic_fuzz::parts(sections[0].1, sections[1].1);
    sections[3].1 = &parts;
    let bytes = pic_fuzz::container(Kind::Artifact, hash, &sections);
    let artifact = Artifact::from_bytes(bytes).unwrap().allow_insecure_parameters();
    let _ = (artifact.model(), artifact.program());
    if let Ok(info) = artifact.client() {
        let sample = vec![0.25; info.input_encoding.layout.len];
        let client = Client::generate(&artifact).unwrap();
        if client.encrypted_bytes(1) < 1 << 24 {
            let _ = client.encrypt(&[sample]);
        }
    }
});

/// A program with the client's part and the keys that fit it.
fn run(section: &[u8]) {
    let Ok(program) = postcard::from_bytes::<Program>(section) else { return };
    let verified = match program.clone().verify() {
        Err(ProgramError::Keys) => program.verify_with_required_keys(),
        verified => verified,
    };
    let Ok(program) = verified else { return };
    let Ok(artifact) = Artifact::new(&program, None) else { return };
    let sample = vec![0.25; program.values[0].layout.len];
    if least_clear_bytes(&program) < 1 << 26 {
        let _ = Clear::new(&program).run(&[&sample], None);
    }
    let least = least_server_bytes(&program);
    if least < 1 << 22 {
        let Ok(client) = Client::generate(&artifact) else { return };
        let Ok(keys) = client.make_evaluation_keys() else { return };
        // Some constants in each form.
        let server = Server::builder(&artifact).memory_limit(least + (1 << 16)).build(keys);
        let Ok(server) = server else { return };
        let Ok(input) = client.encrypt(&[sample]) else { return };
        if let Ok(output) = server.run(&input) {
            let _ = client.decrypt(&output);
        }
    }
}
