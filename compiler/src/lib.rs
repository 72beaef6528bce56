//! Compiler passes: from an ONNX network to a CKKS program.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]

pub mod compile;
pub mod composite;
pub mod dataset;
pub mod error;
pub mod evaluate;
#[cfg(test)]
mod filetests;
pub mod fit;
pub mod frontend;
pub mod layerwise;
pub mod lower;
pub mod method;
mod noise;
pub mod ola;
pub mod options;
pub mod pareto;
pub mod plan;
mod predict;
pub mod profile;
pub mod progress;
pub mod range_check;
pub mod reference;
pub mod rewrite;
#[cfg(test)]
mod sample_networks;
mod search;
pub mod sensitivity;
