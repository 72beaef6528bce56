//! Random polynomials: public uniform ones expanded from a seed and, with feature `client`, secrets
//! and errors.

#[cfg(feature = "client")]
mod secret;

#[cfg(feature = "client")]
pub use secret::*;

use super::{Basis, Domain, Modulus, Poly, Ring};

/// Bytes of a public seed.
pub const SEED_BYTES: usize = 32;

const UNIFORM_CONTEXT: &[u8] = b"pic-ckks uniform limb v1";

impl Ring {
    /// The uniform polynomial expanded from a public seed, in the given domain.
    ///
    /// The limb of a prime depends on seed, degree and prime alone, so that a restricted basis gives
    /// the same limbs. The stream is part of the file format: BLAKE3 keyed with the seed, over the
    /// context string `pic-ckks uniform limb v1`, `log2(N)` as one byte and the prime as eight; its
    /// output is read as little-endian words `u`, each giving `floor(u·q / 2^64)` unless
    /// `u·q mod 2^64 < 2^64 mod q`, in which case it is skipped (Lemire, "Fast random integer
    /// generation in an interval", 2019). All integers little-endian.
    pub fn uniform(&self, seed: &[u8; SEED_BYTES], basis: Basis, domain: Domain) -> Poly {
        let mut poly = self.scratch(basis, domain);
        poly.for_each_limb(|i, limb| uniform_limb(seed, self.log_n, self.modulus(i), limb));
        poly
    }
}

fn uniform_limb(seed: &[u8; SEED_BYTES], log_n: u32, m: &Modulus, limb: &mut [u64]) {
    let q = m.value();
    let skipped_below = q.wrapping_neg() % q; // 2^64 mod q
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(UNIFORM_CONTEXT).update(&[log_n as u8]).update(&q.to_le_bytes());
    let mut stream = hasher.finalize_xof();
    let mut bytes = [0; 8192];
    let mut filled = 0;
    while filled < limb.len() {
        let wanted = (8 * (limb.len() - filled)).min(bytes.len());
        stream.fill(&mut bytes[..wanted]);
        for word in bytes[..wanted].as_chunks::<8>().0 {
            let product = u128::from(u64::from_le_bytes(*word)) * u128::from(q);
            limb[filled] = (product >> 64) as u64;
            filled += usize::from(product as u64 >= skipped_below);
        }
    }
}

/// χ² of observed counts against expected ones, per degree of freedom minus one, in standard
/// deviations: about N(0, 1) for the right distribution.
#[cfg(test)]
fn chi_square_z(counts: &[u64], expected: &[f64]) -> f64 {
    let chi: f64 = counts.iter().zip(expected).map(|(&c, e)| (c as f64 - e).powi(2) / e).sum();
    let freedom = (counts.len() - 1) as f64;
    (chi - freedom) / (2.0 * freedom).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::test_support::ring;
    use super::*;

    #[test]
    fn uniform_fills_the_range_evenly() {
        // 2^64 is no multiple of q, and a prime just above a power of two.
        let ring = ring(14, &[50, 20]);
        let poly = ring.uniform(&[7; 32], ring.basis(), Domain::Ntt);
        for (i, limb) in poly.limbs() {
            let q = ring.modulus(i).value();
            let mut counts = [0; 64];
            for &x in limb {
                assert!(x < q);
                counts[(u128::from(x) * 64 / u128::from(q)) as usize] += 1;
            }
            let z = chi_square_z(&counts, &[limb.len() as f64 / 64.0; 64]);
            assert!(z.abs() < 5.0, "{z}");
        }
    }

    /// Computed from the documented construction with the reference BLAKE3 in another language.
    #[test]
    fn uniform_stream_is_stable() {
        let ring = Ring::new(6, &[1_125_899_906_840_833]).unwrap();
        let seed = std::array::from_fn(|i| i as u8);
        let poly = ring.uniform(&seed, ring.basis(), Domain::Ntt);
        let head = [442975129910206, 1095101291231773, 748675568009631, 61879104898532];
        assert_eq!(poly.limb(0)[..4], head);
        assert_eq!(poly.limb(0)[63], 378449329273041);
    }

    #[test]
    fn uniform_limbs_depend_on_seed_and_prime_alone() {
        let ring = ring(6, &[50, 40, 30]);
        let full = ring.uniform(&[1; 32], ring.basis(), Domain::Ntt);
        let part = Basis::from_indices([0, 2]);
        assert_eq!(ring.uniform(&[1; 32], part, Domain::Ntt), full.restricted(part));
        assert_ne!(ring.uniform(&[2; 32], part, Domain::Ntt), full.restricted(part));
        assert_ne!(full.limb(0)[..8], full.limb(1)[..8]);
    }
}
