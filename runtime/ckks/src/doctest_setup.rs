// An expression that doctests include: a context of a toy ring without security, an evaluator with keys
// for products, conjugation and rotations by one slot, and functions that encrypt real vectors at the
// highest level and scale 2^40, and decrypt them.
{
    use pic_ckks::model::{Parameters, SecurityLevel};
    use pic_ckks::{Ciphertext, Context, EvaluationKeys, Evaluator, KeyRequest, SecretKey};

    let chain = [48.0, 40.0, 40.0, 40.0];
    let parameters = Parameters::from_bits(10, &chain, &[49.0], 4, SecurityLevel::Insecure)?;
    let context = Context::new(parameters)?;
    let mut rng = pic_ckks::secret_rng()?;
    let secret = std::sync::Arc::new(SecretKey::generate(&context, &mut rng));
    let request = KeyRequest {
        relinearization: Some(3),
        rotations: [(1, 3)].into(),
        conjugation: Some(3),
        encapsulation: None,
    };
    let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;
    let evaluator = Evaluator::new(context.clone(), keys.into())?;

    let (owner, own) = (secret.clone(), context.clone());
    let encrypt = move |values: &[f64]| -> Ciphertext {
        let message = own.encode(values, 2f64.powi(40), 3).unwrap();
        let mut rng = pic_ckks::secret_rng().unwrap();
        owner.encrypt(&message, &mut rng).unwrap().expand(&own).unwrap()
    };
    let own = context.clone();
    let decrypt = move |ciphertext: &Ciphertext| -> Vec<f64> {
        own.decode(&secret.decrypt(ciphertext).unwrap()).unwrap()
    };
    (context, evaluator, encrypt, decrypt)
}
