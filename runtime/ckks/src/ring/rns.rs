//! Changes of the basis of a polynomial: base conversion, ModUp, ModDown, rescaling.
//!
//! One method serves all of them. With `Q = Π q_i` and `y_i = [x · (Q/q_i)^-1]_{q_i}`, the integer
//! `Σ y_i · Q/q_i` is `x` plus a multiple `v·Q`, and `v = round(Σ y_i / q_i)` makes the remainder the
//! centered one (Halevi, Polyakov and Shoup, "An improved RNS variant of the BFV scheme", 2019,
//! section 2). Leaving `v` away, as plain "fast base conversion" does, would add up to `len·Q`; taking
//! it off costs one more term in each sum. `v` is computed in double precision: it is right unless
//! `|x|` is within about `len · 2^-51 · Q` of `Q/2`, where it may be off by one, so that `x` comes out
//! with the other of the two nearly equally large representatives.

use std::sync::Arc;

use super::kernels::ConversionTarget;
use super::poly::LimbBlock;
use super::{Basis, Domain, Poly, Ring};

/// Target limbs made before their transforms: the sources are then read once for all of them, and
/// the targets are still in cache.
pub(super) const TARGET_BLOCK: usize = 4;

impl Ring {
    /// Extends the residues of the primes in `digit` to the basis `target`, in the domain of `poly`.
    ///
    /// The result is the integer polynomial with coefficients in `(-D/2, D/2)`, `D` being the product
    /// of the digit's primes, reduced by each prime of the target. Limbs that digit and target share
    /// are copied. In the NTT domain this is the ModUp of hybrid key switching.
    ///
    /// # Panics
    /// If the polynomial lacks primes of the digit, or the digit is empty.
    pub fn mod_up(&self, poly: &Poly, digit: Basis, target: Basis) -> Poly {
        let terms = CrtDigits::new(self, poly, digit);
        let mut raised = self.scratch(target, poly.domain());
        raised.for_each_block(TARGET_BLOCK, |indices, mut block| {
            let (own, mut others): (Vec<_>, Vec<_>) = indices
                .iter()
                .copied()
                .zip(block.iter_mut())
                .partition(|(i, _)| digit.contains(*i));
            own.into_iter().for_each(|(i, limb)| limb.copy_from_slice(poly.limb(i)));
            terms.recombine(self, &mut others);
            if poly.domain() == Domain::Ntt {
                others.into_iter().for_each(|(i, limb)| self.primes[i].ntt.forward(limb));
            }
        });
        raised
    }

    /// Converts a polynomial to another basis, in the same domain: the same centered integers as
    /// [`Ring::mod_up`] from the polynomial's whole basis.
    ///
    /// # Panics
    /// If the polynomial has no primes.
    pub fn convert(&self, poly: &Poly, target: Basis) -> Poly {
        self.mod_up(poly, poly.basis(), target)
    }

    /// Divides by the product `P` of the `special` primes and rounds: the integers `round(x / P)` on
    /// the remaining primes, in the domain of `poly`.
    ///
    /// Exact, up to the choice of the neighbour where `x / P` is within about `len · 2^-51` of a half.
    /// Only the special limbs are transformed back, only their correction is transformed forth.
    ///
    /// # Panics
    /// If the polynomial lacks special primes, or `special` is empty.
    pub fn mod_down(&self, mut poly: Poly, special: Basis) -> Poly {
        let terms = CrtDigits::new(self, &poly, special);
        let domain = poly.domain();
        poly.restrict(poly.basis().difference(special));
        poly.for_each_block(TARGET_BLOCK, |indices, mut block| {
            terms.divide(self, domain, indices, &mut block);
        });
        poly
    }

    /// Divides a polynomial by one prime and rounds: [`Ring::mod_down`] by `{dropped}`.
    ///
    /// # Panics
    /// If the polynomial has no limb for that prime.
    pub fn rescale(&self, poly: Poly, dropped: usize) -> Poly {
        self.mod_down(poly, Basis::single(dropped))
    }

