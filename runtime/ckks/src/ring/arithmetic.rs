//! Operations of the ring that keep the basis: transforms, sums, products, automorphisms.

use std::sync::Arc;

use super::kernels::Kernels;
use super::kernels::{CHUNK, ConversionTarget};
use super::{Basis, Domain, Poly, Ring};

impl Ring {
    /// Transforms a polynomial from the coefficient to the NTT domain, in place.
    ///
    /// # Panics
    /// If the polynomial is in the NTT domain already.
    pub fn ntt(&self, poly: &mut Poly) {
        self.assert_domain(poly, Domain::Coefficient);
        poly.for_each_limb(|i, limb| self.primes[i].ntt.forward(limb));
        poly.set_domain(Domain::Ntt);
    }

    /// Transforms a polynomial from the NTT to the coefficient domain, in place.
    ///
    /// # Panics
    /// If the polynomial is in the coefficient domain already.
    pub fn intt(&self, poly: &mut Poly) {
        self.assert_domain(poly, Domain::Ntt);
        poly.for_each_limb(|i, limb| self.primes[i].ntt.inverse_scaled(limb, 1));
        poly.set_domain(Domain::Coefficient);
    }

    /// The polynomial in the coefficient domain: [`Ring::intt`] out of place.
    ///
    /// # Panics
    /// If the polynomial is in the coefficient domain already.
    pub fn coefficients(&self, poly: &Poly) -> Poly {
        self.assert_domain(poly, Domain::Ntt);
        let mut coefficients = self.scratch(poly.basis(), Domain::Coefficient);
        coefficients.for_each_limb(|i, limb| {
            self.primes[i].ntt.inverse_scaled_into(limb, poly.limb(i), 1);
        });
        coefficients
    }

    /// Adds `b` to `a`, in either domain. `b` may have more primes than `a`, which are ignored.
    ///
    /// # Panics
    /// If the domains differ or `b` lacks primes of `a`.
    pub fn add_assign(&self, a: &mut Poly, b: &Poly) {
        self.assert_fits(a, b);
        a.for_each_limb(|i, a| self.kernels.add(self.modulus(i), a, b.limb(i)));
    }

    /// Subtracts `b` from `a`, in either domain. `b` may have more primes than `a`, which are
    /// ignored.
    ///
    /// # Panics
    /// If the domains differ or `b` lacks primes of `a`.
    pub fn sub_assign(&self, a: &mut Poly, b: &Poly) {
        self.assert_fits(a, b);
        a.for_each_limb(|i, a| self.kernels.sub(self.modulus(i), a, b.limb(i)));
    }

    /// Negates a polynomial in place, in either domain.
    pub fn neg_assign(&self, a: &mut Poly) {
        self.assert_own(a);
        a.for_each_limb(|i, a| self.kernels.neg(self.modulus(i), a));
    }

    /// Multiplies `a` by `b` in the NTT domain. `b` may have more primes than `a`, which are
    /// ignored.
    ///
    /// # Panics
    /// If a polynomial is not in the NTT domain or `b` lacks primes of `a`.
    pub fn mul_assign(&self, a: &mut Poly, b: &Poly) {
        self.assert_domain(a, Domain::Ntt);
        self.assert_fits(a, b);
        a.for_each_limb(|i, a| self.kernels.mul(self.modulus(i), a, b.limb(i)));
    }

    /// Returns `a · b` in the NTT domain, on the primes common to both.
    ///
    /// # Panics
    /// If a polynomial is not in the NTT domain.
    pub fn mul(&self, a: &Poly, b: &Poly) -> Poly {
        self.mul_on(a.basis().intersection(b.basis()), a, b)
    }

    fn mul_on(&self, basis: Basis, a: &Poly, b: &Poly) -> Poly {
        let mut product = self.scratch(basis, Domain::Ntt);
        for factor in [a, b] {
            self.assert_domain(factor, Domain::Ntt);
        }
        product.for_each_limb(|i, product| {
            let factors = a.limb(i).chunks(CHUNK).zip(b.limb(i).chunks(CHUNK));
            for (product, (a, b)) in product.chunks_mut(CHUNK).zip(factors) {
                product.copy_from_slice(a);
                self.kernels.mul(self.modulus(i), product, b);
            }
        });
        product
    }

