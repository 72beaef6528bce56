//! Two hundred rounds of bootstrapping and multiplication at 128-bit security, against the predicted error.
//!
//! Each round multiplies 2^14 encrypted numbers by random signs, which keeps their size, and bootstraps
//! them. Noise adds up as independent errors do, the distortion of EvalMod in proportion.
//! Takes about 1.5 GiB of memory and a minute.
//!
//! `cargo run --release -p pic-ckks --example rounds [rounds]`

use std::sync::Arc;
use std::time::Instant;

use pic_ckks::model::SecurityLevel;
use pic_ckks::model::bootstrapping::{
    BootstrappingRequest, EphemeralWeight, LOG2_FAILURE, SlotData,
};
use pic_ckks::model::noise::{NoiseModel, Signal};
use pic_ckks::{Bootstrapper, Context, EvaluationKeys, Evaluator, SecretKey, secret_rng};
use rand_core::Rng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: u32 = std::env::args().nth(1).map_or(Ok(200), |rounds| rounds.parse())?;
    let request = BootstrappingRequest {
        log_n: 15,
        slots: 1 << 14,
        data: SlotData::Real,
        levels: 5,
        log_scale: 30.0,
        log_output_scale: 32.0,
        precision: 13.0,
        log2_failure: LOG2_FAILURE,
        ephemeral_weight: EphemeralWeight::default(),
        security: SecurityLevel::Bits128,
    };
    let plan = request.plan()?;
    println!("{plan}\n");
    let context = Context::new(plan.parameters().clone())?;
    let bootstrapper = Bootstrapper::new(&context, plan.clone(), usize::MAX)?;
    let mut rng = secret_rng()?;
    let secret = SecretKey::generate(&context, &mut rng);
    let keys = EvaluationKeys::generate(&secret, &bootstrapper.plan().keys(), &mut rng)?;
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys))?;

    let mut values: Vec<f64> =
        (0..plan.slots()).map(|_| rng.next_u64() as f64 / 2f64.powi(63) - 1.0).collect();
    let message = context.encode(&values, plan.input_scale(), plan.input_level())?;
    let mut x = secret.encrypt(&message, &mut rng)?.expand(&context)?;
    // One level is enough for one product; rescaling brings it back to the scale of the input.
    let level = plan.output_level(1);
    let scale = plan.parameters().moduli()[level] as f64 * plan.input_scale() / plan.output_scale();

    let noise = NoiseModel::new(plan.parameters(), plan.slots());
    let signal = Signal { mean_square: 1.0 / 3.0, variance: 0.0 };
    let product = noise.plain_product(signal, 1.0, scale) + noise.rescale(plan.input_scale());
    let estimate = plan.error(1.0 / 3.0);
    let start = Instant::now();
    for round in 1..=rounds {
        x = bootstrapper.bootstrap(&evaluator, &x, 1)?;
        let signs: Vec<f64> =
            values.iter().map(|_| if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 }).collect();
        let encoded = context.encode(&signs, scale, level)?;
        x = evaluator.rescale(evaluator.multiply_plain(&x, &encoded)?)?;
        values.iter_mut().zip(&signs).for_each(|(value, sign)| *value *= sign);
        if round % 20 != 0 && round != rounds {
            continue;
        }
        let n = f64::from(round);
        let variance = n * (estimate.mean_square() - estimate.systematic() + product);
        let distortion = n * plan.eval_mod().distortion(plan.ratio());
        let predicted = (variance + n * n * estimate.systematic()).sqrt();
        // Only this look at the result needs the secret.
        let result = context.decode(&secret.decrypt(&x)?)?;
        let errors = || result.iter().zip(&values).map(|(a, b)| (a - b).abs());
        let measured = (errors().map(|e| e * e).sum::<f64>() / values.len() as f64).sqrt();
        let largest = errors().fold(0.0, f64::max);
        println!(
            "round {round:3}: root mean square error 2^{:.2}, predicted 2^{:.2}; largest 2^{:.2}; {:.1} s",
            measured.log2(),
            predicted.log2(),
            largest.log2(),
            start.elapsed().as_secs_f64(),
        );
        assert!((measured / predicted - 1.0).abs() < 0.2, "the error is not as predicted");
        assert!(largest < 6.0 * variance.sqrt() + distortion, "an error is larger than predicted");
    }
    Ok(())
}
