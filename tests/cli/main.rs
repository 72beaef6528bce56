//! The `pic` command as its users run it: separate processes that meet only in files.

mod bytes;
mod command;
mod files;
mod generated;
mod json;
mod limits;
mod passes;
mod pipeline;
mod postprocessing;
mod range;
mod refusals;
mod replacing;
mod sharing;
mod targets;
mod terminal;
