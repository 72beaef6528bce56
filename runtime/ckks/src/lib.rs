//! CKKS: homomorphic encryption of approximate numbers.

pub mod ring;
