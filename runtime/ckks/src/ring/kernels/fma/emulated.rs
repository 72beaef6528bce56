//! A vector unit of any width in plain Rust, which checks that no integer outgrows double precision, and
//! every loop on it against the portable one: so the loops for vectors that this processor lacks are tested,
//! too, all but the single instructions.

use proptest::prelude::*;
use rand_core::Rng;

use super::simd::Simd;
use super::{loops, ntt};
use crate::ring::kernels::{ConversionTarget, Form, Packing, pack, portable};
use crate::ring::test_support::{primes, rng};
use crate::ring::{MAX_PRIME_BITS, Modulus};

/// A vector unit of L lanes.
#[derive(Clone, Copy)]
struct Emulated<const L: usize>;

fn checked(x: f64) -> f64 {
    assert!(x.abs() <= (1_u64 << 53) as f64, "{x} is not exact");
    x
}

fn lanes<T: Copy, const L: usize>(lane: impl Fn(usize) -> T) -> [T; L] {
    std::array::from_fn(lane)
}

impl<const L: usize> Simd for Emulated<L> {
    const LANES: usize = L;
    type Words = [u64; L];
    type Floats = [f64; L];
    type Block = [[f64; L]; L];
    type Permutation = [u8; 8];

    fn load(self, words: &[u64]) -> [u64; L] {
        *words.first_chunk().unwrap()
    }
    fn load_floats(self, numbers: &[f64]) -> [f64; L] {
        *numbers.first_chunk().unwrap()
    }
    fn store(self, words: &mut [u64], x: [u64; L]) {
        *words.first_chunk_mut().unwrap() = x;
    }
    fn splat_word(self, x: u64) -> [u64; L] {
        [x; L]
    }
    fn add_words(self, x: [u64; L], y: [u64; L]) -> [u64; L] {
        lanes(|i| x[i].wrapping_add(y[i]))
    }
    fn sub_words(self, x: [u64; L], y: [u64; L]) -> [u64; L] {
        lanes(|i| x[i].wrapping_sub(y[i]))
    }
    fn and(self, x: [u64; L], y: [u64; L]) -> [u64; L] {
        lanes(|i| x[i] & y[i])
    }
    fn upper_half(self, x: [u64; L]) -> [u64; L] {
        x.map(|x| x >> 32)
    }
    fn as_floats(self, x: [u64; L]) -> [f64; L] {
        x.map(f64::from_bits)
    }
    fn as_words(self, x: [f64; L]) -> [u64; L] {
        x.map(f64::to_bits)
    }
    fn splat(self, x: f64) -> [f64; L] {
        [x; L]
    }
    fn add(self, x: [f64; L], y: [f64; L]) -> [f64; L] {
        lanes(|i| checked(x[i] + y[i]))
    }
    fn sub(self, x: [f64; L], y: [f64; L]) -> [f64; L] {
        lanes(|i| checked(x[i] - y[i]))
    }
    fn mul(self, x: [f64; L], y: [f64; L]) -> [f64; L] {
        lanes(|i| x[i] * y[i])
    }
    fn mul_add(self, x: [f64; L], y: [f64; L], z: [f64; L]) -> [f64; L] {
        lanes(|i| checked(x[i].mul_add(y[i], z[i])))
    }
    fn mul_sub(self, x: [f64; L], y: [f64; L], z: [f64; L]) -> [f64; L] {
        lanes(|i| checked(x[i].mul_add(y[i], -z[i])))
    }
    fn neg_mul_add(self, x: [f64; L], y: [f64; L], z: [f64; L]) -> [f64; L] {
        lanes(|i| checked((-x[i]).mul_add(y[i], z[i])))
    }
    fn round(self, x: [f64; L]) -> [f64; L] {
        x.map(f64::round_ties_even)
    }
    fn floor(self, x: [f64; L]) -> [f64; L] {
        x.map(f64::floor)
    }
    fn zero_block(self) -> [[f64; L]; L] {
        [[0.0; L]; L]
    }
    fn transpose(self, x: [[f64; L]; L]) -> [[f64; L]; L] {
        lanes(|i| lanes(|j| x[j][i]))
    }
    fn unpack<const BYTES: usize>(self, group: &[u64], part: usize) -> [u64; L] {
        lanes(|i| Form { bytes: BYTES, log_run: 0 }.residue(group, part * L + i))
    }
    fn spread<const LOG_RUN: u32>(self, x: [u64; L], part: usize) -> [u64; L] {
        lanes(|i| x[((part * L + i) >> LOG_RUN) % L])
    }
    fn permutation(self, lanes: &[u8; 8]) -> [u8; 8] {
        *lanes
    }
    fn permute(self, permutation: &[u8; 8], out: &mut [u64], a: &[u64]) {
        out.iter_mut().zip(permutation).for_each(|(out, &lane)| *out = a[usize::from(lane)]);
    }
}

