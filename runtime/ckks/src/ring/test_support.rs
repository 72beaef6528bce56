//! Rings and random polynomials shared by the unit tests of several files.

use chacha20::ChaCha20Rng;
use num_bigint::BigInt;
use rand_core::{Rng, SeedableRng};

use super::{Basis, Domain, Poly, Ring, ntt_primes_below};

/// A ring with one prime of each of the given bit lengths, all distinct.
pub(super) fn ring(log_n: u32, bits: &[u32]) -> Ring {
    Ring::new(log_n, &primes(log_n, bits)).unwrap()
}

/// Distinct primes of the given bit lengths, or slightly more where such a prime does not exist.
pub(super) fn primes(log_n: u32, bits: &[u32]) -> Vec<u64> {
    let mut primes: Vec<u64> = Vec::new();
    for &bits in bits {
        let fresh = (bits..=50).find_map(|bits| {
            ntt_primes_below(1 << bits, log_n)
                .take_while(|q| *q >= 1 << (bits - 1))
                .find(|q| !primes.contains(q))
        });
        primes.push(fresh.expect("rings have many 50-bit primes"));
    }
    primes
}

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Random residues with the extremes 0 and q - 1 among them.
pub(super) fn random_poly(ring: &Ring, basis: Basis, domain: Domain, rng: &mut impl Rng) -> Poly {
    let mut poly = ring.zero(basis, domain);
    for i in basis.iter() {
        let q = ring.modulus(i).value();
        let limb = poly.limb_mut(i);
        limb.iter_mut().for_each(|x| *x = rng.next_u64() % q);
        let position = rng.next_u64() as usize % (limb.len() - 1);
        limb[position] = 0;
        limb[position + 1] = q - 1;
    }
    poly
}

/// The product of the primes of a basis.
pub(super) fn big_product(ring: &Ring, basis: Basis) -> BigInt {
    basis.iter().map(|i| BigInt::from(ring.modulus(i).value())).product()
}

/// Coefficient `j` as the integer of least magnitude, by the Chinese remainder theorem.
pub(super) fn big_centered(ring: &Ring, poly: &Poly, j: usize) -> BigInt {
    assert_eq!(poly.domain(), Domain::Coefficient);
    let product = big_product(ring, poly.basis());
    let mut sum = BigInt::ZERO;
    for (i, limb) in poly.limbs() {
        let q = BigInt::from(ring.modulus(i).value());
        let cofactor: BigInt = &product / &q;
        let inverse = (&cofactor % &q).modpow(&(&q - 2), &q);
        sum += cofactor * inverse * limb[j];
    }
    sum %= &product;
    if &sum * 2 > product { sum - product } else { sum }
}