    /// The tensor product `(a0 + a1·Y)(b0 + b1·Y)` in the NTT domain on a basis, as its three
    /// coefficients by powers of `Y`. The factors may have more primes, which are ignored.
    ///
    /// # Panics
    /// If a factor is not in the NTT domain or lacks primes of the basis.
    pub fn tensor(
        &self,
        basis: Basis,
        (a0, a1): (&Poly, &Poly),
        (b0, b1): (&Poly, &Poly),
    ) -> [Poly; 3] {
        for factor in [a0, a1, b0, b1] {
            self.assert_domain(factor, Domain::Ntt);
            assert!(basis.is_subset(factor.basis()), "a factor lacks primes of {basis:?}");
        }
        let scratch = || self.scratch(basis, Domain::Ntt);
        let (mut d0, mut d1) = (scratch(), scratch());
        d0.for_each_block_pair(&mut d1, 1, |indices, mut d0, mut d1| {
            let m = self.modulus(indices[0]);
            let [a0, a1, b0, b1] = [a0, a1, b0, b1].map(|factor| factor.limb(indices[0]));
            let (d0, d1) = (d0.limb_mut(0), d1.limb_mut(0));
            for start in (0..d0.len()).step_by(CHUNK) {
                let range = start..d0.len().min(start + CHUNK);
                let [a0, a1, b0, b1] = [a0, a1, b0, b1].map(|factor| &factor[range.clone()]);
                let (d0, d1) = (&mut d0[range.clone()], &mut d1[range]);
                d0.copy_from_slice(a0);
                d1.copy_from_slice(a0);
                self.kernels.mul(m, d0, b0);
                self.kernels.mul(m, d1, b1);
                self.kernels.mul_add(m, d1, a1, b0);
            }
        });
        [d0, d1, self.mul_on(basis, a1, b1)]
    }

    /// Adds `a · b` to `acc` in the NTT domain. `a` and `b` may have more primes than `acc`, which
    /// are ignored.
    ///
    /// # Panics
    /// If a polynomial is not in the NTT domain, or `a` or `b` lacks primes of `acc`.
    pub fn mul_add_assign(&self, acc: &mut Poly, a: &Poly, b: &Poly) {
        self.assert_domain(acc, Domain::Ntt);
        self.assert_fits(acc, a);
        self.assert_fits(acc, b);
        acc.for_each_limb(|i, acc| {
            self.kernels.mul_add(self.modulus(i), acc, a.limb(i), b.limb(i));
        });
    }

    /// Multiplies each limb by its own constant, in either domain: `scalars[j]` is the residue for
    /// the `j`-th prime of the basis, ascending.
    ///
    /// # Panics
    /// If there is not exactly one reduced scalar for each prime.
    pub fn mul_scalars_assign(&self, a: &mut Poly, scalars: &[u64]) {
        let basis = self.assert_scalars(a, scalars);
        a.for_each_limb(|i, a| {
            self.kernels.mul_scalar(self.modulus(i), a, scalars[basis.position(i)]);
        });
    }

    /// Adds `a` times a constant for each limb to `acc`, in either domain, on the primes common to
    /// both: `scalars[j]` is the residue for the `j`-th common prime, ascending.
    ///
    /// # Panics
    /// If the domains differ or there are not as many scalars as common primes.
    pub fn add_scaled_assign(&self, acc: &mut Poly, a: &Poly, scalars: &[u64]) {
        self.assert_own(acc);
        self.assert_domain(a, acc.domain());
        let common = acc.basis().intersection(a.basis());
        assert_eq!(scalars.len(), common.len(), "one scalar is needed for every common prime");
        acc.for_each_limb(|i, acc| {
            if !common.contains(i) {
                return;
            }
            self.add_scaled_limb(i, acc, a.limb(i), scalars[common.position(i)]);
        });
    }

