//! The negacyclic transform, in place, natural to bit-reversed order and back.
//!
//! The last six layers run inside blocks of 64 residues held in registers: three between the
//! registers, a transposition, three more between what were lanes, a transposition back. The layers
//! above run two to four at a time, depth first, so that a block that fits the cache stays there.
//!
//! Twiddle tables, not butterflies, are what a cold transform waits for. The tables of the last
//! three layers, seven eighths of the whole, are cut to one vector `g` a block: with
//! `W[i] = ψ^brv(i)`, the factors of the sub-block with heap index `k` are powers and fixed multiples
//! of `g = W[4k]`: `W[2k] = g²`, `W[k] = g⁴`, `W[2i + 1] = W[2i]·ψ^(N/2)`, `W[4k + 2] = g·ψ^(N/4)`.
//!
//! Butterflies reduce one of their operands by a conditional subtraction: forward, values stay below
//! 4q, backward below 2q. Primes below 2^46 leave room for wider windows instead. Forward that is
//! `log2(N)·q` to either side of an offset, with no reduction before the end. Backward, where sums
//! double, values are below 8q between groups of up to four layers and below 64q inside; only what
//! has been nothing but sums for three layers, one vector in eight, has to be reduced.

use aligned_vec::{AVec, ConstAlign};

use super::vector::*;
use crate::ring::Modulus;

/// The smallest degree, `2^7`: the inverse transform does blocks of 64 in pairs.
pub(in crate::ring) const MIN_LOG_DEGREE: u32 = 7;

/// Up to this size of prime, windows are wide: forward, an offset of 17q, an input below q and 17
/// layers stay below `2^52`, as does 64q backward.
const WIDE_WINDOW_BITS: u32 = 46;

/// Base-2 logarithm of the blocks that are done in registers.
const LOG_BLOCK: u32 = 6;

/// Transform modulo one prime, for degrees from `2^7`.
pub(in crate::ring) struct Ntt {
    m: Modulus,
    log_n: u32,
    forward: Tables,
    inverse: Tables,
    /// `N^-1`.
    degree_inverse: u64,
}

/// Powers of one root: `W[i] = root^brv(i)`.
struct Tables {
    /// [`Factor`] words of `W[i]` for `i < N/8`.
    heads: Vec<[u64; 2]>,
    /// Montgomery form of `W[4i]` for `N/8 <= i < N/4`.
    tails: AVec<u64, ConstAlign<64>>,
    /// [`Factor`] words of `root^(N/2)`, `root^(N/4)` and `root^(3N/4)`.
    multipliers: [[u64; 2]; 3],
}

impl Tables {
    fn new(m: &Modulus, log_n: u32, root: u64) -> Self {
        let n = 1u32 << log_n;
        let mut powers = vec![0; n as usize];
        let mut power = 1;
        for i in 0..n {
            powers[(i.reverse_bits() >> (32 - log_n)) as usize] = power;
            power = m.mul(power, root);
        }
        let eighth = n as usize / 8;
        let multipliers = [powers[1], powers[2], m.mul(powers[1], powers[2])];
        Self {
            heads: powers[..eighth].iter().map(|&w| factor_words(m, w)).collect(),
            tails: AVec::from_iter(
                64,
                powers[4 * eighth..].iter().step_by(4).map(|&w| to_montgomery(m, w)),
            ),
            multipliers: multipliers.map(|w| factor_words(m, w)),
        }
    }
}

impl Ntt {
    pub(in crate::ring) fn new(m: Modulus, log_n: u32, root: u64) -> Self {
        assert!(log_n >= MIN_LOG_DEGREE);
        Self {
            m,
            log_n,
            forward: Tables::new(&m, log_n, root),
            inverse: Tables::new(&m, log_n, m.inv(root)),
            degree_inverse: m.inv(1 << log_n),
        }
    }

    /// Coefficients to values.
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(in crate::ring) fn forward(&self, limb: &mut [u64]) {
        self.forward_to::<true>(limb);
    }

