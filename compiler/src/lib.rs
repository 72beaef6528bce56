//! Compiler passes: from an ONNX network to a CKKS program.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]

pub mod baselines;
pub mod compile;
pub mod dataset;
pub mod error;
pub mod evaluate;
pub mod fit;
pub mod frontend;
pub mod layerwise;
pub mod lower;
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
pub mod strategy;
