//! The negacyclic transform, in place, natural to bit-reversed order and back, for any vector unit.
//!
//! With L lanes, the last layers run inside blocks of L² residues held in registers: log L between the
//! registers, a transposition, as many between what were lanes, a transposition back. The layers above
//! run up to three at a time, depth first below [`LOG_CACHED`]. Between passes the words of a limb are the
//! bits of numbers in double precision; the first pass and the last convert.
//!
//! One table serves both directions: with `W[i] = ψ^brv(i)` and m a power of two, `W[m + j]^-1` is
//! `−W[2m − 1 − j]`, so what runs backward takes the factors of the mirrored block and the difference the
//! other way around. Of the factors of the blocks' lower layers only those of the first of L sub-blocks of
//! the last layer but one are kept, the others are products (as in the kernels for IFMA): N/2 (L = 4) or N/4
//! (L = 8) numbers in all.
//!
//! Bounds of values, in multiples of q (`r(x) = 1/2 + 0.1875·x` for a product by an entry of the table,
//! `r'(x) = 1/2 + 0.225·x` by a product of entries; see [`super::arithmetic`]):
//! - Forward, `(x, y) → (x + w·y, x − w·y)`. In the first layer of every pass x is reduced to 1/2: values
//!   below 3.5 become `1/2 + r(3.5) = 1.66`, `1.66 + r(1.66) = 2.47`, and 3.44 after the third. In the last
//!   layer x is reduced too: below 1.6, which is what [`forward`] leaves if it is lazy.
//! - Backward, `(x, y) → (x + y, w·(x − y))`. After two layers of three, what was nothing but sums is
//!   reduced, at the end all sums: values below 1.7 are below 6.8 between, and again below 1.7 after.
//! - Primes of up to 46 bits leave room for 128 multiples. Forward nothing is reduced before the end:
//!   17 layers add at most 0.75 each. Backward, what was nothing but sums is reduced after each pass, the
//!   others are below 4.

use super::arithmetic::{Constants, Factor, centered, has_wide_window};
use super::simd::{Simd, to_floats, to_words};
use crate::ring::Modulus;

/// log2 of the words that stay in the nearest cache.
const LOG_CACHED: u32 = 12;

/// Tables of one prime for vectors of so many lanes.
pub(in crate::ring) struct Ntt {
    m: Modulus,
    log_n: u32,
    /// `W[i]` for `i < N/L`.
    heads: Vec<f64>,
    /// `W[i·L/2]` for `N/L <= i < 2N/L`.
    tails: Vec<f64>,
    /// `ψ^(N/2)`, `ψ^(N/4)` and `ψ^(3N/4)`.
    multipliers: [f64; 3],
    /// `N^-1`.
    degree_inverse: u64,
}

impl Ntt {
    pub(super) fn new(lanes: usize, m: Modulus, log_n: u32, root: u64) -> Self {
        let n = 1u32 << log_n;
        let mut powers = vec![0.0; n as usize];
        let mut power = 1;
        for i in 0..n {
            powers[(i.reverse_bits() >> (32 - log_n)) as usize] = centered(&m, power);
            power = m.mul(power, root);
        }
        let i = m.pow(root, u64::from(n) / 2);
        let z = m.pow(root, u64::from(n) / 4);
        let tails = powers[n as usize / 2..].iter().step_by(lanes / 2);
        Self {
            m,
            log_n,
            tails: tails.copied().collect(),
            multipliers: [i, z, m.mul(i, z)].map(|w| centered(&m, w)),
            degree_inverse: m.inv(n.into()),
            heads: {
                powers.truncate(n as usize / lanes);
                powers.shrink_to_fit();
                powers
            },
        }
    }
}

/// log2 of the smallest degree for vectors of so many lanes: there is at least one layer above blocks.
pub(super) const fn min_log_degree(lanes: usize) -> u32 {
    2 * lanes.ilog2() + 1
}

/// Coefficients to values: canonical residues or, if `LAZY`, signed integers below 1.6 q, for small primes
/// below 13.5 q, in magnitude.
#[inline(always)]
pub(super) fn forward<S: Simd, const LAZY: bool>(s: S, ntt: &Ntt, limb: &mut [u64]) {
    assert_eq!(limb.len(), 1 << ntt.log_n);
    let pass = Passes { c: Constants::new(s, &ntt.m), ntt };
    if has_wide_window(&ntt.m) {
        pass.forward::<true, LAZY>(limb);
    } else {
        pass.forward::<false, LAZY>(limb);
    }
}

