//! Bootstrapping against the values that went in, on small insecure rings.

use std::sync::Arc;

use pic_ckks::model::bootstrapping::{
    BootstrappingPlan, BootstrappingSpec, EphemeralWeight, EvalMod, Order, SlotData,
};
use pic_ckks::model::noise::{NoiseModel, Signal};
use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::ring::sample::ChaCha20Rng;
use pic_ckks::{
    Bootstrapper, Ciphertext, Complex64, Context, Error, EvaluationKeys, Evaluator, KeyRequest,
    SecretKey,
};
use rand_core::{Rng, SeedableRng};

const LOG_SCALE: f64 = 38.0;

fn plan(
    log_n: u32,
    log_slots: u32,
    data: SlotData,
    order: Order,
    harmonics: u32,
    log_ratio: f64,
) -> BootstrappingPlan {
    let eval_mod = EvalMod { bound: 14.0, degree: 28, squarings: 3, harmonics };
    // Real data are folded to half the slots.
    let folds = (data, order) == (SlotData::Real, Order::SlotsToCoeffsFirst);
    let butterflies = log_slots - u32::from(folds);
    let split = |parts: u32| -> Vec<u32> {
        let parts = parts.min(butterflies);
        (0..parts).map(|i| butterflies / parts + u32::from(i < butterflies % parts)).collect()
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
        ephemeral_weight: EphemeralWeight::W32,
        log_ratio,
        slots_to_coeffs,
        coeffs_to_slots,
        eval_mod,
        log_eval_mod_scale: 48.0,
    })
    .unwrap()
}

/// A client and a server in one.
struct Parties {
    context: Arc<Context>,
    secret: SecretKey,
    bootstrapper: Bootstrapper,
    evaluator: Evaluator,
    rng: ChaCha20Rng,
}

impl Parties {
    fn new(plan: &BootstrappingPlan) -> Self {
        let context = Context::new(plan.parameters().clone()).unwrap();
        let bootstrapper = Bootstrapper::new(&context, plan.clone(), usize::MAX).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret = SecretKey::generate(&context, &mut rng);
        let request = bootstrapper.plan().keys();
        let keys = EvaluationKeys::generate(&secret, &request, &mut rng).unwrap();
        assert_eq!(keys.bytes() as u64, plan.keys().bytes(plan.parameters()));
        let mut bytes = Vec::new();
        keys.write_to(&context, &mut bytes).unwrap();
        let keys = EvaluationKeys::from_bytes(&context, &bytes).unwrap();
        assert_eq!(bootstrapper.bytes() as u64, plan.matrix_bytes());
        let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys)).unwrap();
        Self { context, secret, bootstrapper, evaluator, rng }
    }
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
        (2, SlotData::Real, first, 1),
        (2, SlotData::Complex, first, 1),
    ] {
        let plan =
            plan(10, log_slots, data, order, harmonics, if harmonics == 1 { 10.0 } else { 7.0 });
        let Parties { context, secret, bootstrapper, evaluator, mut rng } = Parties::new(&plan);
        let mut unit = || rng.next_u64() as f64 / 2f64.powi(63) - 1.0;
        let values: Vec<Complex64> = (0..plan.slots())
            .map(|_| {
                let is_complex = data == SlotData::Complex || plan.halves_slots();
                Complex64::new(unit(), if is_complex { unit() } else { 0.0 })
            })
            .collect();
        // Of real data in half the slots, real parts alone come out, whatever else there is.
        let expected: Vec<Complex64> = match plan.halves_slots() {
            true => values.iter().map(|v| v.re.into()).collect(),
            false => values.clone(),
        };
        let message =
            context.encode_complex(&values, plan.input_scale(), plan.input_level()).unwrap();
        let x = secret.encrypt(&message, &mut rng).unwrap().expand(&context).unwrap();
        for target in 0..=plan.levels() {
            let result = bootstrapper.bootstrap(&evaluator, &x, target).unwrap();
            assert_eq!(result.level(), plan.output_level(target));
            let decrypted = context.decode_complex(&secret.decrypt(&result).unwrap()).unwrap();
            let error =
                decrypted.iter().zip(&expected).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max);
            println!("{data:?} {order:?} {log_slots} {harmonics} {target}: {}", error.log2());
            assert!(
                error < 2f64.powi(-15),
                "{data:?}, {order:?}, 2^{log_slots} slots, target {target}: {error}"
            );
        }
    }
}

/// Bootstrapping, a product that keeps the size of values, and again: noise adds up as independent
/// errors do, the distortion of the sine in proportion to the rounds.
#[test]
fn two_hundred_rounds_stay_within_the_predicted_error() {
    // Distortion dominates in one, noise in the other.
    for log_ratio in [7.0, 10.0] {
        let plan = plan(10, 9, SlotData::Real, Order::SlotsToCoeffsFirst, 2, log_ratio);
        check_rounds(&plan, 200);
    }
}

