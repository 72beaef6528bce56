//! Times on one thread and on all.

use serde::Serialize;

/// Fastest runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seconds {
    /// On one thread.
    #[serde(rename = "one_thread_seconds")]
    pub one_thread: f64,
    /// On all threads.
    #[serde(rename = "all_threads_seconds")]
    pub all_threads: f64,
}

impl Seconds {
    /// Ratio of the times on one and on all threads.
    pub fn gain(self) -> f64 {
        self.one_thread / self.all_threads
    }
}
