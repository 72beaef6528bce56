//! Bootstrapping: gives a ciphertext new levels without decrypting it.
//!
//! Executes the steps of a [`BootstrappingPlan`], which fixes their order, the primes and the
//! scales; the method and its sources are described in [`crate::model::bootstrapping`].

mod dft;

use std::sync::Arc;

use crate::evaluator::check_slots;
use crate::model::ChebyshevPlan;
use crate::model::bootstrapping::{BootstrappingPlan, EvalMod, Order, SECOND_HARMONIC, StageStep};
use crate::ring::Basis;
use crate::{
    Ciphertext, ComplexPart, Context, Error, Evaluator, Hoisting, LinearTransform, Term,
    TransformShape,
};
use dft::Direction;

/// Largest ratio of the scale of an input ciphertext to the plan's input scale. Values are then
/// larger by this factor than the plan assumes.
const SCALE_EXCESS: f64 = 1.05;

/// A bootstrapping plan with the matrices of both homomorphic transforms encoded.
///
/// ```
/// use pic_ckks::{Bootstrapper, Context, EvaluationKeys, Evaluator, SecretKey, secret_rng};
/// use std::sync::Arc;
/// # use pic_ckks::model::bootstrapping::{
/// #     BootstrappingPlan, BootstrappingSpec, EphemeralWeight, EvalMod, Order, SlotData,
/// # };
/// # use pic_ckks::model::{Parameters, SecurityLevel};
/// # // q0, SlotsToCoeffs, application, EvalMod and CoeffsToSlots.
/// # let chain = [vec![48.0], vec![38.0; 2], vec![38.0; 3], vec![48.0; 8 + 3]].concat();
/// # let plan = BootstrappingPlan::new(BootstrappingSpec {
/// #     parameters: Parameters::from_bits(10, &chain, &[49.5; 4], 5, SecurityLevel::Insecure)?,
/// #     slots: 16,
/// #     data: SlotData::Real,
/// #     order: Order::SlotsToCoeffsFirst,
/// #     levels: 3,
/// #     log_input_scale: 38.0,
/// #     log_output_scale: 38.0,
/// #     ephemeral_weight: EphemeralWeight::W32,
/// #     log_ratio: 10.0,
/// #     slots_to_coeffs: vec![2, 1],
/// #     coeffs_to_slots: vec![1, 1, 1],
/// #     eval_mod: EvalMod { bound: 14.0, degree: 28, squarings: 3, harmonics: 1 },
/// #     log_eval_mod_scale: 48.0,
/// # })?;
///
/// // `plan` is a toy for 16 real slots; `BootstrappingRequest::plan` finds secure ones, as in
/// // `examples/bootstrapping.rs`.
/// let context = Context::new(plan.parameters().clone())?;
/// let bootstrapper = Bootstrapper::new(&context, plan.clone(), usize::MAX)?;
///
/// let mut rng = secret_rng()?;
/// let secret = SecretKey::generate(&context, &mut rng);
/// let keys = EvaluationKeys::generate(&secret, &plan.keys(), &mut rng)?;
/// let evaluator = Evaluator::new(Arc::clone(&context), Arc::new(keys))?;
///
/// // An encryption at the lowest level from which the plan can bootstrap.
/// let message = context.encode(&[0.5; 16], plan.input_scale(), plan.input_level())?;
/// let used_up = secret.encrypt(&message, &mut rng)?.expand(&context)?;
///
/// let fresh = bootstrapper.bootstrap(&evaluator, &used_up, 2)?;
/// assert_eq!(fresh.level(), plan.output_level(2));
/// let result = context.decode(&secret.decrypt(&fresh)?)?;
/// assert!((result[0] - 0.5).abs() < 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Bootstrapper {
    plan: BootstrappingPlan,
    context: Arc<Context>,
    slots_to_coeffs: Vec<LinearTransform>,
    coeffs_to_slots: Vec<LinearTransform>,
    exponential: ChebyshevPlan,
}

impl Bootstrapper {
    /// Encodes the matrices of a plan. Diagonals are stored in the NTT domain up to `ntt_budget`
    /// bytes, the others as integer coefficients, which take a fraction of the memory and a
    /// transform at each use.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the parameters of the context are not those of the plan, and
    /// the errors of [`LinearTransform::new`].
    pub fn new(
        context: &Arc<Context>,
        plan: BootstrappingPlan,
        ntt_budget: usize,
    ) -> Result<Self, Error> {
        if context.parameters() != plan.parameters() {
            return Err(Error::ContextMismatch);
        }
        let mut budget = ntt_budget;
        let mut encode = |steps: Vec<StageStep>, direction, constant: f64| {
            let constant = constant.powf(1.0 / steps.len() as f64);
            let encode = |step| {
                let slots = plan.slots();
                let transform = encode_stage(context, slots, step, direction, constant, budget)?;
                budget -= transform.bytes().min(budget);
                Ok(transform)
            };
            steps.into_iter().map(encode).collect::<Result<Vec<_>, Error>>()
        };
        // The sum of a number and its conjugate is twice the real part; the trace multiplies by the
        // number of repetitions.
        let repetitions = plan.parameters().max_slots() / plan.transform_slots();
        let normalization = 1.0 / (2.0 * plan.eval_mod().bound * repetitions as f64);
        let (forth, back) = (Direction::CoeffsToSlots, Direction::SlotsToCoeffs);
        let coeffs_to_slots = encode(plan.coeffs_to_slots(), forth, normalization)?;
        let slots_to_coeffs =
            encode(plan.slots_to_coeffs(), back, plan.slots_to_coeffs_constant())?;
        let exponential = plan.eval_mod().exponential();
        let context = Arc::clone(context);
        Ok(Self { plan, context, slots_to_coeffs, coeffs_to_slots, exponential })
    }

