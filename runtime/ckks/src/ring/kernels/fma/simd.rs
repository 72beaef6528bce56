//! Interface of a vector unit: the operations that the loops of this folder use.
//!
//! Words and numbers in double precision share registers. A value of a type that implements [`Simd`]
//! proves that the processor has its instructions, so its methods are safe. They and all generic code
//! over them are always inlined: only inside a function that enables the instructions does the compiler
//! turn them into single ones. For that reason there are no closures over vectors here, either.

/// A vector unit.
pub(super) trait Simd: Copy {
    /// Residues in a register.
    const LANES: usize;
    /// log2 of them.
    const LOG_LANES: u32 = Self::LANES.ilog2();

    /// 64-bit words.
    type Words: Copy;
    /// Numbers in double precision.
    type Floats: Copy;
    /// A square block: as many registers as a register has lanes.
    type Block: Copy + AsRef<[Self::Floats]> + AsMut<[Self::Floats]>;
    /// A permutation of eight words, in the form of [`Simd::permute`].
    type Permutation;

    /// The first words of a slice.
    fn load(self, words: &[u64]) -> Self::Words;
    /// The first numbers of a slice.
    fn load_floats(self, numbers: &[f64]) -> Self::Floats;
    /// To the first words of a slice.
    fn store(self, words: &mut [u64], x: Self::Words);
    /// One word in all lanes.
    fn splat_word(self, x: u64) -> Self::Words;
    /// Sums modulo 2^64.
    fn add_words(self, x: Self::Words, y: Self::Words) -> Self::Words;
    /// Differences modulo 2^64.
    fn sub_words(self, x: Self::Words, y: Self::Words) -> Self::Words;
    /// Common bits.
    fn and(self, x: Self::Words, y: Self::Words) -> Self::Words;
    /// The upper halves of words.
    fn upper_half(self, x: Self::Words) -> Self::Words;

    /// The numbers with these bits.
    fn as_floats(self, x: Self::Words) -> Self::Floats;
    /// The bits of numbers.
    fn as_words(self, x: Self::Floats) -> Self::Words;
    /// One number in all lanes.
    fn splat(self, x: f64) -> Self::Floats;
    /// x + y.
    fn add(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// x − y.
    fn sub(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// x·y.
    fn mul(self, x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// x·y + z, rounded once.
    fn mul_add(self, x: Self::Floats, y: Self::Floats, z: Self::Floats) -> Self::Floats;
    /// x·y − z, rounded once.
    fn mul_sub(self, x: Self::Floats, y: Self::Floats, z: Self::Floats) -> Self::Floats;
    /// z − x·y, rounded once.
    fn neg_mul_add(self, x: Self::Floats, y: Self::Floats, z: Self::Floats) -> Self::Floats;
    /// The nearest integers.
    fn round(self, x: Self::Floats) -> Self::Floats;
    /// The next integers below.
    fn floor(self, x: Self::Floats) -> Self::Floats;

    /// A block of zeros.
    fn zero_block(self) -> Self::Block;
    /// Rows become columns.
    fn transpose(self, x: Self::Block) -> Self::Block;

    /// Residues of a group of eight packed ones of so many bytes: the `part`-th that fill a register.
    fn unpack<const BYTES: usize>(self, group: &[u64], part: usize) -> Self::Words;
    /// In lane j the word of lane `((part·LANES + j) >> LOG_RUN) mod LANES`.
    fn spread<const LOG_RUN: u32>(self, x: Self::Words, part: usize) -> Self::Words;
    /// The permutation that puts word `lanes[k]` of eight at position k. Positions 0 to 3 take theirs from
    /// one half of the eight words, positions 4 to 7 from one half, too.
    fn permutation(self, lanes: &[u8; 8]) -> Self::Permutation;
    /// Eight words from eight.
    fn permute(self, permutation: &Self::Permutation, out: &mut [u64], a: &[u64]);
}

/// The exponent and sign bits of a number between 2^52 and 2^53 in the middle of its range, so that adding a
/// signed integer of 51 bits to the number adds it to the bits: `1.5·2^52`.
const CENTER: f64 = 6_755_399_441_055_744.0;

/// Signed integers below 2^51 in magnitude, as numbers.
#[inline(always)]
pub(super) fn to_floats<S: Simd>(s: S, x: S::Words) -> S::Floats {
    s.sub(s.as_floats(s.add_words(x, s.splat_word(CENTER.to_bits()))), s.splat(CENTER))
}

/// Integral numbers below 2^51 in magnitude, as signed integers.
#[inline(always)]
pub(super) fn to_words<S: Simd>(s: S, x: S::Floats) -> S::Words {
    s.sub_words(s.as_words(s.add(x, s.splat(CENTER))), s.splat_word(CENTER.to_bits()))
}

/// For residues of so many bytes, two of which are packed at the end or at the beginning of sixteen bytes:
/// which byte goes where, so that each fills a word.
pub(super) const fn unpacking(bytes: usize, at_the_end: bool) -> [u8; 16] {
    /// Puts a zero.
    const NONE: u8 = 0x80;
    let first = if at_the_end { 16 - 2 * bytes } else { 0 };
    let mut source = [NONE; 16];
    let mut i = 0;
    while i < 2 * bytes {
        source[i / bytes * 8 + i % bytes] = (first + i) as u8;
        i += 1;
    }
    source
}