    /// Adds `P · x` to `acc`, `P` being the product of the special primes; [`Ring::mod_down`]
    /// undoes the factor exactly.
    ///
    /// # Panics
    /// If `acc` lacks primes of `x`, or `x` has special primes, or `special` is empty.
    pub fn add_times_special_assign(&self, acc: &mut Poly, poly: &Poly, special: Basis) {
        assert!(poly.basis().is_disjoint(special), "{special:?} is in the basis already");
        assert!(poly.basis().is_subset(acc.basis()), "the sum lacks primes of {:?}", poly.basis());
        let converter = self.converter(special);
        let products: Vec<u64> = poly.basis().iter().map(|i| converter.product(i)).collect();
        self.add_scaled_assign(acc, poly, &products);
    }

    /// Returns `P · x` on the basis of `x` and the special primes; see
    /// [`Ring::add_times_special_assign`].
    ///
    /// # Panics
    /// If `x` has special primes, or `special` is empty.
    pub fn times_special(&self, poly: &Poly, special: Basis) -> Poly {
        let mut times_p = self.zero(poly.basis().union(special), poly.domain());
        self.add_times_special_assign(&mut times_p, poly, special);
        times_p
    }

    pub(super) fn converter(&self, sources: Basis) -> Arc<BaseConverter> {
        self.converters.get_or_compute(sources, || BaseConverter::new(self, sources))
    }
}

/// Constants of the conversion from one basis, with product `Q = Π q_i`, to all other primes.
pub(super) struct BaseConverter {
    sources: Basis,
    /// `(Q/q_i)^-1 mod q_i`, by position in the basis.
    cofactor_inverses: Vec<u64>,
    /// `1 / q_i`.
    reciprocals: Vec<f64>,
    /// Constants by index of the target prime; unused for the source primes.
    targets: Vec<Target>,
}

struct Target {
    /// `Q/q_i mod p`, by position in the basis, and then `-Q mod p`; in the form of the kernels.
    weights: Vec<u64>,
    /// `Q mod p`.
    product: u64,
    /// `Q^-1 mod p`.
    product_inverse: u64,
}

impl BaseConverter {
    /// The basis of the source primes.
    pub(super) fn sources(&self) -> Basis {
        self.sources
    }

    /// `(Q/q)^-1 mod q` for a source prime q.
    pub(super) fn cofactor_inverse(&self, source: usize) -> u64 {
        self.cofactor_inverses[self.sources.position(source)]
    }

    /// The product of the source primes modulo another prime.
    pub(super) fn product(&self, target: usize) -> u64 {
        self.targets[target].product
    }

    /// The inverse of [`BaseConverter::product`].
    pub(super) fn product_inverse(&self, target: usize) -> u64 {
        self.targets[target].product_inverse
    }

    fn new(ring: &Ring, sources: Basis) -> Self {
        assert!(!sources.is_empty(), "there is nothing to convert from");
        let primes = || sources.iter().map(|i| ring.modulus(i).value());
        let product_without = |excluded: usize, target: usize| {
            let p = ring.modulus(target);
            let factors = sources.iter().zip(primes()).filter(|(i, _)| *i != excluded);
            factors.fold(1, |product, (_, q)| p.mul(product, p.reduce_u64(q)))
        };
        let target = |j: usize| {
            let p = ring.modulus(j);
            let product = product_without(usize::MAX, j);
            let cofactors = sources.iter().map(|i| product_without(i, j));
            let weights = cofactors.chain([p.neg(product)]);
            Target {
                weights: weights.map(|w| ring.kernels.weight(p, w)).collect(),
                product,
                product_inverse: p.inv(product),
            }
        };
        Self {
            sources,
            cofactor_inverses: sources
                .iter()
                .map(|i| ring.modulus(i).inv(product_without(i, i)))
                .collect(),
            reciprocals: primes().map(|q| 1.0 / q as f64).collect(),
            targets: (0..ring.primes.len()).map(target).collect(),
        }
    }
}

