//! The scheme from outside: every operation is decrypted and compared with the same computation on
//! numbers. Where a module has no better reason for its tolerance, it is [`common::TOLERANCE`].

mod bootstrapping;
mod bootstrapping_noise;
mod common;

mod encryption;
mod noise;
mod polynomial;
mod products;
mod rotations;
mod serialization;
mod sums;
mod transform;
