//! Operations on ciphertexts at parameters as programs of growing depth use them, with the work that
//! the cost model counts for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pic::Progress;
use pic_ckks::model::chebyshev::ChebyshevPlan;
use pic_ckks::model::op_counts::{OpCounter, OpCounts, TransformSteps};
use pic_ckks::model::{Parameters, SecurityLevel};
use pic_ckks::{
    Ciphertext, ComplexPart, Context, Error, EvaluationKeys, Evaluator, Hoisting, KeyRequest,
    LinearTransform, Plaintext, PublicKey, SecretKey, Term, TransformShape, secret_rng,
};

use super::figure::{Figure, Part};
use super::measure::{Run, Stopwatch, Task, timed};
use super::quick;
use crate::cli::error::Failure;

/// Sizes of the primes; q0 has room above the scale. Timings hardly depend on them.
const Q0_BITS: f64 = 45.0;
const PRIME_BITS: f64 = 40.0;
const SPECIAL_BITS: f64 = 45.0;
const SCALE: f64 = (1u64 << 40) as f64;

/// Rotations of one operand; those of the linear transform are among them.
const HOISTED: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// Diagonals of the linear transform, from the main one up, and the width of its giant steps.
const DIAGONALS: i64 = 12;
const STEP: i64 = 4;

/// Operations of the linear transform, given the number of slots.
fn steps(period: usize) -> TransformSteps {
    TransformSteps {
        inputs: 1,
        outputs: 1,
        baby_steps: STEP as usize - 1,
        giant_steps: (DIAGONALS / STEP) as usize - 1,
        products: DIAGONALS as usize,
        packed_inputs: 0,
        period,
    }
}

/// A parameter set, 128-bit secure.
struct Case {
    log_n: u32,
    /// Primes of the chain.
    limbs: usize,
    /// Special primes, and primes in a digit.
    special: usize,
    /// Polynomials that are evaluated.
    polynomials: &'static [(&'static str, usize)],
}

const CASES: [Case; 8] = [
    Case { log_n: 13, limbs: 4, special: 1, polynomials: &[("chebyshev_7", 7)] },
    Case { log_n: 14, limbs: 8, special: 2, polynomials: &[("chebyshev_15", 15)] },
    Case { log_n: 15, limbs: 8, special: 2, polynomials: &[("chebyshev_15", 15)] },
    Case { log_n: 15, limbs: 11, special: 4, polynomials: &[] },
    Case { log_n: 15, limbs: 14, special: 3, polynomials: DEEP },
    Case { log_n: 16, limbs: 11, special: 4, polynomials: &[] },
    Case { log_n: 16, limbs: 14, special: 5, polynomials: DEEP },
    Case { log_n: 16, limbs: 24, special: 8, polynomials: &[] },
];

const DEEP: &[(&str, usize)] = &[("chebyshev_27", 27), ("chebyshev_59", 59)];

/// Times all operations at those of the ring degrees 2^13 to 2^16 whose log2 is in `wanted`, each per call.
///
/// # Errors
/// [`Failure`] if an operation fails or a row cannot be printed.
pub fn figures(stopwatch: &Stopwatch, wanted: &[u32]) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for case in CASES.iter().filter(|case| wanted.contains(&case.log_n)) {
        let stage = format!("operations, N = 2^{}, {} limbs", case.log_n, case.limbs);
        let measured = stopwatch
            .within(&stage, case.expected(stopwatch), || case.figures(stopwatch, |_| true))?;
        figures.extend(measured.into_iter().flatten());
    }
    Ok(figures)
}

/// Times those operations only by which this machine's speed is judged.
///
/// # Errors
/// As [`figures`].
pub fn quick(stopwatch: &Stopwatch) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for case in CASES.iter().filter(|case| quick::SIZES.contains(&(case.log_n, case.limbs))) {
        figures.extend(case.figures(stopwatch, |what| quick::weight(what) > 0.0)?);
    }
    Ok(figures)
}

impl Case {
    fn parameters(&self) -> Parameters {
        let mut chain = vec![PRIME_BITS; self.limbs];
        chain[0] = Q0_BITS;
        let special = vec![SPECIAL_BITS; self.special];
        let digits = self.limbs.div_ceil(self.special);
        Parameters::from_bits(self.log_n, &chain, &special, digits, SecurityLevel::Bits128)
            .expect("the cases of the benchmark are within the security table")
    }

