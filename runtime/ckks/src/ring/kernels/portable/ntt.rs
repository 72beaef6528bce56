//! The negacyclic transform, in place, natural to bit-reversed order and back.
//!
//! Two layers run at a time, while their words are in registers, and depth first below [`NEAR`]. With
//! `W[i] = ψ^brv(i)`, block k of a layer of m blocks has heap index m + k, its factor is W of that, and
//! its halves have twice the index and one more. One table serves both directions: `W[m + j]^-1` is
//! `−W[2m − 1 − j]`, so what runs backward takes the factors of the mirrored block and the difference
//! the other way around.
//!
//! Shoup's product is in `[0, 2q)` for any word, and q < 2^50 leaves 14 bits of room. So hardly anything is
//! reduced before the end:
//! - Forward, `(x, y) → (x + w·y, x + 2q − w·y)` adds less than 2q in a layer: after 17 of them values are
//!   below 35q < 2^56.
//! - Backward, `(x, y) → (x + y, w·(y + 2^12·q − x))` doubles what is nothing but sums: after the 12 layers
//!   of a near block it is below 2^12·q, and no x before. Word i there, in `[2^t, 2^(t+1))`, has been
//!   a sum since layer t + 1, where it was a product. So past the first eighth of the block, which is then
//!   reduced, words are sums of four products at most: 8q. The 5 layers that may follow make 2^8·q.
//!   Operands of products are below 2^13·q < 2^63.

use crate::ring::Modulus;
use crate::ring::modulus::conditional_sub;

/// log2 of the words that stay in the nearest cache; even, for passes of two layers.
const LOG_NEAR: u32 = 12;

/// A constant factor and its Shoup companion.
type Factor = (u64, u64);

/// Negacyclic transform modulo one prime.
pub(in crate::ring) struct Ntt {
    m: Modulus,
    log_n: u32,
    /// `ψ^brv(i)`; entry 0 is 1.
    powers: Vec<Factor>,
    /// `N^-1`.
    degree_inverse: u64,
}

impl Ntt {
    pub(in crate::ring) fn new(m: Modulus, log_n: u32, root: u64) -> Self {
        let n = 1u32 << log_n;
        let mut powers = vec![(0, 0); n as usize];
        let mut power = 1;
        for i in 0..n {
            powers[(i.reverse_bits() >> (32 - log_n)) as usize] = (power, m.shoup(power));
            power = m.mul(power, root);
        }
        Self { m, log_n, powers, degree_inverse: m.inv(n.into()) }
    }

    /// Coefficients to values.
    pub(in crate::ring) fn forward(&self, limb: &mut [u64]) {
        assert_eq!(limb.len(), 1 << self.log_n);
        let mut len = limb.len();
        if self.log_n % 2 == 1 {
            self.forward_layer(limb);
            len /= 2;
        }
        let near = self.near();
        while len > near {
            self.forward_passes(limb, len, 1);
            len /= 4;
        }
        for (block, k) in blocks(limb, near, 1) {
            let mut len = near;
            while len > 4 {
                self.forward_passes(block, len, k);
                len /= 4;
            }
            self.last_layers(block, k);
        }
    }

    /// Values to coefficients times `factor`.
    pub(in crate::ring) fn inverse_scaled(&self, limb: &mut [u64], factor: u64) {
        assert_eq!(limb.len(), 1 << self.log_n);
        let (m, near) = (&self.m, self.near());
        for (block, k) in blocks(limb, near, 1) {
            self.first_layers(block, k);
            let mut len = 16;
            while len <= near && len < 1 << self.log_n {
                self.inverse_passes(block, len, k);
                len *= 4;
            }
            for x in &mut block[..near / 8] {
                *x = m.reduce_u64(*x);
            }
        }
        let mut len = 4 * near;
        while len < 1 << self.log_n {
            self.inverse_passes(limb, len, 1);
            len *= 4;
        }

        let scale = m.mul(factor, self.degree_inverse);
        let [scale, scale_difference] =
            [scale, m.mul(scale, self.powers[1].0)].map(|w| (w, m.shoup(w)));
        let last_layer = |x, y| {
            let sum = self.product(x + y, scale);
            let difference = self.product(self.difference(y, x), scale_difference);
            (conditional_sub(sum, m.value()), conditional_sub(difference, m.value()))
        };
        if self.log_n % 2 == 1 {
            let (low, high) = limb.split_at_mut(limb.len() / 2);
            for (x, y) in low.iter_mut().zip(high) {
                (*x, *y) = last_layer(*x, *y);
            }
        } else {
            self.inverse_pass(limb, 1, last_layer);
        }
    }

