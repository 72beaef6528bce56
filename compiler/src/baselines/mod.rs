//! Published strategies for choosing polynomials, with which [`Strategy::Joint`](crate::strategy::Strategy::Joint)
//! is compared.

pub mod discretised;
