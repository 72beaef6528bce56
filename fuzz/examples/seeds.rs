//! Writes valid files to begin with, a few kilobytes in all, into `corpus` beside the manifest.
//!
//! `keys` and `ciphertexts` need none: what is fuzzed there changes keys and ciphertexts that the targets make. `onnx`
//! begins with the models of `tests/onnx`.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use pic_runtime::container::{Kind, Writer};
use pic_runtime::{Artifact, Client, ClientInfo};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };

    let program = pic_fuzz::program();
    let path = pic_fuzz::file(&[]);
    let artifact = Artifact::new(&program, Some(&pic_fuzz::model())).unwrap();
    artifact.write(path).unwrap();
    write("container", "artifact", &fs::read(path).unwrap());
    Client::generate(&artifact).unwrap().write_secret_key(path, true).unwrap();
    write("container", "secret-key", &fs::read(path).unwrap());
    fs::remove_file(path).unwrap();
    let mut writer = Writer::new(Vec::new(), Kind::Artifact, artifact.program_hash()).unwrap();
    writer.compressed("model", &[7; 1000]).unwrap();
    write("container", "compressed", &writer.finish().unwrap());

    let section = |which: u8, bytes: Vec<u8>| [vec![which], bytes].concat();
    let client = postcard::to_stdvec(&ClientInfo::new(&program)).unwrap();
    write("artifact", "client", &section(0, client));
    let model = postcard::to_stdvec(&pic_fuzz::model()).unwrap();
    write("artifact", "model", &section(2, model));
    for (k, program) in pic_fuzz::programs().iter().enumerate() {
        let program = postcard::to_stdvec(&**program).unwrap();
        write("artifact", &format!("program-{k}"), &section(1, program.clone()));
        write("artifact", &format!("run-{k}"), &section(3, program));
    }

    for (dtype, size) in [("<f4", 4), (">f8", 8), ("|u1", 1), ("<i8", 8)] {
        let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': (2, 3), }}\n");
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        let array =
            [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), &vec![1; 6 * size]].concat();
        write("npy", &format!("{}.npy", &dtype[1..]), &array);
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file("x.npy", options).unwrap();
            archive.write_all(&array).unwrap();
            let archive = archive.finish().unwrap().into_inner();
            write("npy", &format!("{}-{method}.npz", &dtype[1..]), &archive);
        }
    }
}
