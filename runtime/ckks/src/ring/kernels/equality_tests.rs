//! Every kernel, portable against SIMD, bit for bit. On a processor without the SIMD kernels there
//! is nothing to compare, and the tests say so.

use proptest::prelude::*;

use crate::ring::test_support::{primes, random_poly, rng};
use crate::ring::{Basis, Domain, Kernels, Poly, Ring};

/// The same ring with both kinds of kernels.
fn both(log_n: u32, bits: &[u32]) -> Option<[Ring; 2]> {
    if !Kernels::Ifma.is_available() {
        eprintln!("not compared: this processor has no AVX-512 IFMA");
        return None;
    }
    let primes = primes(log_n, bits);
    let ring = |kernels| Ring::with_kernels(log_n, &primes, kernels).unwrap();
    Some([ring(Kernels::Portable), ring(Kernels::Ifma)])
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_kernels_agree(
        log_n in 6u32..=16,
        bits in prop::collection::vec(20u32..=50, 4),
        galois: u64,
        seed: u64,
    ) {
        let Some(rings) = both(log_n, &bits) else { return Ok(()) };
        let check = |what, domain, operation: &dyn Fn(&Ring, [Poly; 3]) -> Vec<Poly>| {
            compare(&rings, what, domain, seed, operation);
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
        check("automorphism", Domain::Ntt, &|ring, [a, ..]| {
            vec![ring.automorphism(&a, galois | 1)]
        });
        check("inner product", Domain::Ntt, &|ring, [a, b, c]| {
            let (x, y) = ring.inner_product(ring.basis(), &[a.clone(), b.clone()], &[(b, c.clone()), (c, a)]);
            vec![x, y]
        });
        check("gadget product", Domain::Ntt, &|ring, [a, b, c]| {
            let digits = [vec![0, 2], vec![1]].map(Basis::from_indices);
            let key = [(b.clone(), c.clone()), (c, b)];
            let (x, y) = ring.gadget_product(&a, &digits, ring.basis(), &key);
            vec![x, y]
        });
        for domain in [Domain::Coefficient, Domain::Ntt] {
            let part = Basis::from_indices([0, 2]);
            check("mod_up", domain, &|ring, [a, ..]| vec![ring.mod_up(&a, part, ring.basis())]);
            check("mod_down", domain, &|ring, [a, ..]| vec![ring.mod_down(a, part)]);
            check("rescale", domain, &|ring, [a, ..]| vec![ring.rescale(a, 3)]);
        }
    }

    /// All residues at their largest, where lazy sums are most likely to overflow.
    #[test]
    fn kernels_agree_at_the_extremes(log_n in 7u32..=10, bits in 20u32..=50, terms in 1usize..=128) {
        let Some(rings) = both(log_n, &vec![bits; 128]) else { return Ok(()) };
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
            let key: Vec<_> = (0..terms).map(|_| (values.clone(), values.clone())).collect();
            let digits: Vec<_> = (0..terms).map(|_| values.clone()).collect();
            let (b, a) = ring.inner_product(ring.basis(), &digits, &key);
            ring.intt(&mut values);
            [transformed, raised, b, a, values]
        });
        prop_assert!(portable == simd);
    }
}