    /// Coefficients to values that are not reduced, below [`lazy_bound`].
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(in crate::ring) fn forward_lazy(&self, limb: &mut [u64]) {
        self.forward_to::<false>(limb);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn forward_to<const CANONICAL: bool>(&self, limb: &mut [u64]) {
        assert_eq!(limb.len(), 1 << self.log_n);
        let (pass, d) = (Forward::new(self), limb.as_mut_ptr());
        // SAFETY: the limb has the 2^log_n words that the tables are made for.
        unsafe {
            if has_wide_window(&self.m) {
                pass.block::<true, CANONICAL>(d, self.log_n, 1);
            } else {
                pass.block::<false, CANONICAL>(d, self.log_n, 1);
            }
        }
    }

    /// Values to coefficients times `factor`.
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(in crate::ring) fn inverse_scaled(&self, limb: &mut [u64], factor: u64) {
        assert_eq!(limb.len(), 1 << self.log_n);
        let d = limb.as_mut_ptr();
        // SAFETY: the limb has the 2^log_n words that the tables are made for.
        unsafe { self.inverse_from(d, d, factor) }
    }

    /// Values to coefficients times `factor`, out of place.
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    pub(in crate::ring) fn inverse_scaled_into(&self, out: &mut [u64], limb: &[u64], factor: u64) {
        assert_eq!((out.len(), limb.len()), (1 << self.log_n, 1 << self.log_n));
        // SAFETY: both limbs have the 2^log_n words that the tables are made for.
        unsafe { self.inverse_from(limb.as_ptr(), out.as_mut_ptr(), factor) }
    }

    /// # Safety
    /// Both have `2^log_n` words; they may be the same.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn inverse_from(&self, source: *const u64, d: *mut u64, factor: u64) {
        let pass = Inverse::new(self, factor);
        // SAFETY: as the caller says.
        unsafe {
            if has_wide_window(&self.m) {
                pass.block::<true, true>(source, d, self.log_n, 1);
            } else {
                pass.block::<false, true>(source, d, self.log_n, 1);
            }
        }
    }
}

fn has_wide_window(m: &Modulus) -> bool {
    m.bits() <= WIDE_WINDOW_BITS
}

/// Upper bound of the values of [`Ntt::forward_lazy`], in multiples of q: 4 or, after 17 layers, 35.
/// That is at most `2^52`.
pub(super) fn lazy_bound(m: &Modulus) -> u64 {
    if has_wide_window(m) { 35 } else { 4 }
}

/// Number of layers done in one pass over a block of `2^log_len`.
fn layers_of_pass(log_len: u32) -> u32 {
    match log_len - LOG_BLOCK {
        left @ 1..=4 => left,
        _ => 3,
    }
}

/// Index of the first factor of layer `l` among the seven factors of three layers.
const fn first_factor(l: usize) -> usize {
    (1 << l) - 1
}

/// Factors of the butterflies of both directions, from the tables.
struct Twiddles<'a> {
    c: Constants,
    heads: &'a [[u64; 2]],
    tails: &'a [[u64; LANES]],
    multipliers: [Factor; 3],
    one: Factor,
    /// Heap index of the first block of 64.
    first_block: usize,
}

impl<'a> Twiddles<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn new(m: &Modulus, tables: &'a Tables) -> Self {
        let tails = tables.tails.as_chunks().0;
        let [a, b, c] = tables.multipliers;
        Self {
            c: Constants::new(m),
            heads: &tables.heads,
            tails,
            multipliers: [Factor::splat(a), Factor::splat(b), Factor::splat(c)],
            one: Factor::splat(factor_words(m, 1)),
            first_block: tails.len(),
        }
    }

    /// The factor of the whole block with heap index `k`.
    ///
    /// # Safety
    /// `k < N/8`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn head(&self, k: usize) -> Factor {
        // SAFETY: the table has N/8 entries.
        Factor::splat(unsafe { *self.heads.get_unchecked(k) })
    }

    /// The seven factors of the upper three layers of the block of 64 with heap index `k`.
    ///
    /// # Safety
    /// `k < N/32`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn heads(&self, k: usize) -> [Factor; 7] {
        // SAFETY: 4k + 3 < N/8.
        unsafe {
            [
                self.head(k),
                self.head(2 * k),
                self.head(2 * k + 1),
                self.head(4 * k),
                self.head(4 * k + 1),
                self.head(4 * k + 2),
                self.head(4 * k + 3),
            ]
        }
    }

    /// The seven factors of the lower three layers of the block of 64 with heap index `k`, each a
    /// vector for the eight sub-blocks.
    ///
    /// # Safety
    /// `N/64 <= k < N/32`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn tails(&self, k: usize) -> [Factor; 7] {
        let c = self.c;
        // SAFETY: the table has N/64 vectors.
        let g = load(unsafe { self.tails.get_unchecked(k - self.first_block) });
        let g2 = c.reduce_once(c.mul(g, g));
        let g4 = c.reduce_once(c.mul(g2, g2));
        let [i, z, zi] = self.multipliers;
        let times = |x, w| c.reduce_once(c.mul_factor(x, w));
        [
            c.factor(g4),
            c.factor(g2),
            c.factor(times(g2, i)),
            c.factor(g),
            c.factor(times(g, i)),
            c.factor(times(g, z)),
            c.factor(times(g, zi)),
        ]
    }
}

