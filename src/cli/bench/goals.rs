//! Goal times of operations: seconds on one thread and on two, by kernel set.
//!
//! They follow from what other libraries need for the same operation on the same machine, those of kernels in
//! double precision from what a prototype reached on a Zen 3 server.

use std::ops::RangeInclusive;

use pic_ckks::model::KernelSet;
use serde::Serialize;

use super::seconds::Seconds;

/// Largest times that meet a goal, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// Largest time on one thread that meets the goal, in seconds: for an operation, that of one; for an NTT, that of
    /// one limb; for `multiply_residues`, that of one coefficient; for `convert_basis`, that of one coefficient and pair
    /// of limbs.
    #[serde(rename = "one_thread_seconds")]
    pub one_thread: f64,
    /// On two threads.
    #[serde(rename = "two_threads_seconds")]
    pub two_threads: Option<f64>,
}

impl Goal {
    /// Returns whether measured seconds meet the goal. More threads than two count as two.
    pub fn met_by(self, seconds: Seconds, threads: usize) -> bool {
        let most = self.two_threads.filter(|_| threads > 1);
        seconds.one_thread <= self.one_thread && most.is_none_or(|most| seconds.all_threads <= most)
    }
}

/// The goal of an operation with some kernels, if it has one.
pub fn goal(kernels: KernelSet, what: &str, log_n: u32, limbs: usize) -> Option<Goal> {
    let lines: &[Line] = match kernels {
        KernelSet::Ifma => &IFMA,
        KernelSet::Fma512 => &[],
        KernelSet::Fma256 => &FMA256,
        KernelSet::Portable => &PORTABLE,
    };
    let line = lines
        .iter()
        .find(|line| line.what == what && line.log_n == log_n && line.limbs.contains(&limbs))?;
    Some(Goal { one_thread: line.one_thread, two_threads: line.two_threads })
}

struct Line {
    what: &'static str,
    log_n: u32,
    limbs: RangeInclusive<usize>,
    one_thread: f64,
    two_threads: Option<f64>,
}

const fn line(
    what: &'static str,
    log_n: u32,
    limbs: RangeInclusive<usize>,
    one_thread: f64,
    two_threads: Option<f64>,
) -> Line {
    Line { what, log_n, limbs, one_thread, two_threads }
}

const ANY: RangeInclusive<usize> = 0..=usize::MAX;

const IFMA: [Line; 27] = [
    // Seconds a limb.
    line("ntt_50_bits_cold", 16, ANY, 70e-6, None),
    line("ntt_50_bits_cold", 15, ANY, 32e-6, None),
    line("intt_50_bits_cold", 16, ANY, 70e-6, None),
    line("intt_50_bits_cold", 15, ANY, 32e-6, None),
    line("ntt_46_bits_hot", 16, ANY, 45e-6, None),
    line("intt_46_bits_hot", 16, ANY, 45e-6, None),
    // Seconds a coefficient and pair of limbs, and a coefficient.
    line("convert_basis", 16, ANY, 0.06e-9, None),
    line("convert_basis", 15, ANY, 0.06e-9, None),
    line("multiply_residues", 16, ANY, 0.25e-9, None),
    line("multiply_residues", 15, ANY, 0.25e-9, None),
    // Operations.
    line("rotate", 16, 24..=25, 25e-3, Some(15e-3)),
    line("rotate", 16, 10..=11, 9e-3, Some(6e-3)),
    line("rotate", 15, 11..=11, 4e-3, None),
    line("multiply_relinearize_rescale", 16, 24..=25, 36e-3, Some(22e-3)),
    line("multiply_relinearize_rescale", 16, 10..=11, 13e-3, Some(8e-3)),
    line("multiply_relinearize_rescale", 15, 11..=11, 6e-3, None),
    line("rotate_hoisted_8", 16, 10..=11, 35e-3, Some(22e-3)),
    line("chebyshev_27", 16, 13..=14, 120e-3, None),
    line("chebyshev_59", 16, 13..=14, 180e-3, None),
    line("encode", 16, 10..=11, 3e-3, None),
    line("encrypt", 16, 10..=11, 8e-3, None),
    line("encrypt_public_key", 16, 10..=11, 8e-3, None),
    line("decrypt_decode", 16, 10..=11, 4e-3, None),
    // Bootstrapping to all levels.
    line("bootstrap_full_complex", 16, ANY, 2.0, Some(1.2)),
    line("bootstrap_full_real", 16, ANY, 2.0, Some(1.2)),
    line("bootstrap_sparse_real", 16, ANY, 1.5, Some(0.9)),
    line("bootstrap_full_real", 15, ANY, 0.5, Some(0.3)),
];

const FMA256: [Line; 8] = kernels(110e-6, 120e-6, 0.30e-9, 0.45e-9);
const PORTABLE: [Line; 8] = kernels(330e-6, 330e-6, 0.9e-9, 1.5e-9);

/// Targets of kernels, given those of transforms of 2^15 coefficients; 2^16 in proportion.
const fn kernels(ntt: f64, intt: f64, convert: f64, multiply: f64) -> [Line; 8] {
    const LARGER: f64 = 2.0 * 16.0 / 15.0;
    [
        line("ntt_50_bits_cold", 16, ANY, ntt * LARGER, None),
        line("ntt_50_bits_cold", 15, ANY, ntt, None),
        line("intt_50_bits_cold", 16, ANY, intt * LARGER, None),
        line("intt_50_bits_cold", 15, ANY, intt, None),
        line("convert_basis", 16, ANY, convert, None),
        line("convert_basis", 15, ANY, convert, None),
        line("multiply_residues", 16, ANY, multiply, None),
        line("multiply_residues", 15, ANY, multiply, None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_depend_on_the_size_and_the_kernels() {
        let of = |kernels, what, log_n, limbs| {
            goal(kernels, what, log_n, limbs).map(|goal| goal.one_thread)
        };
        let most = |limbs| of(KernelSet::Ifma, "rotate", 16, limbs);
        assert_eq!(most(24), Some(25e-3));
        assert_eq!(most(11), Some(9e-3));
        assert_eq!(most(17), None);
        assert_eq!(of(KernelSet::Ifma, "rotate", 14, 11), None);
        assert_eq!(of(KernelSet::Portable, "rotate", 16, 24), None);
        assert_eq!(of(KernelSet::Portable, "ntt_50_bits_cold", 15, 32), Some(330e-6));
        assert_eq!(of(KernelSet::Fma256, "ntt_50_bits_cold", 15, 32), Some(110e-6));
        assert_eq!(of(KernelSet::Fma512, "ntt_50_bits_cold", 15, 32), None);
    }

    #[test]
    fn both_thread_counts_have_to_be_fast_enough() {
        let goal = Goal { one_thread: 2.0, two_threads: Some(1.2) };
        let met = |one_thread, all_threads, threads| {
            goal.met_by(Seconds { one_thread, all_threads }, threads)
        };
        assert!(met(2.0, 1.2, 2));
        assert!(!met(2.1, 1.0, 2));
        assert!(!met(1.5, 1.3, 2));
        assert!(met(1.5, 1.5, 1));
    }
}
