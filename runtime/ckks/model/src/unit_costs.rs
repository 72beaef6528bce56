//! Unit costs: seconds of elementary operations on one thread by kernel set, and the speedup by
//! further threads.
//!
//! The figures are fits of `pic bench --output` to measurements on machines whose fastest kernel
//! set is the one listed (`PIC_KERNELS` selects a slower one).

use serde::{Deserialize, Serialize};

use crate::KernelSet;
use crate::op_counts::{Hoisting, OpCounter, OpCounts, TransformSteps};

/// Seconds of elementary operations on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitCosts {
    /// Number-theoretic transform, per coefficient × log2 N.
    pub transform: f64,
    /// Modular multiplication, per coefficient.
    pub multiplication: f64,
    /// Base conversion, per coefficient, source limb and target limb.
    pub conversion: f64,
    /// Memory traffic, per 64-bit word read or written.
    pub word: f64,
}

/// Built-in figures of one kernel set.
struct Row {
    unit_costs: UnitCosts,
    /// Speedup by two threads over one.
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

/// A row from the seconds of a transform, a multiplication, a conversion and a word, and the
/// speedup by two threads.
const fn row([transform, multiplication, conversion, word]: [f64; 4], two_threads: f64) -> Row {
    Row { unit_costs: UnitCosts { transform, multiplication, conversion, word }, two_threads }
}

/// The form of hoisting in which a linear transform takes least time at [`UnitCosts::REFERENCE`],
/// independent of the machines that plan and execute.
pub fn hoisting(counter: &OpCounter, steps: &TransformSteps, level: usize) -> Hoisting {
    let seconds = |hoisting| UnitCosts::REFERENCE.seconds(counter.linear(steps, level, hoisting));
    let is_single = seconds(Hoisting::Single) < seconds(Hoisting::Double);
    if is_single { Hoisting::Single } else { Hoisting::Double }
}

impl UnitCosts {
    /// Unit costs for all decisions that must not depend on the machine that plans or executes,
    /// such as hoisting and bootstrapping plans.
    pub const REFERENCE: Self = Self::of(KernelSet::Ifma);

    /// Built-in unit costs of a kernel set.
    pub const fn of(kernels: KernelSet) -> Self {
        Row::of(kernels).unit_costs
    }

    /// Seconds of the given operations on one thread.
    pub fn seconds(&self, work: OpCounts) -> f64 {
        work.transforms * self.transform
            + work.multiplications * self.multiplication
            + work.conversions * self.conversion
            + work.words * self.word
    }

    /// Unit costs of a machine that takes `factor` times as long.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            transform: self.transform * factor,
            multiplication: self.multiplication * factor,
            conversion: self.conversion * factor,
            word: self.word * factor,
        }
    }

    /// Returns whether all unit costs are finite and nonnegative, and at least one is positive.
    pub fn are_sound(&self) -> bool {
        let unit_costs = [self.transform, self.multiplication, self.conversion, self.word];
        unit_costs.iter().all(|cost| cost.is_finite() && *cost >= 0.0)
            && unit_costs.iter().any(|cost| *cost > 0.0)
    }
}

/// Speedup of a kernel set by `threads` threads over one.
pub fn gain(kernels: KernelSet, threads: usize) -> f64 {
    amdahl(2, Row::of(kernels).two_threads, threads)
}

/// Speedup by `threads` threads over one by Amdahl's law, given the speedup `gain` by `measured` >
/// 1 threads: the fraction `p = (1 − 1/gain) / (1 − 1/measured)` of the time is divided among
/// threads, the rest is not. Where memory is the bottleneck, as is usual, this is closer to
/// measurements than a proportional speedup.
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
