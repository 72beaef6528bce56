//! Simulation of a compiled network without encryption, compared with the plain one.

use pic_ir::memory::least_clear_bytes;
use pic_ir::precision;
use pic_ir::program::{Program, RangeCheck, ValueId, VerifiedProgram};
use pic_runtime::clear::{Clear, Noise, Simulation};
use pic_runtime::{Answer, Artifact, Error, machine};
use serde::Serialize;

use super::{Comparison, TestSet, plain_outputs};
use crate::Progress;

/// Result of [`simulate()`]: answers computed without encryption, their comparison with the plain network, and how
/// often inputs left the intervals of polynomials.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Simulated {
    /// Answer to each sample, in the form that a client gets.
    pub answers: Vec<Answer>,
    /// Comparison of the answers with those of the plain network.
    pub comparison: Comparison,
    /// Share of inputs outside their interval for each activation that is a polynomial, in order.
    pub out_of_range: Vec<OutOfRange>,
    /// Sums of the range check; none if the program has no range check.
    pub range_check: Option<RangeChecked>,
}

/// An activation layer and the share of its inputs outside the interval of its polynomial, from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OutOfRange {
    /// Name of the polynomial's value in the program.
    pub layer: String,
    /// Share of the inputs of all samples.
    pub share: f64,
}

/// Sums of the range check over the samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RangeChecked {
    /// Number of samples that the check finds in doubt.
    pub failing: usize,
    /// Largest ratio of a sum to the limit.
    pub largest: f64,
    /// Median ratio of a sum to the limit.
    pub median: f64,
}

/// Computes what the encrypted program computes, and compares it with the plain network. With a seed, errors as large as
/// those that encryption would add are drawn from it.
///
/// The artifact has to be the model owner's, with all parts.
///
/// ```no_run
/// use pic::evaluation::{TestSet, simulate};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let samples: Vec<Vec<f32>> = vec![];
/// let artifact = pic::Artifact::open("model.pic".as_ref())?;
/// let simulated = simulate(&artifact, TestSet::new(&samples, None)?, Some(0), &())?;
/// println!("{:?} of the classes agree", simulated.comparison.agreement);
/// # Ok(()) }
/// ```
///
/// # Errors
/// The errors of [`Artifact::program`], [`Artifact::model`] and [`Artifact::client`]; [`Error::Memory`];
/// [`Error::SampleLength`], [`Error::NotFinite`].
pub fn simulate(
    artifact: &Artifact,
    test: TestSet<'_>,
    noise_seed: Option<u64>,
    progress: &dyn Progress,
) -> Result<Simulated, Error> {
    let (program, model, info) = (artifact.program()?, artifact.model()?, artifact.client()?);
    machine::require_memory("simulating this program", least_clear_bytes(&program))?;
    progress.stage("simulate", 0);
    let std = noise_deviations(&program);
    let noise = noise_seed.map(|seed| Noise { std: &std, seed });
    let simulation = Clear::new(&program).run(test.samples(), noise)?;
    let plain = plain_outputs(&model.network, test.samples());
    let sums = simulation.range_checks.iter().copied().map(Some).chain(std::iter::repeat(None));
    let outputs = simulation.outputs.iter().zip(sums);
    let answers: Vec<Answer> =
        outputs.map(|(outputs, sum)| Answer::new(&info, outputs.clone(), sum)).collect();
    Ok(Simulated {
        comparison: Comparison::new(&info, test, &answers, &plain),
        out_of_range: out_of_range(&program, &simulation.outside),
        range_check: program.range_check.map(|check| range_checked(check, &simulation)),
        answers,
    })
}

/// Standard deviation of the error that each operation adds under encryption, in stored units.
fn noise_deviations(program: &VerifiedProgram) -> Vec<f64> {
    precision::errors(program).iter().map(|e| e.own.sqrt()).collect()
}

fn range_checked(check: RangeCheck, simulation: &Simulation) -> RangeChecked {
    let mut sums = simulation.range_checks.clone();
    sums.sort_by(f64::total_cmp);
    let relative = |index: usize| sums.get(index).map_or(0.0, |sum| sum / check.limit);
    RangeChecked {
        failing: sums.iter().filter(|&&sum| check.fails(sum)).count(),
        largest: relative(sums.len().saturating_sub(1)),
        median: relative(sums.len() / 2),
    }
}

/// Shares of inputs outside their intervals, by layer name.
pub(super) fn out_of_range(program: &Program, outside: &[(ValueId, f64)]) -> Vec<OutOfRange> {
    let layer = |&(id, share): &(ValueId, f64)| OutOfRange {
        layer: program.values[id as usize].name.clone(),
        share,
    };
    outside.iter().map(layer).collect()
}
