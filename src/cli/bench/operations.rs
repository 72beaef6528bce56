//! The operations that are timed, under one parameter set, with the work that the cost model
//! counts for them.

use std::sync::Arc;

use pic_ckks::model::chebyshev::ChebyshevPlan;
use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::ring::Domain;
use pic_ckks::{
    Ciphertext, Context, Error, EvaluationKeys, Evaluator, KeyRequest, LinearTransform, Plaintext,
    SecretKey, Term, TransformShape, secret_rng,
};
use pic_ir::cost::{Counter, Work};
use pic_ir::transform::{Diagonal, Steps, split_rotation};

/// Size of the primes. Timings hardly depend on it.
const PRIME_BITS: f64 = 40.0;
const SPECIAL_BITS: f64 = 45.0;
const SCALE: f64 = (1u64 << 40) as f64;

/// Diagonals of the linear transform, and the width of its giant steps.
const DIAGONALS: i32 = 16;
const STEP: u32 = 4;

/// Degree of the polynomial.
const DEGREE: usize = 15;

/// A parameter set of the benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Primes of the chain.
    pub limbs: usize,
    /// Special primes, and primes in a digit.
    pub special: usize,
}

/// Operands and keys for one [`Case`].
pub struct Bench {
    context: Arc<Context>,
    secret: SecretKey,
    evaluator: Evaluator,
    ciphertext: Ciphertext,
    values: Vec<f64>,
    steps: Steps,
    transform: LinearTransform,
    polynomial: ChebyshevPlan,
}

/// Code to time.
type Run<'a> = Box<dyn Fn() -> Result<(), Error> + Send + Sync + 'a>;

/// Something to time.
pub struct Operation<'a> {
    /// Its name.
    pub name: &'static str,
    /// What the cost model counts for it, if anything.
    pub work: Option<Work>,
    /// Does it once.
    pub run: Run<'a>,
}

impl Case {
    fn parameters(self) -> Parameters {
        let chain = vec![PRIME_BITS; self.limbs];
        let special = vec![SPECIAL_BITS; self.special];
        let digits = self.limbs.div_ceil(self.special);
        Parameters::from_bits(self.log_n, &chain, &special, digits, SecurityLevel::Bits128)
            .expect("the cases of the benchmark are within the security table")
    }
}

impl Bench {
    /// Makes keys and operands.
    pub fn new(case: Case) -> Result<Self, Error> {
        let context = Context::new(case.parameters())?;
        let level = context.parameters().max_level();
        let slots = context.parameters().max_slots();
        let values: Vec<f64> = (0..slots).map(|k| (k % 17) as f64 / 17.0 - 0.5).collect();

        let rotations = -DIAGONALS / 2..DIAGONALS / 2;
        let diagonal = |rotation| Diagonal { output: 0, input: 0, rotation };
        let steps = Steps::new(&rotations.clone().map(diagonal).collect(), STEP);
        let shape = TransformShape {
            inputs: 1,
            outputs: 1,
            slots,
            level,
            input_scale: SCALE,
            output_scale: SCALE,
        };
        let term = |rotation| {
            let (giant, baby) = split_rotation(rotation, STEP);
            let term = Term { output: 0, input: 0, giant: giant.into(), baby: baby.into() };
            (term, values.clone())
        };
        let transform = LinearTransform::new(&context, shape, rotations.map(term), usize::MAX)?;

        let mut rng = secret_rng()?;
        let secret = SecretKey::generate(&context, &mut rng);
        let request = KeyRequest {
            relinearization: Some(level),
            rotations: transform.rotations().into_iter().map(|r| (r, level)).collect(),
            conjugation: None,
            encapsulation: false,
        };
        let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;
        let message = context.encode(&values, SCALE, level)?;
        Ok(Self {
            ciphertext: secret.encrypt(&message, &mut rng)?.expand(&context)?,
            evaluator: Evaluator::new(Arc::clone(&context), Arc::new(keys))?,
            polynomial: ChebyshevPlan::new(&[0.05; DEGREE + 1]).expect("a finite polynomial"),
            context,
            secret,
            values,
            steps,
            transform,
        })
    }

    /// Everything that is timed, from the ring up.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let level = self.ciphertext.level();
        let limbs = level + 1;
        let parameters = self.context.parameters();
        let counter = Counter { parameters };
        let ring = self.context.ring();
        let basis = self.ciphertext.basis();
        let special = self.context.special_basis();
        let n = parameters.degree() as f64;
        let operand = ring.zero(basis, Domain::Coefficient);
        let factor = ring.zero(basis, Domain::Ntt);
        let (a, evaluator) = (&self.ciphertext, &self.evaluator);
        let rotation = self.transform.rotations().into_iter().next_back().unwrap_or_default();

        let coefficients = limbs as f64 * n;
        let transforms = coefficients * f64::from(parameters.log_n());
        let conversions = coefficients * special.len() as f64;

        let mut operations = Vec::new();
        let mut add = |name, work, run| operations.push(Operation { name, work, run });
        add(
            "ntt",
            Some(Work { transforms, ..Work::default() }),
            Box::new({
                let operand = operand.clone();
                move || {
                    ring.ntt(&mut operand.clone());
                    Ok(())
                }
            }) as Run,
        );
        add(
            "multiply_polynomials",
            Some(Work { multiplications: coefficients, ..Work::default() }),
            Box::new(move || {
                ring.mul(&factor, &factor);
                Ok(())
            }),
        );
        add(
            "convert_basis",
            Some(Work { multiplications: coefficients, conversions, ..Work::default() }),
            Box::new(move || {
                ring.convert(&operand, special);
                Ok(())
            }),
        );
        add("encode", None, Box::new(move || self.encode().map(drop)));
        add(
            "encrypt",
            None,
            Box::new(|| self.secret.encrypt(&self.encode()?, &mut secret_rng()?).map(drop)),
        );
        add(
            "decrypt_decode",
            None,
            Box::new(|| self.context.decode(&self.secret.decrypt(a)?).map(drop)),
        );
        add(
            "rescale",
            Some(counter.rescale(level)),
            Box::new(|| evaluator.rescale(a.clone()).map(drop)),
        );
        add(
            "rotate",
            Some(counter.key_switch(level)),
            Box::new(move || evaluator.rotate(a, rotation).map(drop)),
        );
        add(
            "multiply_relinearize_rescale",
            Some(counter.product(level)),
            Box::new(|| evaluator.multiply_rescale(a, a).map(drop)),
        );
        add(
            "linear_transform_16",
            Some(counter.linear(&self.steps, 1, 0, level)),
            Box::new(|| evaluator.transform(std::slice::from_ref(a), &self.transform).map(drop)),
        );
        if level >= self.polynomial.depth() as usize {
            add(
                "polynomial_15",
                Some(counter.polynomial(&self.polynomial, level)),
                Box::new(|| evaluator.evaluate_chebyshev(a, &self.polynomial, SCALE).map(drop)),
            );
        }
        operations
    }

    fn encode(&self) -> Result<Plaintext, Error> {
        self.context.encode(&self.values, SCALE, self.ciphertext.level())
    }
}
