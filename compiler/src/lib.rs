//! Compiler passes: from an ONNX network to a CKKS program.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]

pub mod accuracy;
mod allocate;
pub mod baselines;
mod chain;
pub mod compile;
pub mod composition;
pub mod dataset;
pub mod error;
mod estimate;
pub mod evaluate;
#[cfg(test)]
mod filetests;
pub mod fit;
pub mod frontend;
pub mod layerwise;
mod layouts;
mod levels;
pub mod lower;
mod magnitudes;
pub mod ola;
pub mod options;
pub mod pass;
mod pass_output;
mod pass_runner;
pub mod plan;
pub mod point_summary;
pub mod profile;
pub mod progress;
pub mod range_check;
pub mod reference;
pub mod rewrite;
#[cfg(test)]
mod sample_networks;
mod samples;
mod select;
pub mod sensitivity;
mod series_parallel;
pub mod strategy;
mod trials;
