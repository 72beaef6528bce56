//! The kernels of the ring: transforms, base conversion and products, on random residues.
//!
//! *Cold* runs over as many primes as a large chain has, each with its own tables and residues, as
//! operations on ciphertexts do; *hot* repeats one limb, which stays in cache.

use std::time::Instant;

use pic_ckks::Error;
use pic_ckks::model::op_counts::OpCounts;
use pic_ckks::ring::{Basis, Domain, Poly, Ring, ntt_primes_below};

use super::figure::{Figure, Part};
use super::measure::{Run, Stopwatch, Task, timed};
use crate::cli::error::Failure;

/// log2 of the ring degrees that have targets.
const LOG_N: [u32; 2] = [16, 15];

/// Primes of the chain.
const LIMBS: usize = 32;

/// Limbs that are converted, to all others.
const SOURCES: usize = 8;

/// Times all kernels at the ring degrees 2^16 and 2^15, as far as `wanted` has their log2. Transforms are timed per
/// limb, conversions and products per coefficient.
///
/// # Errors
/// [`Failure`] if a ring cannot be made or a row cannot be printed.
pub fn figures(stopwatch: &Stopwatch, wanted: &[u32]) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for log_n in LOG_N.into_iter().filter(|log_n| wanted.contains(log_n)) {
        let ring = |bits: u32| {
            let primes: Vec<u64> = ntt_primes_below(1 << bits, log_n).take(LIMBS).collect();
            Ring::new(log_n, &primes).map_err(Error::from)
        };
        let (large, small) = (ring(50)?, ring(46)?);
        let all = large.basis();
        let one = Basis::single(0);
        let transforms = (1u64 << log_n) as f64 * f64::from(log_n);
        let transform = Some(OpCounts { transforms, ..OpCounts::default() });
        let tasks = vec![
            forward("ntt_50_bits_cold", &large, all, transform),
            inverse("intt_50_bits_cold", &large, all, transform),
            forward("ntt_46_bits_cold", &small, all, transform),
            inverse("intt_46_bits_cold", &small, all, transform),
            forward("ntt_46_bits_hot", &small, one, None),
            inverse("intt_46_bits_hot", &small, one, None),
            conversion("convert_basis", &large),
            product("multiply_residues", &large),
        ];
        figures.extend(stopwatch.rows(Part::Kernels, log_n, tasks)?);
    }
    Ok(figures)
}

/// Seconds a limb.
fn forward<'a>(
    what: &'static str,
    ring: &'a Ring,
    basis: Basis,
    work: Option<OpCounts>,
) -> Task<'a> {
    let mut poly = random(ring, basis, 1);
    let run: Run = Box::new(move || {
        ring.intt(&mut poly);
        let start = Instant::now();
        ring.ntt(&mut poly);
        Ok(start.elapsed())
    });
    Task { what, limbs: basis.len(), count: basis.len() as f64, work, run }
}

/// Seconds a limb.
fn inverse<'a>(
    what: &'static str,
    ring: &'a Ring,
    basis: Basis,
    work: Option<OpCounts>,
) -> Task<'a> {
    let mut poly = random(ring, basis, 1);
    let run: Run = Box::new(move || {
        let start = Instant::now();
        ring.intt(&mut poly);
        let elapsed = start.elapsed();
        ring.ntt(&mut poly);
        Ok(elapsed)
    });
    Task { what, limbs: basis.len(), count: basis.len() as f64, work, run }
}

/// Seconds a coefficient and pair of limbs.
fn conversion<'a>(what: &'static str, ring: &'a Ring) -> Task<'a> {
    let from = Basis::from_indices(0..SOURCES);
    let to = ring.basis().difference(from);
    let poly = ring.uniform(&[1; 32], from, Domain::Coefficient);
    let count = (from.len() * to.len() * ring.degree()) as f64;
    // One product for each coefficient of the source, shared by all targets.
    let multiplications = 1.0 / to.len() as f64;
    let work = OpCounts { multiplications, conversions: 1.0, ..OpCounts::default() };
    let run: Run = Box::new(move || timed(|| Ok(ring.convert(&poly, to))));
    Task { what, limbs: LIMBS, count, work: Some(work), run }
}

/// Seconds a coefficient.
fn product<'a>(what: &'static str, ring: &'a Ring) -> Task<'a> {
    let basis = Basis::single(0);
    let (mut a, b) = (random(ring, basis, 1), random(ring, basis, 2));
    let run: Run = Box::new(move || {
        timed(|| {
            ring.mul_assign(&mut a, &b);
            Ok(())
        })
    });
    let work = Some(OpCounts { multiplications: 1.0, ..OpCounts::default() });
    Task { what, limbs: 1, count: ring.degree() as f64, work, run }
}

fn random(ring: &Ring, basis: Basis, seed: u8) -> Poly {
    ring.uniform(&[seed; 32], basis, Domain::Ntt)
}
