//! What running a program holds in memory.

use pic_ir::program::Program;

use crate::backend::{count_uses, uses_of};

/// Memory of a server, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Evaluation keys.
    pub key_bytes: usize,
    /// Encoded diagonals.
    pub diagonal_bytes: usize,
    /// The most that the ciphertexts of values take at any time of a run.
    pub ciphertext_bytes: usize,
    /// The most that an operation takes on top while it runs.
    pub workspace_bytes: usize,
}

impl Memory {
    /// All of it together: the peak of a run.
    pub fn total_bytes(&self) -> usize {
        self.key_bytes + self.diagonal_bytes + self.ciphertext_bytes + self.workspace_bytes
    }
}

/// The most that values of a run take together, operands and result of a value included.
pub fn peak_ciphertext_bytes(program: &Program) -> usize {
    let bytes = |index: usize| {
        let value = &program.values[index];
        let ciphertexts = value.layout.ciphertexts(program.log_slots);
        2 * 8 * program.parameters.degree() * (value.level + 1) * ciphertexts
    };
    let mut uses_left = count_uses(program);
    let (mut live, mut peak) = (0, 0);
    for (index, value) in program.values.iter().enumerate() {
        live += bytes(index);
        peak = peak.max(live);
        for &operand in uses_of(&value.op) {
            uses_left[operand as usize] -= 1;
            if uses_left[operand as usize] == 0 {
                live -= bytes(operand as usize);
            }
        }
    }
    peak
}
