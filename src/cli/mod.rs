//! The command line: arguments, files, printing. One file a command; what a command does is in the
//! libraries, and every command is a short sequence of their calls.
//!
//! Results go to stdout, as text or as JSON; progress, warnings and errors go to stderr. The exit
//! code is 0 for success, 1 for a command that failed, 2 for one that was not understood and 3 for `decrypt` and `verify`
//! with answers that are not to be relied on.

mod bench;
mod compare;
mod comparison;
mod compile;
mod completions;
mod decrypt;
mod demo;
mod encrypt;
mod error;
mod forecast;
mod inspect;
mod keygen;
mod man;
mod output;
mod passes;
mod progress;
mod run;
mod simulate;
mod speed;
mod summary;
mod text;
mod trace;
mod values;
mod verify;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use pic_ir::escape::Escaped;

use error::Failure;
use progress::Reporter;
use text::{printable, printable_json};

/// Compile neural networks to run on encrypted inputs
///
/// A model owner compiles an ONNX file to an artifact (`compile`, `compare`, `inspect`,
/// `simulate`, `verify`). A client makes keys, encrypts inputs and decrypts answers (`keygen`, `encrypt`,
/// `decrypt`). A server runs the network on ciphertexts (`run`). `demo` shows all of it.
#[derive(Parser)]
#[command(name = "pic", version, arg_required_else_help = true)]
#[command(after_help = "Example:\n  pic demo")]
struct Cli {
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Every command")]
    json: bool,
    /// Threads to use, up to 1024 [default: all cores]
    #[arg(long, global = true, value_name = "COUNT", help_heading = "Every command")]
    #[arg(value_parser = values::threads, allow_negative_numbers = true)]
    threads: Option<NonZeroUsize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compile(compile::Arguments),
    Compare(compare::Arguments),
    Inspect(inspect::Arguments),
    Simulate(simulate::Arguments),
    Keygen(keygen::Arguments),
    Encrypt(encrypt::Arguments),
    Run(run::Arguments),
    Decrypt(decrypt::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Exit code of a command that did what was asked, but has answers that are not to be relied on.
const UNRELIABLE: u8 = 3;

/// Exit code of a command that was not understood, as clap has it.
const USAGE: u8 = 2;

/// The code of a command whose answers are all to be relied on, or not.
fn reliability(all_reliable: bool) -> ExitCode {
    if all_reliable { ExitCode::SUCCESS } else { ExitCode::from(UNRELIABLE) }
}

/// State that all commands share: options of the output.
struct Session {
    json: bool,
    progress: Reporter,
}

impl Session {
    /// Prints a result, as JSON or as text.
    fn print(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(value).expect("results encode as JSON");
            self.write(&format!("{}\n", printable_json(&json)))
        } else {
            self.write(&printable(&text()))
        }
    }

    /// Prints something on the way to the result, for people.
    fn say(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.write(&printable(&text.to_string())) }
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        self.progress.finish();
        match io::stdout().lock().write_all(text.as_bytes()) {
            // The reader has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }

    /// Prints a warning to stderr.
    fn warn(&self, message: impl std::fmt::Display) {
        self.progress.finish();
        eprintln!("warning: {}", Escaped(&message.to_string()));
    }
}

/// Reads the arguments and runs the command.
pub fn main() -> ExitCode {
    let Cli { json, threads, command } = match Cli::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are no errors. Arguments that were not understood are looked at as they are.
        Err(error) if error.use_stderr() && std::env::args_os().any(|a| a == "--json") => {
            Failure::usage(&error).show(true);
            return ExitCode::from(USAGE);
        }
        Err(error) => error.exit(),
    };
    let session = Session { json, progress: Reporter::new() };
    let result = dispatch(command, threads, &session);
    session.progress.finish();
    result.unwrap_or_else(|failure| {
        failure.show(json);
        ExitCode::FAILURE
    })
}

/// Environment variable with rayon's number of threads.
const THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

fn start_threads(threads: Option<NonZeroUsize>) -> Result<(), Failure> {
    let given = std::env::var(THREADS_VARIABLE).ok().and_then(|text| text.parse::<usize>().ok());
    if let (None, Some(given)) = (threads, given)
        && given > *values::THREADS.end()
    {
        let message =
            format!("{THREADS_VARIABLE} is {given}: at most {} threads", values::THREADS.end());
        return Err(Failure::new("pic::threads", &io::Error::other(message), None));
    }
    // 0 stands for what the variable says, or as many as there are cores.
    let threads = threads.map_or(0, NonZeroUsize::get);
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?)
}

fn dispatch(
    command: Command,
    threads: Option<NonZeroUsize>,
    session: &Session,
) -> Result<ExitCode, Failure> {
    start_threads(threads)?;
    match command {
        Command::Compile(arguments) => compile::run(arguments, session),
        Command::Compare(arguments) => compare::run(arguments, session),
        Command::Inspect(arguments) => inspect::run(arguments, session),
        Command::Simulate(arguments) => simulate::run(arguments, session),
        Command::Keygen(arguments) => keygen::run(arguments, session),
        Command::Encrypt(arguments) => encrypt::run(arguments, session),
        Command::Run(arguments) => run::run(arguments, session),
        Command::Decrypt(arguments) => return decrypt::run(arguments, session),
        Command::Verify(arguments) => return verify::run(arguments, session),
        Command::Bench(arguments) => bench::run(arguments, session),
        Command::Demo(arguments) => demo::run(arguments, session),
        Command::Completions(arguments) => completions::run(arguments, session),
        Command::Man(arguments) => man::run(arguments, session),
    }?;
    Ok(ExitCode::SUCCESS)
}
