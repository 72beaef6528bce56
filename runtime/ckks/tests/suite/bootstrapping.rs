//! Bootstrapping against the values that went in, on small insecure rings.

use std::sync::Arc;

use pic_ckks::model::bootstrapping::{
    BootstrappingPlan, BootstrappingSpec, EvalMod, Order, SlotData,
};
use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::ring::sample::ChaCha20Rng;
use pic_ckks::{Bootstrapper, Complex64, Context, EvaluationKeys, Evaluator, SecretKey};
use rand_core::{Rng, SeedableRng};

const LOG_SCALE: f64 = 38.0;

fn plan(
    log_n: u32,
    log_slots: u32,
    data: SlotData,
    order: Order,
    harmonics: u32,
) -> BootstrappingPlan {
    let eval_mod = EvalMod { bound: 14.0, degree: 28, squarings: 3, harmonics };
    let split = |parts: u32| -> Vec<u32> {
        let parts = parts.min(log_slots);
        (0..parts).map(|i| log_slots / parts + u32::from(i < log_slots % parts)).collect()
    };
    let (slots_to_coeffs, coeffs_to_slots) = (split(2), split(3));
    let levels = 3;
    let low = match order {
        Order::SlotsToCoeffsFirst => [vec![38.0; slots_to_coeffs.len()], vec![LOG_SCALE; levels]],
        Order::Conventional => [vec![LOG_SCALE; levels], vec![38.0; slots_to_coeffs.len()]],
    };
    let high = vec![48.0; eval_mod.depth() + coeffs_to_slots.len()];
    let moduli = [vec![48.0], low.concat(), high].concat();
    let parameters = Parameters::from_bits(
        log_n,
        &moduli,
        &[49.5; 4],
        moduli.len().div_ceil(4),
        SecurityLevel::Insecure,
    );
    BootstrappingPlan::new(BootstrappingSpec {
        parameters: parameters.unwrap(),
        slots: 1 << log_slots,
        data,
        order,
        levels,
        log_input_scale: LOG_SCALE,
        log_output_scale: LOG_SCALE,
        log_ratio: if harmonics == 1 { 10.0 } else { 7.0 },
        slots_to_coeffs,
        coeffs_to_slots,
        eval_mod,
        log_eval_mod_scale: 48.0,
    })
    .unwrap()
}

#[test]
fn values_survive_bootstrapping() {
    let (first, conventional) = (Order::SlotsToCoeffsFirst, Order::Conventional);
    for (log_slots, data, order, harmonics) in [
        (9, SlotData::Real, first, 1),
        (9, SlotData::Real, first, 2),
        (9, SlotData::Complex, first, 1),
        (9, SlotData::Complex, conventional, 2),
        (5, SlotData::Real, first, 2),
        (5, SlotData::Real, conventional, 1),
        (1, SlotData::Complex, first, 1),
    ] {
        let plan = plan(10, log_slots, data, order, harmonics);
        let context = Context::new(plan.parameters().clone()).unwrap();
        let bootstrapper = Bootstrapper::new(&context, plan.clone(), usize::MAX).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret = SecretKey::generate(&context, &mut rng);
        let keys =
            EvaluationKeys::generate(&secret, &bootstrapper.key_request(), &mut rng).unwrap();
        let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
        let mut unit = || rng.next_u64() as f64 / 2f64.powi(63) - 1.0;
        let values: Vec<Complex64> = (0..plan.slots())
            .map(|_| {
                let imaginary = if data == SlotData::Complex { unit() } else { 0.0 };
                Complex64::new(unit(), imaginary)
            })
            .collect();
        let scale = 2f64.powf(LOG_SCALE);
        let message = context.encode_complex(&values, scale, plan.input_level()).unwrap();
        let x = secret.encrypt(&message, &mut rng).unwrap().expand(&context).unwrap();
        for target in 0..=plan.levels() {
            let result = bootstrapper.bootstrap(&evaluator, &x, target).unwrap();
            assert_eq!(result.level(), plan.output_level(target));
            let decrypted = context.decode_complex(&secret.decrypt(&result).unwrap()).unwrap();
            let error =
                decrypted.iter().zip(&values).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max);
            println!("{data:?} {order:?} {log_slots} {harmonics} {target}: {}", error.log2());
            assert!(
                error < 2f64.powi(-15),
                "{data:?}, {order:?}, 2^{log_slots} slots, target {target}: {error}"
            );
        }
    }
}