/// The CRT digits `y_i` and the quotient `v` of a polynomial; see the [module](self).
pub(super) struct CrtDigits {
    converter: Arc<BaseConverter>,
    /// `y_i`, in the coefficient domain.
    residues: Poly,
    /// The quotient `v`, as the only limb.
    quotient: Poly,
}

impl CrtDigits {
    /// The CRT digits of a polynomial, from its limbs in `sources`.
    pub(super) fn new(ring: &Ring, poly: &Poly, sources: Basis) -> Self {
        ring.assert_own(poly);
        let converter = ring.converter(sources);
        let mut residues = ring.scratch(sources, Domain::Coefficient);
        residues.for_each_limb(|i, limb| {
            let factor = converter.cofactor_inverse(i);
            match poly.domain() {
                Domain::Ntt => ring.primes[i].ntt.inverse_scaled_into(limb, poly.limb(i), factor),
                Domain::Coefficient => {
                    limb.copy_from_slice(poly.limb(i));
                    ring.kernels.mul_scalar(ring.modulus(i), limb, factor);
                }
            }
        });
        Self::from_residues(ring, converter, residues)
    }

    /// The CRT digits with the given `y_i`.
    pub(super) fn from_residues(
        ring: &Ring,
        converter: Arc<BaseConverter>,
        residues: Poly,
    ) -> Self {
        let mut quotient = ring.scratch(Basis::single(0), Domain::Coefficient);
        let limbs: Vec<&[u64]> = residues.limbs().map(|(_, limb)| limb).collect();
        ring.kernels.quotient(quotient.limb_mut(0), &limbs, &converter.reciprocals);
        Self { converter, residues, quotient }
    }

    /// `limb = (limb - x) / Q` for the limbs of a block, `x` being the centered integers.
    pub(super) fn divide(
        &self,
        ring: &Ring,
        domain: Domain,
        indices: &[usize],
        block: &mut LimbBlock<'_>,
    ) {
        let mut remainders = self.modulo(ring, indices);
        for ((i, remainder), limb) in remainders.limbs_mut().zip(block.iter_mut()) {
            if domain == Domain::Ntt {
                ring.primes[i].ntt.forward_lazy(remainder);
            }
            let inverse = self.converter.product_inverse(i);
            ring.kernels.sub_mul_scalar(ring.modulus(i), limb, remainder, inverse);
        }
    }

    /// The centered integers modulo those of the given primes that are not sources, in the
    /// coefficient domain.
    pub(super) fn modulo(&self, ring: &Ring, indices: &[usize]) -> Poly {
        let basis = Basis::from_indices(indices.iter().copied()).difference(self.converter.sources);
        let mut integers = ring.scratch(basis, Domain::Coefficient);
        self.recombine(ring, &mut integers.limbs_mut().collect::<Vec<_>>());
        integers
    }

