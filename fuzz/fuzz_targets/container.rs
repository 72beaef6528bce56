//! The container: header, table and sections.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pic_runtime::container::{Container, Kind};

fuzz_target!(|bytes: &[u8]| {
    for kind in [Kind::Artifact, Kind::SecretKey, Kind::EvaluationKeys] {
        if let Ok(container) = Container::parse(bytes.to_vec(), kind) {
            for section in ["client", "program", "model", "key"] {
                let _ = container.plain(section, 1 << 24);
            }
        }
    }
});
