//! Files that ask for more than there is: an error that says so, whatever the memory, and never an abort.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use pic::{Artifact, Client};
use pic_ckks::model::op_counts::Hoisting;
use pic_ckks::model::{KeyRequest, Parameters, SecurityLevel};
use pic_ir::layout::{Digit, Layout};
use pic_ir::matrix::Matrix;
use pic_ir::postprocessing::Postprocessing;
use pic_ir::prediction::Prediction;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::program::{Op, Port, Program, Value};
use pic_ir::transform::{BsgsSchedule, Schedule};
use pic_runtime::container::{Kind, Writer};

use super::command::{Run, finish};
use super::files::{fresh_folder, npy};

/// Runs `pic` with that much address space, in MiB; it must fail with code 1.
fn fail_within(mebibytes: u64, folder: &Path, arguments: &str) -> String {
    let run = run_within(mebibytes, folder, arguments);
    assert_eq!(run.code, Some(1), "pic {arguments}\n{run:#?}");
    assert!(!run.stderr.contains("panicked"), "pic {arguments}\n{}", run.stderr);
    run.stderr.split_whitespace().filter(|w| *w != "│").collect::<Vec<_>>().join(" ")
}

fn run_within(mebibytes: u64, folder: &Path, arguments: &str) -> Run {
    let command = format!(
        "ulimit -v {} && exec '{}' {arguments} --threads 2",
        mebibytes << 10,
        env!("CARGO_BIN_EXE_pic")
    );
    let mut shell = Command::new("sh");
    finish(shell.current_dir(folder).env("XDG_CACHE_HOME", folder).args(["-c", &command]))
}

/// A linear map between two layouts on secure parameters.
fn program(input: Layout, output: Layout, matrix: Matrix) -> Program {
    let bits = [46.0, 30.0, 30.0];
    let log_n = 15;
    let parameters =
        Parameters::from_bits(log_n, &bits, &[47.0], 3, SecurityLevel::Bits128).unwrap();
    let value = |name: &str, layout: &Layout, level, op| Value {
        name: name.into(),
        op,
        layout: layout.clone(),
        level,
        scale: f64::from(1 << 30),
        center: 0.0,
        half_width: 1.0,
    };
    let linear = Op::Linear {
        operands: vec![0],
        matrices: vec![matrix],
        bias: None,
        schedule: Schedule {
            bsgs: BsgsSchedule { giant_width: 128, pair_shift: 0 },
            hoisting: Hoisting::Double,
        },
    };
    let port = |layout: &Layout| Port { name: "p".into(), shape: vec![layout.len] };
    let mut program = Program {
        log_slots: input.log_period.max(output.log_period).min(log_n - 1),
        parameters,
        input: port(&input),
        output: port(&output),
        preprocessing: Preprocessing::default(),
        postprocessing: Postprocessing::default(),
        values: vec![value("x", &input, 2, Op::Input), value("y", &output, 1, linear)],
        range_check: None,
        bootstrapping: None,
        keys: KeyRequest::default(),
        predicted: Prediction::default(),
    };
    if let Ok(verified) = program.clone().verify_with_required_keys() {
        program.keys = verified.keys.clone();
    }
    program
}

/// Writes an artifact that nobody has verified.
fn write_unverified(path: &Path, program: &Program) {
    let encoded = postcard::to_stdvec(program).unwrap();
    let client = postcard::to_stdvec(&pic::ClientInfo::new(program)).unwrap();
    write_sections(path, &[("client", client), ("program", encoded)]);
}

fn write_sections(path: &Path, sections: &[(&str, Vec<u8>)]) {
    // The hashes of client and program part, and theirs, by which a program is known.
    let parts: Vec<u8> =
        sections[..2].iter().flat_map(|(_, part)| *blake3::hash(part).as_bytes()).collect();
    let context = "pic program hash of client and program part v5";
    let hash = blake3::derive_key(context, &parts).into();
    let mut writer = Writer::new(fs::File::create(path).unwrap(), Kind::Artifact, hash).unwrap();
    writer.raw("parts", |w| w.write_all(&parts)).unwrap();
    for (name, bytes) in sections {
        writer.compressed(name, bytes).unwrap();
    }
    writer.finish().unwrap().flush().unwrap();
}

/// Two elements, 2^10 ciphertexts apart.
fn far_apart() -> Layout {
    let stride = (1 << 24) - 1;
    Layout { len: 2, digits: vec![Digit { divisor: 1, modulus: 2, stride }], log_period: 24 }
}

/// Element k comes from 2k: every rotation occurs.
fn all_rotations() -> Program {
    let len = 1 << 14;
    let sources = (0..len as u32).map(|k| 2 * k % len as u32).collect();
    program(Layout::contiguous(len), Layout::contiguous(len), Matrix::Gather { cols: len, sources })
}