    /// Adds `scalar · a` to `acc` modulo prime i; both are limbs, or equal parts of limbs.
    pub(super) fn add_scaled_limb(&self, i: usize, acc: &mut [u64], a: &[u64], scalar: u64) {
        if scalar == 1 {
            return self.kernels.add(self.modulus(i), acc, a);
        }
        let mut buffer = [0; CHUNK];
        for (acc, a) in acc.chunks_mut(CHUNK).zip(a.chunks(CHUNK)) {
            let product = &mut buffer[..a.len()];
            product.copy_from_slice(a);
            self.kernels.mul_scalar(self.modulus(i), product, scalar);
            self.kernels.add(self.modulus(i), acc, product);
        }
    }

    /// Adds a linear combination of polynomials to `acc`, in either domain: each term is a
    /// polynomial with the residues of its coefficient for the primes of `acc`, ascending. The
    /// polynomials may have more primes, which are ignored.
    ///
    /// # Panics
    /// If the domains differ, a polynomial lacks primes or scalars, or there are more than 128 terms.
    pub fn add_combination_assign(&self, acc: &mut Poly, terms: &[(&Poly, Vec<u64>)]) {
        let basis = acc.basis();
        assert!(terms.len() <= 128, "{} terms are more than are summed at once", terms.len());
        for (a, scalars) in terms {
            self.assert_fits(acc, a);
            assert_eq!(scalars.len(), basis.len(), "one scalar is needed for every limb");
        }
        if terms.is_empty() {
            return;
        }
        acc.for_each_limb(|i, acc| {
            let m = self.modulus(i);
            let weights: Vec<u64> = terms
                .iter()
                .map(|(_, scalars)| self.kernels.weight(m, scalars[basis.position(i)]))
                .collect();
            let mut buffer = [0; CHUNK];
            for (start, acc) in (0..).step_by(CHUNK).zip(acc.chunks_mut(CHUNK)) {
                let sources: Vec<&[u64]> =
                    terms.iter().map(|(a, _)| &a.limb(i)[start..start + acc.len()]).collect();
                let out = &mut buffer[..acc.len()];
                let target = ConversionTarget { m, weights: &weights, out };
                self.kernels.convert(&mut [target], &sources);
                self.kernels.add(m, acc, &buffer[..acc.len()]);
            }
        });
    }

    /// Adds a constant polynomial, in either domain: `scalars[j]` is the residue for the `j`-th
    /// prime of the basis, ascending.
    ///
    /// # Panics
    /// If there is not exactly one reduced scalar for each prime.
    pub fn add_scalars_assign(&self, a: &mut Poly, scalars: &[u64]) {
        let basis = self.assert_scalars(a, scalars);
        let domain = a.domain();
        a.for_each_limb(|i, a| {
            let touched = if domain == Domain::Ntt { a } else { &mut a[..1] };
            let (m, s) = (self.modulus(i), scalars[basis.position(i)]);
            touched.iter_mut().for_each(|a| *a = m.add(*a, s));
        });
    }

    /// Multiplies a polynomial by X^(N/2) in the NTT domain, in place: every slot times the
    /// imaginary unit.
    ///
    /// # Panics
    /// If the polynomial is not in the NTT domain.
    pub fn mul_imaginary_unit_assign(&self, a: &mut Poly) {
        self.assert_domain(a, Domain::Ntt);
        let half = self.degree() / 2;
        a.for_each_limb(|i, a| {
            // ψ^((2r + 1)·N/2) is ψ^(N/2) for even r and its negative for odd r, which in
            // bit-reversed order are the two halves.
            let m = self.modulus(i);
            let unit = m.pow(self.root(i), half as u64);
            let (even, odd) = a.split_at_mut(half);
            self.kernels.mul_scalar(m, even, unit);
            self.kernels.mul_scalar(m, odd, m.neg(unit));
        });
    }

