//! Compiler passes: from an ONNX network to a CKKS program.

pub mod evaluate;
pub mod fit;
pub mod frontend;
pub mod lower;
pub mod ola;
pub mod plan;
pub mod reference;
pub mod rewrite;
