//! Execution of passes: reports progress, takes the time, and in debug builds verifies the product.

use std::time::Instant;

use crate::pass::Pass;
use crate::product::Product;
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

    /// Runs a pass and returns its product. Reports the pass to the progress, with the time that it took and the
    /// product's text. `work` gets a function to which it tells how much is done.
    ///
    /// # Errors
    /// The errors of the pass.
    ///
    /// # Panics
    /// In debug builds, if the product breaks an invariant.
    pub fn run<T: Product, E>(
        &self,
        pass: Pass,
        work: impl FnOnce(Advance) -> Result<T, E>,
    ) -> Result<T, E> {
        self.progress.stage(&format!("{}{}", pass.description(), self.round), 0);
        let begin = Instant::now();
        let product = work(&|done, _| self.progress.advance(done))?;
        let took = begin.elapsed();
        if cfg!(debug_assertions)
            && let Err(fault) = product.verify()
        {
            panic!("after pass `{pass}`: {fault}");
        }
        self.progress.finished(pass, took, &|| product.text());
        Ok(product)
    }

    /// Runs a pass that cannot fail, as [`PassRunner::run`] does, and returns its product.
    ///
    /// # Panics
    /// In debug builds, if the product breaks an invariant.
    pub fn rewrite<T: Product>(&self, pass: Pass, work: impl FnOnce() -> T) -> T {
        let Ok(product) = self.run(pass, |_| Ok::<_, std::convert::Infallible>(work()));
        product
    }
}