/// Values to coefficients times `factor`, from another limb if there is one, else in place.
#[inline(always)]
pub(super) fn inverse<S: Simd>(
    s: S,
    ntt: &Ntt,
    limb: &mut [u64],
    source: Option<&[u64]>,
    factor: u64,
) {
    assert_eq!(limb.len(), 1 << ntt.log_n);
    assert!(source.is_none_or(|source| source.len() == limb.len()));
    let pass = Passes { c: Constants::new(s, &ntt.m), ntt };
    let scale = ntt.m.mul(factor, ntt.degree_inverse);
    if has_wide_window(&ntt.m) {
        pass.inverse::<true>(limb, source, scale);
    } else {
        pass.inverse::<false>(limb, source, scale);
    }
}

/// Passes above the blocks that are done in registers: two or three layers each, where there are as many.
struct Schedule {
    /// log2 of the length of the blocks that a pass works on, then of those that it leaves.
    log_len: [u32; Self::MOST + 1],
    passes: usize,
    /// The first pass, but for that over the whole limb, whose blocks stay in the nearest cache.
    near: usize,
}

impl Schedule {
    /// Passes over a limb of 2^17 words with four lanes.
    const MOST: usize = 5;

    fn new(log_n: u32, log_block: u32) -> Self {
        let mut schedule = Self { log_len: [log_n; Self::MOST + 1], passes: 0, near: 1 };
        let mut left = log_n - log_block;
        while left > 0 {
            left -= match (left, left % 3) {
                (1, _) => 1,
                (_, 0) => 3,
                _ => 2,
            };
            schedule.passes += 1;
            schedule.log_len[schedule.passes] = log_block + left;
        }
        while schedule.log_len[schedule.near] > LOG_CACHED {
            schedule.near += 1;
        }
        schedule
    }

    fn layers(&self, pass: usize) -> u32 {
        self.log_len[pass] - self.log_len[pass + 1]
    }
}

/// Transforms by one table.
#[derive(Clone, Copy)]
struct Passes<'a, S: Simd> {
    c: Constants<S>,
    ntt: &'a Ntt,
}

