//! What running a program holds in memory.

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
