//! Data types of the private inference compiler.
//!
//! Data only: every representation of the compiler is a plain type here with a text form, a verifier that
//! lists its invariants, and serialisation. Passes live in `pic-compiler`, execution in
//! `pic-runtime`.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]

pub mod activations;
pub mod calibration;
pub mod cost;
pub mod escape;
pub mod function;
pub mod layout;
pub mod matrix;
pub mod memory;
pub mod network;
pub mod normalization;
pub mod plan;
pub mod postprocessing;
pub mod precision;
pub mod prediction;
pub mod preprocessing;
pub mod profile;
pub mod program;
mod separable;
mod text;
pub mod transform;