    /// The words of a near block.
    fn near(&self) -> usize {
        1 << LOG_NEAR.min(self.log_n & !1)
    }

    /// The first layer over the whole limb.
    fn forward_layer(&self, limb: &mut [u64]) {
        let (low, high) = limb.split_at_mut(limb.len() / 2);
        for (x, y) in low.iter_mut().zip(high) {
            (*x, *y) = self.forward_butterfly(*x, *y, self.powers[1]);
        }
    }

    /// Two layers of the blocks with `len` words that the block with heap index k consists of.
    fn forward_passes(&self, words: &mut [u64], len: usize, k: usize) {
        for (block, k) in blocks(words, len, k) {
            let w = [self.powers[k], self.powers[2 * k], self.powers[2 * k + 1]];
            let [a, b, c, d] = quarters(block);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                [*a, *b, *c, *d] = self.forward_butterflies([*a, *b, *c, *d], w);
            }
        }
    }

    /// The last two layers of the block with heap index k, to canonical residues.
    fn last_layers(&self, words: &mut [u64], k: usize) {
        let (blocks, _) = words.as_chunks_mut::<4>();
        for (block, (&upper, &[left, right])) in blocks.iter_mut().zip(self.last_factors(k)) {
            *block = self.forward_butterflies(*block, [upper, left, right]);
            for x in block {
                *x = self.m.reduce_u64(*x);
            }
        }
    }

    /// The factors of the last two layers of the near block with heap index k, by blocks of four words.
    fn last_factors(
        &self,
        k: usize,
    ) -> impl DoubleEndedIterator<Item = (&Factor, &[Factor; 2])> + ExactSizeIterator {
        let count = self.near() / 4;
        let (upper, lower) = (&self.powers[k * count..], &self.powers[2 * k * count..]);
        upper[..count].iter().zip(lower[..2 * count].as_chunks().0)
    }

    #[inline(always)]
    fn forward_butterflies(&self, [a, b, c, d]: [u64; 4], w: [Factor; 3]) -> [u64; 4] {
        let (a, c) = self.forward_butterfly(a, c, w[0]);
        let (b, d) = self.forward_butterfly(b, d, w[0]);
        let (a, b) = self.forward_butterfly(a, b, w[1]);
        let (c, d) = self.forward_butterfly(c, d, w[2]);
        [a, b, c, d]
    }

    #[inline(always)]
    fn forward_butterfly(&self, x: u64, y: u64, w: Factor) -> (u64, u64) {
        let v = self.product(y, w);
        (x + v, x + 2 * self.m.value() - v)
    }

    /// The first two layers backward of the block with heap index k.
    fn first_layers(&self, words: &mut [u64], k: usize) {
        let (blocks, _) = words.as_chunks_mut::<4>();
        let factors = self.last_factors(mirrored(k)).rev();
        for (block, (&upper, &[left, right])) in blocks.iter_mut().zip(factors) {
            let top = |x, y| self.inverse_butterfly(x, y, upper);
            *block = self.inverse_butterflies(*block, [right, left], top);
        }
    }

    /// The two layers of [`Self::forward_passes`], backward.
    fn inverse_passes(&self, words: &mut [u64], len: usize, k: usize) {
        for (block, k) in blocks(words, len, k) {
            let w = self.powers[mirrored(k)];
            self.inverse_pass(block, k, |x, y| self.inverse_butterfly(x, y, w));
        }
    }

    /// Two layers backward of the block with heap index k, given the butterfly of the upper one.
    #[inline(always)]
    fn inverse_pass(&self, block: &mut [u64], k: usize, top: impl Fn(u64, u64) -> (u64, u64)) {
        let k = mirrored(k);
        let w = [self.powers[2 * k + 1], self.powers[2 * k]];
        let [a, b, c, d] = quarters(block);
        for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
            [*a, *b, *c, *d] = self.inverse_butterflies([*a, *b, *c, *d], w, &top);
        }
    }

    #[inline(always)]
    fn inverse_butterflies(
        &self,
        [a, b, c, d]: [u64; 4],
        w: [Factor; 2],
        top: impl Fn(u64, u64) -> (u64, u64),
    ) -> [u64; 4] {
        let (a, b) = self.inverse_butterfly(a, b, w[0]);
        let (c, d) = self.inverse_butterfly(c, d, w[1]);
        let (a, c) = top(a, c);
        let (b, d) = top(b, d);
        [a, b, c, d]
    }

    #[inline(always)]
    fn inverse_butterfly(&self, x: u64, y: u64, w: Factor) -> (u64, u64) {
        (x + y, self.product(self.difference(y, x), w))
    }

    /// `x - y` plus a multiple of q that exceeds every y.
    #[inline(always)]
    fn difference(&self, x: u64, y: u64) -> u64 {
        x + (self.m.value() << LOG_NEAR) - y
    }

    /// The product up to one multiple of q, for any x.
    #[inline(always)]
    fn product(&self, x: u64, (w, w_shoup): Factor) -> u64 {
        self.m.mul_shoup_lazy(x, w, w_shoup)
    }
}

