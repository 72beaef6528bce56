//! What a server holds in memory.

use serde::{Deserialize, Serialize};

use crate::program::{Op, Program, ValueId};

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

/// How often each value is used; being an answer of the program is a use, but for the last value.
pub fn count_uses(program: &Program) -> Vec<usize> {
    let mut uses = vec![0; program.values.len()];
    if let Some(id) = program.range_check_values().last() {
        uses[id] += 1;
    }
    for &operand in program.values.iter().flat_map(|value| uses_of(&value.op)) {
        uses[operand as usize] += 1;
    }
    uses
}

/// The operands that an operation asks for; a square asks for its operand once.
pub fn uses_of(op: &Op) -> &[ValueId] {
    match op {
        Op::Product { operands: [a, b] } if a == b => std::slice::from_ref(a),
        op => op.operands(),
    }
}

/// The most bytes that ciphertexts of values take together, operands and result of a value included,
/// if each is dropped after its last use.
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

/// Memory that a server takes at least, in bytes, by the program itself and not by what it predicts: keys,
/// ciphertexts, all encoded constants in their smallest form, and the diagonals of one value as they are generated.
pub fn least_server_bytes(program: &Program) -> u64 {
    // Encoded, a diagonal has as many integers as it has values, of four bytes at least.
    let diagonals = program.diagonal_bytes();
    let matrices = program.bootstrapping.as_ref().map_or(0, |plan| plan.matrix_bytes());
    let parts = [
        program.keys.bytes(&program.parameters),
        peak_ciphertext_bytes(program) as u64,
        diagonals.iter().sum(),
        diagonals.iter().copied().max().unwrap_or(0),
        // At most eight bytes for each prime, where the smallest form has eight for all.
        matrices / program.parameters.moduli().len() as u64,
    ];
    parts.into_iter().fold(0, u64::saturating_add)
}

/// Memory that a simulation in the clear takes at least, in bytes: the diagonals of all values.
pub fn least_clear_bytes(program: &Program) -> u64 {
    program.diagonal_bytes().iter().sum()
}
