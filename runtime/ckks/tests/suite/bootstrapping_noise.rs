//! Measured errors of bootstrapping against the estimates of the model, on small insecure rings.
//!
//! Plans are chosen so that each source of error dominates in one of them.

use std::sync::Arc;

use pic_ckks::model::bootstrapping::{
    BootstrappingPlan, BootstrappingSpec, EphemeralWeight, EvalMod, Order, SlotData,
};
use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::ring::sample::ChaCha20Rng;
use pic_ckks::{Bootstrapper, Complex64, Context, EvaluationKeys, Evaluator, SecretKey};
use rand_core::{Rng, SeedableRng};

const LOG_N: u32 = 12;
const LEVELS: usize = 2;

/// Agreement in bits of the mean error, and of the largest, which is one sample.
const AGREEMENT: [f64; 2] = [0.15, 0.6];

/// Runs over which errors of 2^11 slots are averaged: those of one key are more alike than those of several.
const RUNS: usize = 4;

/// A plan by its sizes in bits.
#[derive(Clone, Copy)]
struct Sizes {
    data: SlotData,
    order: Order,
    log_slots: u32,
    harmonics: u32,
    ratio: f64,
    q0: f64,
    scale: f64,
    slots_to_coeffs: f64,
    eval_mod: f64,
    coeffs_to_slots: f64,
    /// Of each special prime.
    special: f64,
}

const REAL: Sizes = Sizes {
    data: SlotData::Real,
    order: Order::SlotsToCoeffsFirst,
    log_slots: 11,
    harmonics: 1,
    ratio: 10.0,
    q0: 47.0,
    scale: 40.0,
    slots_to_coeffs: 40.0,
    eval_mod: 48.0,
    coeffs_to_slots: 48.0,
    special: 49.9,
};

const CONVENTIONAL: Sizes = Sizes {
    data: SlotData::Complex,
    order: Order::Conventional,
    q0: 48.0,
    scale: 36.0,
    ratio: 12.0,
    ..REAL
};

impl Sizes {
    fn plan(&self) -> BootstrappingPlan {
        let eval_mod = EvalMod { bound: 14.1, degree: 31, squarings: 3, harmonics: self.harmonics };
        // Real data are folded to half the slots.
        let folds = (self.data, self.order) == (SlotData::Real, Order::SlotsToCoeffsFirst);
        let butterflies = self.log_slots - u32::from(folds);
        let split = |parts: u32| -> Vec<u32> {
            let rest = butterflies % parts;
            (0..parts).map(|i| butterflies / parts + u32::from(i < rest)).collect()
        };
        let (slots_to_coeffs, application) = ([self.slots_to_coeffs; 2], [self.scale; LEVELS]);
        let low = match self.order {
            Order::SlotsToCoeffsFirst => [slots_to_coeffs, application],
            Order::Conventional => [application, slots_to_coeffs],
        };
        let high = [vec![self.eval_mod; eval_mod.depth()], vec![self.coeffs_to_slots; 3]];
        let moduli = [&[self.q0], &low.concat()[..], &high.concat()].concat();
        let (digits, special) = (moduli.len().div_ceil(3), [self.special; 3]);
        let parameters =
            Parameters::from_bits(LOG_N, &moduli, &special, digits, SecurityLevel::Insecure);
        BootstrappingPlan::new(BootstrappingSpec {
            parameters: parameters.unwrap(),
            slots: 1 << self.log_slots,
            data: self.data,
            levels: LEVELS,
            order: self.order,
            log_input_scale: self.scale,
            log_output_scale: self.scale,
            log_eval_mod_scale: self.eval_mod,
            ephemeral_weight: EphemeralWeight::W32,
            log_ratio: self.ratio,
            slots_to_coeffs: split(2),
            coeffs_to_slots: split(3),
            eval_mod,
        })
        .unwrap()
    }
}

