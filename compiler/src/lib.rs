//! Compiler passes: from an ONNX network to a CKKS program.

pub mod evaluate;
pub mod frontend;
pub mod reference;
pub mod rewrite;