/// Cooley–Tukey butterflies.
struct Forward<'a> {
    twiddles: Twiddles<'a>,
    /// Keeps the wide window positive.
    offset: Vector,
}

impl<'a> Forward<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn new(ntt: &'a Ntt) -> Self {
        Self {
            twiddles: Twiddles::new(&ntt.m, &ntt.forward),
            offset: splat(u64::from(ntt.log_n) * ntt.m.value()),
        }
    }

    /// Transforms the block of `2^log_len` words at `d` with heap index `k`.
    ///
    /// # Safety
    /// `d` has that many words, `log_len > 6`, `k·2^log_len < 2N`.
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn block<const WIDE: bool, const CANONICAL: bool>(
        &self,
        d: *mut u64,
        log_len: u32,
        k: usize,
    ) {
        let layers = layers_of_pass(log_len);
        let log_child = log_len - layers;
        // SAFETY: the pass covers the block, the children are its parts.
        unsafe {
            match layers {
                1 => self.pass::<1, 2, WIDE>(d, log_len, k),
                2 => self.pass::<2, 4, WIDE>(d, log_len, k),
                3 => self.pass::<3, 8, WIDE>(d, log_len, k),
                _ => self.pass::<4, 16, WIDE>(d, log_len, k),
            }
            for e in 0..1 << layers {
                let (d, k) = (d.add(e << log_child), (k << layers) + e);
                if log_child > LOG_BLOCK {
                    self.block::<WIDE, CANONICAL>(d, log_child, k);
                } else {
                    self.last_layers::<WIDE, CANONICAL>(d, k);
                }
            }
        }
    }

    /// The first `LAYERS` layers of a block.
    ///
    /// # Safety
    /// As for [`Forward::block`], and the block has at least `8·RADIX` words.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn pass<const LAYERS: usize, const RADIX: usize, const WIDE: bool>(
        &self,
        d: *mut u64,
        log_len: u32,
        k: usize,
    ) {
        let stride = 1usize << (log_len as usize - LAYERS);
        for j in (0..stride).step_by(LANES) {
            // SAFETY: r·stride + j + 7 is below the length of the block for every r < RADIX.
            let row = |r: usize| unsafe { &mut *d.add(r * stride + j).cast::<[u64; LANES]>() };
            let mut x = [self.twiddles.c.zero; RADIX];
            for (r, x) in x.iter_mut().enumerate() {
                *x = load(row(r));
            }
            if WIDE && k == 1 {
                for x in &mut x[..RADIX / 2] {
                    *x = add(*x, self.offset);
                }
            }
            for l in 0..LAYERS {
                let half = RADIX >> (l + 1);
                for b in 0..1 << l {
                    // SAFETY: layers of passes end at blocks of 64, so the heap index is below N/64.
                    let w = unsafe { self.twiddles.head((k << l) + b) };
                    for i in 2 * b * half..(2 * b + 1) * half {
                        (x[i], x[i + half]) = self.butterfly::<WIDE>(x[i], x[i + half], w);
                    }
                }
            }
            for (r, x) in x.iter().enumerate() {
                store(row(r), *x);
            }
        }
    }

    /// The last six layers of a block of 64, and the reduction to canonical residues if wanted.
    ///
    /// # Safety
    /// `d` has 64 words, `k` is the heap index of the block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn last_layers<const WIDE: bool, const CANONICAL: bool>(&self, d: *mut u64, k: usize) {
        // SAFETY: there are 8 vectors at d, and nothing else refers to them.
        let rows = unsafe { &mut *d.cast::<[[u64; LANES]; 8]>() };
        // SAFETY: k is the heap index of a block of 64, those of its parts follow from it.
        let (heads, tails) = unsafe { (self.twiddles.heads(k), self.twiddles.tails(k)) };
        let x = self.three_layers::<WIDE>(load_block(rows), heads);
        let mut x = self.three_layers::<WIDE>(transpose(x), tails);
        if CANONICAL {
            for x in &mut x {
                *x = self.canonical::<WIDE>(*x);
            }
        }
        store_block(rows, transpose(x));
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn three_layers<const WIDE: bool>(&self, mut x: [Vector; 8], w: [Factor; 7]) -> [Vector; 8] {
        for l in 0..3 {
            let half = 4 >> l;
            for b in 0..1 << l {
                for i in 2 * b * half..(2 * b + 1) * half {
                    (x[i], x[i + half]) =
                        self.butterfly::<WIDE>(x[i], x[i + half], w[first_factor(l) + b]);
                }
            }
        }
        x
    }

    /// `(x + w·y, x - w·y)`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn butterfly<const WIDE: bool>(&self, x: Vector, y: Vector, w: Factor) -> (Vector, Vector) {
        let c = &self.twiddles.c;
        // Narrow: from [0, 4q) to [q, 3q), so that both results are in (0, 4q) again.
        let x = if WIDE { x } else { add(conditional_sub(x, c.two_q), c.q) };
        let sum = c.add_mul_factor(x, y, w);
        (sum, sub(add(x, x), sum))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn canonical<const WIDE: bool>(&self, x: Vector) -> Vector {
        let c = &self.twiddles.c;
        if WIDE { c.reduce_once(c.mul_factor(x, self.twiddles.one)) } else { c.reduce_twice(x) }
    }
}

