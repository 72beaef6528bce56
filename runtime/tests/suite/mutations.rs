//! Damaged files of every kind: refused, or used without harm. Whoever damages them makes their hashes right again.
//!
//! All of it happens in a process with little address space, so that an allocation that a file talks its reader into
//! is an abort. `PIC_TEST_MUTATIONS` sets how many damages of each kind are tried.

use std::io::Write;
use std::process::Command;

use pic_ir::layout::{Digit, Layout};
use pic_ir::matrix::{Conv, ConvAxis, Matrix};
use pic_ir::memory::{least_clear_bytes, least_server_bytes};
use pic_ir::program::{Op, Program, ProgramError, VerifiedProgram};
use pic_runtime::container::{Container, Kind, ProgramHash, Writer};
use pic_runtime::{
    Artifact, Client, EncryptedInput, EncryptedOutput, EvaluationKeyFile, Server, clear::Clear,
};

use crate::files::model;
use crate::support::{
    Builder, Random, bootstrapped_program, parameters, parts, random_program, sample,
};

/// Set in the child process only.
const CHILD: &str = "PIC_TEST_MUTATIONS_CHILD";

/// Address space of the child, in KiB: some fifty times what the largest of these files needs.
const ADDRESS_SPACE: u64 = 3 << 20;

/// What the child does not try, in bytes.
const LARGE: u64 = 256 << 20;

fn cases() -> usize {
    std::env::var("PIC_TEST_MUTATIONS").map_or(150, |count| count.parse().unwrap())
}

/// Changes bytes as damage and as malice would: few at a time, often at the beginning, where counts are.
pub fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let range = if random.below(2) == 0 { bytes.len() } else { bytes.len().min(64) };
        let at = random.below(range);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.bits() as u8,
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            3 => bytes.truncate(at),
            4 => drop(bytes.remove(at)),
            5 => bytes.insert(at, random.bits() as u8),
            // The largest numbers of a varint, which lengths are.
            6 => drop(bytes.splice(at..at, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F])),
            _ => {
                let end = (at + 1 + random.below(16)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
}

type Section = (&'static str, Vec<u8>);

fn rebuild(kind: Kind, program: ProgramHash, sections: &[Section]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), kind, program).unwrap();
    for (name, bytes) in sections {
        writer.raw(name, |w| w.write_all(bytes)).unwrap();
    }
    writer.finish().unwrap()
}

fn sections(bytes: &[u8], kind: Kind, names: &[&'static str]) -> (ProgramHash, Vec<Section>) {
    let container = Container::parse(bytes.to_vec(), kind).unwrap();
    let section = |&name: &&'static str| (name, container.plain(name, 1 << 30).unwrap().into());
    (container.program_hash(), names.iter().map(section).collect())
}

/// Every kind of matrix.
fn all_matrices() -> VerifiedProgram {
    let random = &mut Random(3);
    let conv = |inputs: usize, pad| ConvAxis {
        input: inputs,
        output: inputs + 2 * pad - 2,
        kernel: 3,
        stride: 1,
        dilation: 1,
        pad,
    };
    let conv = Conv {
        out_channels: 2,
        in_channels: 2,
        groups: 1,
        axes: vec![conv(4, 1), conv(4, 1)],
        weights: random.floats(36),
    };
    let sparse = Matrix::Sparse {
        cols: 32,
        offsets: (0..=32).collect(),
        indices: (0..32).rev().collect(),
        values: random.floats(32),
    };
    let gather = Matrix::Gather { cols: 32, sources: (0..32).map(|k| 5 * k % 32).collect() };
    let mut b = Builder::new(parameters(6, 3), Layout::contiguous(32), 1.0);
    for matrix in [
        Matrix::Conv(conv.clone()),
        gather.clone(),
        Matrix::Product(vec![Matrix::Conv(conv), gather, Matrix::Diagonal(random.floats(32))]),
    ] {
        let last = b.program.values.len() as u32 - 1;
        let matrices = vec![matrix, sparse.clone()];
        b.linear(&[last, last], matrices, None, Layout::contiguous(32), random);
    }
    b.finish()
}

/// Layouts and schedules as large and odd as numbers go.
fn distort(program: &mut Program, random: &mut Random) {
    let slots = program.log_slots;
    let index = random.below(program.values.len());
    let value = &mut program.values[index];
    let large = 1usize << random.below(26);
    let digit = random.below(value.layout.digits.len());
    match random.below(6) {
        0 => value.layout.digits[digit].stride = large,
        1 => value.layout.digits[digit].modulus = large,
        2 => value.layout.digits[digit].divisor = large,
        3 => value.layout.log_period = random.below(26) as u32,
        4 => value.layout.digits.push(Digit { divisor: large, modulus: 2, stride: large }),
        _ => {
            if let Op::Linear { schedule, .. } = &mut value.op {
                schedule.bsgs.giant_width = random.bits() as u32 >> random.below(32);
                schedule.bsgs.pair_shift = random.below(2 << slots) as u32;
            }
        }
    }
    let longest = program.values.iter().map(|v| v.layout.log_period).max().unwrap_or(0);
    program.log_slots = longest.min(program.parameters.log_n() - 1);
}

/// The program as it is, or with the keys that it takes; none if it is not sound.
fn sound(program: Program) -> Option<VerifiedProgram> {
    match program.clone().verify() {
        Err(ProgramError::Keys) => program.verify_with_required_keys().ok(),
        verified => verified.ok(),
    }
}

/// Artifacts and what is computed with those that are sound.
fn artifacts(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pic");
    let programs = [random_program(5, 1), all_matrices(), bootstrapped_program(8, 5, 1)];
    for (index, program) in programs.iter().enumerate() {
        Artifact::new(program, Some(&model())).unwrap().write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, good) = sections(&bytes, Kind::Artifact, &["client", "program", "model"]);
        let random = &mut Random(index as u64);
        let (mut programs, mut clients, mut runs) = (0, 0, 0);
        for _ in 0..count {
            let mut changed = good.clone();
            let which = random.below(3);
            mutate(&mut changed[which].1, random);
            let (hash, parts) = parts(&changed[0].1, &changed[1].1);
            changed.push(("parts", parts));
            let artifact = Artifact::from_bytes(rebuild(Kind::Artifact, hash, &changed)).unwrap();
            let artifact = artifact.allow_insecure_parameters();
            let _ = (artifact.model(), artifact.program());
            if let Ok(info) = artifact.client() {
                clients += 1;
                let sample = vec![0.25; info.input_encoding.layout.len];
                let client = Client::generate(&artifact).unwrap();
                if client.encrypted_bytes(1) < LARGE {
                    let _ = client.encrypt(&[sample]);
                }
            }

            let mut changed = program.clone().into_program();
            if random.below(2) == 0 {
                let mut bytes = postcard::to_stdvec(&**program).unwrap();
                mutate(&mut bytes, random);
                let Ok(decoded) = postcard::from_bytes(&bytes) else { continue };
                changed = decoded;
            } else {
                distort(&mut changed, random);
            }
            let Some(program) = sound(changed) else { continue };
            programs += 1;
            let artifact = Artifact::new(&program, None).unwrap();
            let sample = vec![0.25; program.values[0].layout.len];
            // As the commands do, which ask for the memory that there is.
            if least_clear_bytes(&program) < LARGE {
                let _ = Clear::new(&program).run(&[&sample], None);
            }
            if least_server_bytes(&program) < LARGE && programs % 4 == 0 {
                run(&artifact, &sample);
                runs += 1;
            }
        }
        println!(
            "artifact {index}: {count} damages, {clients} clients, {programs} programs, {runs} runs"
        );
    }
}