    /// The image of a polynomial under the automorphism `X → X^g` for an odd Galois element `g`,
    /// taken modulo `2N`, in either domain.
    ///
    /// # Panics
    /// If `g` is even.
    pub fn automorphism(&self, poly: &Poly, galois_element: u64) -> Poly {
        self.assert_own(poly);
        let permutation = self.permutation(galois_element);
        let mut image = self.scratch(poly.basis(), poly.domain());
        match poly.domain() {
            Domain::Coefficient => image.for_each_limb(|i, image| {
                let (m, g) = (self.modulus(i), galois_element);
                let mask = 2 * image.len() - 1;
                for (j, &c) in poly.limb(i).iter().enumerate() {
                    // X^N = -1: exponents from N on come back with the sign changed.
                    let exponent = j.wrapping_mul(g as usize) & mask;
                    if exponent < image.len() {
                        image[exponent] = c;
                    } else {
                        image[exponent - image.len()] = m.neg(c);
                    }
                }
            }),
            Domain::Ntt => {
                image.for_each_limb(|i, image| permutation.apply(self.kernels, image, poly.limb(i)))
            }
        }
        image
    }

    pub(super) fn permutation(&self, galois_element: u64) -> Arc<SlotPermutation> {
        assert!(galois_element % 2 == 1, "Galois element {galois_element} is even");
        let g = galois_element % (2 * self.degree() as u64);
        self.permutations.get_or_compute(g, || SlotPermutation::new(self.log_n, g))
    }

    pub(super) fn assert_domain(&self, poly: &Poly, domain: Domain) {
        self.assert_own(poly);
        assert_eq!(poly.domain(), domain, "the polynomial is in the wrong domain");
    }

    pub(super) fn assert_fits(&self, a: &Poly, b: &Poly) {
        self.assert_own(a);
        self.assert_own(b);
        assert_eq!(a.domain(), b.domain(), "the operands are in different domains");
        assert!(a.basis().is_subset(b.basis()), "{:?} lacks primes of {:?}", b.basis(), a.basis());
    }

    fn assert_scalars(&self, a: &Poly, scalars: &[u64]) -> Basis {
        self.assert_own(a);
        let basis = a.basis();
        assert_eq!(scalars.len(), basis.len(), "one scalar is needed for every limb");
        for (i, &s) in basis.iter().zip(scalars) {
            assert!(s < self.modulus(i).value(), "scalar {s} is not reduced modulo prime {i}");
        }
        basis
    }
}

/// The automorphism `X → X^g` on bit-reversed NTT values.
///
/// Aligned blocks of eight values map to aligned blocks, with one of eight permutations inside, so
/// the table has one word for eight values.
pub(super) struct SlotPermutation {
    /// For each output block: source block times 8, plus the number of the lane permutation.
    blocks: Vec<u32>,
    /// Source lane of each output lane.
    lanes: [[u8; 8]; 8],
}

impl SlotPermutation {
    fn new(log_n: u32, g: u64) -> Self {
        // Position i = 8b + k holds the value at ψ^(2r + 1) with r = brv(i) = brv3(k)·N/8 + brv(b).
        // Its image takes the value at exponent (2r + 1)·g: adding brv3(k)·N/8 to r adds
        // g·brv3(k)·N/8 there, which leaves the low bits, and so the source block, alone.
        let log_blocks = log_n - 3;
        let reverse_block = |b: u64| (b as u32).reverse_bits() >> (32 - log_blocks);
        let reverse_lane = |k: u64| ((k as u8).reverse_bits() >> 5) as u64;
        let block = |b: u32| {
            let r = u64::from(reverse_block(b.into()));
            let image = ((2 * r + 1) * g / 2) & ((1 << log_n) - 1);
            reverse_block(image & ((1 << log_blocks) - 1)) << 3 | (image >> log_blocks) as u32
        };
        let lane = |c: u64, k: u64| reverse_lane((c + reverse_lane(k) * g) & 7) as u8;
        Self {
            blocks: (0..1 << log_blocks).map(block).collect(),
            lanes: std::array::from_fn(|c| std::array::from_fn(|k| lane(c as u64, k as u64))),
        }
    }