impl<S: Simd> Passes<'_, S> {
    /// log2 of a block that is done in registers.
    const LOG_BLOCK: u32 = 2 * S::LOG_LANES;

    #[inline(always)]
    fn forward<const WIDE: bool, const LAZY: bool>(self, limb: &mut [u64]) {
        let schedule = Schedule::new(self.ntt.log_n, Self::LOG_BLOCK);
        match schedule.layers(0) {
            1 => self.forward_pass::<1, 2, true, WIDE>(limb, 1),
            2 => self.forward_pass::<2, 4, true, WIDE>(limb, 1),
            _ => self.forward_pass::<3, 8, true, WIDE>(limb, 1),
        }
        for pass in 1..schedule.near {
            self.forward_passes::<WIDE>(limb, &schedule, pass, 1);
        }
        for (near, k) in self.blocks(limb, schedule.log_len[schedule.near], 1) {
            for pass in schedule.near..schedule.passes {
                self.forward_passes::<WIDE>(near, &schedule, pass, k);
            }
            for (block, k) in self.blocks(near, Self::LOG_BLOCK, k) {
                self.last_layers::<WIDE, LAZY>(block, k);
            }
        }
    }

    /// Values to coefficients times a constant.
    #[inline(always)]
    fn inverse<const WIDE: bool>(self, limb: &mut [u64], source: Option<&[u64]>, scale: u64) {
        let schedule = Schedule::new(self.ntt.log_n, Self::LOG_BLOCK);
        let mut sources = source.map(|source| source.chunks_exact(1 << Self::LOG_BLOCK));
        for (near, k) in self.blocks(limb, schedule.log_len[schedule.near], 1) {
            for (block, k) in self.blocks(near, Self::LOG_BLOCK, k) {
                let source = sources.as_mut().and_then(Iterator::next);
                self.first_layers::<WIDE>(block, source, k);
            }
            for pass in (schedule.near..schedule.passes).rev() {
                self.inverse_passes::<WIDE>(near, &schedule, pass, k);
            }
        }
        for pass in (1..schedule.near).rev() {
            self.inverse_passes::<WIDE>(limb, &schedule, pass, 1);
        }
        match schedule.layers(0) {
            1 => self.last_pass::<1, 2, WIDE>(limb, scale),
            2 => self.last_pass::<2, 4, WIDE>(limb, scale),
            _ => self.last_pass::<3, 8, WIDE>(limb, scale),
        }
    }

    /// The parts with `2^log_len` words of the block with heap index k, and their heap indices.
    #[inline(always)]
    fn blocks(
        self,
        words: &mut [u64],
        log_len: u32,
        k: usize,
    ) -> impl Iterator<Item = (&mut [u64], usize)> {
        let first = k * (words.len() >> log_len);
        words.chunks_exact_mut(1 << log_len).zip(first..)
    }

    /// A pass over the block with heap index k.
    #[inline(always)]
    fn forward_passes<const WIDE: bool>(
        self,
        words: &mut [u64],
        schedule: &Schedule,
        pass: usize,
        k: usize,
    ) {
        for (block, k) in self.blocks(words, schedule.log_len[pass], k) {
            match schedule.layers(pass) {
                1 => self.forward_pass::<1, 2, false, WIDE>(block, k),
                2 => self.forward_pass::<2, 4, false, WIDE>(block, k),
                _ => self.forward_pass::<3, 8, false, WIDE>(block, k),
            }
        }
    }

    /// A pass backward over the block with heap index k.
    #[inline(always)]
    fn inverse_passes<const WIDE: bool>(
        self,
        words: &mut [u64],
        schedule: &Schedule,
        pass: usize,
        k: usize,
    ) {
        for (block, k) in self.blocks(words, schedule.log_len[pass], k) {
            match schedule.layers(pass) {
                1 => self.inverse_pass::<1, 2, WIDE>(block, k),
                2 => self.inverse_pass::<2, 4, WIDE>(block, k),
                _ => self.inverse_pass::<3, 8, WIDE>(block, k),
            }
        }
    }

    /// The factors of some layers of the block with heap index k, by heap index within it.
    #[inline(always)]
    fn heads<const LAYERS: usize, const RADIX: usize>(self, k: usize) -> [Factor<S>; RADIX] {
        let mut w = [self.c.splat(0.0); RADIX];
        for l in 0..LAYERS {
            for b in 0..1 << l {
                w[(1 << l) + b] = self.c.splat(self.ntt.heads[(k << l) + b]);
            }
        }
        w
    }

    /// The factors of the lower layers of the block of L² words with heap index k, by heap index within its
    /// L sub-blocks, each for all of them.
    #[inline(always)]
    fn tails(self, k: usize) -> [Factor<S>; 8] {
        let (c, s) = (self.c, self.c.s);
        let block = k - (1 << (self.ntt.log_n - Self::LOG_BLOCK));
        let g = s.load_floats(&self.ntt.tails[block * S::LANES..]);
        let [i, z, zi] = self.ntt.multipliers;
        let (i, g2) = (c.splat(i), c.mul(g, g));
        let mut w = [c.factor(g); 8];
        if S::LANES == 4 {
            w[1] = c.factor(g2);
            w[3] = c.factor(c.mul_factor(g, i));
        } else {
            w[1] = c.factor(c.mul(g2, g2));
            w[2] = c.factor(g2);
            w[3] = c.factor(c.mul_factor(g2, i));
            w[5] = c.factor(c.mul_factor(g, i));
            w[6] = c.factor(c.mul_factor(g, c.splat(z)));
            w[7] = c.factor(c.mul_factor(g, c.splat(zi)));
        }
        w
    }

    /// The heap index of the block that has the inverse factors of another, negated and in reverse order.
    #[inline(always)]
    fn mirrored(self, k: usize) -> usize {
        3 * (1 << k.ilog2()) - 1 - k
    }

    /// The first layers of the block with heap index k; if that is the whole limb, `FIRST`, from residues.
    #[inline(always)]
    fn forward_pass<
        const LAYERS: usize,
        const RADIX: usize,
        const FIRST: bool,
        const WIDE: bool,
    >(
        self,
        block: &mut [u64],
        k: usize,
    ) {
        let (c, s) = (self.c, self.c.s);
        let w = self.heads::<LAYERS, RADIX>(k);
        let mut rows = Rows::<RADIX>::new(block);
        for j in (0..rows.stride).step_by(S::LANES) {
            let mut x = rows.load(s, j);
            if FIRST {
                for x in &mut x {
                    *x = to_floats(s, s.as_words(*x));
                }
            } else if !WIDE {
                for x in &mut x[..RADIX / 2] {
                    *x = c.reduce(*x);
                }
            }
            for l in 0..LAYERS {
                let half = RADIX >> (l + 1);
                for b in 0..1 << l {
                    for i in 2 * b * half..(2 * b + 1) * half {
                        (x[i], x[i + half]) =
                            self.forward_butterfly(x[i], x[i + half], w[(1 << l) + b]);
                    }
                }
            }
            rows.store(s, j, &x);
        }
    }

    /// The last layers of the block of L² words with heap index k.
    #[inline(always)]
    fn last_layers<const WIDE: bool, const LAZY: bool>(self, block: &mut [u64], k: usize) {
        let (c, s) = (self.c, self.c.s);
        let mut x = load_block(s, block);
        for l in 0..S::LOG_LANES as usize {
            let half = S::LANES >> (l + 1);
            for b in 0..1 << l {
                let w = self.c.splat(self.ntt.heads[(k << l) + b]);
                for i in 2 * b * half..(2 * b + 1) * half {
                    let x = x.as_mut();
                    if !WIDE && l == 0 {
                        x[i] = c.reduce(x[i]);
                    }
                    (x[i], x[i + half]) = self.forward_butterfly(x[i], x[i + half], w);
                }
            }
        }
        let mut x = s.transpose(x);
        let w = self.tails(k);
        for l in 0..S::LOG_LANES as usize {
            let half = S::LANES >> (l + 1);
            for b in 0..1 << l {
                for i in 2 * b * half..(2 * b + 1) * half {
                    let x = x.as_mut();
                    if !WIDE && (l == 0 || half == 1) {
                        x[i] = c.reduce(x[i]);
                    }
                    (x[i], x[i + half]) =
                        self.forward_butterfly(x[i], x[i + half], w[(1 << l) + b]);
                }
            }
        }
        for x in x.as_mut() {
            if !LAZY {
                *x = c.canonical(if WIDE { c.reduce(*x) } else { *x });
            }
            *x = s.as_floats(to_words(s, *x));
        }
        store_block(s, block, s.transpose(x));
    }

    /// `(x + w·y, x − w·y)`.
    #[inline(always)]
    fn forward_butterfly(self, x: S::Floats, y: S::Floats, w: Factor<S>) -> (S::Floats, S::Floats) {
        let product = self.c.mul_factor(y, w);
        (self.c.s.add(x, product), self.c.s.sub(x, product))
    }

    /// The first layers backward of the block of L² words with heap index k, from another one if there is one.
    #[inline(always)]
    fn first_layers<const WIDE: bool>(self, block: &mut [u64], source: Option<&[u64]>, k: usize) {
        let (c, s) = (self.c, self.c.s);
        let mirrored = self.mirrored(k);
        let mut x = load_block(s, source.unwrap_or(block));
        for x in x.as_mut() {
            *x = to_floats(s, s.as_words(*x));
        }
        // Rows in reverse order become lanes in the order of the mirrored block.
        x.as_mut().reverse();
        let mut x = s.transpose(x);
        let w = self.tails(mirrored);
        for l in (0..S::LOG_LANES as usize).rev() {
            self.inverse_layer(x.as_mut(), &w, l);
            self.settle::<WIDE>(x.as_mut(), S::LOG_LANES as usize - l, l == 0);
        }
        let mut x = s.transpose(x);
        x.as_mut().reverse();
        let mut w = [c.splat(0.0); 8];
        for l in 0..S::LOG_LANES as usize {
            for b in 0..1 << l {
                w[(1 << l) + b] = c.splat(self.ntt.heads[(mirrored << l) + b]);
            }
        }
        for l in (0..S::LOG_LANES as usize).rev() {
            self.inverse_layer(x.as_mut(), &w, l);
            self.settle::<WIDE>(x.as_mut(), S::LOG_LANES as usize - l, l == 0);
        }
        store_block(s, block, x);
    }

    /// The last layers backward of the block with heap index k.
    #[inline(always)]
    fn inverse_pass<const LAYERS: usize, const RADIX: usize, const WIDE: bool>(
        self,
        block: &mut [u64],
        k: usize,
    ) {
        let s = self.c.s;
        let w = self.heads::<LAYERS, RADIX>(self.mirrored(k));
        let mut rows = Rows::<RADIX>::new(block);
        for j in (0..rows.stride).step_by(S::LANES) {
            let mut x = rows.load(s, j);
            for l in (0..LAYERS).rev() {
                self.inverse_layer(&mut x, &w, l);
                self.settle::<WIDE>(&mut x, LAYERS - l, l == 0);
            }
            rows.store(s, j, &x);
        }
    }

    /// The last layers backward of the whole limb, with the scaling, to canonical residues.
    #[inline(always)]
    fn last_pass<const LAYERS: usize, const RADIX: usize, const WIDE: bool>(
        self,
        limb: &mut [u64],
        scale: u64,
    ) {
        let (c, s, m) = (self.c, self.c.s, &self.ntt.m);
        let w = self.heads::<LAYERS, RADIX>(1);
        let root = m.reduce_i64(self.ntt.heads[1] as i64);
        let scale_difference = c.splat(centered(m, m.mul(scale, root)));
        let scale = c.splat(centered(m, scale));
        let mut rows = Rows::<RADIX>::new(limb);
        for j in (0..rows.stride).step_by(S::LANES) {
            let mut x = rows.load(s, j);
            for l in (1..LAYERS).rev() {
                self.inverse_layer(&mut x, &w, l);
                self.settle::<WIDE>(&mut x, LAYERS - l, false);
            }
            for i in 0..RADIX / 2 {
                let (a, b) = (x[i], x[i + RADIX / 2]);
                let sum = c.canonical(c.mul_factor(s.add(a, b), scale));
                let difference = c.canonical(c.mul_factor(s.sub(b, a), scale_difference));
                x[i] = s.as_floats(to_words(s, sum));
                x[i + RADIX / 2] = s.as_floats(to_words(s, difference));
            }
            rows.store(s, j, &x);
        }
    }

    /// Layer l of some, backward: `(x, y) → (x + y, w·(y − x))`, by the factors of the mirrored block.
    #[inline(always)]
    fn inverse_layer(self, x: &mut [S::Floats], w: &[Factor<S>], l: usize) {
        let (c, s) = (self.c, self.c.s);
        let half = x.len() >> (l + 1);
        for b in 0..1 << l {
            let w = w[(2 << l) - 1 - b];
            for i in 2 * b * half..(2 * b + 1) * half {
                let (a, b) = (x[i], x[i + half]);
                x[i] = s.add(a, b);
                x[i + half] = c.mul_factor(s.sub(b, a), w);
            }
        }
    }

    /// Reduces after so many layers backward, the last of a pass or not, what would grow too large.
    #[inline(always)]
    fn settle<const WIDE: bool>(self, x: &mut [S::Floats], layers: usize, is_last: bool) {
        if WIDE {
            if is_last {
                x[0] = self.c.reduce(x[0]);
            }
        } else if is_last {
            for i in 0..x.len() / 2 {
                x[i] = self.c.reduce(x[i]);
            }
        } else if layers == 2 {
            for i in (0..x.len()).step_by(4) {
                x[i] = self.c.reduce(x[i]);
            }
        }
    }
}

