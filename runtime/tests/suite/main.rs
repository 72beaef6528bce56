//! Tests of the runtime through its public interface.

mod answers;
mod changing;
mod clear;
mod encrypted;
mod engines;
mod files;
mod hostile;
mod key_sets;
mod mutations;
mod support;
