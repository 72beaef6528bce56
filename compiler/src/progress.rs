//! How those who wait see that something happens, and those who look closer see what.

use std::time::Duration;

use crate::pass::Pass;

/// Follows a compilation.
pub trait Progress: Sync {
    /// A stage of `total` units begins.
    fn stage(&self, name: &str, total: u64);
    /// `done` units of the stage are done.
    fn advance(&self, done: u64);
    /// A pass is done; `product` makes the text form of what it made.
    fn finished(&self, pass: Pass, took: Duration, product: &dyn Fn() -> String) {
        let _ = (pass, took, product);
    }
}

/// Follows nothing.
impl Progress for () {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// Called by a pass with the units of work that are done and those that there are in all.
pub type Advance<'a> = &'a dyn Fn(u64, u64);