/// Gentleman–Sande butterflies.
struct Inverse<'a> {
    twiddles: Twiddles<'a>,
    /// The factor of all results, with the inverse of the degree.
    scale: Factor,
    /// `scale` times the twiddle of the last layer.
    scaled_twiddle: Factor,
    /// For each layer of a group, a multiple of q above every value subtracted in a wide window.
    offsets: [Vector; 4],
}

impl<'a> Inverse<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn new(ntt: &'a Ntt, factor: u64) -> Self {
        let m = &ntt.m;
        let scale = m.mul(factor, ntt.degree_inverse);
        let [root, ..] = ntt.inverse.multipliers; // root^(N/2) = W[1], in Montgomery form
        let scaled_twiddle = m.mul(scale, root[0]);
        let (c, q) = (Constants::new(m), m.value());
        Self {
            twiddles: Twiddles::new(m, &ntt.inverse),
            scale: Factor::splat(factor_words(m, scale)),
            scaled_twiddle: c.factor(splat(scaled_twiddle)),
            offsets: [splat(8 * q), splat(16 * q), splat(32 * q), splat(8 * q)],
        }
    }

    /// Transforms the block of `2^log_len` words at `source`, with heap index `k`, to `d`; scales, too,
    /// if that is the whole limb, `TOP`.
    ///
    /// # Safety
    /// Both have that many words and may be the same, `log_len > 6`, `k·2^log_len < 2N`.
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn block<const WIDE: bool, const TOP: bool>(
        &self,
        source: *const u64,
        d: *mut u64,
        log_len: u32,
        k: usize,
    ) {
        let layers = layers_of_pass(log_len);
        let log_child = log_len - layers;
        // SAFETY: the pass covers the block, the children are its parts.
        unsafe {
            let blocks_at_once = if log_child > LOG_BLOCK { 1 } else { 2 };
            for e in (0..1 << layers).step_by(blocks_at_once) {
                let (source, d) = (source.add(e << log_child), d.add(e << log_child));
                let k = (k << layers) + e;
                if log_child > LOG_BLOCK {
                    self.block::<WIDE, false>(source, d, log_child, k);
                } else {
                    self.first_layers::<WIDE>(source, d, k);
                }
            }
            match layers {
                1 => self.pass::<1, 2, WIDE, TOP>(d, log_len, k),
                2 => self.pass::<2, 4, WIDE, TOP>(d, log_len, k),
                3 => self.pass::<3, 8, WIDE, TOP>(d, log_len, k),
                _ => self.pass::<4, 16, WIDE, TOP>(d, log_len, k),
            }
        }
    }

    /// The first six layers of two neighbouring blocks of 64, from `source` to `d`: one block alone
    /// would wait for its factors.
    ///
    /// # Safety
    /// Both have 128 words and may be the same, `k` is the heap index of the first block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn first_layers<const WIDE: bool>(&self, source: *const u64, d: *mut u64, k: usize) {
        type Blocks = [[[u64; LANES]; 8]; 2];
        // SAFETY: there are 16 vectors at each, and nothing else refers to them. All are read before
        // the first is written. k and k + 1 are heap indices of blocks of 64.
        unsafe {
            let [a, b] = &*source.cast::<Blocks>();
            let (heads_a, tails_a) = (self.twiddles.heads(k), self.twiddles.tails(k));
            let (heads_b, tails_b) = (self.twiddles.heads(k + 1), self.twiddles.tails(k + 1));
            let a = self.three_layers::<WIDE>(transpose(load_block(a)), tails_a);
            let b = self.three_layers::<WIDE>(transpose(load_block(b)), tails_b);
            let [out_a, out_b] = &mut *d.cast::<Blocks>();
            store_block(out_a, self.three_layers::<WIDE>(transpose(a), heads_a));
            store_block(out_b, self.three_layers::<WIDE>(transpose(b), heads_b));
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn three_layers<const WIDE: bool>(&self, mut x: [Vector; 8], w: [Factor; 7]) -> [Vector; 8] {
        for l in (0..3).rev() {
            let half = 4 >> l;
            for b in 0..1 << l {
                for i in 2 * b * half..(2 * b + 1) * half {
                    (x[i], x[i + half]) =
                        self.butterfly::<WIDE>(x[i], x[i + half], w[first_factor(l) + b], 2 - l);
                }
            }
        }
        self.settle::<8, WIDE>(&mut x, 3);
        x
    }

    /// The last `LAYERS` layers of a block; of the whole limb, with the scaling.
    ///
    /// # Safety
    /// As for [`Inverse::block`], and the block has at least `8·RADIX` words.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    unsafe fn pass<const LAYERS: usize, const RADIX: usize, const WIDE: bool, const TOP: bool>(
        &self,
        d: *mut u64,
        log_len: u32,
        k: usize,
    ) {
        let stride = 1usize << (log_len as usize - LAYERS);
        for j in (0..stride).step_by(LANES) {
            // SAFETY: r·stride + j + 7 is below the length of the block for every r < RADIX.
            let row = |r: usize| unsafe { &mut *d.add(r * stride + j).cast::<[u64; LANES]>() };
            let mut x = [self.twiddles.c.zero; RADIX];
            for (r, x) in x.iter_mut().enumerate() {
                *x = load(row(r));
            }
            for l in (0..LAYERS).rev() {
                let half = RADIX >> (l + 1);
                for b in 0..1 << l {
                    // SAFETY: layers of passes end at blocks of 64, so the heap index is below N/64.
                    let w = unsafe { self.twiddles.head((k << l) + b) };
                    for i in 2 * b * half..(2 * b + 1) * half {
                        (x[i], x[i + half]) = if TOP && l == 0 {
                            self.last_butterfly::<WIDE>(x[i], x[i + half], LAYERS - 1)
                        } else {
                            self.butterfly::<WIDE>(x[i], x[i + half], w, LAYERS - 1 - l)
                        };
                    }
                }
                let (done, canonical) = (LAYERS - l, TOP && l == 0);
                if (done >= 3 || l == 0) && !canonical {
                    self.settle::<RADIX, WIDE>(&mut x, done);
                }
            }
            for (r, x) in x.iter().enumerate() {
                store(row(r), *x);
            }
        }
    }

    /// Brings a wide window back below 8q after up to three layers of a group, or after the fourth.
    ///
    /// A vector that was a product `n` layers ago is below `2·2^n·q`, so that after three layers only
    /// every eighth, which never was, is above 8q, and after a fourth only the second.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn settle<const RADIX: usize, const WIDE: bool>(&self, x: &mut [Vector; RADIX], layers: usize) {
        let Twiddles { c, one, .. } = &self.twiddles;
        if WIDE && layers == 4 {
            x[1] = c.mul_factor(x[1], *one);
        } else if WIDE {
            x[0] = c.mul_factor(x[0], *one);
            if RADIX > 8 {
                x[8] = c.mul_factor(x[8], *one);
            }
        }
    }

    /// `x - y`, made positive, in layer `layer` of a group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn difference<const WIDE: bool>(&self, x: Vector, y: Vector, layer: usize) -> Vector {
        add(sub(x, y), if WIDE { self.offsets[layer] } else { self.twiddles.c.two_q })
    }

    /// `(x + y, w·(x - y))`. Products are below 2q; sums, too, unless the window is wide.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn butterfly<const WIDE: bool>(
        &self,
        x: Vector,
        y: Vector,
        w: Factor,
        layer: usize,
    ) -> (Vector, Vector) {
        let c = &self.twiddles.c;
        let sum = add(x, y);
        (
            if WIDE { sum } else { conditional_sub(sum, c.two_q) },
            c.mul_factor(self.difference::<WIDE>(x, y, layer), w),
        )
    }

    /// The butterfly of the last layer with the scaling, to canonical residues.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma,avx512dq,avx512vl")]
    fn last_butterfly<const WIDE: bool>(
        &self,
        x: Vector,
        y: Vector,
        layer: usize,
    ) -> (Vector, Vector) {
        let c = &self.twiddles.c;
        let difference = self.difference::<WIDE>(x, y, layer);
        (
            c.reduce_once(c.mul_factor(add(x, y), self.scale)),
            c.reduce_once(c.mul_factor(difference, self.scaled_twiddle)),
        )
    }
}
