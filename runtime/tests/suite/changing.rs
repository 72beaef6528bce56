//! Files that another process cuts short or overwrites while they are in use: an error or the right result, never a
//! signal. Each case runs in a process of its own, whose end can be looked at.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use pic_runtime::{Artifact, Client, EncryptedInput, EncryptedOutput, EvaluationKeyFile, Server};

use crate::support::{random_program, sample};

/// Names the folder, the file and the change of a case; set in the child process only.
const CASE: &str = "PIC_TEST_CHANGING";

const FILES: [&str; 5] = ["model.pic", "secret", "keys", "in.ct", "out.ct"];

fn change(path: &Path, kind: &str) {
    let file = || OpenOptions::new().write(true).open(path).unwrap();
    let length = std::fs::metadata(path).unwrap().len();
    match kind {
        "cut" => file().set_len(100).unwrap(),
        "empty" => drop(File::create(path).unwrap()),
        "middle" => {
            let mut file = file();
            file.seek(SeekFrom::Start(length / 2)).unwrap();
            file.write_all(&[0xFF; 64]).unwrap();
        }
        "all" => file().write_all(&vec![0xFF; length as usize]).unwrap(),
        _ => unreachable!("{kind}"),
    }
}

/// Opens every file, changes one of them, and then uses them all.
fn case(folder: &Path, name: &str, kind: &str) -> Result<(), pic_runtime::Error> {
    let at = |name: &str| folder.join(name);
    let artifact = Artifact::open(&at("model.pic"))?.allow_insecure_parameters();
    let keys = EvaluationKeyFile::open(&at("keys"))?;
    let input = EncryptedInput::open(&at("in.ct"))?;
    let output = EncryptedOutput::open(&at("out.ct"))?;
    let client = Client::open(&artifact, &at("secret"))?;
    change(&at(name), kind);
    let decrypted = client.decrypt(&output)?;
    let server = Server::new(&artifact, keys)?;
    let answer = client.decrypt(&server.run(&input)?)?;
    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-2;
    assert!(
        answer[0].outputs.iter().zip(&decrypted[0].outputs).all(close),
        "{answer:?} is not {decrypted:?}"
    );
    Ok(())
}

#[test]
fn changed_files_never_kill_the_process() {
    if let Ok(case_of) = std::env::var(CASE) {
        let [folder, name, kind] = case_of.split('|').collect::<Vec<_>>().try_into().unwrap();
        match case(Path::new(folder), name, kind) {
            Ok(()) => println!("answer"),
            Err(error) => println!("error: {error}"),
        }
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let at = |name: &str| made.path().join(name);
    let program = random_program(10, 4);
    Artifact::new(&program, None).unwrap().write(&at("model.pic")).unwrap();
    let artifact = Artifact::open(&at("model.pic")).unwrap().allow_insecure_parameters();
    let client = Client::generate(&artifact).unwrap();
    client.write_key_pair(&at("secret"), &at("keys"), false).unwrap();
    let input = client.encrypt(&[sample(&program, 0)]).unwrap();
    input.write(&at("in.ct")).unwrap();
    let server = Server::new(&artifact, EvaluationKeyFile::open(&at("keys")).unwrap()).unwrap();
    server.run(&input).unwrap().write(&at("out.ct")).unwrap();

    for name in FILES {
        for kind in ["cut", "empty", "middle", "all"] {
            let folder = tempfile::tempdir().unwrap();
            for file in FILES {
                std::fs::copy(at(file), folder.path().join(file)).unwrap();
            }
            let run = run_case(folder.path(), name, kind);
            // Only keys are read after they have been opened.
            let expected = if name == "keys" { "error: cannot read" } else { "answer" };
            assert!(run.contains(expected), "{name} {kind}: {run}");
        }
    }
}

/// What a child process printed, which must have ended well.
fn run_case(folder: &Path, name: &str, kind: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "changing::changed_files_never_kill_the_process"])
        .env(CASE, format!("{}|{name}|{kind}", folder.display()))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {kind}: {} {printed}", output.status);
    printed
}
