//! Artifacts, keys, clients and servers, and execution of programs.

pub mod artifact;
pub mod backend;
pub mod clear;
pub mod container;
mod error;
pub mod output_file;
mod sample;

pub use artifact::{Artifact, ClientInfo, Model};
pub use error::Error;