fn check_rounds(plan: &BootstrappingPlan, rounds: usize) {
    let Parties { context, secret, bootstrapper, evaluator, mut rng } = Parties::new(plan);
    let mut values: Vec<f64> =
        (0..plan.slots()).map(|_| rng.next_u64() as f64 / 2f64.powi(63) - 1.0).collect();
    let message = context.encode(&values, plan.input_scale(), plan.input_level()).unwrap();
    let mut x = secret.encrypt(&message, &mut rng).unwrap().expand(&context).unwrap();
    let level = plan.output_level(1);
    // Rescaling brings the product back to the scale of the input.
    let scale = plan.parameters().moduli()[level] as f64 * plan.input_scale() / plan.output_scale();
    for _ in 0..rounds {
        x = bootstrapper.bootstrap(&evaluator, &x, 1).unwrap();
        let signs: Vec<f64> =
            values.iter().map(|_| 1.0 - 2.0 * (rng.next_u32() & 1) as f64).collect();
        let signs_encoded = context.encode(&signs, scale, level).unwrap();
        x = evaluator.rescale(evaluator.multiply_plain(&x, &signs_encoded).unwrap()).unwrap();
        values.iter_mut().zip(&signs).for_each(|(value, sign)| *value *= sign);
    }
    let result = context.decode(&secret.decrypt(&x).unwrap()).unwrap();
    let errors: Vec<f64> = result.iter().zip(&values).map(|(a, b)| a - b).collect();

    let noise = NoiseModel::new(plan.parameters(), plan.slots());
    let signal = Signal { mean_square: 1.0 / 3.0, variance: 0.0 };
    let product = noise.plain_product(signal, 1.0, scale) + noise.rescale(plan.input_scale());
    let (rounds, error) = (rounds as f64, plan.error(1.0 / 3.0));
    let variance = rounds * (error.mean_square() - error.systematic() + product);
    let distortion = rounds * plan.eval_mod().distortion(plan.ratio());
    let mean_square = variance + rounds.powi(2) * error.systematic();
    let measured = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
    assert!((0.7..1.3).contains(&(measured / mean_square)), "{measured} against {mean_square}");
    let largest = errors.iter().fold(0.0, |largest: f64, e| largest.max(e.abs()));
    let bound = 6.0 * variance.sqrt() + distortion;
    assert!(largest < bound, "2^{:.1} against 2^{:.1}", largest.log2(), bound.log2());
}

/// The ephemeral secret masks q0 and one special prime, and its security has a table of its own.
#[test]
fn parameters_too_large_for_the_sparse_secret_get_no_keys() {
    let generate = |q0: f64, special: f64| {
        let parameters =
            Parameters::from_bits(15, &[q0, 40.0], &[special; 2], 1, SecurityLevel::Bits128);
        let context = Context::new(parameters.unwrap()).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret = SecretKey::generate(&context, &mut rng);
        let request =
            KeyRequest { encapsulation: Some(EphemeralWeight::W32), ..KeyRequest::default() };
        EvaluationKeys::generate(&secret, &request, &mut rng).map(drop)
    };
    assert_eq!(generate(38.0, 41.0), Ok(()));
    assert!(matches!(
        generate(39.0, 42.0),
        Err(Error::SparseSecret { limit: 80.0, security: SecurityLevel::Bits128, .. })
    ));
}

#[test]
fn operands_are_checked() {
    let plan = plan(10, 9, SlotData::Real, Order::SlotsToCoeffsFirst, 1, 10.0);
    let Parties { context, secret, bootstrapper, evaluator, mut rng } = Parties::new(&plan);
    let mut encrypt = |slots: usize, scale: f64, level: usize| {
        let message = context.encode(&vec![0.5; slots], scale, level).unwrap();
        secret.encrypt(&message, &mut rng).unwrap().expand(&context).unwrap()
    };
    let (scale, level) = (plan.input_scale(), plan.input_level());
    let refused =
        |x: &Ciphertext, target| bootstrapper.bootstrap(&evaluator, x, target).unwrap_err();
    let x = encrypt(512, scale, level);
    assert_eq!(refused(&x, 4), Error::BootstrappingTarget { target: 4, highest: 3 });
    let sparse = encrypt(256, scale, level);
    assert_eq!(refused(&sparse, 1), Error::SlotsMismatch { left: 512, right: 256 });
    assert!(matches!(refused(&encrypt(512, 2.0 * scale, level), 1), Error::ScaleMismatch { .. }));
    assert!(matches!(refused(&encrypt(512, scale, 0), 1), Error::LevelsExhausted { .. }));
    let without = Evaluator::new(Arc::clone(&context), Arc::new(EvaluationKeys::none(&context)));
    let error = bootstrapper.bootstrap(&without.unwrap(), &x, 1).unwrap_err();
    assert_eq!(error, Error::MissingConjugationKey);
}