    /// The plan that is executed.
    pub fn plan(&self) -> &BootstrappingPlan {
        &self.plan
    }

    /// Bytes of memory held by the matrices.
    pub fn bytes(&self) -> usize {
        self.slots_to_coeffs.iter().chain(&self.coeffs_to_slots).map(LinearTransform::bytes).sum()
    }

    /// Bootstraps a ciphertext. The result has `target` application levels, that is the level
    /// [`BootstrappingPlan::output_level`], and the plan's output scale.
    ///
    /// The slots must hold values in \[−1, 1\]; others give wrong results. For a plan of real data
    /// with SlotsToCoeffs first, only the real parts are bootstrapped. The level of `a` must be at
    /// least [`BootstrappingPlan::input_level`]; higher levels are dropped.
    ///
    /// # Errors
    /// [`Error::BootstrappingTarget`] if the plan has fewer levels than `target`,
    /// [`Error::ContextMismatch`], [`Error::SlotsMismatch`], [`Error::ScaleMismatch`] if the scale
    /// exceeds the plan's input scale, [`Error::LevelsExhausted`] below the input level, and
    /// [`Error::MissingRelinearizationKey`], [`Error::MissingRotationKey`],
    /// [`Error::MissingConjugationKey`], [`Error::MissingEncapsulationKeys`] or [`Error::KeyLevel`]
    /// if the evaluator lacks keys of [`BootstrappingPlan::keys`].
    pub fn bootstrap(
        &self,
        evaluator: &Evaluator,
        a: &Ciphertext,
        target: usize,
    ) -> Result<Ciphertext, Error> {
        let plan = &self.plan;
        if target > plan.levels() {
            return Err(Error::BootstrappingTarget { target, highest: plan.levels() });
        }
        self.context.check_own(a.context)?;
        self.context.check_own(evaluator.context().id())?;
        check_slots(plan.slots(), a.slots)?;
        if a.scale > SCALE_EXCESS * plan.input_scale() {
            return Err(Error::ScaleMismatch { left: a.scale, right: plan.input_scale() });
        }
        let mut a = a.clone();
        a.drop_to_level(plan.input_level())?;
        if plan.halves_slots() {
            a = evaluator.add(&a, &evaluator.conjugate(&a)?)?;
        }
        if plan.order() == Order::SlotsToCoeffsFirst {
            a = self.slots_to_coeffs(evaluator, a)?;
        }
        let ratio = self.context.prime(0) / a.scale;
        let raised = self.mod_raise(evaluator, a, target)?;
        let in_slots = apply(evaluator, &self.coeffs_to_slots, raised)?;
        let conjugate = evaluator.conjugate(&in_slots)?;
        // 2i·Re z = i·(z + z̄) and 2i·Im z = z − z̄.
        let real = || {
            let mut sum = evaluator.add(&in_slots, &conjugate)?;
            evaluator.multiply_imaginary_unit_assign(&mut sum)?;
            self.eval_mod(evaluator, &sum, ratio)
        };
        let imaginary = || self.eval_mod(evaluator, &evaluator.sub(&in_slots, &conjugate)?, ratio);
        // 2·sin θ = −i·exp(iθ) + conj(−i·exp(iθ)) for the real part, 2i·sin θ = exp(iθ) − conj(exp(iθ))
        // for the imaginary one.
        let result = if plan.eval_mods() == 1 {
            let mut y = real()?;
            evaluator.multiply_imaginary_unit_assign(&mut y)?;
            let y = evaluator.negate(&y)?;
            evaluator.add(&y, &evaluator.conjugate(&y)?)?
        } else {
            let (y, w) = rayon::join(real, imaginary);
            let (mut y, w) = (y?, w?);
            evaluator.multiply_imaginary_unit_assign(&mut y)?;
            let mirrored = evaluator.negate(&evaluator.add(&y, &w)?)?;
            let sum = evaluator.sub(&w, &y)?;
            evaluator.add(&sum, &evaluator.conjugate(&mirrored)?)?
        };
        match plan.order() {
            Order::SlotsToCoeffsFirst => Ok(result),
            Order::Conventional => self.slots_to_coeffs(evaluator, result),
        }
    }

