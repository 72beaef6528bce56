//! Predictions of the compiler for one run of a program: work, time, memory, precision.

use pic_ckks_model::op_counts::OpCounts;
use serde::{Deserialize, Serialize};

use crate::cost::{CostModel, Target};

/// Predicted work, time, memory and precision of a run on one encrypted sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Elementary work for one encrypted sample. It does not depend on the machine.
    pub work: OpCounts,
    /// Prices of the machine for which the program was chosen.
    pub cost: CostModel,
    /// Memory of the server, with encoded constants in the form that is fastest to use.
    pub memory: Memory,
    /// −log2 of the standard deviation of the scheme's error in the stored output, in bits.
    pub precision_bits: f64,
    /// How closely the program should follow the plain network; none if that was not measured.
    pub fidelity: Option<Fidelity>,
}

/// How closely a program should follow the plain network on samples like those of calibration. The scheme's error is
/// not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fidelity {
    /// Accuracy of a classifier, by labels.
    Accuracy {
        /// Share of right answers of the plain network on the samples that were measured, from 0 to 1.
        plain: f64,
        /// Expected loss of accuracy against the plain network, as a fraction; negative if it gains some.
        drop: f64,
        /// Standard error of the drop.
        standard_error: f64,
    },
    /// Agreement of a classifier with the plain network, for want of labels.
    Agreement {
        /// Expected share of samples to which both give one class, from 0 to 1.
        share: f64,
        /// Standard error of the share.
        standard_error: f64,
    },
    /// Error of outputs that are numbers, relative to their spread: the standard deviation of the plain network's
    /// outputs from their means over the samples, in the root mean square over all outputs.
    Error {
        /// Root mean square over outputs and samples.
        root_mean_square: f64,
        /// The largest of any output and sample.
        largest: f64,
    },
}

impl Default for Prediction {
    /// The prediction of a program that does nothing, for [`Target::REFERENCE`].
    fn default() -> Self {
        Self {
            work: OpCounts::default(),
            cost: CostModel::of(Target::REFERENCE),
            memory: Memory::default(),
            precision_bits: 0.0,
            fidelity: None,
        }
    }
}

impl Prediction {
    /// Wall-clock seconds for one encrypted sample on the machine for which the program was chosen. For another
    /// machine, apply its [`CostModel::seconds`] to the work.
    pub fn seconds(&self) -> f64 {
        self.cost.seconds(self.work)
    }

    /// True if all figures are values that a program can have: finite, not negative, and a sum of memory that fits
    /// 64 bits.
    pub fn is_sound(&self) -> bool {
        let OpCounts { transforms, multiplications, conversions, words } = self.work;
        let counts = [transforms, multiplications, conversions, words];
        counts.iter().all(|count| count.is_finite() && *count >= 0.0)
            && self.cost.is_sound()
            && self.memory.checked_total_bytes().is_some()
    }
}

/// Memory of a server by purpose, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Evaluation keys.
    pub key_bytes: u64,
    /// Encoded diagonals of linear values.
    pub diagonal_bytes: u64,
    /// Encoded matrices of bootstrapping.
    pub matrix_bytes: u64,
    /// Peak of the ciphertexts of values during a run.
    pub ciphertext_bytes: u64,
    /// Largest workspace that an operation takes in addition while it runs.
    pub workspace_bytes: u64,
}

impl Memory {
    /// Sum of all parts: the peak of a run, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.checked_total_bytes().unwrap_or(u64::MAX)
    }

    /// Sum of all parts in bytes, as [`Memory::total_bytes`]; none if it overflows.
    pub fn checked_total_bytes(&self) -> Option<u64> {
        let Self { key_bytes, diagonal_bytes, matrix_bytes, ciphertext_bytes, workspace_bytes } =
            *self;
        let parts = [diagonal_bytes, matrix_bytes, ciphertext_bytes, workspace_bytes];
        parts.into_iter().try_fold(key_bytes, u64::checked_add)
    }

    /// Bytes of encoded constants, diagonals and bootstrapping matrices. Smaller encodings exist, which take longer
    /// to use.
    pub fn constant_bytes(&self) -> u64 {
        self.diagonal_bytes.saturating_add(self.matrix_bytes)
    }
}