    fn figures(
        &self,
        stopwatch: &Stopwatch,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Figure>, Failure> {
        stopwatch.session.progress.stage("keys", 0);
        let operands = Operands::new(self)?;
        let mut tasks = operands.tasks(self)?;
        tasks.retain(|task| wanted(task.what));
        stopwatch.rows(Part::Operations, self.log_n, tasks)
    }

    /// Seconds that timing its operations should take.
    fn expected(&self, stopwatch: &Stopwatch) -> f64 {
        let parameters = self.parameters();
        let (counter, level) = (OpCounter::new(&parameters, 0..0), parameters.max_level());
        let rotation = counter.key_switch(level);
        let polynomials = self.polynomials.iter().map(|&(_, degree)| {
            let plan = ChebyshevPlan::new(&coefficients(degree));
            counter.polynomial(&plan.expect("the coefficients are finite"), level)
        });
        // Encoding, encrypting and decrypting take next to nothing; hoisting halves rotations.
        let others = [
            OpCounts::default(),
            OpCounts::default(),
            OpCounts::default(),
            OpCounts::default(),
            counter.rescale(level),
            rotation,
            rotation * (HOISTED.len() / 2),
            counter.product(level),
            counter.linear(&steps(parameters.max_slots()), level, Hoisting::Double),
        ];
        let figures = polynomials.chain(others).map(|work| stopwatch.expected_of_figure(work));
        // A key takes about as long as its use.
        figures.sum::<f64>() + stopwatch.expected(rotation * (HOISTED.len() + 1))
    }
}

/// Operands and keys for one [`Case`].
struct Operands {
    context: Arc<Context>,
    secret: SecretKey,
    public: PublicKey,
    evaluator: Evaluator,
    values: Vec<f64>,
    message: Plaintext,
    a: Ciphertext,
    b: Ciphertext,
    transform: LinearTransform,
}

impl Operands {
    fn new(case: &Case) -> Result<Self, Error> {
        let context = Context::new(case.parameters())?;
        let level = context.parameters().max_level();
        let mut rng = secret_rng()?;
        let secret = SecretKey::generate(&context, &mut rng);
        let request = KeyRequest {
            relinearization: Some(level),
            rotations: BTreeMap::from(HOISTED.map(|rotation| (rotation, level))),
            ..KeyRequest::default()
        };
        let keys = EvaluationKeys::generate(&secret, &request, &mut rng)?;

        let slots = context.parameters().max_slots();
        let values: Vec<f64> = (0..slots).map(|k| (k as f64).sin()).collect();
        let message = context.encode(&values, SCALE, level)?;
        let [a, b] = [(); 2].map(|()| secret.encrypt(&message, &mut rng)?.expand(&context));
        Ok(Self {
            transform: transform(&context, &values)?,
            public: PublicKey::generate(&secret, &mut rng),
            evaluator: Evaluator::new(Arc::clone(&context), Arc::new(keys))?,
            a: a?,
            b: b?,
            context,
            secret,
            values,
            message,
        })
    }

    fn tasks(&self, case: &Case) -> Result<Vec<Task<'_>>, Error> {
        let Self { context, secret, public, evaluator, values, message, a, b, transform } = self;
        let level = a.level();
        let counter = OpCounter::new(context.parameters(), 0..0);
        let (mut rng, mut public_rng) = (secret_rng()?, secret_rng()?);
        let task = |what, work, run| Task { what, limbs: case.limbs, count: 1.0, work, run };
        let mut tasks = vec![
            task(
                "encode",
                None,
                Box::new(move || timed(|| context.encode(values, SCALE, level))) as Run,
            ),
            task("encrypt", None, Box::new(move || timed(|| secret.encrypt(message, &mut rng)))),
            task(
                "encrypt_public_key",
                None,
                Box::new(move || timed(|| public.encrypt(message, &mut public_rng))),
            ),
            task(
                "decrypt_decode",
                None,
                Box::new(move || timed(|| context.decode(&secret.decrypt(a)?))),
            ),
            task(
                "rescale",
                Some(counter.rescale(level)),
                Box::new(move || {
                    let a = a.clone();
                    timed(|| evaluator.rescale(a))
                }),
            ),
            task(
                "rotate",
                Some(counter.key_switch(level)),
                Box::new(move || timed(|| evaluator.rotate(a, HOISTED[0]))),
            ),
            task(
                "rotate_hoisted_8",
                None,
                Box::new(move || timed(|| evaluator.rotate_hoisted(a, &HOISTED))),
            ),
            task(
                "multiply_relinearize_rescale",
                Some(counter.product(level)),
                Box::new(move || timed(|| evaluator.multiply_rescale(a, b))),
            ),
            task(
                "linear_transform_12",
                Some(counter.linear(
                    &steps(context.parameters().max_slots()),
                    level,
                    Hoisting::Double,
                )),
                Box::new(move || {
                    timed(|| evaluator.linear_transform(std::slice::from_ref(a), transform))
                }),
            ),
        ];
        for &(what, degree) in case.polynomials {
            let plan = ChebyshevPlan::new(&coefficients(degree));
            let plan = plan.expect("the coefficients are finite");
            let work = counter.polynomial(&plan, level);
            let run = move || timed(|| evaluator.evaluate_chebyshev(a, &plan, SCALE));
            tasks.push(task(what, Some(work), Box::new(run)));
        }
        Ok(tasks)
    }
}

fn coefficients(degree: usize) -> Vec<f64> {
    (0..=degree).map(|i| 0.5 / (i + 1) as f64).collect()
}

fn transform(context: &Context, values: &[f64]) -> Result<LinearTransform, Error> {
    let shape = TransformShape {
        inputs: 1,
        outputs: 1,
        slots: values.len(),
        level: context.parameters().max_level(),
        input_scale: SCALE,
        output_scale: SCALE,
        hoisting: Hoisting::Double,
        part: ComplexPart::Whole,
    };
    let terms = (0..DIAGONALS).map(|rotation| {
        let (giant, baby) = (rotation / STEP * STEP, rotation % STEP);
        (Term { output: 0, input: 0, giant, baby }, values.to_vec())
    });
    LinearTransform::new(context, shape, terms, usize::MAX)
}
