//! Bootstrapping at 128-bit secure parameters, to all levels and to fewer: time against precision.

use std::sync::Arc;

use pic::Progress;
use pic_ckks::model::SecurityLevel;
use pic_ckks::model::bootstrapping::{
    BootstrappingPlan, BootstrappingRequest, EphemeralWeight, LOG2_FAILURE, SlotData,
};
use pic_ckks::model::op_counts::OpCounts;
use pic_ckks::{
    Bootstrapper, Ciphertext, Complex64, Context, Error, EvaluationKeys, Evaluator, SecretKey,
    secret_rng,
};

use super::figure::{Bootstrap, Part};
use super::measure::{Run, Stopwatch, Task, timed};
use super::table;
use crate::cli::error::Failure;

/// Requests to the planner, by name.
const CASES: [(&str, BootstrappingRequest); 4] = [
    ("bootstrap_full_real", SMALL),
    ("bootstrap_full_complex", BootstrappingRequest { data: SlotData::Complex, ..LARGE }),
    ("bootstrap_full_real", LARGE),
    ("bootstrap_sparse_real", BootstrappingRequest { slots: 1 << 14, ..LARGE }),
];

const SMALL: BootstrappingRequest = BootstrappingRequest {
    log_n: 15,
    slots: 1 << 14,
    data: SlotData::Real,
    levels: 5,
    log_scale: 30.0,
    log_output_scale: 32.0,
    precision: 13.0,
    log2_failure: LOG2_FAILURE,
    ephemeral_weight: EphemeralWeight::W32,
    security: SecurityLevel::Bits128,
};

const LARGE: BootstrappingRequest = BootstrappingRequest {
    log_n: 16,
    slots: 1 << 15,
    levels: 10,
    log_scale: 40.0,
    log_output_scale: 42.0,
    precision: 18.0,
    ..SMALL
};

/// Times bootstraps at those ring degrees whose log2 is in `wanted`, one parameter set after the other.
///
/// # Errors
/// [`Failure`] if there is no plan for a parameter set, a bootstrap fails, or a row cannot be printed.
pub fn bootstraps(stopwatch: &Stopwatch, wanted: &[u32]) -> Result<Vec<Bootstrap>, Failure> {
    let mut bootstraps = Vec::new();
    for (what, request) in CASES.iter().filter(|(_, request)| wanted.contains(&request.log_n)) {
        let is_first = bootstraps.is_empty();
        bootstraps.extend(bootstrap(stopwatch, what, request, is_first)?);
    }
    Ok(bootstraps)
}

fn bootstrap(
    stopwatch: &Stopwatch,
    what: &'static str,
    request: &BootstrappingRequest,
    is_first: bool,
) -> Result<Vec<Bootstrap>, Failure> {
    let BootstrappingRequest { log_n, slots, levels, .. } = *request;
    let stage = format!("{}, N = 2^{log_n}, {slots} slots", what.replace('_', " "));
    stopwatch.session.progress.stage(&format!("{stage}: plan and keys"), 0);
    let plan = request.plan().expect("the requests of the benchmark have plans");
    let mut targets =
        if stopwatch.is_limited() { vec![levels, 0] } else { vec![levels, levels / 2, 1, 0] };
    targets.dedup();
    let expected = expected(&plan, &targets, stopwatch);
    let measured = stopwatch.within(&stage, expected, || {
        let operands = Operands::new(request, plan)?;
        if is_first {
            stopwatch.session.say(table::bootstraps_heading(stopwatch.target.threads))?;
        }
        targets.iter().map(|&target| operands.figure(stopwatch, what, target)).collect()
    })?;
    Ok(measured.unwrap_or_default())
}

/// Seconds that timing bootstrapping to these levels should take.
fn expected(plan: &BootstrappingPlan, targets: &[usize], stopwatch: &Stopwatch) -> f64 {
    // Each is done once more for its precision.
    let figure = |&target: &usize| {
        let work = plan.cost(target);
        stopwatch.expected_of_figure(work) + stopwatch.expected(work)
    };
    // Keys and matrices are sampled or encoded, and transformed.
    let parameters = plan.parameters();
    let words = (plan.keys().bytes(parameters) + plan.matrix_bytes()) as f64 / 8.0;
    let transforms = 2.0 * words * f64::from(parameters.log_n());
    let setup = OpCounts { transforms, words, ..OpCounts::default() };
    targets.iter().map(figure).sum::<f64>() + stopwatch.expected(setup)
}

