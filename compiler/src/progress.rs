//! How those who wait see that something happens.

/// Follows a compilation.
pub trait Progress: Sync {
    /// A stage of `total` units begins.
    fn stage(&self, name: &str, total: u64);
    /// `done` units of the stage are done.
    fn advance(&self, done: u64);
}

/// Follows nothing.
impl Progress for () {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// Called by a pass with the units of work that are done and those that there are in all.
pub type Advance<'a> = &'a dyn Fn(u64, u64);
