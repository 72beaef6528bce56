//! Four residues in a register: AVX2 with fused multiply-add.

use std::arch::x86_64::*;

use super::simd::{Simd, unpacking};

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// Whoever may call this has the instructions enabled.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn new() -> Self {
        Self(())
    }
}

/// Sources of the four words of each half of a result.
pub(super) struct Permutation {
    /// The half of the eight words that they are in: 0 or 4.
    starts: [usize; 2],
    /// Source of each 32-bit part, as an index within that half.
    parts: [[u32; 8]; 2],
}

/// Intrinsics that need nothing but the instructions.
macro_rules! call {
    ($intrinsic:ident $(::<$parameter:tt>)? ($($argument:expr),*)) => {
        // SAFETY: the value that this method is called on proves that the processor has AVX2 and FMA.
        unsafe { $intrinsic$(::<$parameter>)?($($argument),*) }
    };
}

impl Simd for Avx2 {
    const LANES: usize = 4;
    type Words = __m256i;
    type Floats = __m256d;
    type Block = [__m256d; 4];
    type Permutation = Permutation;

    #[inline(always)]
    fn load(self, words: &[u64]) -> __m256i {
        let words: &[u64; 4] = words.first_chunk().expect("slices of whole vectors");
        // SAFETY: as in `call`, and the reference covers 32 readable bytes; no alignment is needed.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_floats(self, numbers: &[f64]) -> __m256d {
        let numbers: &[f64; 4] = numbers.first_chunk().expect("slices of whole vectors");
        // SAFETY: as in `call`, and the reference covers 32 readable bytes; no alignment is needed.
        unsafe { _mm256_loadu_pd(numbers.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, words: &mut [u64], x: __m256i) {
        let words: &mut [u64; 4] = words.first_chunk_mut().expect("slices of whole vectors");
        // SAFETY: as in `call`, and the reference covers 32 writable bytes; no alignment is needed.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), x) }
    }

    #[inline(always)]
    fn splat_word(self, x: u64) -> __m256i {
        call!(_mm256_set1_epi64x(x.cast_signed()))
    }

    #[inline(always)]
    fn add_words(self, x: __m256i, y: __m256i) -> __m256i {
        call!(_mm256_add_epi64(x, y))
    }

    #[inline(always)]
    fn sub_words(self, x: __m256i, y: __m256i) -> __m256i {
        call!(_mm256_sub_epi64(x, y))
    }

    #[inline(always)]
    fn and(self, x: __m256i, y: __m256i) -> __m256i {
        call!(_mm256_and_si256(x, y))
    }

    #[inline(always)]
    fn upper_half(self, x: __m256i) -> __m256i {
        call!(_mm256_srli_epi64::<32>(x))
    }

    #[inline(always)]
    fn as_floats(self, x: __m256i) -> __m256d {
        call!(_mm256_castsi256_pd(x))
    }

    #[inline(always)]
    fn as_words(self, x: __m256d) -> __m256i {
        call!(_mm256_castpd_si256(x))
    }

    #[inline(always)]
    fn splat(self, x: f64) -> __m256d {
        call!(_mm256_set1_pd(x))
    }

    #[inline(always)]
    fn add(self, x: __m256d, y: __m256d) -> __m256d {
        call!(_mm256_add_pd(x, y))
    }

    #[inline(always)]
    fn sub(self, x: __m256d, y: __m256d) -> __m256d {
        call!(_mm256_sub_pd(x, y))
    }

    #[inline(always)]
    fn mul(self, x: __m256d, y: __m256d) -> __m256d {
        call!(_mm256_mul_pd(x, y))
    }

    #[inline(always)]
    fn mul_add(self, x: __m256d, y: __m256d, z: __m256d) -> __m256d {
        call!(_mm256_fmadd_pd(x, y, z))
    }

    #[inline(always)]
    fn mul_sub(self, x: __m256d, y: __m256d, z: __m256d) -> __m256d {
        call!(_mm256_fmsub_pd(x, y, z))
    }

    #[inline(always)]
    fn neg_mul_add(self, x: __m256d, y: __m256d, z: __m256d) -> __m256d {
        call!(_mm256_fnmadd_pd(x, y, z))
    }

    #[inline(always)]
    fn round(self, x: __m256d) -> __m256d {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        call!(_mm256_round_pd::<NEAREST>(x))
    }

    #[inline(always)]
    fn floor(self, x: __m256d) -> __m256d {
        const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        call!(_mm256_round_pd::<DOWN>(x))
    }

    #[inline(always)]
    fn zero_block(self) -> [__m256d; 4] {
        [self.splat(0.0); 4]
    }

    #[inline(always)]
    fn transpose(self, [a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
        // Words within pairs of rows, then halves.
        let (ab0, ab1) = (call!(_mm256_unpacklo_pd(a, b)), call!(_mm256_unpackhi_pd(a, b)));
        let (cd0, cd1) = (call!(_mm256_unpacklo_pd(c, d)), call!(_mm256_unpackhi_pd(c, d)));
        [
            call!(_mm256_permute2f128_pd::<0x20>(ab0, cd0)),
            call!(_mm256_permute2f128_pd::<0x20>(ab1, cd1)),
            call!(_mm256_permute2f128_pd::<0x31>(ab0, cd0)),
            call!(_mm256_permute2f128_pd::<0x31>(ab1, cd1)),
        ]
    }

    #[inline(always)]
    fn unpack<const BYTES: usize>(self, group: &[u64], part: usize) -> __m256i {
        const { assert!(4 <= BYTES && BYTES <= 8) };
        let group: &[u64; BYTES] = group.first_chunk().expect("packed operands of whole groups");
        if BYTES == 8 {
            return self.load(&group[4 * part..]);
        }
        let bytes = group.as_ptr().cast::<u8>();
        // Two residues are in 16 bytes that begin with them; the last two are in those that end with them.
        let last = part == 1;
        let low = 4 * part * BYTES;
        let high = if last { 8 * BYTES - 16 } else { 2 * BYTES };
        let lanes = const { [unpacking(BYTES, false), unpacking(BYTES, true)] };
        let lanes = [&lanes[0], &lanes[usize::from(last)]];
        // SAFETY: as in `call`, and low and high are at most 8·BYTES − 16, from where 16 bytes are in the group.
        unsafe {
            let low = _mm_loadu_si128(bytes.add(low).cast());
            let high = _mm_loadu_si128(bytes.add(high).cast());
            let lanes = _mm256_loadu2_m128i(lanes[1].as_ptr().cast(), lanes[0].as_ptr().cast());
            _mm256_shuffle_epi8(_mm256_set_m128i(high, low), lanes)
        }
    }

    #[inline(always)]
    fn spread<const LOG_RUN: u32>(self, x: __m256i, part: usize) -> __m256i {
        const LANES: [[[u64; 4]; 4]; 3] = spreads();
        if LOG_RUN == 0 {
            return x;
        }
        let parts = self.load(&LANES[LOG_RUN as usize][part % 4]);
        call!(_mm256_permutevar8x32_epi32(x, parts))
    }

    #[inline(always)]
    fn permutation(self, lanes: &[u8; 8]) -> Permutation {
        let (mut starts, mut parts) = ([0; 2], [[0; 8]; 2]);
        for half in 0..2 {
            let lanes = &lanes[4 * half..][..4];
            starts[half] = usize::from(lanes[0] & 4);
            for (k, &lane) in lanes.iter().enumerate() {
                debug_assert_eq!(usize::from(lane & 4), starts[half], "lanes are of one half");
                let part = 2 * u32::from(lane & 3);
                (parts[half][2 * k], parts[half][2 * k + 1]) = (part, part + 1);
            }
        }
        Permutation { starts, parts }
    }

    #[inline(always)]
    fn permute(self, permutation: &Permutation, out: &mut [u64], a: &[u64]) {
        for half in 0..2 {
            let parts = &permutation.parts[half];
            // SAFETY: as in `call`, and the reference covers 32 readable bytes.
            let parts = unsafe { _mm256_loadu_si256(parts.as_ptr().cast()) };
            let x = self.load(&a[permutation.starts[half]..]);
            self.store(&mut out[4 * half..], call!(_mm256_permutevar8x32_epi32(x, parts)));
        }
    }
}

/// By log2 of the run and the part: the lane that every lane takes its word from, as its two 32-bit parts.
const fn spreads() -> [[[u64; 4]; 4]; 3] {
    let mut spreads = [[[0; 4]; 4]; 3];
    let mut i = 0;
    while i < 3 * 16 {
        let (log_run, part, lane) = (i / 16, i / 4 % 4, i % 4);
        let source = (((part * 4 + lane) >> log_run) % 4) as u64;
        spreads[log_run][part][lane] = (2 * source) | ((2 * source + 1) << 32);
        i += 1;
    }
    spreads
}