/// Keys, matrices and a ciphertext for one request.
struct Operands {
    context: Arc<Context>,
    secret: SecretKey,
    bootstrapper: Bootstrapper,
    evaluator: Evaluator,
    key_bytes: usize,
    values: Vec<Complex64>,
    ciphertext: Ciphertext,
}

impl Operands {
    fn new(request: &BootstrappingRequest, plan: BootstrappingPlan) -> Result<Self, Error> {
        let context = Context::new(plan.parameters().clone())?;
        let values = values(request);
        let message = context.encode_complex(&values, plan.input_scale(), plan.input_level())?;
        let bootstrapper = Bootstrapper::new(&context, plan, usize::MAX)?;
        let mut rng = secret_rng()?;
        let secret = SecretKey::generate(&context, &mut rng);
        let keys = EvaluationKeys::generate(&secret, &bootstrapper.plan().keys(), &mut rng)?;
        Ok(Self {
            ciphertext: secret.encrypt(&message, &mut rng)?.expand(&context)?,
            key_bytes: keys.bytes(),
            evaluator: Evaluator::new(Arc::clone(&context), Arc::new(keys))?,
            context,
            secret,
            bootstrapper,
            values,
        })
    }

    /// Times bootstrapping to some levels, measures its precision and prints both.
    fn figure(
        &self,
        stopwatch: &Stopwatch,
        what: &'static str,
        levels_left: usize,
    ) -> Result<Bootstrap, Failure> {
        let plan = self.bootstrapper.plan();
        let (log_n, limbs) = (plan.parameters().log_n(), plan.parameters().moduli().len());
        let run: Run = Box::new(move || timed(|| self.bootstrap(levels_left)));
        let task = Task { what, limbs, count: 1.0, work: None, run };
        let figure = stopwatch.figure(Part::Bootstrapping, log_n, task)?;
        let [mean_bits, minimum_bits] = self.bits(levels_left)?;
        let bootstrap = Bootstrap {
            figure: if levels_left == plan.levels() {
                figure.judged(stopwatch.target)
            } else {
                figure
            },
            slots: plan.slots(),
            levels_left,
            mean_bits,
            minimum_bits,
            key_bytes: self.key_bytes,
            matrix_bytes: self.bootstrapper.bytes(),
        };
        stopwatch.session.say(table::bootstrap(&bootstrap))?;
        Ok(bootstrap)
    }

    fn bootstrap(&self, target: usize) -> Result<Ciphertext, Error> {
        self.bootstrapper.bootstrap(&self.evaluator, &self.ciphertext, target)
    }

    /// Bits of the mean and of the largest error of a real or imaginary part that holds data.
    fn bits(&self, target: usize) -> Result<[f64; 2], Error> {
        let plaintext = self.secret.decrypt(&self.bootstrap(target)?)?;
        let decoded = self.context.decode_complex(&plaintext)?;
        let complex = self.bootstrapper.plan().data() == SlotData::Complex;
        let parts = |(a, b): (&Complex64, &Complex64)| {
            let error = a - b;
            [Some(error.re.abs()), complex.then_some(error.im.abs())]
        };
        let errors: Vec<f64> = decoded.iter().zip(&self.values).flat_map(parts).flatten().collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let largest = errors.into_iter().fold(0.0, f64::max);
        Ok([-mean.log2(), -largest.log2()])
    }
}

/// Spread evenly over \[−1, 1\], without an order that a Fourier transform would see.
fn values(request: &BootstrappingRequest) -> Vec<Complex64> {
    let spread = |k: usize, step: f64| 2.0 * ((k * k) as f64 * step).fract() - 1.0;
    let imaginary = |k| match request.data {
        SlotData::Real => 0.0,
        SlotData::Complex => spread(k, 3f64.sqrt()),
    };
    (0..request.slots).map(|k| Complex64::new(spread(k, 2f64.sqrt()), imaginary(k))).collect()
}
