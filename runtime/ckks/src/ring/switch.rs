//! Whole key switches, a few primes at a time: gadget product, division by P, automorphism.
//!
//! Products modulo the primes to divide by are computed first and give the remainders of the
//! division. Products modulo the other primes are computed block by block, and the remainders
//! subtracted at once, so that no whole product is ever stored. Keys are applied one at a time even
//! where they share digits, because each key has remainders of its own. The meaning of the operands
//! is defined in `keys/switching.rs`.

use std::sync::Arc;

use super::gadget::DigitSource;
use super::poly::LimbBlock;
use super::rns::{BaseConverter, CrtDigits, TARGET_BLOCK};
use super::{Basis, Digits, Domain, PackedPoly, Poly, Ring};

/// Operands of one key switch. All polynomials are in the NTT domain.
#[derive(Clone, Copy)]
pub struct KeySwitch<'a> {
    /// The digits of the polynomial that is switched.
    pub digits: Digits<'a>,
    /// The switching key: a pair for each digit.
    pub key: &'a [&'a (PackedPoly, PackedPoly)],
    /// The primes of the result together with those dropped by rescaling.
    pub basis: Basis,
    /// The special primes, whose product is P.
    pub special: Basis,
    /// Primes of the basis by which the result is also divided (rescaling). D is their product.
    pub dropped: Basis,
    /// Polynomials that are added to the two halves, times P before the division.
    pub addends: [Option<&'a Poly>; 2],
    /// The odd exponent g of the automorphism X → X^g of the result; 1 for none.
    pub galois_element: u64,
}

impl Ring {
    /// Performs a key switch. For each half h of the key it returns
    /// `round((P·addends[h] + Σ digits[i]·key[i].h) / (P·D))` under the automorphism X → X^g, in the NTT
    /// domain on the primes of `basis` that are not in `dropped`. P, D and g are those of [`KeySwitch`].
    ///
    /// The result is, bit for bit, that of calling [`Ring::gadget_product`],
    /// [`Ring::add_times_special_assign`], [`Ring::mod_down`] and [`Ring::automorphism`] one after the
    /// other.
    ///
    /// # Panics
    /// If one of these four would panic, if `dropped` is not a subset of `basis`, or if `basis` and
    /// `special` have a prime in common.
    pub fn switch_key(&self, switch: &KeySwitch<'_>) -> (Poly, Poly) {
        let KeySwitch { key, basis, special, dropped, galois_element, .. } = *switch;
        assert!(basis.is_disjoint(special), "{special:?} is in the basis already");
        assert!(dropped.is_subset(basis), "{basis:?} lacks primes of {dropped:?}");
        for addend in switch.addends.into_iter().flatten() {
            self.assert_domain(addend, Domain::Ntt);
            assert!(basis.is_subset(addend.basis()), "an addend lacks primes of {basis:?}");
        }
        let target = basis.union(special);
        let pass = KeySwitchState {
            ring: self,
            switch,
            digits: DigitSource::new(self, switch.digits, target),
            special_converter: self.converter(special),
            division: self.converter(special.union(dropped)),
        };
        self.assert_key(key, pass.digits.len(), target);
        let remainders = pass.remainders();
        let permutation = (galois_element != 1).then(|| self.permutation(galois_element));
        let (mut c0, mut c1) = pass.scratch(basis.difference(dropped));
        c0.for_each_block_pair(&mut c1, TARGET_BLOCK, |indices, mut c0, mut c1| {
            let Some(permutation) = &permutation else {
                return pass.quotients(&remainders, indices, (&mut c0, &mut c1));
            };
            let (mut x0, mut x1) = pass.scratch(Basis::from_indices(indices.iter().copied()));
            pass.quotients(&remainders, indices, (&mut x0.block(), &mut x1.block()));
            let images = c0.iter_mut().chain(c1.iter_mut());
            for (image, (_, x)) in images.zip(x0.limbs().chain(x1.limbs())) {
                permutation.apply(self.kernels, image, x);
            }
        });
        (c0, c1)
    }
}

/// State of a key switch.
struct KeySwitchState<'a> {
    ring: &'a Ring,
    switch: &'a KeySwitch<'a>,
    digits: DigitSource<'a>,
    /// Conversion from the special primes.
    special_converter: Arc<BaseConverter>,
    /// Conversion from the special primes and the dropped primes.
    division: Arc<BaseConverter>,
}