    /// The centered integers modulo primes that are not sources, in the coefficient domain: `targets`
    /// are prime indices and the limbs to fill.
    fn recombine(&self, ring: &Ring, targets: &mut [(usize, &mut [u64])]) {
        let residues = self.residues.limbs().map(|(_, limb)| limb);
        let terms: Vec<&[u64]> = residues.chain([self.quotient.limb(0)]).collect();
        let conversion = targets.iter_mut().map(|(i, limb)| ConversionTarget {
            m: ring.modulus(*i),
            weights: &self.converter.targets[*i].weights,
            out: limb,
        });
        ring.kernels.convert(&mut conversion.collect::<Vec<_>>(), &terms);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{big_centered, big_product, random_poly, ring, rng};
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    /// Prime sizes of a ring and a split of its primes in two non-empty sets.
    fn split() -> impl Strategy<Value = (Vec<u32>, Basis, Basis)> {
        (2usize..=12).prop_flat_map(|count| {
            (prop::collection::vec(20u32..=50, count), 1u128..(1 << count) - 1).prop_map(
                move |(bits, mask)| {
                    let part = Basis::from_bits(mask);
                    (bits, part, Basis::from_indices(0..count).difference(part))
                },
            )
        })
    }

    /// `round(x / p)`; `p` is odd, so there are no ties.
    fn div_round(x: &BigInt, p: &BigInt) -> BigInt {
        let doubled: BigInt = x * 2 + p;
        let divisor: BigInt = p * 2;
        let quotient = &doubled / &divisor;
        // Division truncates; rounding needs the floor.
        if (&quotient * &divisor) > doubled { quotient - 1 } else { quotient }
    }

    fn transformed(ring: &Ring, poly: &Poly) -> Poly {
        let mut transformed = poly.clone();
        ring.ntt(&mut transformed);
        transformed
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn conversion_keeps_the_centered_integer((bits, from, to) in split(), seed: u64) {
            let ring = ring(5, &bits);
            let poly = random_poly(&ring, from, Domain::Coefficient, &mut rng(seed));
            let all = ring.basis();
            let raised = ring.convert(&poly, all);
            prop_assert_eq!(&raised.restricted(from), &poly);
            for j in 0..ring.degree() {
                prop_assert_eq!(big_centered(&ring, &raised, j), big_centered(&ring, &poly, j));
            }
            prop_assert_eq!(&ring.convert(&poly, to), &raised.restricted(to));
            let in_ntt_domain = ring.convert(&transformed(&ring, &poly), all);
            prop_assert_eq!(in_ntt_domain, transformed(&ring, &raised));
        }

        #[test]
        fn mod_up_uses_the_digit_alone((bits, digit, rest) in split(), seed: u64) {
            let ring = ring(4, &bits);
            let poly = random_poly(&ring, ring.basis(), Domain::Ntt, &mut rng(seed));
            let expected = ring.convert(&poly.restricted(digit), rest);
            prop_assert_eq!(ring.mod_up(&poly, digit, rest), expected);
        }

        #[test]
        fn mod_down_rounds((bits, special, rest) in split(), seed: u64) {
            let ring = ring(5, &bits);
            let poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(seed));
            let down = ring.mod_down(poly.clone(), special);
            prop_assert_eq!(down.basis(), rest);
            let p = big_product(&ring, special);
            for j in 0..ring.degree() {
                let expected = div_round(&big_centered(&ring, &poly, j), &p);
                let q = big_product(&ring, rest);
                let difference = expected - big_centered(&ring, &down, j);
                prop_assert_eq!(&difference % &q, BigInt::ZERO);
            }
            let in_ntt_domain = ring.mod_down(transformed(&ring, &poly), special);
            prop_assert_eq!(in_ntt_domain, transformed(&ring, &down));
        }

        #[test]
        fn times_special_is_undone((bits, special, rest) in split(), seed: u64) {
            let ring = ring(4, &bits);
            let poly = random_poly(&ring, rest, Domain::Ntt, &mut rng(seed));
            let mut times_p = ring.zero(ring.basis(), poly.domain());
            ring.add_times_special_assign(&mut times_p, &poly, special);
            let mut sum = random_poly(&ring, ring.basis(), Domain::Ntt, &mut rng(seed ^ 1));
            let mut expected = sum.clone();
            ring.add_assign(&mut expected, &times_p);
            ring.add_times_special_assign(&mut sum, &poly, special);
            prop_assert_eq!(sum, expected);
            prop_assert_eq!(ring.mod_down(times_p, special), poly);
        }
    }

    #[test]
    fn rescale_is_centered() {
        let ring = ring(4, &[40, 30, 20]);
        let q = ring.modulus(1).value() as i64;
        let coefficients: Vec<i64> =
            [0, 1, -1, q / 2, q / 2 + 1, -(q / 2), -(q / 2) - 1, q, -q, 3 * q + 5]
                .into_iter()
                .cycle()
                .take(16)
                .collect();
        let expected = [0, 0, 0, 0, 1, 0, -1, 1, -1, 3].into_iter().cycle().take(16);
        let rest = Basis::from_indices([0, 2]);
        let expected = ring.from_signed(&expected.collect::<Vec<i64>>(), rest);
        assert_eq!(ring.rescale(ring.from_signed(&coefficients, ring.basis()), 1), expected);
    }
}
