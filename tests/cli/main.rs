//! The `pic` command as its users run it: separate processes that meet only in files.

mod files;
mod json;
mod pic;
mod pipeline;
mod refusals;
