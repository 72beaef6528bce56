//! What can be known of a CKKS computation without running it: parameters and their security,
//! primes, polynomial evaluation plans, noise, work, bootstrapping.
//!
//! A compiler plans with these facts and `pic-ckks` executes by them, so that there is one truth.
//! Nothing here encrypts, and nothing here depends on the ring arithmetic.

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
