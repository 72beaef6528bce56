//! Conversion of polynomials from signed integers, to real numbers, and from raw bytes.

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::kernels::CHUNK;
use super::kernels::Kernels;
use super::{Basis, Domain, Modulus, Poly, Ring, RingError};

impl Ring {
    /// The polynomial with the given `N` signed coefficients, in the coefficient domain.
    ///
    /// # Panics
    /// If there are not `N` coefficients.
    pub fn from_signed<T: Copy + Into<i64> + Sync>(
        &self,
        coefficients: &[T],
        basis: Basis,
    ) -> Poly {
        assert_eq!(coefficients.len(), self.degree(), "one coefficient is needed for each power");
        let mut poly = self.scratch(basis, Domain::Coefficient);
        poly.for_each_limb(|i, limb| {
            for (limb, coefficients) in limb.chunks_mut(CHUNK).zip(coefficients.chunks(CHUNK)) {
                for (word, &c) in limb.iter_mut().zip(coefficients) {
                    *word = c.into().cast_unsigned();
                }
                self.kernels.reduce_signed(self.modulus(i), limb);
            }
        });
        poly
    }

    /// The polynomial with the given `N` signed coefficients of up to 127 bits, in the coefficient
    /// domain.
    ///
    /// # Panics
    /// If there are not `N` coefficients.
    pub fn from_signed_wide(&self, coefficients: &[i128], basis: Basis) -> Poly {
        assert_eq!(coefficients.len(), self.degree(), "one coefficient is needed for each power");
        let mut poly = self.scratch(basis, Domain::Coefficient);
        poly.for_each_limb(|i, limb| {
            let m = self.modulus(i);
            for (residue, &c) in limb.iter_mut().zip(coefficients) {
                *residue = m.reduce_i128(c);
            }
        });
        poly
    }

    /// Reads a polynomial in the format of [`Poly::write_to`].
    ///
    /// # Errors
    /// [`RingError::UnknownBasis`], [`RingError::Length`] or [`RingError::Residue`] if the bytes
    /// are not canonical limbs of that basis. Memory is allocated only after the length has been
    /// checked.
    pub fn read(&self, bytes: &[u8], basis: Basis, domain: Domain) -> Result<Poly, RingError> {
        if !basis.is_subset(self.basis()) {
            return Err(RingError::UnknownBasis { basis });
        }
        let limb_bytes = 8 * self.degree();
        let expected = limb_bytes * basis.len();
        if bytes.len() != expected {
            return Err(RingError::Length { expected, actual: bytes.len() });
        }
        let mut poly = self.scratch(basis, domain);
        for (i, bytes) in basis.iter().zip(bytes.chunks_exact(limb_bytes)) {
            let prime = self.modulus(i).value();
            let limb = poly.limb_mut(i);
            let (words, _) = bytes.as_chunks::<8>();
            for (residue, word) in limb.iter_mut().zip(words) {
                *residue = u64::from_le_bytes(*word);
            }
            if let Some(position) = limb.iter().position(|&residue| residue >= prime) {
                return Err(RingError::Residue { prime, position, value: limb[position] });
            }
        }
        Ok(poly)
    }