    pub(super) fn apply(&self, kernels: Kernels, image: &mut [u64], limb: &[u64]) {
        kernels.permute(image, limb, &self.blocks, &self.lanes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;
    use proptest::prelude::*;

    /// `a · b mod (X^N + 1, q)` by the definition.
    fn schoolbook(a: &[u64], b: &[u64], q: u64) -> Vec<u64> {
        let n = a.len();
        let mut c = vec![0i128; n];
        for (i, &a) in a.iter().enumerate() {
            for (j, &b) in b.iter().enumerate() {
                let term = (u128::from(a) * u128::from(b) % u128::from(q)) as i128;
                c[(i + j) % n] += if i + j < n { term } else { -term };
            }
        }
        c.iter().map(|c| c.rem_euclid(q.into()) as u64).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn ntt_multiplies(log_n in 4u32..=10, bits in 20u32..=50, seed: u64) {
            let ring = ring(log_n, &[bits, bits]);
            let mut rng = rng(seed);
            let [a, b] = [0; 2].map(|_| random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng));
            let (mut a_ntt, mut b_ntt) = (a.clone(), b.clone());
            ring.ntt(&mut a_ntt);
            ring.ntt(&mut b_ntt);
            let mut product = ring.mul(&a_ntt, &b_ntt);
            ring.intt(&mut product);
            for (i, limb) in product.limbs() {
                prop_assert_eq!(limb, schoolbook(a.limb(i), b.limb(i), ring.modulus(i).value()));
            }
        }

        #[test]
        fn tensor_is_the_product_of_linear_polynomials(
            log_n in 4u32..=11,
            bits in prop::collection::vec(20u32..=50, 2),
            seed: u64,
        ) {
            let ring = ring(log_n, &bits);
            let mut rng = rng(seed);
            let [a0, a1, b0, b1] =
                [0; 4].map(|_| random_poly(&ring, ring.basis(), Domain::Ntt, &mut rng));
            let mut middle = ring.mul(&a0, &b1);
            ring.add_assign(&mut middle, &ring.mul(&a1, &b0));
            let expected = [ring.mul(&a0, &b0), middle, ring.mul(&a1, &b1)];
            prop_assert_eq!(ring.tensor(ring.basis(), (&a0, &a1), (&b0, &b1)), expected);
        }

        #[test]
        fn ntt_round_trips(log_n in 4u32..=12, bits in 20u32..=50, seed: u64) {
            let ring = ring(log_n, &[bits, 50]);
            let poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(seed));
            let mut there_and_back = poly.clone();
            ring.ntt(&mut there_and_back);
            prop_assert_eq!(&ring.coefficients(&there_and_back), &poly);
            ring.intt(&mut there_and_back);
            prop_assert_eq!(there_and_back, poly);
        }

        #[test]
        fn automorphism_commutes_with_ntt(log_n in 4u32..=12, g: u64, seed: u64) {
            let ring = ring(log_n, &[50, 30]);
            let poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(seed));
            let mut transformed = poly.clone();
            ring.ntt(&mut transformed);
            let mut expected = ring.automorphism(&poly, g | 1);
            ring.ntt(&mut expected);
            prop_assert_eq!(ring.automorphism(&transformed, g | 1), expected);
        }