/// Kind of residues in a test.
#[derive(Clone, Copy, Debug)]
enum Residues {
    Random,
    /// Zero and q − 1, at random.
    Extreme,
    /// All q − 1.
    Largest,
}

/// Every loop for L lanes against the portable one.
fn check<const L: usize>(log_n: u32, bits: [u32; 2], terms: usize, kind: Residues, seed: u64) {
    let (s, n, mut rng) = (Emulated::<L>, 1 << log_n, rng(seed));
    let [m, other] = [0, 1].map(|i| Modulus::new(primes(log_n, &bits)[i]).unwrap());
    let mut limb = |m: &Modulus| -> Vec<u64> {
        let mut residue = || match kind {
            Residues::Random => rng.next_u64() % m.value(),
            Residues::Extreme => [0, m.value() - 1][(rng.next_u64() >> 63) as usize],
            Residues::Largest => m.value() - 1,
        };
        (0..n).map(|_| residue()).collect()
    };
    let (a, b, c) = (limb(&m), limb(&m), limb(&m));
    let scalar = limb(&m)[0];

    let root = (2..).map(|g| m.pow(g, (m.value() - 1) >> (log_n + 1)));
    let root = { root }.find(|&root| m.pow(root, n as u64) == m.value() - 1).unwrap();
    let tables = (portable::Ntt::new(m, log_n, root), ntt::Ntt::new(L, m, log_n, root));
    let same = |what: &str, portable: &dyn Fn(&mut [u64]), emulated: &dyn Fn(&mut [u64])| {
        let mut results = [a.clone(), a.clone()];
        portable(&mut results[0]);
        emulated(&mut results[1]);
        assert!(results[0] == results[1], "{what}: {L} lanes, 2^{log_n}, {m:?}");
    };
    let forward = |x: &mut [u64]| ntt::forward::<_, false>(s, &tables.1, x);
    same("ntt", &|x| tables.0.forward(x), &forward);
    let inverse = |x: &mut [u64]| ntt::inverse(s, &tables.1, x, None, scalar);
    same("intt", &|x| tables.0.inverse_scaled(x, scalar), &inverse);
    let inverse_into = |x: &mut [u64]| {
        let source = x.to_vec();
        x.fill(1);
        ntt::inverse(s, &tables.1, x, Some(&source), scalar);
    };
    same("intt out of place", &|x| tables.0.inverse_scaled(x, scalar), &inverse_into);
    same("add", &|x| portable::add(&m, x, &b), &|x| loops::add(s, &m, x, &b));
    same("sub", &|x| portable::sub(&m, x, &b), &|x| loops::sub(s, &m, x, &b));
    same("neg", &|x| portable::neg(&m, x), &|x| loops::neg(s, &m, x));
    same("mul", &|x| portable::mul(&m, x, &b), &|x| loops::mul(s, &m, x, &b));
    let mul_add = |x: &mut [u64]| loops::mul_add(s, &m, x, &b, &c);
    same("mul_add", &|x| portable::mul_add(&m, x, &b, &c), &mul_add);
    let mul_scalar = |x: &mut [u64]| loops::mul_scalar(s, &m, x, scalar);
    same("mul_scalar", &|x| portable::mul_scalar(&m, x, scalar), &mul_scalar);
    let signed = |x: &mut [u64]| x.iter_mut().zip(0..).for_each(|(x, j)| *x <<= j % 64);
    let reduce_signed = |x: &mut [u64]| {
        signed(x);
        loops::reduce_signed(s, &m, x);
    };
    let portable_reduce_signed = |x: &mut [u64]| {
        signed(x);
        portable::reduce_signed(&m, x);
    };
    same("reduce_signed", &portable_reduce_signed, &reduce_signed);

    // Lazy transforms, where they may be used.
    let (mut canonical, mut lazy) = (b.clone(), b.clone());
    tables.0.forward(&mut canonical);
    ntt::forward::<_, true>(s, &tables.1, &mut lazy);
    let sub_mul = |x: &mut [u64]| loops::sub_mul_scalar(s, &m, x, &lazy, scalar);
    same("sub_mul", &|x| portable::sub_mul_scalar(&m, x, &canonical, scalar), &sub_mul);
    for first in [true, false] {
        let bytes = m.residue_bytes();
        let mut packed = vec![0; n / 8 * bytes];
        pack(&mut packed, &c, bytes);
        let products = |[x, y, z]: [&[u64]; 3], emulated: bool| {
            let (packing, start) = if first {
                (Packing::First(Form { bytes, log_run: 0 }), 16)
            } else {
                (Packing::Pairs(bytes), 0)
            };
            let terms = vec![(x, y, z); terms];
            let mut out = [vec![0; n - start], vec![0; n - start]];
            let [out0, out1] = &mut out;
            if emulated {
                loops::inner_product(s, &m, (out0, out1), start, packing, &terms);
            } else {
                portable::inner_product(&m, (out0, out1), start, packing, &terms);
            }
            out
        };
        let words = |a| if first { [&packed, &b, a] } else { [a, &packed, &packed] };
        let [expected, found] = if first {
            [products(words(&b).map(|w| &w[..]), false), products(words(&b).map(|w| &w[..]), true)]
        } else {
            [
                products(words(&canonical).map(|w| &w[..]), false),
                products(words(&lazy).map(|w| &w[..]), true),
            ]
        };
        assert!(expected == found, "inner product of {terms}: {L} lanes, {m:?}");
    }
    for log_run in 0..4 {
        let form = Form { bytes: m.residue_bytes(), log_run };
        let mut packed = vec![0; n / 8 * form.bytes];
        pack(&mut packed, &c, form.bytes);
        let [mut expected, mut found] = [(); 2].map(|()| [vec![0; n], vec![0; n]]);
        let terms = [(&packed[..], &a[..], &b[..]), (&packed, &b, &c)];
        let [out0, out1] = &mut expected;
        portable::inner_product(&m, (out0, out1), 0, Packing::First(form), &terms);
        let [out0, out1] = &mut found;
        loops::inner_product(s, &m, (out0, out1), 0, Packing::First(form), &terms);
        assert!(expected == found, "runs of 2^{log_run}: {L} lanes, {m:?}");
    }

    // From another prime to this one, in portable form and in that of numbers.
    let sources: Vec<Vec<u64>> = (0..terms).map(|_| limb(&other)).collect();
    let sources: Vec<&[u64]> = sources.iter().map(Vec::as_slice).collect();
    let weights: Vec<u64> = (0..terms).map(|i| a[i % n]).collect();
    let numbers: Vec<u64> = weights.iter().map(|&w| loops::weight(&m, w)).collect();
    let [mut expected, mut found] = [vec![0; n], vec![0; n]];
    let target = ConversionTarget { m: &m, weights: &weights, out: &mut expected };
    portable::convert(&mut [target], &sources);
    let target = ConversionTarget { m: &m, weights: &numbers, out: &mut found };
    loops::convert(s, &mut [target], &sources);
    assert!(expected == found, "conversion of {terms}: {L} lanes, {other:?} to {m:?}");
    let inverses = vec![1.0 / other.value() as f64; terms];
    portable::quotient(&mut expected, &sources, &inverses);
    loops::quotient(s, &mut found, &sources, &inverses);
    assert!(expected == found, "quotient of {terms}: {L} lanes, {other:?}");
}

fn residues() -> impl Strategy<Value = Residues> {
    prop_oneof![Just(Residues::Random), Just(Residues::Extreme), Just(Residues::Largest)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn loops_of_any_width_agree(
        log_n in 7u32..=11,
        bits in [20..=MAX_PRIME_BITS, 20..=MAX_PRIME_BITS],
        terms in prop_oneof![4 => 1usize..12, 1 => 12usize..=129],
        kind in residues(),
        seed: u64,
    ) {
        check::<4>(log_n, bits, terms, kind, seed);
        check::<8>(log_n, bits, terms, kind, seed);
    }
}

/// The largest primes in the largest rings, at the edge of both windows.
#[test]
fn windows_are_wide_enough() {
    for bits in [46, 50] {
        for kind in [Residues::Largest, Residues::Extreme] {
            check::<4>(17, [bits; 2], 2, kind, 1);
            check::<8>(17, [bits; 2], 2, kind, 2);
        }
    }
}
