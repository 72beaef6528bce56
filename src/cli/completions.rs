//! `pic completions`: what a shell reads to complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};
use serde::Serialize;

use super::error::Failure;
use super::{Cli, Session};

/// Print what a shell reads to complete commands and options
#[derive(Args)]
#[command(after_help = "Example:\n  \
    pic completions bash > ~/.local/share/bash-completion/completions/pic")]
pub struct Arguments {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    shell: String,
    script: String,
}

/// Runs `pic completions`: prints the completion script of a shell.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Cli::command(), "pic", &mut script);
    let script = String::from_utf8(script).expect("scripts consist of the text of this program");
    if session.json {
        let report = Report { shell: arguments.shell.to_string(), script };
        return session.print(&report, String::new);
    }
    // As it is: nothing in it is from a file, and shells read tabs.
    session.write(&script)
}
