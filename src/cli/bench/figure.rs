//! Measured figures: lines of the table.

use clap::ValueEnum;
use pic_ckks::model::op_counts::OpCounts;
use pic_ir::cost::Target;
use serde::Serialize;

use super::goals;
use super::seconds::Seconds;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Transforms, base conversion and products, by the limb
    Kernels,
    /// Operations on ciphertexts, from which the cost model comes
    Operations,
    /// Bootstrapping to all levels and to fewer; takes up to 6 GiB of memory
    Bootstrapping,
}

/// One line of the table; the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Part of the benchmark.
    pub part: Part,
    /// Name of the operation.
    pub what: &'static str,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Primes that it works on, without special ones.
    pub limbs: usize,
    /// Seconds.
    #[serde(flatten)]
    pub seconds: Seconds,
    /// Target time of the operation; none if it has no target.
    pub target: Option<goals::Goal>,
    /// True if the target is met; none without a target.
    pub met: Option<bool>,
    /// Peak of the process's resident set during the measurement.
    pub peak_bytes: Option<u64>,
    /// Elementary work that the cost model counts; none for operations outside the model.
    #[serde(skip)]
    pub work: Option<OpCounts>,
}

impl Figure {
    /// The figure with its target, if there is one, for the kernel set and number of threads that ran.
    pub fn judged(self, Target { kernels, threads }: Target) -> Self {
        let target = goals::goal(kernels, self.what, self.log_n, self.limbs);
        let met = target.map(|target| target.met_by(self.seconds, threads));
        Self { target, met, ..self }
    }
}

/// Bootstrapping to one number of levels; the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Bootstrap {
    /// Time and memory.
    #[serde(flatten)]
    pub figure: Figure,
    /// Slots of the ciphertext.
    pub slots: usize,
    /// Levels left for the application.
    pub levels_left: usize,
    /// Bits of the mean error, for values in \[−1, 1\].
    pub mean_bits: f64,
    /// Bits of the largest error.
    pub minimum_bits: f64,
    /// Keys in memory.
    pub key_bytes: usize,
    /// Matrices in memory.
    pub matrix_bytes: usize,
}
