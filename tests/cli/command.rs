//! Running the command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Every command.
pub const COMMANDS: [&str; 13] = [
    "compile",
    "compare",
    "inspect",
    "simulate",
    "keygen",
    "encrypt",
    "run",
    "decrypt",
    "verify",
    "bench",
    "demo",
    "completions",
    "man",
];

/// A finished run.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `pic` in a folder.
pub fn pic<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Run {
    finish(command(folder).args(arguments))
}

/// `pic`, to be run in a folder that is also its cache folder: what the user's says of the machine is of no
/// interest.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pic"));
    command.current_dir(folder).env("XDG_CACHE_HOME", folder);
    command
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().expect("pic starts");
    let text = |bytes| String::from_utf8(bytes).expect("pic prints UTF-8");
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs `pic` with arguments separated by spaces; it must succeed.
pub fn succeed(folder: &Path, arguments: &str) -> Run {
    let run = pic(folder, arguments.split_whitespace());
    assert_eq!(run.code, Some(0), "pic {arguments}\n{run:#?}");
    run
}

/// The same with `--json`.
pub fn json(folder: &Path, arguments: &str) -> Value {
    let run = succeed(folder, &format!("{arguments} --json"));
    serde_json::from_str(&run.stdout).expect("one JSON value on stdout")
}

/// Runs `pic` with arguments separated by spaces; it must fail with code 1 without a panic and
/// leave the folder as it was. Returns what it printed on stderr, on one line.
pub fn fail(folder: &Path, arguments: &str) -> String {
    let before = listing(folder);
    let run = pic(folder, arguments.split_whitespace());
    assert_eq!(run.code, Some(1), "pic {arguments}\n{run:#?}");
    assert!(!run.stderr.contains("panicked"), "pic {arguments}\n{}", run.stderr);
    assert_eq!(run.stdout, "", "pic {arguments}");
    assert_eq!(listing(folder), before, "pic {arguments} left something behind");
    // The frame and line breaks of the rendering are of no interest.
    let words = run.stderr.split(|c: char| c.is_whitespace() || "│╰─▶×".contains(c));
    words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}
