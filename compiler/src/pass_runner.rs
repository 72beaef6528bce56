//! Execution of passes: reports progress, takes the time, and in debug builds verifies the output.

use std::time::Instant;

use crate::pass::Pass;
use crate::pass_output::PassOutput;
use crate::progress::{Advance, Progress};

/// Runs the passes of one compilation.
pub struct PassRunner<'a> {
    progress: &'a dyn Progress,
    /// Suffix of the description in progress output, such as `, scale 2^26`.
    round: String,
}

impl<'a> PassRunner<'a> {
    /// A runner that reports to `progress`.
    pub fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, round: String::new() }
    }

    /// A runner for the passes at one scale, which progress output names.
    pub fn at_scale(&self, log_scale: f64) -> Self {
        Self { progress: self.progress, round: format!(", scale 2^{log_scale}") }
    }

    /// Runs a pass and returns its output. Reports the pass to the progress, with the time that it took and the
    /// output's text. `work` gets a function to which it tells how much is done.
    ///
    /// # Errors
    /// The errors of the pass.
    ///
    /// # Panics
    /// In debug builds, if the output breaks an invariant.
    pub fn run<T: PassOutput, E>(
        &self,
        pass: Pass,
        work: impl FnOnce(Advance) -> Result<T, E>,
    ) -> Result<T, E> {
        self.progress.stage(&format!("{}{}", pass.description(), self.round), 0);
        let begin = Instant::now();
        let output = work(&|done, _| self.progress.advance(done))?;
        let took = begin.elapsed();
        if cfg!(debug_assertions)
            && let Err(fault) = output.verify()
        {
            panic!("after pass `{pass}`: {fault}");
        }
        self.progress.finished(pass, took, &|| output.text());
        Ok(output)
    }

    /// Runs a pass that cannot fail, as [`PassRunner::run`] does, and returns its output.
    ///
    /// # Panics
    /// In debug builds, if the output breaks an invariant.
    pub fn rewrite<T: PassOutput>(&self, pass: Pass, work: impl FnOnce() -> T) -> T {
        let Ok(output) = self.run(pass, |_| Ok::<_, std::convert::Infallible>(work()));
        output
    }
}
