//! What running a program holds in memory.

use pic_ir::program::{Op, Program};

use crate::backend::count_uses;

/// Memory of a server, in bytes. What an operation needs while it runs comes on top: for a linear
/// value, the rotated inputs modulo the chain and the special primes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Evaluation keys.
    pub key_bytes: usize,
    /// Encoded diagonals.
    pub diagonal_bytes: usize,
    /// The most that the ciphertexts of values take at any time of a run.
    pub ciphertext_bytes: usize,
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
        let mut operands = value.op.operands().to_vec();
        if matches!(value.op, Op::Product { .. }) {
            operands.dedup();
        }
        for operand in operands {
            uses_left[operand as usize] -= 1;
            if uses_left[operand as usize] == 0 {
                live -= bytes(operand as usize);
            }
        }
    }
    peak
}