#[test]
fn artifacts_larger_than_memory() {
    let folder = fresh_folder("limits");
    // Flags for each pair of ciphertexts and each rotation would be 32 GiB; less than a KiB as a file.
    write_unverified(
        &folder.join("far.pic"),
        &program(far_apart(), far_apart(), Matrix::identity(2)),
    );
    assert!(fs::metadata(folder.join("far.pic")).unwrap().len() < 1024);
    let message = fail_within(1024, &folder, "inspect far.pic");
    assert!(message.contains("more ciphertexts or diagonals than are allowed"), "{message}");

    // All rotations: a gibibyte of diagonals, which is a program, but not for every machine.
    Artifact::new(&all_rotations().verify().unwrap(), None)
        .unwrap()
        .write(&folder.join("all.pic"))
        .unwrap();
    let run = run_within(1024, &folder, "inspect all.pic");
    assert_eq!(run.code, Some(0), "{run:#?}");
    let artifact = Artifact::open(&folder.join("all.pic")).unwrap();
    let client = Client::generate(&artifact).unwrap();
    client.write_secret_key(&folder.join("secret"), false).unwrap();
    client.encrypt(&[vec![0.0; 1 << 14]]).unwrap().write(&folder.join("x.ct")).unwrap();
    // Memory is asked for before the keys are read, of which this file has none.
    let file = fs::File::create(folder.join("keys")).unwrap();
    let mut writer = Writer::new(file, Kind::EvaluationKeys, artifact.program_hash()).unwrap();
    writer.raw("key", |w| w.write_all(&[0; 32])).unwrap();
    writer.raw("evaluation keys", |_| Ok(())).unwrap();
    writer.finish().unwrap();
    let run = "run all.pic --evaluation-keys keys --input x.ct -o y.ct";
    let message = fail_within(1024, &folder, run);
    for word in ["pic::memory", "GiB"] {
        assert!(message.contains(word), "{word} is not in {message}");
    }

    // Two hundred million empty strings.
    let strings = [&[0x80, 0x84, 0xAF, 0x5F][..], &vec![0; 200 << 20]].concat();
    let program = postcard::to_stdvec(&all_rotations()).unwrap();
    let client = postcard::to_stdvec(&pic::ClientInfo::new(&all_rotations())).unwrap();
    write_sections(
        &folder.join("strings.pic"),
        &[("client", client), ("program", program), ("model", strings)],
    );
    fail_within(2048, &folder, "inspect strings.pic");
}

#[test]
fn keys_are_announced_and_refused_by_their_size() {
    let folder = fresh_folder("key-sizes");
    // A client's part of some hundred kilobytes that asks for every rotation at the highest level.
    let mut greedy = program(Layout::contiguous(4), Layout::contiguous(4), Matrix::identity(4));
    let bits = [&[46.0][..], &[30.0; 24]].concat();
    greedy.parameters =
        Parameters::from_bits(15, &bits, &[47.0], bits.len(), SecurityLevel::Bits128).unwrap();
    for rotation in 1..1 << 14 {
        greedy.keys.rotate(rotation, 24);
    }
    let artifact = Artifact::new(&greedy.verify().unwrap(), None).unwrap();
    artifact.write_client_only(&folder.join("greedy.client")).unwrap();
    assert!(fs::metadata(folder.join("greedy.client")).unwrap().len() < 1 << 20);
    let keygen = "keygen greedy.client --secret-key s --evaluation-keys e";
    let message = fail_within(4096, &folder, keygen);
    let info = artifact.client().unwrap();
    assert!(info.key_sizes().file_bytes > 2 << 40);
    for word in ["pic::key::size", "TiB", "--yes"] {
        assert!(message.contains(word), "{word} is not in {message}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

    // What is announced is what comes.
    let modest =
        program(Layout::contiguous(4), Layout::contiguous(4), Matrix::Diagonal(vec![1.0; 4]));
    let mut modest = Program { keys: KeyRequest::default(), ..modest };
    modest.keys.rotate(1, 1);
    modest.keys.relinearization = Some(2);
    let artifact = Artifact::new(&modest.verify().unwrap(), None).unwrap();
    artifact.write(&folder.join("modest.pic")).unwrap();
    let run = run_within(4096, &folder, "keygen modest.pic --secret-key s --evaluation-keys e");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.contains("making evaluation keys"), "{}", run.stdout);
    let (found, said) = (
        fs::metadata(folder.join("e")).unwrap().len(),
        artifact.client().unwrap().key_sizes().file_bytes,
    );
    assert!(found >= said && found - said < 512, "{found} bytes, {said} were announced");
}

#[test]
fn inputs_that_unpack_to_more_than_memory() {
    let folder = fresh_folder("bombs");
    let len = 4;
    let plain = program(Layout::contiguous(len), Layout::contiguous(len), Matrix::identity(len));
    let artifact = Artifact::new(&plain.verify().unwrap(), None).unwrap();
    artifact.write(&folder.join("m.pic")).unwrap();
    Client::generate(&artifact).unwrap().write_secret_key(&folder.join("s"), false).unwrap();
    let encrypt = "encrypt m.pic --secret-key s -o x.ct --input";
    // Two gibibytes of zeros: with a shape that is not asked for, and with one that is.
    for (name, shape, code) in [
        ("shape.npy", vec![1 << 29], "pic::input::shape"),
        ("batch.npy", vec![1 << 27, len], "pic::input::read"),
    ] {
        let header = npy(&shape, &[]);
        let file = fs::File::create(folder.join(name)).unwrap();
        (&file).write_all(&header).unwrap();
        file.set_len(header.len() as u64 + (2 << 30)).unwrap();
        let message = fail_within(1024, &folder, &format!("{encrypt} {name}"));
        assert!(message.contains(code), "{message}");
    }
    // A batch that fits, but whose ciphertexts do not.
    fs::write(folder.join("many.npy"), npy(&[4096, len], &vec![0.0; 4096 * len])).unwrap();
    let message = fail_within(1024, &folder, &format!("{encrypt} many.npy"));
    assert!(message.contains("pic::memory"), "{message}");
}
