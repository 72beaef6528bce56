//! The sections of artifacts: the first byte says which of them the others are.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pic_ir::memory::least_clear_bytes;
use pic_runtime::clear::Clear;
use pic_runtime::container::Kind;
use pic_runtime::{Artifact, ClientInfo};

static SECTIONS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let program = pic_fuzz::program();
    [
        postcard::to_stdvec(&ClientInfo::new(&program)).unwrap(),
        postcard::to_stdvec(&program).unwrap(),
    ]
});

fuzz_target!(|bytes: &[u8]| {
    let [client, program] = &*SECTIONS;
    let Some((which, section)) = bytes.split_first() else { return };
    let mut sections: [(&str, &[u8]); 4] =
        [("client", client), ("program", program), ("model", &[]), ("parts", &[])];
    let which = usize::from(which % 3);
    sections[which].1 = section;
    let (hash, parts) = pic_fuzz::parts(sections[0].1, sections[1].1);
    sections[3].1 = &parts;
    let bytes = pic_fuzz::container(Kind::Artifact, hash, &sections);
    let artifact = Artifact::from_bytes(bytes).unwrap().allow_insecure_parameters();
    let _ = (artifact.client(), artifact.model());
    if let Ok(program) = artifact.program()
        && least_clear_bytes(&program) < 1 << 26
    {
        let sample = vec![0.25; program.values[0].layout.len];
        let _ = Clear::new(&program).run(&[sample], None);
    }
});
