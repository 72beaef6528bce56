//! Mean and variance of a vector that nobody but its owner and the analyst sees.
//!
//! Three parties: the analyst has the secret key, the owner of the data encrypts with the public key, and
//! a server computes with the evaluation keys on what it cannot read.
//!
//! `cargo run --release -p pic-ckks --example statistics`

use std::sync::Arc;

use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::{
    Ciphertext, Context, Error, EvaluationKeys, Evaluator, KeyRequest, PublicKey, SecretKey,
    secret_rng,
};

/// The slots of a ciphertext with N = 2^13.
const COUNT: usize = 1 << 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 35 bits behind the binary point; one prime as large for the one product, one to have room for
    // sums. The last prime belongs to the keys. All of it is 160 bits, of the 214 that N = 2^13 carries.
    let (chain, special) = ([45.0, 35.0, 35.0], [45.0]);
    let parameters = Parameters::from_bits(13, &chain, &special, 3, SecurityLevel::Bits128)?;
    let (level, scale) = (parameters.max_level(), 2f64.powi(35));
    let context = Context::new(parameters)?;
    println!("{}", context.parameters());

    // The analyst. Summing n slots takes log2 n rotations: by 1, 2, 4, …
    let mut rng = secret_rng()?;
    let secret = SecretKey::generate(&context, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);
    let request = KeyRequest {
        relinearization: Some(level),
        rotations: (0..COUNT.ilog2()).map(|bit| (1 << bit, level)).collect(),
        ..KeyRequest::default()
    };
    let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;

    // The owner of the data.
    let data: Vec<f64> = (0..COUNT).map(|i| 0.3 + 0.5 * (i as f64).sin()).collect();
    let encrypted = public.encrypt(&context.encode(&data, scale, level)?, &mut rng)?;

    // The server.
    let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys))?;
    let [mean, variance] = statistics(&evaluator, &encrypted)?;

    // The analyst again. Every slot holds the result.
    let decrypt = |x| Ok::<_, Error>(context.decode(&secret.decrypt(x)?)?[0]);
    let (mean, variance) = (decrypt(&mean)?, decrypt(&variance)?);

    let expected_mean = data.iter().sum::<f64>() / COUNT as f64;
    let squares = data.iter().map(|x| (x - expected_mean).powi(2));
    let expected_variance = squares.sum::<f64>() / COUNT as f64;
    println!("mean      {mean:.8}, in the clear {expected_mean:.8}");
    println!("variance  {variance:.8}, in the clear {expected_variance:.8}");
    assert!((mean - expected_mean).abs() < 1e-6);
    assert!((variance - expected_variance).abs() < 1e-6);
    Ok(())
}

/// Mean and variance of all slots, in every slot.
fn statistics(evaluator: &Evaluator, x: &Ciphertext) -> Result<[Ciphertext; 2], Error> {
    let sum = evaluator.rotate_and_sum(x, 1, COUNT as u32)?;
    let mean = divided(&sum)?;
    // (n·x − Σx)/n rather than x − (Σx)/n: an integer times a ciphertext is exact.
    let multiple = evaluator.multiply_scalar(x, COUNT as f64, 1.0)?;
    let centered = divided(&evaluator.sub(&multiple, &sum)?)?;
    let squares = evaluator.multiply_rescale(&centered, &centered)?;
    let variance = divided(&evaluator.rotate_and_sum(&squares, 1, COUNT as u32)?)?;
    Ok([mean, variance])
}

/// Divides by the number of slots. Values are integers over a scale: stating a larger scale is all.
fn divided(x: &Ciphertext) -> Result<Ciphertext, Error> {
    let mut quotient = x.clone();
    quotient.set_scale(x.scale() * COUNT as f64)?;
    Ok(quotient)
}
