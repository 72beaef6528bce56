//! Contexts shared by the unit tests of several files.

use std::sync::Arc;

use crate::Context;
use crate::model::{Parameters, SecurityLevel};

/// A small insecure context with `moduli` primes in its chain: q0 of 45 bits, then 40-bit primes.
pub(crate) fn context(log_n: u32, moduli: usize) -> Arc<Context> {
    let bits: Vec<f64> = (0..moduli).map(|i| if i == 0 { 45.0 } else { 40.0 }).collect();
    let parameters =
        Parameters::from_bits(log_n, &bits, &[46.0], moduli, SecurityLevel::Insecure).unwrap();
    Context::new(parameters).unwrap()
}
