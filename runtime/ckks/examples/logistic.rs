//! The logistic function 1/(1 + e^-x) of encrypted numbers in [−8, 8].
//!
//! Ciphertexts can be added and multiplied, so that functions become polynomials: here the one of degree
//! 31 that interpolates at Chebyshev's nodes. Two errors add up, that of the polynomial and that of the
//! encryption; the example prints both.
//!
//! `cargo run --release -p pic-ckks --example logistic`

use std::f64::consts::PI;
use std::sync::Arc;

use pic_ckks::model::{ChebyshevPlan, Parameters, SecurityLevel};
use pic_ckks::{Context, EvaluationKeys, Evaluator, KeyRequest, SecretKey, secret_rng};

const DEGREE: usize = 31;
/// Polynomials in Chebyshev's basis take values in [−1, 1]: the function's argument is this times as large.
const BOUND: f64 = 8.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let plan = ChebyshevPlan::new(&interpolate(|t| logistic(BOUND * t)))?;
    println!("degree {}, {} levels", plan.degree(), plan.depth());

    // One prime of 40 bits for each level, which is also the precision of the scale; q0 has room for
    // results; two special primes carry key switching with digits of two primes.
    let chain = [vec![50.0], vec![40.0; plan.depth() as usize]].concat();
    let digits = chain.len() / 2;
    let parameters = Parameters::from_bits(14, &chain, &[45.0; 2], digits, SecurityLevel::Bits128)?;
    let (level, slots, scale) = (parameters.max_level(), parameters.max_slots(), 2f64.powi(40));
    let context = Context::new(parameters)?;
    println!("{}", context.parameters());

    // The client.
    let mut rng = secret_rng()?;
    let secret = SecretKey::generate(&context, &mut rng);
    let request = KeyRequest { relinearization: Some(level), ..KeyRequest::default() };
    let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;
    let arguments: Vec<f64> =
        (0..slots).map(|i| BOUND * (2.0 * i as f64 / (slots - 1) as f64 - 1.0)).collect();
    let scaled: Vec<f64> = arguments.iter().map(|x| x / BOUND).collect();
    let encrypted = secret.encrypt(&context.encode(&scaled, scale, level)?, &mut rng)?;

    // The server.
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys))?;
    let result = evaluator.evaluate_chebyshev(&encrypted.expand(&context)?, &plan, scale)?;

    // The client again.
    let decrypted = context.decode(&secret.decrypt(&result)?)?;
    let exact: Vec<f64> = arguments.iter().map(|&x| logistic(x)).collect();
    let polynomial: Vec<f64> = scaled.iter().map(|&t| plan.evaluate(t)).collect();
    for i in (0..slots).step_by(slots / 8) {
        println!("x = {:7.4}: {:.6}, exactly {:.6}", arguments[i], decrypted[i], exact[i]);
    }
    let bits = |a: &[f64], b: &[f64]| -largest_difference(a, b).log2();
    println!("polynomial: {:.1} bits in the worst slot", bits(&polynomial, &exact));
    println!("encryption: {:.1} bits", bits(&decrypted, &polynomial));
    println!("together:   {:.1} bits", bits(&decrypted, &exact));
    assert!(bits(&decrypted, &polynomial) > 20.0);
    assert!(bits(&decrypted, &exact) > 14.0);
    Ok(())
}

/// Chebyshev coefficients of the polynomial that agrees with f at the nodes cos(π(j + ½)/(d + 1)).
fn interpolate(f: impl Fn(f64) -> f64) -> Vec<f64> {
    let count = DEGREE + 1;
    let angle = |j: usize| PI * (j as f64 + 0.5) / count as f64;
    let coefficient = |k: usize| {
        let sum: f64 = (0..count).map(|j| f(angle(j).cos()) * (k as f64 * angle(j)).cos()).sum();
        if k == 0 { sum / count as f64 } else { 2.0 * sum / count as f64 }
    };
    (0..count).map(coefficient).collect()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