    /// The centered coefficients divided by `2^log_scale`, in double precision: the relative error
    /// of each is below 2^-51 at any magnitude from 1 to half the modulus.
    ///
    /// Garner's mixed-radix method with balanced digits (Knuth, TAOCP 2, 4.3.2), so that the digits
    /// above the size of a coefficient are zero; it stops at the highest digit that is nonzero in a
    /// group of coefficients. Intermediate values are zeroised.
    /// coefficients needs. What it keeps on the way is zeroised.
    ///
    /// # Panics
    /// If the polynomial is not in the coefficient domain.
    pub fn to_real(&self, poly: &Poly, log_scale: i32) -> Zeroizing<Vec<f64>> {
        self.assert_own(poly);
        assert_eq!(poly.domain(), Domain::Coefficient, "only coefficients can be recombined");
        let radices: Vec<Radix> = {
            let moduli: Vec<&Modulus> = poly.basis().iter().map(|i| self.modulus(i)).collect();
            moduli.iter().enumerate().map(|(i, m)| Radix::new(m, &moduli[..i])).collect()
        };
        let limbs: Vec<&[u64]> = poly.limbs().map(|(_, limb)| limb).collect();
        let mut reals = Zeroizing::new(vec![0.0; self.degree()]);
        let group = CHUNK.min(self.degree());
        reals.par_chunks_mut(group).enumerate().with_min_len(8).for_each_init(
            || {
                Zeroizing::new((
                    vec![vec![0; group]; limbs.len()],
                    [vec![0; group], vec![0; group]],
                ))
            },
            |work, (position, reals)| {
                let (digits, buffers) = &mut **work;
                for (digits, limb) in digits.iter_mut().zip(&limbs) {
                    digits.copy_from_slice(&limb[group * position..][..group]);
                }
                let needed = to_mixed_radix(self.kernels, digits, &radices, buffers);
                for (j, real) in reals.iter_mut().enumerate() {
                    let digits = digits[..needed].iter().map(|d| d[j]);
                    *real = mixed_radix_to_real(digits.zip(&radices).rev(), log_scale);
                }
            },
        );
        reals
    }
}

/// A prime as the radix of a mixed-radix digit.
struct Radix {
    m: Modulus,
    /// The inverses of the radices before.
    inverses: Vec<u64>,
}

impl Radix {
    fn new(m: &Modulus, before: &[&Modulus]) -> Self {
        let inverse = |radix: &&Modulus| m.inv(m.reduce_u64(radix.value()));
        Self { m: *m, inverses: before.iter().map(inverse).collect() }
    }
}

/// Turns the residues of a group of coefficients, by prime, into mixed-radix digits, in place, and
/// returns how many digits can be nonzero. The buffers are as long as the group.
fn to_mixed_radix(
    kernels: Kernels,
    residues: &mut [Vec<u64>],
    radices: &[Radix],
    [centered, reduced]: &mut [Vec<u64>; 2],
) -> usize {
    for k in 0..residues.len() {
        if residues[k..].iter().all(|residues| residues.iter().fold(0, |any, r| any | r) == 0) {
            return k;
        }
        let (done, rest) = residues.split_at_mut(k + 1);
        for (word, &digit) in centered.iter_mut().zip(&done[k]) {
            *word = radices[k].m.centered(digit).cast_unsigned();
        }
        for (residues, Radix { m, inverses }) in rest.iter_mut().zip(&radices[k + 1..]) {
            reduced.copy_from_slice(centered);
            kernels.reduce_signed(m, reduced);
            kernels.sub_mul_scalar(m, residues, reduced, inverses[k]);
        }
    }
    residues.len()
}

/// Horner's rule from the top digit, in 128-bit integers with a common exponent.
fn mixed_radix_to_real<'a>(digits: impl Iterator<Item = (u64, &'a Radix)>, log_scale: i32) -> f64 {
    /// Bits kept, so that the product with a 50-bit radix fits; the rest is below the rounding error.
    const KEPT: u32 = 76;
    let (mut mantissa, mut exponent) = (0i128, 0);
    for (digit, Radix { m, .. }) in digits {
        let digit = m.centered(digit) >> exponent.min(63);
        mantissa = mantissa * i128::from(m.value()) + i128::from(digit);
        if mantissa.unsigned_abs() >> KEPT != 0 {
            let excess = 128 - mantissa.unsigned_abs().leading_zeros() - KEPT;
            mantissa >>= excess;
            exponent += excess;
        }
    }
    scale_by_power_of_two(wide_to_real(mantissa), exponent as i32 - log_scale)
}

/// `x as f64`, rounded up to three times instead of once, for a third of the time.
fn wide_to_real(x: i128) -> f64 {
    const HIGH: f64 = (1u128 << 64) as f64;
    let magnitude = x.unsigned_abs();
    let real = (magnitude >> 64) as u64 as f64 * HIGH + magnitude as u64 as f64;
    if x < 0 { -real } else { real }
}

