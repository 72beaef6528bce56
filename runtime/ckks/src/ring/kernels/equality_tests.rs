//! Every kernel, portable against each vector unit that this processor has, bit for bit. On one without
//! any there is nothing to compare, and the tests say so.

use proptest::prelude::*;

use crate::ring::test_support::{primes, random_poly, rng};
use crate::ring::{
    Basis, Digits, Domain, KernelSet, KeySwitch, Operand, Poly, Residues, Ring, Rotation,
    kernels_available,
};

/// The same ring with the portable kernels and with each of the others.
fn pairs(log_n: u32, bits: &[u32]) -> Vec<[Ring; 2]> {
    let primes = primes(log_n, bits);
    let ring = |kernels| Ring::with_kernels(log_n, &primes, kernels).unwrap();
    let others = KernelSet::ALL.into_iter().filter(|&set| set != KernelSet::Portable);
    let available: Vec<_> = others.filter(|&set| kernels_available(set)).collect();
    if available.is_empty() {
        eprintln!("not compared: this processor runs no kernels but the portable ones");
    }
    available.into_iter().map(|set| [ring(KernelSet::Portable), ring(set)]).collect()
}

/// Runs `operation` in both rings on the same random polynomials and compares the results.
fn compare(
    rings: &[Ring; 2],
    what: &str,
    domain: Domain,
    seed: u64,
    operation: impl Fn(&Ring, [Poly; 3]) -> Vec<Poly>,
) {
    let [portable, simd] = rings.each_ref().map(|ring| {
        let mut rng = rng(seed);
        operation(ring, [0; 3].map(|_| random_poly(ring, ring.basis(), domain, &mut rng)))
    });
    assert!(portable == simd, "{what} differs: {:?}", rings[1]);
}

/// The polynomial of a smaller ring with the first residues of another.
fn shortened(ring: &Ring, poly: &Poly) -> Poly {
    let mut short = ring.zero(poly.basis(), poly.domain());
    for (i, residues) in poly.limbs() {
        short.limb_mut(i).copy_from_slice(&residues[..ring.degree()]);
    }
    short
}

