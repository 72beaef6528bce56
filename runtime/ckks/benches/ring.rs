//! Speed of the ring layer on random data: kernels by the limb, and the skeleton of a key switch.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p pic-ckks --bench ring [filter]`; wall-clock times, so on a
//! machine that does other work look at the lower end. "hot" runs over one limb again and again, "cold"
//! over 32 limbs with 32 sets of tables, which is what operations on ciphertexts do. Throughput is in
//! residues a second.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pic_ckks::ring::{
    Basis, Digits, Domain, KernelSet, KeySwitch, Poly, Ring, detect_kernels, kernels_available,
    ntt_primes_below,
};

const COLD_LIMBS: usize = 32;

fn ring(log_n: u32, bits: u32, limbs: usize, kernels: KernelSet) -> Ring {
    let primes: Vec<u64> = ntt_primes_below(1 << bits, log_n).take(limbs).collect();
    Ring::with_kernels(log_n, &primes, kernels).expect("the kernels are available")
}

fn random(ring: &Ring, basis: Basis, seed: u8) -> Poly {
    ring.uniform(&[seed; 32], basis, Domain::Ntt)
}

fn kernels() -> impl Iterator<Item = KernelSet> {
    KernelSet::ALL.into_iter().filter(|&set| kernels_available(set))
}

fn transforms(c: &mut Criterion) {
    let mut group = c.benchmark_group("transform");
    for kernels in kernels() {
        for (log_n, bits) in [(16, 50), (16, 45), (15, 50), (15, 45), (14, 45)] {
            for (state, limbs) in [("hot", 1), ("cold", COLD_LIMBS)] {
                let ring = ring(log_n, bits, limbs, kernels);
                let parameter = format!("{kernels}, 2^{log_n}, {bits} bits, {state}");
                group.throughput(Throughput::Elements((limbs << log_n) as u64));
                let mut poly = random(&ring, ring.basis(), 1);
                // One direction undoes the other, so that neither needs a copy.
                group.bench_function(BenchmarkId::new("inverse and forward", parameter), |b| {
                    b.iter(|| {
                        ring.intt(&mut poly);
                        ring.ntt(&mut poly);
                    });
                });
            }
        }
    }
}

fn pointwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("pointwise");
    for kernels in kernels() {
        for (state, limbs) in [("hot", 1), ("cold", COLD_LIMBS)] {
            let ring = ring(15, 50, limbs, kernels);
            let parameter = format!("{kernels}, 2^15, {state}");
            group.throughput(Throughput::Elements((limbs << 15) as u64));
            let (mut x, y) = (random(&ring, ring.basis(), 1), random(&ring, ring.basis(), 2));
            group.bench_function(BenchmarkId::new("mul", &parameter), |b| {
                b.iter(|| ring.mul_assign(&mut x, &y));
            });
            group.bench_function(BenchmarkId::new("add", &parameter), |b| {
                b.iter(|| ring.add_assign(&mut x, &y));
            });
            group.bench_function(BenchmarkId::new("automorphism", &parameter), |b| {
                b.iter(|| black_box(ring.automorphism(&x, 5)));
            });
        }
    }
}

/// Throughput is in residues times source limbs times target limbs.
fn base_conversion(c: &mut Criterion) {
    let mut group = c.benchmark_group("base conversion");
    for kernels in kernels() {
        for (log_n, sources, targets) in [(16, 8, 24), (15, 4, 12), (12, 8, 24)] {
            let ring = ring(log_n, 50, sources + targets, kernels);
            let from = Basis::from_indices(0..sources);
            let to = ring.basis().difference(from);
            let poly = ring.uniform(&[1; 32], from, Domain::Coefficient);
            group.throughput(Throughput::Elements(((sources * targets) << log_n) as u64));
            let parameter = format!("{kernels}, 2^{log_n}, {sources} to {targets}");
            group.bench_function(BenchmarkId::from_parameter(parameter), |b| {
                b.iter(|| black_box(ring.convert(&poly, to)));
            });
        }
    }
}

/// ModUp, inner product with a random key, ModDown, automorphism.
fn key_switch(c: &mut Criterion) {
    let mut group = c.benchmark_group("key switch");
    group.sample_size(20);
    for kernels in kernels() {
        for (log_n, bits, limbs, special) in
            [(16, 50, 24, 8), (16, 50, 11, 4), (15, 45, 11, 4), (14, 45, 8, 2)]
        {
            let ring = ring(log_n, bits, limbs + special, kernels);
            let primes: Vec<usize> = (0..limbs).collect();
            let digits: Vec<Basis> =
                primes.chunks(special).map(|c| Basis::from_indices(c.iter().copied())).collect();
            let special = Basis::from_indices(limbs..limbs + special);
            let all = ring.basis();
            let half = |seed| ring.pack(&random(&ring, all, seed));
            let key: Vec<_> =
                (0..digits.len() as u8).map(|i| (half(2 * i), half(2 * i + 1))).collect();
            let key: Vec<_> = key.iter().collect();
            let poly = random(&ring, all.difference(special), 100);
            let switch = |digits| KeySwitch {
                digits,
                key: &key,
                basis: poly.basis(),
                special,
                dropped: Basis::EMPTY,
                addends: [Some(&poly), None],
                galois_element: 5,
            };
            let parameter = format!("{kernels}, 2^{log_n}, {limbs} limbs, {} digits", digits.len());
            group.bench_function(BenchmarkId::new("one rotation", &parameter), |b| {
                b.iter(|| black_box(ring.switch_key(&switch(Digits::Of(&poly, &digits)))));
            });
            let raised: Vec<Poly> = digits.iter().map(|&d| ring.mod_up(&poly, d, all)).collect();
            group.bench_function(BenchmarkId::new("hoisted rotation", &parameter), |b| {
                b.iter(|| black_box(ring.switch_key(&switch(Digits::Raised(&raised)))));
            });
            group.bench_function(BenchmarkId::new("rescale", &parameter), |b| {
                b.iter_batched(
                    || poly.clone(),
                    |poly| black_box(ring.rescale(poly, limbs - 1)),
                    BatchSize::LargeInput,
                );
            });
        }
    }
}

fn sampling(c: &mut Criterion) {
    let ring =
        ring(15, 50, 1, detect_kernels().expect("PIC_KERNELS names kernels of this processor"));
    let mut group = c.benchmark_group("sampling");
    group.throughput(Throughput::Elements(1 << 15));
    group.bench_function("uniform", |b| b.iter(|| black_box(random(&ring, ring.basis(), 1))));
}

criterion_group!(benches, transforms, pointwise, base_conversion, key_switch, sampling);
criterion_main!(benches);
