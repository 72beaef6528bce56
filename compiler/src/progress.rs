//! Progress of a compilation, for displays and for tools that look at the products of passes.

use std::time::Duration;

use crate::pass::Pass;

/// Receives the progress of a compilation.
pub trait Progress: Sync {
    /// A stage of `total` units begins.
    fn stage(&self, name: &str, total: u64);
    /// `done` units of the stage are done.
    fn advance(&self, done: u64);
    /// A pass is done; `product` makes the text form of its product.
    fn finished(&self, pass: Pass, took: Duration, product: &dyn Fn() -> String) {
        let _ = (pass, took, product);
    }
}

/// Ignores all progress.
impl Progress for () {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// Callback of a pass with the units of work done and their total number.
pub type Advance<'a> = &'a dyn Fn(u64, u64);
