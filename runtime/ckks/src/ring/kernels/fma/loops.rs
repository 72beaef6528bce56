//! Every loop over limbs but the transforms, for any vector unit.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::arithmetic::{Constants, centered};
use super::simd::{Simd, to_floats, to_words};
use crate::ring::Modulus;
use crate::ring::kernels::{ConversionTarget, Form, Packing};

/// Products that are added up without a reduction. Each is below 1.1 q for lazy operands below 1.6 q, and
/// 8 q are below 2^53.
const PRODUCTS_AT_ONCE: usize = 6;

/// Registers of a row: residues whose sums of products are in registers together.
const ROW: usize = 2;

/// Bits of the centered representative, as number.
pub(in crate::ring::kernels) fn weight(m: &Modulus, w: u64) -> u64 {
    centered(m, w).to_bits()
}

#[inline(always)]
pub(super) fn reduce_signed<S: Simd>(s: S, m: &Modulus, a: &mut [u64]) {
    /// 2^31.
    const SIGN: f64 = 2_147_483_648.0;
    let c = Constants::new(s, m);
    let word = c.splat(centered(m, m.reduce_u64(1 << 32)));
    for a in a.chunks_exact_mut(S::LANES) {
        // Without its sign bit, whose value is subtracted from the upper half.
        let x = s.add_words(s.load(a), s.splat_word(1 << 63));
        let low = to_floats(s, s.and(x, s.splat_word(u32::MAX.into())));
        let high = s.sub(to_floats(s, s.upper_half(x)), s.splat(SIGN));
        let sum = s.add(c.mul_factor(high, word), low);
        s.store(a, to_words(s, c.canonical(c.reduce(sum))));
    }
}

#[inline(always)]
pub(super) fn add<S: Simd>(s: S, m: &Modulus, a: &mut [u64], b: &[u64]) {
    let c = Constants::new(s, m);
    for (a, b) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
        let sum = s.add(to_floats(s, s.load(a)), to_floats(s, s.load(b)));
        s.store(a, to_words(s, c.canonical(sum)));
    }
}

#[inline(always)]
pub(super) fn sub<S: Simd>(s: S, m: &Modulus, a: &mut [u64], b: &[u64]) {
    let c = Constants::new(s, m);
    for (a, b) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
        let difference = s.sub(to_floats(s, s.load(a)), to_floats(s, s.load(b)));
        s.store(a, to_words(s, c.canonical(difference)));
    }
}

#[inline(always)]
pub(super) fn neg<S: Simd>(s: S, m: &Modulus, a: &mut [u64]) {
    let c = Constants::new(s, m);
    for a in a.chunks_exact_mut(S::LANES) {
        let negative = s.sub(s.splat(0.0), to_floats(s, s.load(a)));
        s.store(a, to_words(s, c.canonical(negative)));
    }
}

#[inline(always)]
pub(super) fn mul<S: Simd>(s: S, m: &Modulus, a: &mut [u64], b: &[u64]) {
    let c = Constants::new(s, m);
    for (a, b) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
        let product = c.mul(to_floats(s, s.load(a)), to_floats(s, s.load(b)));
        s.store(a, to_words(s, c.canonical(product)));
    }
}

#[inline(always)]
pub(super) fn mul_add<S: Simd>(s: S, m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
    let c = Constants::new(s, m);
    let factors = a.chunks_exact(S::LANES).zip(b.chunks_exact(S::LANES));
    for (acc, (a, b)) in acc.chunks_exact_mut(S::LANES).zip(factors) {
        let product = c.mul(to_floats(s, s.load(a)), to_floats(s, s.load(b)));
        let sum = s.add(to_floats(s, s.load(acc)), product);
        s.store(acc, to_words(s, c.canonical(sum)));
    }
}

#[inline(always)]
pub(super) fn mul_scalar<S: Simd>(s: S, m: &Modulus, a: &mut [u64], scalar: u64) {
    let c = Constants::new(s, m);
    let scalar = c.splat(centered(m, scalar));
    for a in a.chunks_exact_mut(S::LANES) {
        let product = c.mul_factor(to_floats(s, s.load(a)), scalar);
        s.store(a, to_words(s, c.canonical(product)));
    }
}

