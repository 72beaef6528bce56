//! Arithmetic that has the same result on every processor.
//!
//! What is decided by floating point here, in `pic-ir` and in `pic-compiler` ends up in artifacts, which are
//! the same bytes wherever they are compiled. Sums, products, quotients, square roots and roundings are exact
//! to the last bit by IEEE 754. Other functions are those of `libm`, in plain Rust: the standard library's are
//! the system's, which differ between systems and choose their code by the processor, or are computed by the Rust
//! compiler on whatever machine it runs. `clippy.toml` forbids them, and these crates hold themselves to it.

/// `x²`, one product; the precision of [`f64::powi`] is unspecified.
pub fn square(x: f64) -> f64 {
    x * x
}