/// The heap index of the block that has the inverse factors of another, negated and in reverse order.
fn mirrored(k: usize) -> usize {
    3 * (1 << k.ilog2()) - 1 - k
}

/// The parts with `len` words of the block with heap index k, and their heap indices.
fn blocks(words: &mut [u64], len: usize, k: usize) -> impl Iterator<Item = (&mut [u64], usize)> {
    let first = k * (words.len() / len);
    words.chunks_exact_mut(len).zip(first..)
}

fn quarters(block: &mut [u64]) -> [&mut [u64]; 4] {
    let (low, high) = block.split_at_mut(block.len() / 2);
    let (a, b) = low.split_at_mut(low.len() / 2);
    let (c, d) = high.split_at_mut(high.len() / 2);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::ntt_primes_below;

    /// A root of unity for the degree: that of a factor which is no square.
    fn root(m: &Modulus, log_n: u32) -> u64 {
        let mut roots = (2..).map(|g| m.pow(g, (m.value() - 1) >> (log_n + 1)));
        roots.find(|&root| m.pow(root, 1 << log_n) == m.value() - 1).unwrap()
    }

    /// The polynomial with these coefficients at a point, by division of 128-bit integers.
    fn evaluate(coefficients: &[u64], x: u64, q: u64) -> u64 {
        let q = u128::from(q);
        let horner = |sum: u128, &c: &u64| (sum * u128::from(x) + u128::from(c)) % q;
        coefficients.iter().rev().fold(0, horner) as u64
    }

    /// All residues at their largest, where lazy sums come closest to their bounds (and overflow would
    /// panic in a debug build), and residues that alternate, for every degree and sizes of primes.
    #[test]
    fn transforms_are_evaluations_at_the_extremes() {
        // Miri would take hours.
        let highest = if cfg!(miri) { 6 } else { 17 };
        for (log_n, bits) in (4..=highest).flat_map(|log_n| [(log_n, 50), (log_n, 28)]) {
            let q = ntt_primes_below(1 << bits, log_n).next().unwrap();
            let m = Modulus::new(q).unwrap();
            let (n, root) = (1_usize << log_n, root(&m, log_n));
            let ntt = Ntt::new(m, log_n, root);
            for period in [n, n / 2, 1] {
                let largest = |j: usize| period == n || (j / period).is_multiple_of(2);
                let limb: Vec<u64> = (0..n).map(|j| if largest(j) { q - 1 } else { 0 }).collect();

                let mut values = limb.clone();
                ntt.forward(&mut values);
                for i in [0, 1, n / 2, n - 3, n - 1] {
                    let reversed = (i as u64).reverse_bits() >> (64 - log_n);
                    let point = m.pow(root, 2 * reversed + 1);
                    assert_eq!(values[i], evaluate(&limb, point, q), "2^{log_n}, {q}, {i}");
                }

                // Coefficient j is the evaluation at ψ^-2j of the values in natural order, over ψ^j·N.
                let natural: Vec<u64> = (0..n)
                    .map(|i| limb[((i as u64).reverse_bits() >> (64 - log_n)) as usize])
                    .collect();
                let mut coefficients = limb.clone();
                ntt.inverse_scaled(&mut coefficients, n as u64 % q);
                for j in [0, 1, n / 2, n - 3, n - 1] {
                    let inverse = m.pow(m.inv(root), j as u64);
                    let sum = evaluate(&natural, m.mul(inverse, inverse), q);
                    assert_eq!(coefficients[j], m.mul(sum, inverse), "2^{log_n}, {q}, {j}");
                }
            }
        }
    }
}
