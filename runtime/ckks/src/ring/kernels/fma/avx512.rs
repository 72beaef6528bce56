//! Eight residues in a register: AVX-512 without its 52-bit multiply-add.

use std::arch::x86_64::*;

use super::simd::{Simd, unpacking};

/// Proof that the processor has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    /// Whoever may call this has the instructions enabled.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn new() -> Self {
        Self(())
    }
}

/// Intrinsics that need nothing but the instructions.
macro_rules! call {
    ($intrinsic:ident $(::<$parameter:tt>)? ($($argument:expr),*)) => {
        // SAFETY: the value that this method is called on proves that the processor has AVX-512 F, BW, DQ
        // and VL.
        unsafe { $intrinsic$(::<$parameter>)?($($argument),*) }
    };
}

impl Simd for Avx512 {
    const LANES: usize = 8;
    type Words = __m512i;
    type Floats = __m512d;
    type Block = [__m512d; 8];
    /// The source of every word.
    type Permutation = [u64; 8];

    #[inline(always)]
    fn load(self, words: &[u64]) -> __m512i {
        let words: &[u64; 8] = words.first_chunk().expect("slices of whole vectors");
        // SAFETY: as in `call`, and the reference covers 64 readable bytes; no alignment is needed.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_floats(self, numbers: &[f64]) -> __m512d {
        let numbers: &[f64; 8] = numbers.first_chunk().expect("slices of whole vectors");
        // SAFETY: as in `call`, and the reference covers 64 readable bytes; no alignment is needed.
        unsafe { _mm512_loadu_pd(numbers.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, words: &mut [u64], x: __m512i) {
        let words: &mut [u64; 8] = words.first_chunk_mut().expect("slices of whole vectors");
        // SAFETY: as in `call`, and the reference covers 64 writable bytes; no alignment is needed.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), x) }
    }

    #[inline(always)]
    fn splat_word(self, x: u64) -> __m512i {
        call!(_mm512_set1_epi64(x.cast_signed()))
    }

    #[inline(always)]
    fn add_words(self, x: __m512i, y: __m512i) -> __m512i {
        call!(_mm512_add_epi64(x, y))
    }

    #[inline(always)]
    fn sub_words(self, x: __m512i, y: __m512i) -> __m512i {
        call!(_mm512_sub_epi64(x, y))
    }

    #[inline(always)]
    fn and(self, x: __m512i, y: __m512i) -> __m512i {
        call!(_mm512_and_si512(x, y))
    }

    #[inline(always)]
    fn upper_half(self, x: __m512i) -> __m512i {
        call!(_mm512_srli_epi64::<32>(x))
    }

    #[inline(always)]
    fn as_floats(self, x: __m512i) -> __m512d {
        call!(_mm512_castsi512_pd(x))
    }

    #[inline(always)]
    fn as_words(self, x: __m512d) -> __m512i {
        call!(_mm512_castpd_si512(x))
    }

    #[inline(always)]
    fn splat(self, x: f64) -> __m512d {
        call!(_mm512_set1_pd(x))
    }

    #[inline(always)]
    fn add(self, x: __m512d, y: __m512d) -> __m512d {
        call!(_mm512_add_pd(x, y))
    }

    #[inline(always)]
    fn sub(self, x: __m512d, y: __m512d) -> __m512d {
        call!(_mm512_sub_pd(x, y))
    }

    #[inline(always)]
    fn mul(self, x: __m512d, y: __m512d) -> __m512d {
        call!(_mm512_mul_pd(x, y))
    }

    #[inline(always)]
    fn mul_add(self, x: __m512d, y: __m512d, z: __m512d) -> __m512d {
        call!(_mm512_fmadd_pd(x, y, z))
    }

    #[inline(always)]
    fn mul_sub(self, x: __m512d, y: __m512d, z: __m512d) -> __m512d {
        call!(_mm512_fmsub_pd(x, y, z))
    }

    #[inline(always)]
    fn neg_mul_add(self, x: __m512d, y: __m512d, z: __m512d) -> __m512d {
        call!(_mm512_fnmadd_pd(x, y, z))
    }

    #[inline(always)]
    fn round(self, x: __m512d) -> __m512d {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        call!(_mm512_roundscale_pd::<NEAREST>(x))
    }

    #[inline(always)]
    fn floor(self, x: __m512d) -> __m512d {
        const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        call!(_mm512_roundscale_pd::<DOWN>(x))
    }

    #[inline(always)]
    fn zero_block(self) -> [__m512d; 8] {
        [self.splat(0.0); 8]
    }

    #[inline(always)]
    fn transpose(self, [a, b, c, d, e, f, g, h]: [__m512d; 8]) -> [__m512d; 8] {
        // Words within pairs of rows, then quarters of registers, twice.
        let (ab0, ab1) = (call!(_mm512_unpacklo_pd(a, b)), call!(_mm512_unpackhi_pd(a, b)));
        let (cd0, cd1) = (call!(_mm512_unpacklo_pd(c, d)), call!(_mm512_unpackhi_pd(c, d)));
        let (ef0, ef1) = (call!(_mm512_unpacklo_pd(e, f)), call!(_mm512_unpackhi_pd(e, f)));
        let (gh0, gh1) = (call!(_mm512_unpacklo_pd(g, h)), call!(_mm512_unpackhi_pd(g, h)));
        let abcd04 = call!(_mm512_shuffle_f64x2::<0x88>(ab0, cd0));
        let abcd15 = call!(_mm512_shuffle_f64x2::<0x88>(ab1, cd1));
        let abcd26 = call!(_mm512_shuffle_f64x2::<0xdd>(ab0, cd0));
        let abcd37 = call!(_mm512_shuffle_f64x2::<0xdd>(ab1, cd1));
        let efgh04 = call!(_mm512_shuffle_f64x2::<0x88>(ef0, gh0));
        let efgh15 = call!(_mm512_shuffle_f64x2::<0x88>(ef1, gh1));
        let efgh26 = call!(_mm512_shuffle_f64x2::<0xdd>(ef0, gh0));
        let efgh37 = call!(_mm512_shuffle_f64x2::<0xdd>(ef1, gh1));
        [
            call!(_mm512_shuffle_f64x2::<0x88>(abcd04, efgh04)),
            call!(_mm512_shuffle_f64x2::<0x88>(abcd15, efgh15)),
            call!(_mm512_shuffle_f64x2::<0x88>(abcd26, efgh26)),
            call!(_mm512_shuffle_f64x2::<0x88>(abcd37, efgh37)),
            call!(_mm512_shuffle_f64x2::<0xdd>(abcd04, efgh04)),
            call!(_mm512_shuffle_f64x2::<0xdd>(abcd15, efgh15)),
            call!(_mm512_shuffle_f64x2::<0xdd>(abcd26, efgh26)),
            call!(_mm512_shuffle_f64x2::<0xdd>(abcd37, efgh37)),
        ]
    }

    #[inline(always)]
    fn unpack<const BYTES: usize>(self, group: &[u64], _: usize) -> __m512i {
        const { assert!(4 <= BYTES && BYTES <= 8) };
        let group: &[u64; BYTES] = group.first_chunk().expect("packed operands of whole groups");
        let lanes = const { [unpacking(BYTES, false), unpacking(BYTES, true)] };
        let bytes = group.as_ptr().cast::<u8>();
        // SAFETY: as in `call`, and from every address 16 bytes are in the group, which has 8·BYTES: two
        // residues are in 16 bytes that begin with them, the last two in those that end with them.
        unsafe {
            let pair = |at| _mm_loadu_si128(bytes.add(at).cast());
            let low = _mm256_set_m128i(pair(2 * BYTES), pair(0));
            let high = _mm256_set_m128i(pair(8 * BYTES - 16), pair(4 * BYTES));
            let x = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            let most = _mm512_broadcast_i32x4(_mm_loadu_si128(lanes[0].as_ptr().cast()));
            let last = _mm_loadu_si128(lanes[1].as_ptr().cast());
            _mm512_shuffle_epi8(x, _mm512_inserti32x4::<3>(most, last))
        }
    }

    #[inline(always)]
    fn spread<const LOG_RUN: u32>(self, x: __m512i, part: usize) -> __m512i {
        const SHIFTS: [[[u64; 8]; 8]; 3] = spreads();
        if LOG_RUN == 0 {
            return x;
        }
        call!(_mm512_permutexvar_epi64(self.load(&SHIFTS[LOG_RUN as usize][part % 8]), x))
    }

    #[inline(always)]
    fn permutation(self, lanes: &[u8; 8]) -> [u64; 8] {
        lanes.map(u64::from)
    }

    #[inline(always)]
    fn permute(self, permutation: &[u64; 8], out: &mut [u64], a: &[u64]) {
        self.store(out, call!(_mm512_permutexvar_epi64(self.load(permutation), self.load(a))));
    }
}

/// By log2 of the run and the part: the lane that every lane takes its word from.
const fn spreads() -> [[[u64; 8]; 8]; 3] {
    let mut spreads = [[[0; 8]; 8]; 3];
    let mut i = 0;
    while i < 3 * 64 {
        let (log_run, part, lane) = (i / 64, i / 8 % 8, i % 8);
        spreads[log_run][part][lane] = (((part * 8 + lane) >> log_run) % 8) as u64;
        i += 1;
    }
    spreads
}
