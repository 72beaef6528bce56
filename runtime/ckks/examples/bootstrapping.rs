//! More products than any modulus has levels: 2^14 encrypted numbers are multiplied twenty times by
//! others, and bootstrapped whenever their levels run out.
//!
//! Takes about 1.9 GiB of memory, 1.4 of them for keys, and a few seconds.
//!
//! `cargo run --release -p pic-ckks --example bootstrapping`

use std::sync::Arc;
use std::time::Instant;

use pic_ckks::model::SecurityLevel;
use pic_ckks::model::bootstrapping::{
    BootstrappingRequest, EphemeralWeight, LOG2_FAILURE, SlotData,
};
use pic_ckks::{
    Bootstrapper, Ciphertext, Context, Error, EvaluationKeys, Evaluator, SecretKey, secret_rng,
};

const PRODUCTS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The requirements; the plan then chooses primes, transforms and polynomial. The slots bootstrapped
    // have to be in [−1, 1].
    let request = BootstrappingRequest {
        log_n: 15,
        slots: 1 << 14,
        data: SlotData::Real,
        levels: 6,
        log_scale: 30.0,
        log_output_scale: 30.0,
        precision: 12.0,
        log2_failure: LOG2_FAILURE,
        ephemeral_weight: EphemeralWeight::default(),
        security: SecurityLevel::Bits128,
    };
    let plan = request.plan()?;
    println!("{plan}\n");

    // The client: keys, a first vector of numbers, and twenty of factors. Everything is encrypted at the
    // highest level that bootstrapping leads to.
    let context = Context::new(plan.parameters().clone())?;
    let bootstrapper = Bootstrapper::new(&context, plan.clone(), usize::MAX)?;
    let mut rng = secret_rng()?;
    let secret = SecretKey::generate(&context, &mut rng);
    let keys = EvaluationKeys::generate(&secret, &bootstrapper.plan().keys(), &mut rng)?;
    println!("keys {} MiB, matrices {} MiB", keys.bytes() >> 20, bootstrapper.bytes() >> 20);
    let highest = plan.output_level(plan.levels());
    let mut encrypt = |values: &[f64]| -> Result<Ciphertext, Error> {
        let message = context.encode(values, plan.input_scale(), highest)?;
        secret.encrypt(&message, &mut rng)?.expand(&context)
    };
    let vector = |seed: usize| (0..plan.slots()).map(move |i| ((i * (seed + 1)) as f64).sin());
    let mut expected: Vec<f64> = vector(PRODUCTS).map(|x| 0.5 * x).collect();
    let factors: Vec<Vec<f64>> =
        (0..PRODUCTS).map(|k| vector(k).map(|x| 1.0 + 0.03 * x).collect()).collect();
    let mut x = encrypt(&expected)?;
    let encrypted: Vec<Ciphertext> =
        factors.iter().map(|f| encrypt(f)).collect::<Result<_, Error>>()?;

    // The server. The lines that decrypt only look at what happens; a server could not.
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys))?;
    let error = |x: &Ciphertext, expected: &[f64]| -> Result<f64, Error> {
        let decrypted = context.decode(&secret.decrypt(x)?)?;
        Ok(decrypted.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
    };
    for (k, mut factor) in encrypted.into_iter().enumerate() {
        if x.level() == plan.input_level() {
            let before = error(&x, &expected)?;
            // No more levels than are still needed: fewer are cheaper.
            let target = plan.levels().min(PRODUCTS - k);
            let start = Instant::now();
            x = bootstrapper.bootstrap(&evaluator, &x, target)?;
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "after {k:2} products: from level {} to {}, {:.1} bits to {:.1}, {seconds:.2} s",
                plan.input_level(),
                x.level(),
                -before.log2(),
                -error(&x, &expected)?.log2()
            );
        }
        factor.drop_to_level(x.level())?;
        x = evaluator.multiply_rescale(&x, &factor)?;
        expected.iter_mut().zip(&factors[k]).for_each(|(x, factor)| *x *= factor);
    }
    let error = error(&x, &expected)?;
    println!("after {PRODUCTS} products: {:.1} bits in the worst slot", -error.log2());
    assert!(error < 2f64.powi(-10));
    Ok(())
}
