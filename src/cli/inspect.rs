//! `pic inspect`: what an artifact holds.

use std::path::PathBuf;

use clap::Args;
use pic::Artifact;

use super::Session;
use super::error::Failure;
use super::forecast::Machine;
use super::summary::Summary;

/// Show what an artifact holds: parameters, polynomials, predictions for this machine
///
/// Says whether the file is the complete model or a part of it. In the table of polynomials, `range` is the interval that one
/// approximates its activation on, and `stretch` (`r` in JSON) by how much the distribution of calibration values was
/// widened when it was fitted, 1 for not at all.
#[derive(Args)]
#[command(after_help = "Example:\n  pic inspect model.pic")]
pub struct Arguments {
    /// The compiled model, or its part for clients or for servers
    #[arg(value_name = "MODEL.pic")]
    artifact: PathBuf,
}

/// Runs `pic inspect`: prints a summary of an artifact.
pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let artifact = Artifact::open(&arguments.artifact)?;
    let summary = Summary::new(&artifact, &Machine::detect(session)?)?;
    session.print(&summary, || summary.to_string())
}
