//! Floating-point arithmetic with the same result on every processor.
//!
//! Decisions by floating point in this crate, in `pic-ir` and in `pic-compiler` determine
//! artifacts, which must be the same bytes wherever they are compiled. IEEE 754 fixes the last bit
//! of sums, products, quotients, square roots and roundings. All other functions come from `libm`,
//! in plain Rust: those of the standard library are the operating system's, which vary with system
//! and processor, or are evaluated by the Rust compiler on its own machine. `clippy.toml` forbids
//! them in these crates.

/// `x²` as one product; the precision of [`f64::powi`] is unspecified.
pub fn square(x: f64) -> f64 {
    x * x
}
