//! CKKS: homomorphic encryption of approximate numbers.
