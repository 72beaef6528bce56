//! Predicted time of operations on a machine: the elementary work that `pic_ckks_model` counts, at the prices of a
//! target.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use pic_ckks_model::kernels::UnknownKernelSet;
use pic_ckks_model::op_counts::{Hoisting, OpCounter, OpCounts, TransformSteps};
use pic_ckks_model::unit_costs::gain;
use pic_ckks_model::{KernelSet, UnitCosts};
use serde::{Deserialize, Serialize};

/// A kind of machine to run programs on. As text, `ifma:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    /// The fastest kernel set that the machine can run.
    pub kernels: KernelSet,
    /// Threads that run a program.
    pub threads: usize,
}

impl Target {
    /// Target that is assumed if none is named, and for which times are compared where the machine must not matter.
    pub const REFERENCE: Self = Self { kernels: KernelSet::Ifma, threads: Self::DEFAULT_THREADS };

    /// Number of threads if a target's text names none. It is the number with which the shipped prices were
    /// measured, and does not depend on the machine that reads the text.
    pub const DEFAULT_THREADS: usize = 2;

    /// Numbers of threads that a target may have.
    pub const THREADS: RangeInclusive<usize> = 1..=1024;
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kernels, self.threads)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Reads `KERNELS` or `KERNELS:THREADS`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kernels, threads) = match text.split_once(':') {
            Some((kernels, threads)) => (kernels, Some(threads)),
            None => (text, None),
        };
        let kernels = kernels.parse()?;
        let threads = match threads {
            None => Self::DEFAULT_THREADS,
            Some(text) => {
                let number = text.parse().ok().filter(|number| Self::THREADS.contains(number));
                number.ok_or_else(|| TargetError::Threads { text: text.into() })?
            }
        };
        Ok(Self { kernels, threads })
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

/// Reason why a text does not name a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The part before the colon names no kernel set.
    #[error("{0}; a target is written ifma:2 or portable")]
    Kernels(#[from] UnknownKernelSet),
    /// The part behind the colon is not a number of threads in [`Target::THREADS`].
    #[error(
        "`{text}` is no number of threads from 1 to 1024; a target is written ifma:2 or portable"
    )]
    Threads {
        /// The part behind the colon.
        text: String,
    },
}

/// Time that one machine takes for each unit of elementary work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// The machine.
    pub target: Target,
    /// Seconds of one thread per unit of elementary work.
    pub prices: UnitCosts,
    /// Ratio of the time of one thread to the time of all threads of the target.
    pub speedup: f64,
}

impl CostModel {
    /// The cost model with the prices that are shipped for a target.
    pub fn of(target: Target) -> Self {
        let Target { kernels, threads } = target;
        Self { target, prices: UnitCosts::of(kernels), speedup: gain(kernels, threads) }
    }

    /// Wall-clock seconds of some work on all threads.
    pub fn seconds(&self, work: OpCounts) -> f64 {
        self.prices.seconds(work) / self.speedup
    }

    /// True if all prices and the speedup are values that a machine can have: finite, not negative, and a positive
    /// speedup.
    pub fn is_sound(&self) -> bool {
        self.prices.are_sound() && self.speedup.is_finite() && self.speedup > 0.0
    }
}

/// The work of a linear node whose operands are at `level`, each output of which is summed by `folds`
/// rotations afterwards. Plaintexts are held in transformed form.
pub fn linear(
    counter: &OpCounter,
    steps: &TransformSteps,
    folds: usize,
    level: usize,
    hoisting: Hoisting,
) -> OpCounts {
    counter.linear(steps, level, hoisting)
        + counter.key_switch(level.saturating_sub(1)) * (steps.outputs * folds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::unit_costs::hoisting;
    use pic_ckks_model::{Parameters, SecurityLevel};

    #[test]
    fn targets_are_read_back() {
        for kernels in KernelSet::ALL {
            for threads in [1, 2, 16, 1024] {
                let target = Target { kernels, threads };
                assert_eq!(target.to_string().parse(), Ok(target));
                let bytes = postcard::to_stdvec(&target).unwrap();
                assert_eq!(postcard::from_bytes(&bytes), Ok(target));
            }
        }
        assert_eq!("ifma".parse(), Ok(Target::REFERENCE));
        assert_eq!(Target { threads: 16, ..Target::REFERENCE }.to_string(), "ifma:16");
    }

    #[test]
    fn what_is_no_target_is_refused_with_advice() {
        for text in ["", ":", "avx", "avx:2", "IFMA", " ifma", "2", "ifma;2"] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(matches!(error, TargetError::Kernels(_)), "{text}");
            assert!(error.to_string().contains("ifma, fma512, fma256 and portable"), "{error}");
        }
        for text in ["ifma:", "ifma:0", "ifma:x", "ifma:-1", "ifma:2:2", "ifma:1025", "ifma:1e3"] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(matches!(error, TargetError::Threads { .. }), "{text}");
            assert!(error.to_string().contains("from 1 to 1024"), "{error}");
        }
        let bytes = postcard::to_stdvec("ifma:0").unwrap();
        assert!(postcard::from_bytes::<Target>(&bytes).is_err());
    }

    #[test]
    fn prices_follow_the_target() {
        let work = OpCounts { transforms: 1e9, ..OpCounts::default() };
        let seconds = |text: &str| CostModel::of(text.parse().unwrap()).seconds(work);
        assert!(seconds("portable:2") > seconds("ifma:2"));
        assert!(seconds("ifma:1") > seconds("ifma:2") && seconds("ifma:2") > seconds("ifma:16"));
        assert!(CostModel::of(Target::REFERENCE).is_sound());
        let nonsense = CostModel { speedup: f64::NAN, ..CostModel::of(Target::REFERENCE) };
        assert!(!nonsense.is_sound());
    }

    #[test]
    fn folds_are_rotations_of_the_outputs() {
        let p = Parameters::from_bits(13, &[50.0, 40.0, 40.0], &[50.0], 3, SecurityLevel::Insecure);
        let p = p.unwrap();
        let counter = OpCounter::new(&p, 0..0);
        let steps = TransformSteps {
            inputs: 1,
            outputs: 2,
            baby_steps: 2,
            giant_steps: 1,
            products: 6,
            packed_inputs: 0,
            period: 64,
        };
        let model = CostModel::of(Target::REFERENCE);
        let seconds = |folds| {
            model.seconds(linear(&counter, &steps, folds, 2, hoisting(&counter, &steps, 2)))
        };
        let rotation = model.seconds(counter.key_switch(1));
        assert!(seconds(0) > 0.0);
        assert!((seconds(3) - seconds(0) - 6.0 * rotation).abs() < 1e-9 * rotation);
    }
}