/// `x · 2^exponent` in two steps, so that powers out of range matter only if the result is, too.
fn scale_by_power_of_two(x: f64, exponent: i32) -> f64 {
    let power = |e: i32| f64::from_bits(((e.clamp(-1022, 1023) + 1023) as u64) << 52);
    let half = exponent / 2;
    x * power(half) * power(exponent - half)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{big_centered, big_product, random_poly, ring, rng};
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    /// `x / 2^shift`, rounded once (truncated to 64 bits and a sticky bit first).
    fn big_to_f64(x: &BigInt, shift: i32) -> f64 {
        let excess = x.bits().saturating_sub(64);
        let top: BigInt = x >> excess;
        let sticky = i128::from((&top << excess) != *x);
        let top = i128::try_from(top).unwrap() * 2 + sticky;
        scale_by_power_of_two(top as f64, excess as i32 - 1 - shift)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn signed_integers_keep_their_value(bits in prop::collection::vec(44u32..=50, 3), seed: u64) {
            let ring = ring(4, &bits);
            let mut rng = rng(seed);
            use rand_core::Rng;
            let narrow: Vec<i64> = (0..16).map(|s| rng.next_u64() as i64 >> (3 * s)).collect();
            let wide: Vec<i128> =
                narrow.iter().map(|&x| i128::from(x) * i128::from(rng.next_u64() >> 1)).collect();
            let (narrow_poly, wide_poly) =
                (ring.from_signed(&narrow, ring.basis()), ring.from_signed_wide(&wide, ring.basis()));
            for j in 0..16 {
                prop_assert_eq!(big_centered(&ring, &narrow_poly, j), BigInt::from(narrow[j]));
                prop_assert_eq!(big_centered(&ring, &wide_poly, j), BigInt::from(wide[j]));
            }
        }

        /// Coefficients of every size from zero to the whole modulus.
        #[test]
        fn reals_are_right_to_double_precision(
            bits in prop::collection::vec(20u32..=50, 1..30),
            log_scale in -30i32..1000,
            seed: u64,
        ) {
            let ring = ring(6, &bits);
            let mut poly = random_poly(&ring, ring.basis(), Domain::Coefficient, &mut rng(seed));
            let total = big_product(&ring, ring.basis()).bits();
            for j in 0..ring.degree() {
                let shift = total * j as u64 / 64;
                let value: BigInt = big_centered(&ring, &poly, j) >> shift;
                for i in 0..bits.len() {
                    let q = BigInt::from(ring.modulus(i).value());
                    poly.limb_mut(i)[j] = u64::try_from(((&value % &q) + &q) % &q).unwrap();
                }
            }
            for (j, &real) in ring.to_real(&poly, log_scale + 450).iter().enumerate() {
                let expected = big_to_f64(&big_centered(&ring, &poly, j), log_scale + 450);
                let bound = expected.abs() * 2f64.powi(-51) + f64::MIN_POSITIVE;
                prop_assert!((real - expected).abs() <= bound, "{j}: {real:e} for {expected:e}");
            }
        }

        #[test]
        fn bytes_round_trip(bits in prop::collection::vec(20u32..=50, 1..5), seed: u64) {
            let ring = ring(5, &bits);
            let basis = Basis::from_indices((0..bits.len()).step_by(2));
            let poly = random_poly(&ring, basis, Domain::Ntt, &mut rng(seed));
            let mut bytes = Vec::new();
            poly.write_to(&mut bytes).unwrap();
            prop_assert_eq!(ring.read(&bytes, basis, Domain::Ntt).unwrap(), poly);
        }
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let ring = ring(4, &[30, 20]);
        let (basis, q) = (ring.basis(), ring.modulus(1).value());
        let mut bytes = vec![0; 2 * 16 * 8];
        let read = |bytes: &[u8], basis| ring.read(bytes, basis, Domain::Coefficient);
        assert!(read(&bytes, basis).is_ok());
        assert_eq!(
            read(&bytes[1..], basis).unwrap_err(),
            RingError::Length { expected: 256, actual: 255 }
        );
        let alien = Basis::from_indices([0, 2]);
        assert_eq!(read(&bytes, alien).unwrap_err(), RingError::UnknownBasis { basis: alien });
        bytes[128 + 24..][..8].copy_from_slice(&q.to_le_bytes());
        let expected = RingError::Residue { prime: q, position: 3, value: q };
        assert_eq!(read(&bytes, basis).unwrap_err(), expected);
    }
}