/// The rows of a block that a pass combines.
struct Rows<'a, const RADIX: usize> {
    block: &'a mut [u64],
    stride: usize,
}

impl<'a, const RADIX: usize> Rows<'a, RADIX> {
    #[inline(always)]
    fn new(block: &'a mut [u64]) -> Self {
        let stride = block.len() / RADIX;
        Self { block, stride }
    }

    /// A register of each row from position j on, as bits.
    #[inline(always)]
    fn load<S: Simd>(&self, s: S, j: usize) -> [S::Floats; RADIX] {
        let mut x = [s.splat(0.0); RADIX];
        for (r, x) in x.iter_mut().enumerate() {
            *x = s.as_floats(s.load(&self.block[r * self.stride + j..]));
        }
        x
    }

    #[inline(always)]
    fn store<S: Simd>(&mut self, s: S, j: usize, x: &[S::Floats; RADIX]) {
        for (r, &x) in x.iter().enumerate() {
            s.store(&mut self.block[r * self.stride + j..], s.as_words(x));
        }
    }
}

/// A block of L² words, as bits.
#[inline(always)]
fn load_block<S: Simd>(s: S, words: &[u64]) -> S::Block {
    let mut x = s.zero_block();
    for (x, words) in x.as_mut().iter_mut().zip(words.chunks_exact(S::LANES)) {
        *x = s.as_floats(s.load(words));
    }
    x
}

#[inline(always)]
fn store_block<S: Simd>(s: S, words: &mut [u64], x: S::Block) {
    for (&x, words) in x.as_ref().iter().zip(words.chunks_exact_mut(S::LANES)) {
        s.store(words, s.as_words(x));
    }
}
