//! `pic man`: the manual pages, made from the same descriptions as `--help`.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;

use super::error::Failure;
use super::text::count;
use super::{Cli, Session, output};

/// Write the manual pages: pic.1, and one for each command
#[derive(Args)]
#[command(after_help = "Example:\n  pic man ~/.local/share/man/man1 && man pic-compile")]
pub struct Arguments {
    /// Where the pages go; older ones are replaced
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// The keys of `--json`.
#[derive(Serialize)]
struct Report {
    pages: Vec<PathBuf>,
}

/// Runs `pic man`: writes a manual page for each command.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let pages: Vec<(PathBuf, Vec<u8>)> =
        pages().into_iter().map(|(name, page)| (arguments.folder.join(name), page)).collect();
    let paths: Vec<&Path> = pages.iter().map(|(path, _)| path.as_path()).collect();
    output::check(&paths, &[])?;
    pages.iter().try_for_each(|(path, page)| output::write_text(path, page))?;
    let report = Report { pages: pages.into_iter().map(|(path, _)| path).collect() };
    session.print(&report, || {
        format!("{} in {}\n", count(report.pages.len(), "page"), arguments.folder.display())
    })
}

/// Name and content of every page.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives every command its full name, and the options that all commands have.
    command.build();
    let render = |command: &Command| {
        let page = Man::new(command.clone()).source(concat!("pic ", env!("CARGO_PKG_VERSION")));
        let mut content = Vec::new();
        page.render(&mut content).expect("writing to memory does not fail");
        (page.get_filename(), content)
    };
    std::iter::once(&command).chain(command.get_subcommands()).map(render).collect()
}
