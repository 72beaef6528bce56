//! Layout of residues in words: one residue a word, or packed.
//!
//! Eight residues of k bytes each are k words. They follow each other from the low bytes of the first word
//! to the high bytes of the last; in memory of a little-endian machine, that is 8k bytes in order.

/// Residues that are packed together.
const GROUP: usize = 8;

/// Layout of the residues of a limb in words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ring) struct Form {
    /// Bytes of a residue, 4 to 8.
    pub(in crate::ring) bytes: usize,
    /// log2 of the number of positions in a row that have the same residue, held once.
    pub(in crate::ring) log_run: u32,
}

/// The packed operands of an inner product of terms `(a, b0, b1)` are packed; the others are plain.
#[derive(Clone, Copy)]
pub(in crate::ring) enum Packing {
    /// The operands a.
    First(Form),
    /// The operands b0 and b1, with this many bytes a residue.
    Pairs(usize),
}

impl Form {
    /// The residue for a position.
    pub(in crate::ring) fn residue(self, words: &[u64], position: usize) -> u64 {
        let (word, shift) = place(self.bytes, position >> self.log_run);
        let mut residue = words[word] >> shift;
        if shift + bits(self.bytes) > u64::BITS {
            residue |= words[word + 1] << (u64::BITS - shift);
        }
        residue & (u64::MAX >> (u64::BITS - bits(self.bytes)))
    }
}

/// Packs residues of so many bytes. Their number is a multiple of eight, and the words are as many as they
/// take.
pub(in crate::ring) fn pack(words: &mut [u64], residues: &[u64], bytes: usize) {
    for (group, residues) in words.chunks_exact_mut(bytes).zip(residues.chunks_exact(GROUP)) {
        group.fill(0);
        for (index, &residue) in residues.iter().enumerate() {
            let (word, shift) = place(bytes, index);
            group[word] |= residue << shift;
            if shift + bits(bytes) > u64::BITS {
                group[word + 1] |= residue >> (u64::BITS - shift);
            }
        }
    }
}

/// The word in which a residue begins, and the bit.
fn place(bytes: usize, index: usize) -> (usize, u32) {
    let byte = bytes * index;
    (byte / size_of::<u64>(), bits(byte % size_of::<u64>()))
}

fn bits(bytes: usize) -> u32 {
    8 * bytes as u32
}