#[inline(always)]
pub(super) fn sub_mul_scalar<S: Simd>(s: S, m: &Modulus, a: &mut [u64], b: &[u64], scalar: u64) {
    let c = Constants::new(s, m);
    let scalar = c.splat(centered(m, scalar));
    for (a, b) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
        // Lazy b are below 1.6 q.
        let difference = s.sub(to_floats(s, s.load(a)), to_floats(s, s.load(b)));
        s.store(a, to_words(s, c.canonical(c.mul_factor(difference, scalar))));
    }
}

#[inline(always)]
pub(super) fn quotient<S: Simd>(s: S, quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]) {
    for (row, quotient) in quotient.chunks_exact_mut(S::LANES).enumerate() {
        let mut sum = s.splat(0.5);
        for (source, &inverse) in sources.iter().zip(inverses) {
            let y = to_floats(s, s.load(&source[row * S::LANES..]));
            // Not fused: the portable sum rounds the product too.
            sum = s.add(sum, s.mul(y, s.splat(inverse)));
        }
        s.store(quotient, to_words(s, s.floor(sum)));
    }
}

#[inline(always)]
pub(super) fn convert<S: Simd>(s: S, targets: &mut [ConversionTarget<'_>], sources: &[&[u64]]) {
    /// Words of sources, as numbers, that are used for all targets before the next ones are made.
    const BUFFER: usize = 2560;
    /// The longest row.
    const MAX_ROW: usize = 16;
    /// Products that are added up without a reduction: sources are below 2^50, so that one is below 0.7 q.
    const TERMS_AT_ONCE: usize = 8;
    let degree = sources[0].len();
    let tile = (BUFFER / sources.len() / MAX_ROW * MAX_ROW).min(degree);
    let mut buffer = [0; BUFFER];
    for start in (0..degree).step_by(tile) {
        let end = degree.min(start + tile);
        for (source, numbers) in sources.iter().zip(buffer.chunks_exact_mut(tile)) {
            let source = source[start..end].chunks_exact(S::LANES);
            for (words, numbers) in source.zip(numbers.chunks_exact_mut(S::LANES)) {
                s.store(numbers, s.as_words(to_floats(s, s.load(words))));
            }
        }
        for target in &mut *targets {
            let c = Constants::new(s, target.m);
            let out = &mut target.out[start..end];
            for (row, out) in out.chunks_exact_mut(2 * ROW * S::LANES).enumerate() {
                sum_row::<S, { 2 * ROW }, TERMS_AT_ONCE>(
                    c,
                    out,
                    row,
                    tile,
                    target.weights,
                    &buffer,
                );
            }
            // The degree is a multiple of the row's length but in the smallest rings.
            let done = out.len() / (2 * ROW * S::LANES) * (2 * ROW);
            for (row, out) in out.chunks_exact_mut(S::LANES).enumerate().skip(done) {
                sum_row::<S, 1, TERMS_AT_ONCE>(c, out, row, tile, target.weights, &buffer);
            }
        }
    }
}

/// A row of so many registers of a conversion. The buffer holds a tile of each source, one after the other.
#[inline(always)]
fn sum_row<S: Simd, const REGISTERS: usize, const AT_ONCE: usize>(
    c: Constants<S>,
    out: &mut [u64],
    row: usize,
    tile: usize,
    weights: &[u64],
    buffer: &[u64],
) {
    let s = c.s;
    let mut sums = [s.splat(0.0); REGISTERS];
    let start = row * REGISTERS * S::LANES;
    let mut sources = buffer.chunks_exact(tile);
    for weights in weights.chunks(AT_ONCE) {
        for (&w, source) in weights.iter().zip(&mut sources) {
            let w = c.splat(f64::from_bits(w));
            let source = &source[start..start + REGISTERS * S::LANES];
            for (sum, y) in sums.iter_mut().zip(source.chunks_exact(S::LANES)) {
                *sum = s.add(*sum, c.mul_factor(s.as_floats(s.load(y)), w));
            }
        }
        for sum in &mut sums {
            *sum = c.reduce(*sum);
        }
    }
    for (sum, out) in sums.iter().zip(out.chunks_exact_mut(S::LANES)) {
        s.store(out, to_words(s, c.canonical(*sum)));
    }
}

/// Calls a function that is generic over an operand, given its bytes of a residue and log2 of its run.
macro_rules! with_form {
    ($form:expr, $call:ident($($argument:expr),*)) => {
        match $form.bytes {
            4 => with_form!(4, $form.log_run, $call($($argument),*)),
            5 => with_form!(5, $form.log_run, $call($($argument),*)),
            6 => with_form!(6, $form.log_run, $call($($argument),*)),
            7 => with_form!(7, $form.log_run, $call($($argument),*)),
            bytes => {
                debug_assert_eq!(bytes, 8, "residues take 4 to 8 bytes");
                with_form!(8, $form.log_run, $call($($argument),*))
            }
        }
    };
    ($bytes:literal, $log_run:expr, $call:ident($($argument:expr),*)) => {
        match $log_run {
            0 => $call($($argument),*, Packed::<$bytes, 0>),
            1 => $call($($argument),*, Packed::<$bytes, 1>),
            2 => $call($($argument),*, Packed::<$bytes, 2>),
            log_run => $call($($argument),*, Repeated(Form { bytes: $bytes, log_run })),
        }
    };
}

#[inline(always)]
pub(super) fn inner_product<S: Simd>(
    s: S,
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    packing: Packing,
    terms: &[(&[u64], &[u64], &[u64])],
) {
    match packing {
        Packing::First(form) => {
            with_form!(form, sums_first(s, m, out, start, terms));
        }
        Packing::Pairs(bytes) => match bytes {
            4 => sums_of_products(s, m, out, start, terms, Plain, Packed::<4, 0>),
            5 => sums_of_products(s, m, out, start, terms, Plain, Packed::<5, 0>),
            6 => sums_of_products(s, m, out, start, terms, Plain, Packed::<6, 0>),
            7 => sums_of_products(s, m, out, start, terms, Plain, Packed::<7, 0>),
            _ => sums_of_products(s, m, out, start, terms, Plain, Packed::<8, 0>),
        },
    }
}

/// Inner products with the first operand packed.
#[inline(always)]
fn sums_first<S: Simd>(
    s: S,
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
    first: impl Operand<S>,
) {
    sums_of_products(s, m, out, start, terms, first, Plain);
}

/// Inner products, given how to get the residues of operands.
#[inline(always)]
fn sums_of_products<S: Simd>(
    s: S,
    m: &Modulus,
    (out0, out1): (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
    first: impl Operand<S>,
    pair: impl Operand<S>,
) {
    let c = Constants::new(s, m);
    let length = ROW * S::LANES;
    let chunks = terms.len().div_ceil(PRODUCTS_AT_ONCE);
    // A few terms for all rows, then the next ones: fewer operands come from memory side by side. Between
    // them the results hold the sums, as numbers.
    for (chunk, terms) in terms.chunks(PRODUCTS_AT_ONCE).enumerate() {
        let rows = out0.chunks_exact_mut(length).zip(out1.chunks_exact_mut(length));
        for (row, (out0, out1)) in rows.enumerate() {
            let position = start + row * length;
            let mut sums0 = [s.splat(0.0); ROW];
            let mut sums1 = [s.splat(0.0); ROW];
            if chunk > 0 {
                for v in 0..ROW {
                    sums0[v] = s.as_floats(s.load(&out0[v * S::LANES..]));
                    sums1[v] = s.as_floats(s.load(&out1[v * S::LANES..]));
                }
            }
            for (a, b0, b1) in terms {
                let a = first.row(s, a, position);
                let b0 = pair.row(s, b0, position);
                let b1 = pair.row(s, b1, position);
                for v in 0..ROW {
                    let a = to_floats(s, a[v]);
                    sums0[v] = s.add(sums0[v], c.mul(a, to_floats(s, b0[v])));
                    sums1[v] = s.add(sums1[v], c.mul(a, to_floats(s, b1[v])));
                }
            }
            for v in 0..ROW {
                let mut sums = [c.reduce(sums0[v]), c.reduce(sums1[v])];
                if chunk + 1 == chunks {
                    sums = [
                        s.as_floats(to_words(s, c.canonical(sums[0]))),
                        s.as_floats(to_words(s, c.canonical(sums[1]))),
                    ];
                }
                s.store(&mut out0[v * S::LANES..], s.as_words(sums[0]));
                s.store(&mut out1[v * S::LANES..], s.as_words(sums[1]));
            }
        }
    }
}

/// Layout of an operand of inner products in its words.
trait Operand<S: Simd>: Copy {
    /// Its residues for the row at a position.
    fn row(self, s: S, words: &[u64], position: usize) -> [S::Words; ROW];
}

/// A residue a word.
#[derive(Clone, Copy)]
struct Plain;

/// Packed residues, so many bytes each, for `2^LOG_RUN` positions each.
#[derive(Clone, Copy)]
struct Packed<const BYTES: usize, const LOG_RUN: u32>;

/// Packed residues with runs of at least a register.
#[derive(Clone, Copy)]
struct Repeated(Form);

impl<S: Simd> Operand<S> for Plain {
    #[inline(always)]
    fn row(self, s: S, words: &[u64], position: usize) -> [S::Words; ROW] {
        let words = &words[position..position + ROW * S::LANES];
        [s.load(words), s.load(&words[S::LANES..])]
    }
}

impl<S: Simd, const BYTES: usize, const LOG_RUN: u32> Operand<S> for Packed<BYTES, LOG_RUN> {
    #[inline(always)]
    fn row(self, s: S, words: &[u64], position: usize) -> [S::Words; ROW] {
        prefetch(words, (position >> LOG_RUN) / 8 * BYTES);
        [self.register(s, words, position, 0), self.register(s, words, position, 1)]
    }
}

impl<const BYTES: usize, const LOG_RUN: u32> Packed<BYTES, LOG_RUN> {
    /// Register v of the row at a position, a multiple of eight.
    #[inline(always)]
    fn register<S: Simd>(self, s: S, words: &[u64], position: usize, v: usize) -> S::Words {
        let at = position + v * S::LANES;
        let group = &words[(at >> LOG_RUN) / 8 * BYTES..][..BYTES];
        if LOG_RUN == 0 {
            return s.unpack::<BYTES>(group, v * S::LANES % 8 / S::LANES);
        }
        let x = s.unpack::<BYTES>(group, (at >> LOG_RUN) % 8 / S::LANES);
        s.spread::<LOG_RUN>(x, at / S::LANES)
    }
}

/// Asks for what follows soon on the word with this index: keys and diagonals come from memory, and there are
/// more of them, each read in order, than the processor keeps track of by itself.
#[inline(always)]
fn prefetch(words: &[u64], at: usize) {
    /// Words ahead.
    const DISTANCE: usize = 32;
    // Nothing is read there, so that the address need not be one of the slice's.
    let line = words.as_ptr().wrapping_add(at + DISTANCE);
    // SAFETY: every x86-64 processor has the instruction, which reads nothing that could be seen.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

impl<S: Simd> Operand<S> for Repeated {
    #[inline(always)]
    fn row(self, s: S, words: &[u64], position: usize) -> [S::Words; ROW] {
        [
            s.splat_word(self.0.residue(words, position)),
            s.splat_word(self.0.residue(words, position + S::LANES)),
        ]
    }
}

#[inline(always)]
pub(super) fn permute<S: Simd>(
    s: S,
    out: &mut [u64],
    a: &[u64],
    blocks: &[u32],
    lanes: &[[u8; 8]; 8],
) {
    let permutations = lanes.each_ref().map(|lanes| s.permutation(lanes));
    for (out, &block) in out.chunks_exact_mut(8).zip(blocks) {
        let a = &a[8 * (block >> 3) as usize..][..8];
        s.permute(&permutations[(block & 7) as usize], out, a);
    }
}
