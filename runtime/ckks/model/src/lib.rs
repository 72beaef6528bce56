//! The model of a CKKS computation: everything that can be computed without running it. Parameters
//! and their security, primes, polynomial evaluation plans, noise, operation counts, bootstrapping
//! plans.
//!
//! A compiler plans with these functions and `pic-ckks` executes by the same plans, so that there
//! is one description of the scheme. Nothing here encrypts, and nothing here depends on the ring
//! arithmetic.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_methods)]

pub mod bootstrapping;
pub mod chebyshev;
mod float;
pub mod giant_steps;
pub mod kernels;
mod keys;
pub mod noise;
pub mod op_counts;
mod parameters;
pub mod primes;
pub mod security;
pub mod unit_costs;

pub use chebyshev::ChebyshevPlan;
pub use float::square;
pub use kernels::KernelSet;
pub use keys::KeyRequest;
pub use parameters::{MAX_PRIMES, Parameters, ParametersError, ParametersSpec};
pub use security::SecurityLevel;
pub use unit_costs::UnitCosts;
