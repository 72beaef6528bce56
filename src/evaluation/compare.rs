//! Comparison of the programs that several strategies make for one network.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::{Simulated, TestSet, Verified, simulate, verify};
use crate::{Compiler, CompilerError, Progress, Strategy};

/// Result of one strategy in [`compare()`]: what its program is like, a simulation of it on all samples, and an
/// encrypted run on the first ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MethodReport {
    /// Degree of each polynomial, by activation layer.
    pub degrees: Vec<usize>,
    /// Number of values of the network that are bootstrapped.
    pub bootstraps: usize,
    /// log2 of the ring degree N.
    pub log_n: u32,
    /// Time of the compilation, seconds.
    pub compile_seconds: f64,
    /// Simulation of all samples, with the errors of encryption.
    pub simulated: Simulated,
    /// Encrypted run of the first samples.
    pub verified: Verified,
}

/// Reason why a strategy has no program, or its program was not evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// The network was not compiled.
    #[error(transparent)]
    Compile(#[from] CompilerError),
    /// The program cannot be simulated or run.
    #[error(transparent)]
    Run(#[from] pic_runtime::Error),
}

/// Compiles the network of `compiler` by each of the strategies `methods`, simulates each program on all samples of
/// `test`, and runs it encrypted on the first `encrypted` of them. Returns one result for each strategy, in order. The
/// compiler's own strategy is replaced; its other options hold for all.
///
/// ```no_run
/// use pic::evaluation::{TestSet, compare};
/// use pic::{Compiler, Strategy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (calibration, samples): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (vec![], vec![]);
/// let compiler = Compiler::from_onnx("model.onnx")?.calibration(&calibration);
/// let (methods, test) = ([Strategy::Joint, Strategy::Uniform], TestSet::new(&samples, None)?);
/// for (method, report) in compare(&compiler, &methods, test, 2.try_into()?, &()) {
///     println!("{method:?}: {:?} seconds", report?.verified.seconds_per_sample);
/// }
/// # Ok(()) }
/// ```
pub fn compare(
    compiler: &Compiler,
    methods: &[Strategy],
    test: TestSet<'_>,
    encrypted: NonZeroUsize,
    progress: &dyn Progress,
) -> Vec<(Strategy, Result<MethodReport, MethodError>)> {
    let report = |&method: &Strategy| {
        let compiler = compiler.clone().strategy(method);
        (method, evaluate(&compiler, test, encrypted, progress))
    };
    methods.iter().map(report).collect()
}

fn evaluate(
    compiler: &Compiler,
    test: TestSet<'_>,
    encrypted: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<MethodReport, MethodError> {
    let start = Instant::now();
    let compiled = compiler.compile_with(progress)?;
    let compile_seconds = start.elapsed().as_secs_f64();
    let degrees = compiled.activations.layers.iter().map(|layer| layer.degree()).collect();
    let bootstraps = compiled.plan.nodes.iter().filter(|n| n.bootstrapped.is_some()).count();
    let log_n = compiled.plan.parameters.log_n();
    let artifact = Compiler::artifact(compiled)?;
    Ok(MethodReport {
        degrees,
        bootstraps,
        log_n,
        compile_seconds,
        simulated: simulate(&artifact, test, Some(0), progress)?,
        verified: verify(&artifact, test.first(encrypted), progress)?,
    })
}
