//! What elementary work costs: seconds on one thread by kernel set, and how much more threads gain.
//!
//! The figures of the table are those that `pic bench --output` fits to its measurements on a machine whose
//! fastest kernels are of that set (`PIC_KERNELS` forces a slower one).

use serde::{Deserialize, Serialize};

use crate::KernelSet;
use crate::op_counts::{Hoisting, OpCounter, OpCounts, TransformSteps};

/// UnitCosts of elementary work, in seconds on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitCosts {
    /// Per coefficient × log2 N of a transform.
    pub transform: f64,
    /// Per coefficient of a modular multiplication.
    pub multiplication: f64,
    /// Per coefficient and pair of limbs of a base conversion.
    pub conversion: f64,
    /// Per word read or written.
    pub word: f64,
}

/// What is shipped for one kernel set.
struct Row {
    unit_costs: UnitCosts,
    /// How many times faster two threads are than one.
    two_threads: f64,
}

impl Row {
    /// The table.
    const fn of(kernels: KernelSet) -> Self {
        match kernels {
            // Measured on two cores with AVX-512 IFMA.
            KernelSet::Ifma => row([6.8e-11, 1.6e-10, 6.9e-11, 4.4e-10], 1.4),
            // An estimate, as no such machine was measured: half of what fma256 takes to compute, as much
            // for memory as ifma.
            KernelSet::Fma512 => row([1.5e-10, 3.0e-10, 2.7e-10, 4.4e-10], 1.5),
            // Measured on two virtual cores of a shared Zen 3 server, the mean of two runs in turn with
            // those of the next row; fits to single operations are off by 15 % in the mean.
            KernelSet::Fma256 => row([3.2e-10, 6.0e-10, 5.6e-10, 1.46e-9], 1.6),
            KernelSet::Portable => row([1.0e-9, 2.3e-9, 1.46e-9, 1.37e-9], 1.64),
        }
    }
}

/// UnitCosts of a transform, a multiplication, a conversion and a word, and the gain of two threads.
const fn row([transform, multiplication, conversion, word]: [f64; 4], two_threads: f64) -> Row {
    Row { unit_costs: UnitCosts { transform, multiplication, conversion, word }, two_threads }
}

/// The hoisting that takes a linear transform the least time at [`UnitCosts::REFERENCE`]: the same whatever machine plans and
/// whatever machine executes.
pub fn hoisting(counter: &OpCounter, steps: &TransformSteps, level: usize) -> Hoisting {
    let seconds = |hoisting| UnitCosts::REFERENCE.seconds(counter.linear(steps, level, hoisting));
    let is_single = seconds(Hoisting::Single) < seconds(Hoisting::Double);
    if is_single { Hoisting::Single } else { Hoisting::Double }
}

impl UnitCosts {
    /// The prices by which everything is decided that has to come out the same on every machine that plans or
    /// executes, as hoisting and bootstrapping.
    pub const REFERENCE: Self = Self::of(KernelSet::Ifma);

    /// Of a machine that runs these kernels.
    pub const fn of(kernels: KernelSet) -> Self {
        Row::of(kernels).unit_costs
    }

    /// Seconds on one thread.
    pub fn seconds(&self, work: OpCounts) -> f64 {
        work.transforms * self.transform
            + work.multiplications * self.multiplication
            + work.conversions * self.conversion
            + work.words * self.word
    }

    /// The prices of a machine that takes `factor` times as long.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            transform: self.transform * factor,
            multiplication: self.multiplication * factor,
            conversion: self.conversion * factor,
            word: self.word * factor,
        }
    }

    /// Whether they are what a machine can have.
    pub fn are_sound(&self) -> bool {
        let unit_costs = [self.transform, self.multiplication, self.conversion, self.word];
        unit_costs.iter().all(|cost| cost.is_finite() && *cost >= 0.0)
            && unit_costs.iter().any(|cost| *cost > 0.0)
    }
}

/// How many times faster these kernels are on so many threads than on one.
pub fn gain(kernels: KernelSet, threads: usize) -> f64 {
    amdahl(2, Row::of(kernels).two_threads, threads)
}

/// The gain of `threads` threads over one by Amdahl's law, where `measured` threads, more than one, gain
/// `gain`: the share `p = (1 − 1/gain) / (1 − 1/measured)` of the time is divided among threads, the rest is not.
/// Where memory is the bottleneck, as it mostly is, that is nearer to the truth than proportion.
pub fn amdahl(measured: usize, gain: f64, threads: usize) -> f64 {
    let inverse = |x: f64| 1.0 / x;
    let share = (1.0 - inverse(gain)) / (1.0 - inverse(measured as f64));
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    inverse(1.0 - share + share / threads.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_kernels_are_the_cheapest() {
        for pair in KernelSet::ALL.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(UnitCosts::of);
            assert!(a.are_sound() && b.are_sound());
            assert!(a.transform < b.transform && a.multiplication < b.multiplication);
            assert!(a.conversion < b.conversion);
        }
    }

    #[test]
    fn threads_gain_by_amdahls_law() {
        // Half of the time is divided: 1/(1/2 + 1/4) on two threads.
        let gain_of_two = 4.0 / 3.0;
        assert!((amdahl(2, gain_of_two, 1) - 1.0).abs() < 1e-12);
        assert!((amdahl(2, gain_of_two, 2) - gain_of_two).abs() < 1e-12);
        assert!((amdahl(2, gain_of_two, 4) - 1.6).abs() < 1e-12);
        assert!((amdahl(4, 1.6, 2) - gain_of_two).abs() < 1e-12);
        // More threads than cores may lose, and measurements may be of one thread: no gain.
        assert_eq!(amdahl(2, 0.8, 16), 1.0);
        assert_eq!(amdahl(1, 1.0, 16), 1.0);
        // Better than proportional counts as proportional.
        assert_eq!(amdahl(2, 2.3, 8), 8.0);
        for kernels in KernelSet::ALL {
            assert_eq!(gain(kernels, 1), 1.0);
            assert!(gain(kernels, 2) > 1.0 && gain(kernels, 16) > gain(kernels, 2));
        }
    }
}
