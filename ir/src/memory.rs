//! What the values of a run hold in memory.

use crate::program::{Op, Program, ValueId};

/// How often each value is used.
pub fn count_uses(program: &Program) -> Vec<usize> {
    let mut uses = vec![0; program.values.len()];
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