        #[test]
        fn pointwise_operations(log_n in 4u32..=7, bits in 20u32..=50, seed: u64) {
            let ring = ring(log_n, &[bits, 50]);
            let basis = ring.basis();
            let mut rng = rng(seed);
            let [a, b, c] = [0; 3].map(|_| random_poly(&ring, basis, Domain::Ntt, &mut rng));
            let scalars = [a.limb(0)[0], b.limb(1)[1]];
            let mut combined = a.clone();
            ring.add_combination_assign(&mut combined, &[(&b, scalars.into()), (&c, vec![3, 7])]);
            let mut expected = a.clone();
            ring.add_scaled_assign(&mut expected, &b, &scalars);
            ring.add_scaled_assign(&mut expected, &c, &[3, 7]);
            prop_assert_eq!(combined, expected);
            type Operation<'a> = &'a dyn Fn(&mut Poly);
            type Formula = fn(i128, i128, i128, i128) -> i128;
            let cases: [(Operation, Formula); 7] = [
                (&|x| ring.add_assign(x, &b), |a, b, _, _| a + b),
                (&|x| ring.sub_assign(x, &b), |a, b, _, _| a - b),
                (&|x| ring.neg_assign(x), |a, _, _, _| -a),
                (&|x| ring.mul_assign(x, &b), |a, b, _, _| a * b),
                (&|x| ring.mul_add_assign(x, &b, &c), |a, b, c, _| a + b * c),
                (&|x| ring.mul_scalars_assign(x, &scalars), |a, _, _, s| a * s),
                (&|x| ring.add_scalars_assign(x, &scalars), |a, _, _, s| a + s),
            ];
            for (case, (operation, formula)) in cases.iter().enumerate() {
                let mut result = a.clone();
                operation(&mut result);
                for (i, limb) in result.limbs() {
                    let q = i128::from(ring.modulus(i).value());
                    let at = |p: &Poly, j| i128::from(p.limb(i)[j]);
                    for (j, &value) in limb.iter().enumerate() {
                        let expected = formula(at(&a, j), at(&b, j), at(&c, j), scalars[i].into());
                        prop_assert_eq!(i128::from(value), expected.rem_euclid(q), "case {}", case);
                    }
                }
            }
        }
    }

    #[test]
    fn ntt_order_is_bit_reversed() {
        let ring = ring(5, &[40]);
        let (m, psi) = (ring.modulus(0), ring.root(0));
        let poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(1));
        let mut values = poly.clone();
        ring.ntt(&mut values);
        for (i, &value) in values.limb(0).iter().enumerate() {
            let point = m.pow(psi, 2 * u64::from((i as u32).reverse_bits() >> 27) + 1);
            let horner = poly.limb(0).iter().rev().fold(0, |sum, &c| m.add(m.mul(sum, point), c));
            assert_eq!(value, horner, "position {i}");
        }
    }

    #[test]
    fn the_imaginary_unit_is_a_monomial() {
        let ring = ring(5, &[40, 30]);
        let poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(4));
        let mut product = poly.clone();
        ring.ntt(&mut product);
        ring.mul_imaginary_unit_assign(&mut product);
        ring.intt(&mut product);
        for (i, limb) in product.limbs() {
            let (low, high) = poly.limb(i).split_at(16);
            assert_eq!(&limb[16..], low);
            assert!(limb[..16].iter().zip(high).all(|(&a, &b)| a == ring.modulus(i).neg(b)));
        }
    }

    #[test]
    fn constants_are_added_in_both_domains() {
        let ring = ring(6, &[40, 30]);
        let poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(2));
        let (mut late, mut early) = (poly.clone(), poly);
        ring.ntt(&mut early);
        ring.add_scalars_assign(&mut early, &[5, 7]);
        ring.add_scalars_assign(&mut late, &[5, 7]);
        ring.ntt(&mut late);
        assert_eq!(early, late);
    }

    #[test]
    #[should_panic(expected = "different domains")]
    fn domains_are_checked() {
        let ring = ring(4, &[30]);
        let mut a = ring.zero(ring.basis(), Domain::Ntt);
        ring.add_assign(&mut a, &ring.zero(ring.basis(), Domain::Coefficient));
    }

    #[test]
    #[should_panic(expected = "another ring")]
    fn rings_are_checked() {
        let (one, two) = (ring(4, &[30]), ring(4, &[31]));
        one.neg_assign(&mut two.zero(two.basis(), Domain::Ntt));
    }
}