impl KeySwitchState<'_> {
    /// The remainders of the division.
    fn remainders(&self) -> (CrtDigits, CrtDigits) {
        let (ring, KeySwitch { key, dropped, addends, .. }) = (self.ring, *self.switch);
        let (mut x0, mut x1) = self.scratch(self.division.sources());
        x0.for_each_block_pair(&mut x1, TARGET_BLOCK, |indices, mut x0, mut x1| {
            self.digits.inner_products(ring, key, indices, (&mut x0, &mut x1), |i, x| {
                for (x, addend) in x.into_iter().zip(addends) {
                    // P is zero modulo the special primes.
                    if let (true, Some(addend)) = (dropped.contains(i), addend) {
                        ring.add_scaled_limb(
                            i,
                            x,
                            addend.limb(i),
                            self.special_converter.product(i),
                        );
                    }
                    ring.primes[i].ntt.inverse_scaled(x, self.division.cofactor_inverse(i));
                }
            });
        });
        let terms = |mut residues: Poly| {
            residues.set_domain(Domain::Coefficient);
            CrtDigits::from_residues(ring, Arc::clone(&self.division), residues)
        };
        rayon::join(|| terms(x0), || terms(x1))
    }

    /// The quotients modulo the primes of a block.
    fn quotients(
        &self,
        remainders: &(CrtDigits, CrtDigits),
        indices: &[usize],
        (x0, x1): (&mut LimbBlock<'_>, &mut LimbBlock<'_>),
    ) {
        let (ring, KeySwitch { key, addends, .. }) = (self.ring, *self.switch);
        self.digits.inner_products(ring, key, indices, (&mut *x0, &mut *x1), |_, _| ());
        let finish = |x: &mut LimbBlock<'_>, remainder: &CrtDigits, addend: Option<&Poly>| {
            remainder.divide(ring, Domain::Ntt, indices, x);
            let Some(addend) = addend else { return };
            for (&i, x) in indices.iter().zip(x.iter_mut()) {
                let inverse = self.division.product_inverse(i);
                let factor = ring.modulus(i).mul(self.special_converter.product(i), inverse);
                ring.add_scaled_limb(i, x, addend.limb(i), factor);
            }
        };
        finish(x0, &remainders.0, addends[0]);
        finish(x1, &remainders.1, addends[1]);
    }

    fn scratch(&self, basis: Basis) -> (Poly, Poly) {
        let scratch = || self.ring.scratch(basis, Domain::Ntt);
        (scratch(), scratch())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{random_poly, ring, rng};
    use super::*;
    use proptest::prelude::*;

    /// The key switch by operations on whole polynomials.
    fn composed(ring: &Ring, switch: &KeySwitch<'_>) -> (Poly, Poly) {
        let KeySwitch { digits, key, basis, special, dropped, addends, galois_element } = *switch;
        let (u0, u1) = ring.gadget_product(basis.union(special), digits, key);
        let [c0, c1] = [(u0, addends[0]), (u1, addends[1])].map(|(mut u, addend)| {
            if let Some(addend) = addend {
                ring.add_times_special_assign(&mut u, &addend.restricted(basis), special);
            }
            let divided = ring.mod_down(u, special.union(dropped));
            ring.automorphism(&divided, galois_element)
        });
        (c0, c1)
    }

    /// Role of each prime of a random ring: absent, in one of three digits, in none, to be
    /// dropped, special.
    fn roles() -> impl Strategy<Value = (Vec<u32>, [Basis; 7])> {
        prop::collection::vec((20u32..=50, 0usize..7), 2..=14).prop_map(|primes| {
            let (bits, roles): (Vec<_>, Vec<_>) = primes.into_iter().unzip();
            let basis = |role| Basis::from_indices((0..roles.len()).filter(|&i| roles[i] == role));
            (bits, std::array::from_fn(basis))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_the_composition_of_its_steps(
            log_n in 4u32..=10,
            (bits, [_, d0, d1, d2, rest, dropped, special]) in roles(),
            with_addends: [bool; 2],
            galois in prop_oneof![Just(1), any::<u64>()],
            seed: u64,
        ) {
            let digits: Vec<Basis> = [d0, d1, d2].into_iter().filter(|d| !d.is_empty()).collect();
            prop_assume!(!digits.is_empty() && !special.is_empty());
            let ring = ring(log_n, &bits);
            let basis = [d0, d1, d2, rest].into_iter().fold(dropped, Basis::union);
            let mut rng = rng(seed);
            let mut random = |basis| random_poly(&ring, basis, Domain::Ntt, &mut rng);
            let (poly, addends) = (random(basis), [random(basis), random(ring.basis())]);
            let mut packed = |basis| ring.pack(&random(basis));
            let mut pair = || (packed(ring.basis()), packed(basis.union(special)));
            let key: Vec<_> = digits.iter().map(|_| pair()).collect();
            let key: Vec<_> = key.iter().collect();
            let raised: Vec<Poly> =
                digits.iter().map(|&d| ring.mod_up(&poly, d, basis.union(special))).collect();
            for digits in [Digits::Of(&poly, &digits), Digits::Raised(&raised)] {
                let addends = [0, 1].map(|h| with_addends[h].then_some(&addends[h]));
                let (key, galois_element) = (&key[..], galois | 1);
                let switch =
                    KeySwitch { digits, key, basis, special, dropped, addends, galois_element };
                prop_assert_eq!(ring.switch_key(&switch), composed(&ring, &switch));
            }
        }
    }
}
