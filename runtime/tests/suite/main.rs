//! Tests of the runtime through its public interface.

mod answers;
mod clear;
mod encrypted;
mod files;
mod hostile;
mod support;
