//! Published ways of choosing polynomials, which this project's way is compared with
//! ([`Strategy`](crate::strategy::Strategy)).

pub mod composite;
pub mod discretised;
pub mod minimax;
