//! Memory of a server and of a simulation, in bytes, predicted from a program alone.

use crate::program::VerifiedProgram;

/// Peak of the memory of all ciphertexts that are alive at one time of a run, in bytes. The operands and the result
/// of a value are alive while it is computed; each ciphertext is dropped after its last use.
pub fn peak_ciphertext_bytes(program: &VerifiedProgram) -> usize {
    let bytes = |index: usize| {
        let value = &program.values[index];
        let ciphertexts = value.layout.ciphertexts(program.log_slots);
        2 * 8 * program.parameters.degree() * (value.level + 1) * ciphertexts
    };
    let mut uses_left = program.uses().to_vec();
    let (mut live, mut peak) = (0, 0);
    for (index, value) in program.values.iter().enumerate() {
        live += bytes(index);
        peak = peak.max(live);
        for &operand in value.op.distinct_operands() {
            uses_left[operand as usize] -= 1;
            if uses_left[operand as usize] == 0 {
                live -= bytes(operand as usize);
            }
        }
    }
    peak
}

/// Lower bound on the memory of a server, in bytes, derived from the program's contents and not from its stated
/// prediction: keys, ciphertexts, all encoded constants in their smallest form, and the diagonals of one value
/// while they are generated.
pub fn least_server_bytes(program: &VerifiedProgram) -> u64 {
    // Encoded, a diagonal has as many integers as it has values, of four bytes at least.
    let diagonals: Vec<u64> = program.diagonal_bytes().collect();
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

/// Lower bound on the memory of a simulation without encryption, in bytes: the diagonals of all linear values.
pub fn least_clear_bytes(program: &VerifiedProgram) -> u64 {
    program.diagonal_bytes().sum()
}
