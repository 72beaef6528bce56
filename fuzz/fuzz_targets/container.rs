//! The container: header, table and sections, in memory and as a file. Hashes are made right.
#![no_main]

use std::io::{Read, sink};

use libfuzzer_sys::fuzz_target;
use pic_runtime::container::{Container, ContainerError, ContainerFile, Kind};

const SECTIONS: [&str; 4] = ["parts", "client", "program", "model"];

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    pic_fuzz::reseal(&mut bytes);
    for kind in [
        Kind::Artifact,
        Kind::SecretKey,
        Kind::EvaluationKeys,
        Kind::EncryptedInput,
        Kind::EncryptedOutput,
    ] {
        if let Ok(container) = Container::parse(bytes.clone(), kind) {
            for section in SECTIONS {
                let _ = container.raw(section);
                let _ = container.plain(section, 1 << 24);
            }
        }
    }
    if let Ok(file) = ContainerFile::open(pic_fuzz::file(&bytes), Kind::Artifact) {
        for section in SECTIONS {
            let read = |content: &mut dyn Read| {
                std::io::copy(&mut content.take(16), &mut sink()).map_err(ContainerError::from)
            };
            let _ = file.raw(section, read);
        }
    }
});