/// Every operation that has kernels.
fn check_all(rings: &[Ring; 2], galois: u64, seed: u64) {
    let check = |what, domain, operation: &dyn Fn(&Ring, [Poly; 3]) -> Vec<Poly>| {
        compare(rings, what, domain, seed, operation);
    };
    let in_place = |what, operation: &dyn Fn(&Ring, &mut Poly, &Poly, &Poly)| {
        check(what, Domain::Ntt, &|ring, [mut a, b, c]| {
            operation(ring, &mut a, &b, &c);
            vec![a]
        });
    };
    check("ntt", Domain::Coefficient, &|ring, [mut a, ..]| {
        ring.ntt(&mut a);
        vec![a]
    });
    in_place("intt", &|ring, a, _, _| ring.intt(a));
    in_place("add", &|ring, a, b, _| ring.add_assign(a, b));
    in_place("sub", &|ring, a, b, _| ring.sub_assign(a, b));
    in_place("neg", &|ring, a, _, _| ring.neg_assign(a));
    in_place("mul", &|ring, a, b, _| ring.mul_assign(a, b));
    in_place("mul_add", &|ring, a, b, c| ring.mul_add_assign(a, b, c));
    in_place("mul_scalars", &|ring, a, b, _| {
        let scalars: Vec<u64> = b.limbs().map(|(_, limb)| limb[0]).collect();
        ring.mul_scalars_assign(a, &scalars);
    });
    check("from_signed", Domain::Ntt, &|ring, [a, ..]| {
        // Many magnitudes of both signs, and the extremes.
        let shifted = a.limb(0).iter().zip(0..).map(|(&x, j)| x.cast_signed() << (j % 44));
        let mut integers: Vec<i64> = shifted.collect();
        integers[..4].copy_from_slice(&[i64::MIN, i64::MAX, -1, 0]);
        vec![ring.from_signed(&integers, ring.basis())]
    });
    check("automorphism", Domain::Ntt, &|ring, [a, ..]| vec![ring.automorphism(&a, galois | 1)]);
    check("inner product", Domain::Ntt, &|ring, [a, b, c]| {
        let key = [(ring.pack(&b), ring.pack(&c)), (ring.pack(&c), ring.pack(&a))];
        let digits = [a, b];
        let (x, y) =
            ring.gadget_product(ring.basis(), Digits::Raised(&digits), &[&key[0], &key[1]]);
        vec![x, y]
    });
    check("hoisted sums", Domain::Ntt, &|ring, [a, b, c]| {
        let special = Basis::single(3);
        let [c0, c1] = [&a, &b].map(|poly| poly.restricted(ring.basis().difference(special)));
        let pair = (ring.pack(&b), ring.pack(&c));
        let digits = [a.clone(), b.clone()];
        let rotation = Rotation { key: vec![&pair, &pair], galois_element: galois | 1 };
        let (c0, c1, digits) = (&c0, &c1, Some(&digits[..]));
        let operand = Operand { c0, c1, digits, rotations: vec![None, Some(rotation)] };
        // Factors with runs of all kinds.
        let runs = (0..=ring.longest_run().ilog2()).chain(0..3);
        let factor = |k: u32| {
            let subring = ring.subring(1_usize << k);
            subring.pack(&shortened(&subring, &c))
        };
        let group: Vec<_> = runs.map(|k| (k as usize % 2, factor(k))).collect();
        let sums = ring.hoisted_sums(ring.basis(), special, &[operand], &[&group], |factor, i| {
            Residues::Stored(factor.limb(i))
        });
        sums.into_iter().flat_map(|(x, y)| [x, y]).collect()
    });
    check("gadget product", Domain::Ntt, &|ring, [a, b, c]| {
        let digits = [vec![0, 2], vec![1]].map(Basis::from_indices);
        let key = [(ring.pack(&b), ring.pack(&c)), (ring.pack(&c), ring.pack(&b))];
        let (x, y) =
            ring.gadget_product(ring.basis(), Digits::Of(&a, &digits), &[&key[0], &key[1]]);
        vec![x, y]
    });
    check("key switch", Domain::Ntt, &|ring, [a, b, c]| {
        let digits = [vec![0, 2], vec![1]].map(Basis::from_indices);
        let key = [(ring.pack(&b), ring.pack(&c)), (ring.pack(&c), ring.pack(&b))];
        let (c0, c1) = ring.switch_key(&KeySwitch {
            digits: Digits::Of(&a, &digits),
            key: &[&key[0], &key[1]],
            basis: Basis::from_indices([0, 1, 2]),
            special: Basis::single(3),
            dropped: Basis::single(2),
            addends: [Some(&a), None],
            galois_element: galois | 1,
        });
        vec![c0, c1]
    });
    for domain in [Domain::Coefficient, Domain::Ntt] {
        let part = Basis::from_indices([0, 2]);
        check("mod_up", domain, &|ring, [a, ..]| vec![ring.mod_up(&a, part, ring.basis())]);
        check("mod_down", domain, &|ring, [a, ..]| vec![ring.mod_down(a, part)]);
        check("rescale", domain, &|ring, [a, ..]| vec![ring.rescale(a, 3)]);
    }
}

/// Operations on residues that are all at their largest.
fn check_extremes(rings: &[Ring; 2], terms: usize) {
    let sources = Basis::from_indices(0..terms.min(127));
    let [portable, simd] = rings.each_ref().map(|ring| {
        let mut largest = ring.zero(ring.basis(), Domain::Coefficient);
        for i in ring.basis().iter() {
            let q = ring.modulus(i).value();
            largest.limb_mut(i).fill(q - 1);
        }
        let mut transformed = largest.clone();
        ring.ntt(&mut transformed);
        let raised = ring.mod_up(&largest, sources, Basis::single(127));
        let mut values = ring.zero(Basis::from_indices([0, 127]), Domain::Ntt);
        for i in values.basis().iter() {
            values.limb_mut(i).copy_from_slice(largest.limb(i));
        }
        let pair = (ring.pack(&values), ring.pack(&values));
        let digits: Vec<_> = (0..terms).map(|_| values.clone()).collect();
        let (b, a) =
            ring.gadget_product(values.basis(), Digits::Raised(&digits), &vec![&pair; terms]);
        ring.intt(&mut values);
        [transformed, raised, b, a, values]
    });
    assert!(portable == simd, "the largest residues: {:?}", rings[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_kernels_agree(
        log_n in 6u32..=17,
        bits in prop::collection::vec(20u32..=50, 4),
        galois: u64,
        seed: u64,
    ) {
        for rings in pairs(log_n, &bits) {
            check_all(&rings, galois, seed);
        }
    }

    /// All residues at their largest, where lazy sums are most likely to overflow.
    #[test]
    fn kernels_agree_at_the_extremes(log_n in 5u32..=10, bits in 20u32..=50, terms in 1usize..=128) {
        for rings in pairs(log_n, &vec![bits; 128]) {
            check_extremes(&rings, terms);
        }
    }
}
