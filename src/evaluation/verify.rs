//! Encrypted run of a compiled network in one process, compared with the plain network and the simulation.

use std::time::Instant;

use pic_ir::prediction::Prediction;
use pic_ir::program::Program;
use pic_runtime::clear::Clear;
use pic_runtime::{Answer, Artifact, Client, Error, Server, machine};

use super::simulate::out_of_range;
use super::{Comparison, Layer, OutOfRange, TestSet, plain_outputs, run_traced};
use crate::Progress;

/// Result of [`verify()`]: decrypted answers of encrypted runs, their comparison with the plain network, and time,
/// memory and precision as predicted and as measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Answer to each sample, with every digit.
    pub answers: Vec<Answer>,
    /// Comparison of the answers with those of the plain network.
    pub comparison: Comparison,
    /// Share of inputs outside their interval for each activation that is a polynomial, in order, by a simulation.
    pub out_of_range: Vec<OutOfRange>,
    /// Predicted work, time, memory and precision of a run.
    pub predicted: Prediction,
    /// Time of encrypted execution alone, seconds per sample.
    pub seconds_per_sample: f64,
    /// Seconds per sample without the first one, during which memory is still being allocated; those of the first
    /// if there is no other.
    pub warm_seconds: f64,
    /// Time to make the secret key and the evaluation keys, seconds.
    pub keygen_seconds: f64,
    /// Peak memory of the process during the run, client and server together; none if the system does not tell.
    pub peak_bytes: Option<u64>,
    /// −log2 of the root mean square error of the stored output against the program without noise, over the
    /// reliable answers; none if there is no error, or no answer is reliable.
    pub measured_precision_bits: Option<f64>,
    /// Time of each value that the program computes, averaged over samples, in order of evaluation.
    pub layers: Vec<Layer>,
}

/// Makes keys, encrypts, runs and decrypts, and compares with the plain network. Samples that a client would refuse to
/// encrypt are encrypted all the same, and counted.
///
/// The artifact has to be the model owner's, with all parts. The measurement of this process's peak memory begins anew
/// ([`machine::reset_peak`]).
///
/// ```no_run
/// use pic::evaluation::{TestSet, verify};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let samples: Vec<Vec<f32>> = vec![];
/// let artifact = pic::Artifact::open("model.pic".as_ref())?;
/// let verified = verify(&artifact, TestSet::new(&samples, None)?, &())?;
/// println!("{:?} bits of precision", verified.measured_precision_bits);
/// # Ok(()) }
/// ```
///
/// # Errors
/// The errors of [`Artifact::program`], [`Artifact::model`], [`Client::generate`], [`Client::encrypt_out_of_range`],
/// [`Server::new`] and [`Server::run`].
pub fn verify(
    artifact: &Artifact,
    test: TestSet<'_>,
    progress: &dyn Progress,
) -> Result<Verified, Error> {
    // A part that is missing is missed before keys are made.
    let (program, model) = (artifact.program()?, artifact.model()?);
    let samples = test.samples();
    machine::reset_peak();

    progress.stage("keys", 0);
    let start = Instant::now();
    let client = Client::generate(artifact)?;
    let keys = client.make_evaluation_keys()?;
    let keygen_seconds = start.elapsed().as_secs_f64();

    let input = client.encrypt_out_of_range(samples)?;
    let server = Server::new(artifact, keys)?;
    let (output, trace) = run_traced(&server, &input, progress)?;
    let answers = client.decrypt_raw(&output)?;
    let peak_bytes = machine::peak_bytes();

    progress.stage("compare", 0);
    let exact = Clear::new(&program).run(samples, None)?;
    let plain = plain_outputs(&model.network, samples);
    Ok(Verified {
        comparison: Comparison::new(client.info(), test, &answers, &plain),
        out_of_range: out_of_range(&program, &exact.outside),
        predicted: program.predicted,
        seconds_per_sample: trace.seconds() / samples.len() as f64,
        warm_seconds: trace.warm_seconds(),
        keygen_seconds,
        peak_bytes,
        measured_precision_bits: precision_bits(&program, &answers, &exact.outputs),
        layers: trace.layers(),
        answers,
    })
}

/// −log2 of the root mean square error of the stored output over the reliable answers; none if there is no error,
/// or no such answer.
fn precision_bits(program: &Program, found: &[Answer], exact: &[Vec<f32>]) -> Option<f64> {
    let half_width = program.output_value().half_width;
    let reliable = found.iter().zip(exact).filter(|(answer, _)| answer.reliable);
    let pairs = reliable.flat_map(|(answer, exact)| answer.logits.iter().zip(exact));
    let squares: Vec<f64> =
        pairs.map(|(a, b)| ((f64::from(*a) - f64::from(*b)) / half_width).powi(2)).collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    (mean > 0.0).then(|| -0.5 * mean.log2())
}
