//! Operations of the scheme at the sizes that networks use. One thread: `RAYON_NUM_THREADS=1`.

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pic_ckks::model::{ChebyshevPlan, Parameters, SecurityLevel};
use pic_ckks::{
    Context, EvaluationKeys, Evaluator, KeyRequest, LinearTransform, SecretKey, Term,
    TransformShape, secret_rng,
};

/// log2 N, limbs, digits; all 128-bit secure.
const SIZES: [(u32, usize, usize); 6] =
    [(13, 4, 4), (14, 8, 4), (15, 11, 3), (15, 14, 3), (16, 11, 3), (16, 24, 3)];

const SCALE: f64 = (1u64 << 40) as f64;
/// 8 × 8 baby and giant steps.
const DIAGONALS: i64 = 64;

fn operations(c: &mut Criterion) {
    for (log_n, limbs, digits) in SIZES {
        let moduli: Vec<f64> = (0..limbs).map(|i| if i == 0 { 45.0 } else { 40.0 }).collect();
        let digit_size = limbs.div_ceil(digits);
        let special = vec![40.3 + 5.0 / digit_size as f64; digit_size];
        let parameters =
            Parameters::from_bits(log_n, &moduli, &special, digits, SecurityLevel::Bits128)
                .unwrap();
        let (slots, level) = (parameters.max_slots(), parameters.max_level());
        let context = Context::new(parameters).unwrap();
        let mut rng = secret_rng().unwrap();
        let secret = SecretKey::generate(&context, &mut rng);
        let rotations: Vec<i64> = (1..8).chain((1..=8).map(|g| 8 * g)).collect();
        let request = KeyRequest {
            relinearization: Some(level),
            rotations: rotations.iter().map(|&r| (r, level)).collect(),
            conjugation: None,
            encapsulation: false,
        };
        let keys = EvaluationKeys::generate(&secret, &request, &mut rng).unwrap();
        let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
        let values: Vec<f64> = (0..slots).map(|j| (j as f64).sin()).collect();
        let plaintext = context.encode(&values, SCALE, level).unwrap();
        let x = secret.encrypt(&plaintext, &mut rng).unwrap().expand(&context).unwrap();

        let mut group = c.benchmark_group(format!("2^{log_n}, {limbs} limbs, {digits} digits"));
        group.sample_size(20).warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_secs(1));
        macro_rules! bench {
            ($name:expr, $operation:expr) => {
                group.bench_function($name, |b| b.iter(|| $operation.unwrap()))
            };
        }
        bench!("encode", context.encode(&values, SCALE, level));
        bench!("encrypt", secret.encrypt(&plaintext, &mut rng));
        bench!("decrypt and decode", context.decode(&secret.decrypt(&x).unwrap()));
        bench!("plaintext product", evaluator.multiply_plain(&x, &plaintext));
        bench!("rescale", evaluator.rescale(x.clone()));
        bench!("rotate", evaluator.rotate(&x, 1));
        bench!("8 hoisted rotations", evaluator.rotate_hoisted(&x, &rotations[..8]));
        let y = x.clone();
        bench!("multiply, relinearise, rescale", evaluator.multiply_rescale(&x, &y));

        let (input_scale, output_scale) = (SCALE, SCALE);
        let shape =
            TransformShape { inputs: 1, outputs: 1, slots, level, input_scale, output_scale };
        let term = |k: i64| Term { output: 0, input: 0, giant: k / 8 * 8, baby: k % 8 };
        for (name, budget) in [("64 diagonals, NTT form", usize::MAX), ("64 diagonals, compact", 0)]
        {
            let terms = (0..DIAGONALS).map(|k| (term(k), values.clone()));
            let transform = LinearTransform::new(&context, shape, terms, budget).unwrap();
            bench!(name, evaluator.transform(std::slice::from_ref(&x), &transform));
        }
        for degree in [3, 7, 15, 27, 59] {
            let coefficients: Vec<f64> = (1..=degree + 1).map(|i| 1.0 / f64::from(i)).collect();
            let plan = ChebyshevPlan::new(&coefficients).unwrap();
            if (plan.depth() as usize) < limbs {
                let name = format!("Chebyshev, degree {degree}");
                bench!(name, evaluator.evaluate_chebyshev(&x, &plan, SCALE));
            }
        }
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
