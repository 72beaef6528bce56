//! Operations of the scheme at the sizes that networks use. One thread: `RAYON_NUM_THREADS=1`.

use std::cell::LazyCell;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pic_ckks::model::{ChebyshevPlan, Parameters, SecurityLevel};
use pic_ckks::{
    Ciphertext, ComplexPart, Context, EvaluationKeys, Evaluator, Hoisting, KeyRequest,
    LinearTransform, Plaintext, SecretKey, Term, TransformShape, secret_rng,
};

/// log2 N, limbs, digits; all 128-bit secure.
const SIZES: [(u32, usize, usize); 6] =
    [(13, 4, 4), (14, 8, 4), (15, 11, 3), (15, 14, 3), (16, 11, 3), (16, 24, 3)];

const SCALE: f64 = (1u64 << 40) as f64;
/// Rotations of the hoisted benchmark; baby steps, and the first giant step, of the transform.
const HOISTED: RangeInclusive<i64> = 1..=8;
/// 8 × 8 baby and giant steps.
const DIAGONALS: i64 = 64;

/// Context, keys and operands for the operations of one size, made when the first of them runs.
struct Setup {
    context: Arc<Context>,
    secret: SecretKey,
    evaluator: Evaluator,
    level: usize,
    values: Vec<f64>,
    plaintext: Plaintext,
    x: Ciphertext,
    y: Ciphertext,
}

impl Setup {
    fn new(log_n: u32, limbs: usize, digits: usize) -> Self {
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
        let rotations = HOISTED.chain((2..=8).map(|g| 8 * g));
        let request = KeyRequest {
            relinearization: Some(level),
            rotations: rotations.map(|r| (r, level)).collect(),
            conjugation: None,
            encapsulation: None,
        };
        let keys = EvaluationKeys::generate(&secret, &request, &mut rng).unwrap();
        let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
        let values: Vec<f64> = (0..slots).map(|j| (j as f64).sin()).collect();
        let plaintext = context.encode(&values, SCALE, level).unwrap();
        let x = secret.encrypt(&plaintext, &mut rng).unwrap().expand(&context).unwrap();
        let y = x.clone();
        Self { context, secret, evaluator, level, values, plaintext, x, y }
    }

    fn transform(&self, ntt_budget: usize) -> LinearTransform {
        let (level, slots) = (self.level, self.values.len());
        let (input_scale, output_scale) = (SCALE, SCALE);
        let shape = TransformShape {
            inputs: 1,
            outputs: 1,
            slots,
            level,
            input_scale,
            output_scale,
            hoisting: Hoisting::Double,
            part: ComplexPart::Whole,
        };
        let term = |k: i64| Term { output: 0, input: 0, giant: k / 8 * 8, baby: k % 8 };
        let terms = (0..DIAGONALS).map(|k| (term(k), self.values.clone()));
        LinearTransform::new(&self.context, shape, terms, ntt_budget).unwrap()
    }
}

fn operations(c: &mut Criterion) {
    for (log_n, limbs, digits) in SIZES {
        let setup = LazyCell::new(|| Setup::new(log_n, limbs, digits));
        let mut group = c.benchmark_group(format!("2^{log_n}, {limbs} limbs, {digits} digits"));
        group.sample_size(20).warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_secs(1));
        macro_rules! bench {
            ($name:expr, |$s:ident| $operation:expr) => {
                group.bench_function($name, |b| {
                    let $s = &*setup;
                    b.iter(|| $operation.unwrap())
                })
            };
        }
        bench!("encode", |s| s.context.encode(&s.values, SCALE, s.level));
        let mut rng = secret_rng().unwrap();
        bench!("encrypt", |s| s.secret.encrypt(&s.plaintext, &mut rng));
        bench!("decrypt and decode", |s| s.context.decode(&s.secret.decrypt(&s.x).unwrap()));
        bench!("plaintext product", |s| s.evaluator.multiply_plain(&s.x, &s.plaintext));
        bench!("rescale", |s| s.evaluator.rescale(s.x.clone()));
        bench!("rotate", |s| s.evaluator.rotate(&s.x, 1));
        let rotations: Vec<i64> = HOISTED.collect();
        bench!("8 hoisted rotations", |s| s.evaluator.rotate_hoisted(&s.x, &rotations));
        bench!("multiply, relinearise, rescale", |s| s.evaluator.multiply_rescale(&s.x, &s.y));

        for (name, budget) in [("64 diagonals, NTT form", usize::MAX), ("64 diagonals, compact", 0)]
        {
            let transform = LazyCell::new(|| setup.transform(budget));
            bench!(name, |s| s.evaluator.linear_transform(std::slice::from_ref(&s.x), &transform));
        }
        for degree in [3, 7, 15, 27, 59] {
            let coefficients: Vec<f64> = (1..=degree + 1).map(|i| 1.0 / f64::from(i)).collect();
            let plan = ChebyshevPlan::new(&coefficients).unwrap();
            if (plan.depth() as usize) < limbs {
                let name = format!("Chebyshev, degree {degree}");
                bench!(name, |s| s.evaluator.evaluate_chebyshev(&s.x, &plan, SCALE));
            }
        }
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
