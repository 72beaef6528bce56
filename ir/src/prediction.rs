//! What the compiler predicts of a run: work, time, memory, precision.

use pic_ckks_model::op_counts::OpCounts;
use serde::{Deserialize, Serialize};

use crate::cost::{CostModel, Target};

/// What the compiler expects of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// What one encrypted sample takes, whatever the machine.
    pub work: OpCounts,
    /// The machine for which the program was chosen, and its prices.
    pub cost: CostModel,
    /// What the server holds, encoded constants in their fastest form.
    pub memory: Memory,
    /// −log2 of the standard deviation of the scheme's error in the stored output.
    pub precision_bits: f64,
    /// Accuracy lost on held-back calibration samples, as a fraction; none without labels.
    pub accuracy_drop: Option<f64>,
}

impl Default for Prediction {
    /// Of no work, for [`Target::REFERENCE`].
    fn default() -> Self {
        Self {
            work: OpCounts::default(),
            cost: CostModel::of(Target::REFERENCE),
            memory: Memory::default(),
            precision_bits: 0.0,
            accuracy_drop: None,
        }
    }
}

impl Prediction {
    /// Wall-clock seconds of one encrypted sample on the machine for which the program was chosen. On
    /// another they are [`CostModel::seconds`] of the work.
    pub fn seconds(&self) -> f64 {
        self.cost.seconds(self.work)
    }

    /// Whether its figures can be those of a program.
    pub fn is_sound(&self) -> bool {
        let OpCounts { transforms, multiplications, conversions, words } = self.work;
        let counts = [transforms, multiplications, conversions, words];
        counts.iter().all(|count| count.is_finite() && *count >= 0.0)
            && self.cost.is_sound()
            && self.memory.checked_total_bytes().is_some()
    }
}

/// Memory of a server by what it is for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Evaluation keys.
    pub key_bytes: u64,
    /// Encoded diagonals of linear values.
    pub diagonal_bytes: u64,
    /// Encoded matrices of bootstrapping.
    pub matrix_bytes: u64,
    /// The most that the ciphertexts of values take at any time of a run.
    pub ciphertext_bytes: u64,
    /// The most that an operation takes on top while it runs.
    pub workspace_bytes: u64,
}

impl Memory {
    /// All of it together: the peak of a run.
    pub fn total_bytes(&self) -> u64 {
        self.checked_total_bytes().unwrap_or(u64::MAX)
    }

    /// The same, unless it is more than a number can say.
    pub fn checked_total_bytes(&self) -> Option<u64> {
        let Self { key_bytes, diagonal_bytes, matrix_bytes, ciphertext_bytes, workspace_bytes } =
            *self;
        let parts = [diagonal_bytes, matrix_bytes, ciphertext_bytes, workspace_bytes];
        parts.into_iter().try_fold(key_bytes, u64::checked_add)
    }

    /// Encoded constants: diagonals and matrices. They have smaller forms that take longer to use.
    pub fn constant_bytes(&self) -> u64 {
        self.diagonal_bytes.saturating_add(self.matrix_bytes)
    }
}