    /// SlotsToCoeffs of an operand at any scale.
    fn slots_to_coeffs(
        &self,
        evaluator: &Evaluator,
        mut a: Ciphertext,
    ) -> Result<Ciphertext, Error> {
        let factor = a.scale / self.slots_to_coeffs[0].shape().input_scale;
        a.scale /= factor;
        let mut in_coefficients = apply(evaluator, &self.slots_to_coeffs, a)?;
        if self.plan.halves_slots() {
            let half = self.plan.transform_slots() as i64;
            let other = evaluator.rotate(&in_coefficients, half)?;
            evaluator.add_assign(&mut in_coefficients, &other)?;
        }
        in_coefficients.scale *= factor;
        Ok(in_coefficients)
    }

    /// Raises m modulo q0 to m + q0·I modulo the primes that the target needs, at scale q0. If the
    /// transforms have fewer than N/2 slots, the trace then projects to the coefficients of their
    /// subring.
    fn mod_raise(
        &self,
        evaluator: &Evaluator,
        a: Ciphertext,
        target: usize,
    ) -> Result<Ciphertext, Error> {
        let context = &*self.context;
        let highest = self.plan.parameters().max_level();
        let omitted = Basis::from_indices(self.plan.omitted(target));
        let basis = context.basis_at(highest)?.difference(omitted);
        let keys = evaluator.keys.encapsulation()?;
        let mut raised = keys.mod_raise(context, &a, basis);
        raised.scale = context.prime(0);
        raised.slots = self.plan.parameters().max_slots();
        for rotation in self.trace_rotations() {
            let rotated = evaluator.rotate(&raised, rotation)?;
            evaluator.add_assign(&mut raised, &rotated)?;
        }
        raised.slots = a.slots;
        Ok(raised)
    }

    /// The rotations of the trace: of the N/2 slots by n, 2n, 4n, …, which fix vectors with the n
    /// slots of the transforms.
    fn trace_rotations(&self) -> impl Iterator<Item = i64> {
        let all = self.plan.parameters().max_slots();
        std::iter::successors(Some(self.plan.transform_slots()), |n| Some(2 * n))
            .take_while(move |&n| n < all)
            .map(|n| n as i64)
    }

    /// EvalMod: from i·x/K, x = I + m/q0, to exp(2πix) or 4/3·exp(2πix) − 1/6·exp(4πix). `ratio` is
    /// q0 over the scale of the message. The result has the plan's output scale if twice the sine
    /// is read as the message.
    fn eval_mod(
        &self,
        evaluator: &Evaluator,
        x: &Ciphertext,
        ratio: f64,
    ) -> Result<Ciphertext, Error> {
        let EvalMod { squarings, harmonics, .. } = *self.plan.eval_mod();
        let scale = self.plan.eval_mod_scales(ratio)[0];
        let mut y = evaluator.evaluate_chebyshev(x, &self.exponential, scale)?;
        for _ in 0..squarings {
            y = evaluator.multiply_rescale(&y, &y)?;
        }
        if harmonics == 2 {
            // y·(4/3 − y/6).
            let mut factor = evaluator.negate(&y)?;
            factor.scale *= SECOND_HARMONIC;
            evaluator.add_constant_assign(&mut factor, 4.0 / 3.0)?;
            y = evaluator.multiply_rescale(&y, &factor)?;
        }
        y.scale = self.plan.output_scale();
        Ok(y)
    }
}

fn apply(
    evaluator: &Evaluator,
    stages: &[LinearTransform],
    a: Ciphertext,
) -> Result<Ciphertext, Error> {
    stages.iter().try_fold(a, |a, stage| {
        let mut outputs = evaluator.linear_transform(&[a], stage)?;
        Ok(outputs.remove(0))
    })
}

fn encode_stage(
    context: &Context,
    slots: usize,
    step: StageStep,
    direction: Direction,
    constant: f64,
    ntt_budget: usize,
) -> Result<LinearTransform, Error> {
    let StageStep { stage, period, level, input_scale, output_scale } = step;
    let shape = TransformShape {
        inputs: 1,
        outputs: 1,
        slots,
        level,
        input_scale,
        output_scale,
        hoisting: Hoisting::Double,
        part: ComplexPart::Whole,
    };
    let diagonals = dft::diagonals(stage, direction, constant);
    let terms = stage.terms(stage.baby_steps()).map(|(giant, baby)| {
        let offset = (giant + baby).rem_euclid(1 << stage.log_slots) as usize;
        let mut values = diagonals[&offset].clone();
        if period > values.len() {
            values = dft::halving(&values, offset, direction);
        }
        // What the giant step will rotate to its place.
        values.rotate_right(giant.rem_euclid(period as i64) as usize);
        (Term { output: 0, input: 0, giant, baby }, values)
    });
    LinearTransform::new(context, shape, terms, ntt_budget)
}
