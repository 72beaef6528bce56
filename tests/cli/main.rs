//! The `pic` command as its users run it: separate processes that meet only in files.

mod bytes;
mod command;
mod files;
mod json;
mod pipeline;
mod range;
mod refusals;
mod sharing;
mod targets;