/// Everything that is done with a sound artifact.
fn run(artifact: &Artifact, sample: &[f32]) {
    let Ok(client) = Client::generate(artifact) else { return };
    let Ok(keys) = client.make_evaluation_keys() else { return };
    let limit = LARGE + (1 << 20);
    let Ok(server) = Server::builder(artifact).memory_limit(limit).build(keys) else { return };
    let Ok(input) = client.encrypt(&[sample]) else { return };
    if let Ok(output) = server.run(&input) {
        let _ = client.decrypt(&output);
    }
}

fn keys_and_ciphertexts(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let program = random_program(5, 4);
    let artifact = Artifact::new(&program, None).unwrap();
    let client = Client::generate(&artifact).unwrap();
    client.write_secret_key(&path, false).unwrap();
    let secret = std::fs::read(&path).unwrap();
    let keys = client.make_evaluation_keys().unwrap();
    let keys = keys.as_bytes().unwrap();
    let server = Server::new(&artifact, client.make_evaluation_keys().unwrap()).unwrap();
    let input = client.encrypt(&[sample(&program, 0), sample(&program, 1)]).unwrap();
    let output = server.run(&input).unwrap();
    let questions = ["shape", "ciphertexts"];
    let answers = ["shape", "question", "ciphertexts"];
    let random = &mut Random(7);
    let mut changed = |bytes: &[u8], kind, names: &[&'static str]| {
        let (hash, mut sections) = sections(bytes, kind, names);
        let which = random.below(sections.len());
        mutate(&mut sections[which].1, random);
        rebuild(kind, hash, &sections)
    };
    for _ in 0..count {
        let bytes = changed(input.as_bytes(), Kind::EncryptedInput, &questions);
        if let Ok(input) = EncryptedInput::from_bytes(bytes) {
            let _ = server.run(&input);
        }
        let bytes = changed(output.as_bytes(), Kind::EncryptedOutput, &answers);
        if let Ok(output) = EncryptedOutput::from_bytes(bytes) {
            let _ = client.decrypt(&output);
        }
        let bytes = changed(keys, Kind::EvaluationKeys, &["key", "evaluation keys"]);
        std::fs::write(&path, &bytes).unwrap();
        for keys in [EvaluationKeyFile::open(&path), EvaluationKeyFile::from_bytes(bytes)] {
            let _ = Server::new(&artifact, keys.unwrap());
        }
        std::fs::write(&path, changed(&secret, Kind::SecretKey, &["secret key"])).unwrap();
        let _ = Client::open(&artifact, &path);
    }
}

/// The container itself, its hashes not repaired.
fn containers(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let artifact = Artifact::new(&random_program(5, 1), Some(&model())).unwrap();
    artifact.write(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    let random = &mut Random(9);
    for _ in 0..count {
        let mut bytes = good.clone();
        mutate(&mut bytes, random);
        std::fs::write(&path, &bytes).unwrap();
        if bytes != good {
            Artifact::open(&path).unwrap_err();
        }
        let _ = EvaluationKeyFile::open(&path);
        EvaluationKeyFile::from_bytes(bytes).unwrap_err();
    }
}

#[test]
fn damaged_files_harm_nobody() {
    if std::env::var_os(CHILD).is_some() {
        artifacts(cases());
        keys_and_ciphertexts(cases());
        containers(cases());
        return;
    }
    let program = std::env::current_exe().unwrap();
    let command = format!(
        "ulimit -v {ADDRESS_SPACE} && exec '{}' --exact --nocapture mutations::damaged_files_harm_nobody",
        program.display()
    );
    let output = Command::new("sh").args(["-c", &command]).env(CHILD, "1").output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{}\n{printed}", output.status);
    println!("{printed}");
}