/// Absolute errors of real (and imaginary) parts that bootstrapping adds to uniform values.
fn errors(plan: &BootstrappingPlan, seed: u64) -> Vec<f64> {
    let context = Context::new(plan.parameters().clone()).unwrap();
    let bootstrapper = Bootstrapper::new(&context, plan.clone(), usize::MAX).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let secret = SecretKey::generate(&context, &mut rng);
    let keys = EvaluationKeys::generate(&secret, &bootstrapper.plan().keys(), &mut rng).unwrap();
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
    let complex = plan.data() == SlotData::Complex;
    let mut unit = || rng.next_u64() as f64 / 2f64.powi(63) - 1.0;
    let value = |_| Complex64::new(unit(), if complex { unit() } else { 0.0 });
    let values: Vec<Complex64> = (0..plan.slots()).map(value).collect();
    let message = context.encode_complex(&values, plan.input_scale(), plan.input_level()).unwrap();
    let before = secret.encrypt(&message, &mut rng).unwrap().expand(&context).unwrap();
    let after = bootstrapper.bootstrap(&evaluator, &before, LEVELS).unwrap();
    let [before, after] =
        [before, after].map(|x| context.decode_complex(&secret.decrypt(&x).unwrap()).unwrap());
    let errors = before.iter().zip(&after).map(|(before, after)| after - before);
    let parts =
        |e: Complex64| if complex { vec![e.re.abs(), e.im.abs()] } else { vec![e.re.abs()] };
    errors.flat_map(parts).collect()
}

#[test]
fn estimates_agree_with_measurements() {
    for (what, sizes) in [
        ("the cube, and EvalMod", REAL),
        ("few slots", Sizes { log_slots: 8, eval_mod: 41.0, coeffs_to_slots: 41.0, ..REAL }),
        ("EvalMod", Sizes { eval_mod: 41.0, coeffs_to_slots: 41.0, ..REAL }),
        (
            "key switching",
            Sizes { q0: 42.0, eval_mod: 42.0, coeffs_to_slots: 42.0, special: 41.9, ..REAL },
        ),
        ("CoeffsToSlots", Sizes { coeffs_to_slots: 37.0, ..REAL }),
        ("the cube", Sizes { ratio: 6.0, q0: 46.0, ..REAL }),
        ("rounding to q0", Sizes { q0: 31.0, ..REAL }),
        ("SlotsToCoeffs", Sizes { slots_to_coeffs: 22.0, ..REAL }),
        ("the result's scale", Sizes { scale: 26.0, ..REAL }),
        ("two harmonics", Sizes { harmonics: 2, ratio: 7.0, eval_mod: 42.0, ..REAL }),
        ("the fifth power", Sizes { harmonics: 2, ratio: 4.5, q0: 44.0, ..REAL }),
        ("complex data", Sizes { data: SlotData::Complex, eval_mod: 43.0, ..REAL }),
        ("the conventional order", CONVENTIONAL),
        ("a coarse scale", Sizes { q0: 40.0, scale: 26.0, ratio: 14.0, ..CONVENTIONAL }),
    ] {
        let plan = sizes.plan();
        // Few slots give few samples of the error in one run.
        let runs = (RUNS << 11 >> sizes.log_slots) as u64;
        let (mut mean, mut largest) = (0.0, 0.0);
        for seed in 1..=runs {
            let errors = errors(&plan, seed);
            mean += errors.iter().sum::<f64>() / (errors.len() as f64 * runs as f64);
            largest += errors.into_iter().fold(0.0, f64::max) / runs as f64;
        }
        let estimate = plan.error(1.0 / 3.0);
        let estimated = [estimate.mean_bits(), estimate.minimum_bits()];
        let measured = [mean, largest].map(|error| -error.log2());
        for i in 0..2 {
            assert!(
                (measured[i] - estimated[i]).abs() < AGREEMENT[i],
                "{what}: measured {measured:.2?}, estimated {estimated:.2?} mean and minimum bits"
            );
        }
    }
}
