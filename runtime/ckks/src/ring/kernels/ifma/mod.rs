//! The loops with AVX-512 and its 52-bit multiply-add (IFMA), bit-equal to the portable ones.
//!
//! Every function here must only be called on a processor with these instructions; that is what the
//! `unsafe` at the call in [`super`] vouches for. Lengths are multiples of eight, as all degrees are.
//!
//! No vector goes through code without these instructions: not through generic functions of the standard
//! library that take or return what they are generic over (`array::map`, `array::from_fn`, `fold`). Where
//! they are not inlined, they hold vectors on a stack that is not always aligned for them (seen with rustc
//! 1.95). `.ci/aligned-stores` looks for such code in the executable.

mod ntt;
mod vector;

pub(super) use ntt::{MIN_LOG_DEGREE, Ntt};

use std::arch::x86_64::*;

use super::{ConversionTarget, Form, Packing};
use crate::ring::Modulus;
use vector::*;

/// Residues whose sums of products are in registers together.
const ROW: usize = 4 * LANES;

type Row = [Vector; ROW / LANES];

/// Returns whether this processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
}

/// Weights of conversions are in Montgomery form, so that sums come out in the ordinary one.
pub(super) fn weight(m: &Modulus, w: u64) -> u64 {
    to_montgomery(m, w)
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn reduce_signed(m: &Modulus, a: &mut [u64]) {
    let c = Constants::new(m);
    // Magnitudes are cut to words of the multiplier, of which it ignores the bits above.
    let one = Factor::splat(factor_words(m, 1));
    let word = Factor::splat(factor_words(m, m.reduce_u64(1 << 52)));
    for a in vectors_mut(a) {
        let x = load(a);
        let magnitude = _mm512_abs_epi64(x);
        let low = c.mul_factor(magnitude, one);
        let high = c.mul_factor(_mm512_srli_epi64::<52>(magnitude), word);
        let residue = c.reduce_twice(vector::add(low, high));
        let negative = _mm512_movepi64_mask(x);
        let negated = _mm512_mask_sub_epi64(residue, negative, c.q, residue);
        store(a, c.reduce_once(negated));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn add(m: &Modulus, a: &mut [u64], b: &[u64]) {
    let c = Constants::new(m);
    for (a, b) in vectors_mut(a).zip(vectors(b)) {
        store(a, c.reduce_once(vector::add(load(a), load(b))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn sub(m: &Modulus, a: &mut [u64], b: &[u64]) {
    let c = Constants::new(m);
    for (a, b) in vectors_mut(a).zip(vectors(b)) {
        store(a, c.reduce_once(vector::add(vector::sub(load(a), load(b)), c.q)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn neg(m: &Modulus, a: &mut [u64]) {
    let c = Constants::new(m);
    for a in vectors_mut(a) {
        store(a, c.reduce_once(vector::sub(c.q, load(a))));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn mul(m: &Modulus, a: &mut [u64], b: &[u64]) {
    let product = Product::new(m);
    for (a, b) in vectors_mut(a).zip(vectors(b)) {
        store(a, product.mul(load(a), load(b)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn mul_add(m: &Modulus, acc: &mut [u64], a: &[u64], b: &[u64]) {
    let product = Product::new(m);
    for ((acc, a), b) in vectors_mut(acc).zip(vectors(a)).zip(vectors(b)) {
        let sum = vector::add(load(acc), product.mul(load(a), load(b)));
        store(acc, product.c.reduce_once(sum));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn mul_scalar(m: &Modulus, a: &mut [u64], s: u64) {
    let (c, s) = (Constants::new(m), Factor::splat(factor_words(m, s)));
    for a in vectors_mut(a) {
        store(a, c.reduce_once(c.mul_factor(load(a), s)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn sub_mul_scalar(m: &Modulus, a: &mut [u64], b: &[u64], s: u64) {
    let (c, s) = (Constants::new(m), Factor::splat(factor_words(m, s)));
    // One conditional subtraction leaves room for the sum below 2^52.
    let offset = splat(m.value() * (ntt::lazy_bound(m) - 2));
    for (a, b) in vectors_mut(a).zip(vectors(b)) {
        let b = conditional_sub(load(b), c.two_q);
        let difference = vector::add(vector::sub(load(a), b), offset);
        store(a, c.reduce_once(c.mul_factor(difference, s)));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn quotient(quotient: &mut [u64], sources: &[&[u64]], inverses: &[f64]) {
    for (j, quotient) in vectors_mut(quotient).enumerate() {
        let mut sum = _mm512_set1_pd(0.5);
        for (source, &inverse) in sources.iter().zip(inverses) {
            let y = _mm512_cvtepu64_pd(load(&source.as_chunks().0[j]));
            // Not fused: the portable sum rounds the product too.
            sum = _mm512_add_pd(sum, _mm512_mul_pd(y, _mm512_set1_pd(inverse)));
        }
        store(quotient, _mm512_cvttpd_epu64(sum));
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn convert(targets: &mut [ConversionTarget<'_>], sources: &[&[u64]]) {
    /// Residues of each source that are used for all targets before the next ones are read.
    const TILE: usize = 256;
    let degree = sources[0].len();
    for tile in (0..degree).step_by(TILE) {
        for target in &mut *targets {
            let c = Constants::new(target.m);
            // Sources are below 2^50.
            let reduction = SumReduction::new(target.m, 1 + sources.len().div_ceil(4));
            for row in (tile..degree.min(tile + TILE)).step_by(ROW) {
                let mut sums = [Accumulator::zero(); ROW / LANES];
                for (source, &w) in sources.iter().zip(target.weights) {
                    let w = splat(w);
                    let source = source[row..row + ROW].as_chunks().0;
                    for (sum, y) in sums.iter_mut().zip(source) {
                        sum.add(load(y), w);
                    }
                }
                let out = target.out[row..row + ROW].as_chunks_mut().0;
                for (out, sum) in out.iter_mut().zip(&sums) {
                    store(out, c.reduce_once(reduction.below(2, sum.fold(&c))));
                }
            }
        }
    }
}

/// Calls a function that is generic over the bytes of a residue.
macro_rules! with_bytes {
    ($bytes:expr, $function:ident($($argument:expr),*)) => {
        match $bytes {
            4 => $function::<4>($($argument),*),
            5 => $function::<5>($($argument),*),
            6 => $function::<6>($($argument),*),
            7 => $function::<7>($($argument),*),
            bytes => {
                debug_assert_eq!(bytes, 8, "residues take 4 to 8 bytes");
                $function::<8>($($argument),*)
            }
        }
    };
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn inner_product(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    packing: Packing,
    terms: &[(&[u64], &[u64], &[u64])],
) {
    match packing {
        Packing::First(Form { bytes, log_run }) => {
            with_bytes!(bytes, packed_first(m, out, start, terms, log_run))
        }
        Packing::Pairs(bytes) => with_bytes!(bytes, packed_pairs(m, out, start, terms)),
    }
}

/// Inner products, given the residues of the first operand of a term and of either of its pair, as
/// expressions of the operand's words and the position of the row.
macro_rules! sums_of_products {
    (
        $m:expr, $out:expr, $start:expr, $terms:expr,
        |$words:ident, $position:ident| $first:expr, $pair:expr
    ) => {{
        let product = Product::new($m);
        let reduction = SumReduction::new($m, 1 + $terms.len());
        let (out0, out1) = $out;
        for row in (0..out0.len()).step_by(ROW) {
            let $position = $start + row;
            let mut sums = [[Accumulator::zero(); 2]; ROW / LANES];
            for &(a, b0, b1) in $terms {
                let $words = a;
                let a: Row = $first;
                let $words = b0;
                let b0: Row = $pair;
                let $words = b1;
                let b1: Row = $pair;
                for (v, sums) in sums.iter_mut().enumerate() {
                    sums[0].add(a[v], b0[v]);
                    sums[1].add(a[v], b1[v]);
                }
            }
            let out0 = out0[row..row + ROW].as_chunks_mut().0;
            let out1 = out1[row..row + ROW].as_chunks_mut().0;
            for (v, sums) in sums.iter().enumerate() {
                store(&mut out0[v], reduced_sum(&product, &reduction, &sums[0]));
                store(&mut out1[v], reduced_sum(&product, &reduction, &sums[1]));
            }
        }
    }};
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
fn packed_first<const BYTES: usize>(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
    log_run: u32,
) {
    match log_run {
        0 => packed_run_first::<BYTES, 0>(m, out, start, terms),
        1 => packed_run_first::<BYTES, 1>(m, out, start, terms),
        2 => packed_run_first::<BYTES, 2>(m, out, start, terms),
        _ => repeated_first::<BYTES>(m, out, start, terms, log_run),
    }
}

/// Inner products with the first operand packed, in runs of at most four.
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
fn packed_run_first<const BYTES: usize, const LOG_RUN: u32>(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
) {
    let lanes = row_lanes::<BYTES, LOG_RUN>();
    sums_of_products!(
        m,
        out,
        start,
        terms,
        |words, position| packed_row::<BYTES, LOG_RUN>(words, position, &lanes),
        plain_row_ahead(words, position)
    );
}

/// Inner products with the first operand packed, in runs that fill vectors.
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
fn repeated_first<const BYTES: usize>(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
    log_run: u32,
) {
    // A vector's residues are equal. In place: a function that is not inlined would have the sums in memory.
    let form = Form { bytes: BYTES, log_run };
    sums_of_products!(
        m,
        out,
        start,
        terms,
        |words, position| [
            splat(form.residue(words, position)),
            splat(form.residue(words, position + LANES)),
            splat(form.residue(words, position + 2 * LANES)),
            splat(form.residue(words, position + 3 * LANES)),
        ],
        plain_row_ahead(words, position)
    );
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
fn packed_pairs<const BYTES: usize>(
    m: &Modulus,
    out: (&mut [u64], &mut [u64]),
    start: usize,
    terms: &[(&[u64], &[u64], &[u64])],
) {
    let lanes = row_lanes::<BYTES, 0>();
    sums_of_products!(
        m,
        out,
        start,
        terms,
        |words, position| plain_row(words, position),
        packed_row::<BYTES, 0>(words, position, &lanes)
    );
}

/// The canonical residue of a sum of products.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
fn reduced_sum(product: &Product, reduction: &SumReduction, sum: &Accumulator) -> Vector {
    product.undo_montgomery(reduction.below(4, sum.fold(&product.c)))
}

/// The row at a position of a plain operand.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
fn plain_row(words: &[u64], position: usize) -> Row {
    let words = words[position..position + ROW].as_chunks().0;
    [load(&words[0]), load(&words[1]), load(&words[2]), load(&words[3])]
}

/// The row at a position of a plain operand, with a prefetch of later rows.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
fn plain_row_ahead(words: &[u64], position: usize) -> Row {
    prefetch_row(words, position, ROW);
    plain_row(words, position)
}

/// The row at a position of a packed operand with runs of at most four, given its [`row_lanes`].
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
fn packed_row<const BYTES: usize, const LOG_RUN: u32>(
    words: &[u64],
    position: usize,
    lanes: &Row,
) -> Row {
    let groups = const { (ROW / LANES) >> LOG_RUN };
    let at = (position >> LOG_RUN) / LANES * BYTES;
    prefetch_row(words, at, groups * BYTES);
    let words = &words[at..at + groups * BYTES];
    [
        unpack(load_group::<BYTES>(words), lanes[0]),
        unpack(load_group::<BYTES>(&words[(1 >> LOG_RUN) * BYTES..]), lanes[1]),
        unpack(load_group::<BYTES>(&words[(2 >> LOG_RUN) * BYTES..]), lanes[2]),
        unpack(load_group::<BYTES>(&words[(3 >> LOG_RUN) * BYTES..]), lanes[3]),
    ]
}

/// Byte permutations that unpack the vectors of a row: vector v has residues of group `v >> LOG_RUN`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl,avx512vbmi")]
fn row_lanes<const BYTES: usize, const LOG_RUN: u32>() -> Row {
    let first = |v: usize| ((v * LANES) >> LOG_RUN) % LANES;
    [
        load(&unpacking(BYTES, first(0), LOG_RUN)),
        load(&unpacking(BYTES, first(1), LOG_RUN)),
        load(&unpacking(BYTES, first(2), LOG_RUN)),
        load(&unpacking(BYTES, first(3), LOG_RUN)),
    ]
}

/// Asks for a row of so many words that will be needed soon after the one that begins with a word: there are
/// more operands, each read in order, than the processor keeps track of by itself.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
fn prefetch_row(words: &[u64], at: usize, row: usize) {
    /// Words ahead.
    const DISTANCE: usize = 56;
    for line in (0..row).step_by(LANES) {
        // Nothing is read there, so that the address need not be one of the slice's.
        let line = words.as_ptr().wrapping_add(at + DISTANCE + line);
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
}

#[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
pub(super) fn permute(out: &mut [u64], a: &[u64], blocks: &[u32], lanes: &[[u8; 8]; 8]) {
    // In words: they are indexed, so they are in memory anyway.
    let mut words = [[0; LANES]; 8];
    for (words, lanes) in words.iter_mut().zip(lanes) {
        for (word, &lane) in words.iter_mut().zip(lanes) {
            *word = lane.into();
        }
    }
    let a = a.as_chunks().0;
    for (out, &block) in vectors_mut(out).zip(blocks) {
        let x = load(&a[(block >> 3) as usize]);
        store(out, _mm512_permutexvar_epi64(load(&words[(block & 7) as usize]), x));
    }
}

/// Products of canonical residues.
struct Product {
    c: Constants,
    /// `R`, to make up for the `R^-1` of a Montgomery product.
    radix: Factor,
}

impl Product {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn new(m: &Modulus) -> Self {
        Self { c: Constants::new(m), radix: Factor::splat(factor_words(m, to_montgomery(m, 1))) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn mul(&self, a: Vector, b: Vector) -> Vector {
        self.undo_montgomery(self.c.mul(a, b))
    }

    /// `x·R mod q`, canonical, for `x < 2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn undo_montgomery(&self, x: Vector) -> Vector {
        self.c.reduce_once(self.c.mul_factor(x, self.radix))
    }
}

/// Brings folded sums of products down to a few multiples of q.
struct SumReduction {
    /// `2^i · q`.
    multiples: [Vector; 8],
    /// Sums are below `2^log_bound · q`.
    log_bound: usize,
}

impl SumReduction {
    /// A reduction of folded sums below `bound · q`, `bound` at most 256. Each product `x·y` with `x < 2^52` and
    /// `y < q` contributes less than q, the folding another.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn new(m: &Modulus, bound: usize) -> Self {
        let mut multiples = [splat(0); 8];
        for (i, multiple) in multiples.iter_mut().enumerate() {
            *multiple = splat(m.value() << i);
        }
        Self { multiples, log_bound: bound.next_power_of_two().ilog2() as usize }
    }

    /// The sum below `bound · q`, for a power of two.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn below(&self, bound: usize, mut sum: Vector) -> Vector {
        let kept = bound.ilog2() as usize;
        for i in (kept..self.log_bound).rev() {
            sum = conditional_sub(sum, self.multiples[i]);
        }
        sum
    }
}

fn vectors(limb: &[u64]) -> impl Iterator<Item = &[u64; LANES]> {
    limb.as_chunks().0.iter()
}

fn vectors_mut(limb: &mut [u64]) -> impl Iterator<Item = &mut [u64; LANES]> {
    limb.as_chunks_mut().0.iter_mut()
}
