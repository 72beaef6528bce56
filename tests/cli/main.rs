//! The `pic` command as its users run it: separate processes that meet only in files.

mod bytes;
mod command;
mod files;
mod json;
mod limits;
mod pipeline;
mod refusals;
mod replacing;
mod targets;
mod terminal;
