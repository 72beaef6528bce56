//! Compiler passes: from an ONNX network to a CKKS program.

pub mod frontend;
pub mod reference;
