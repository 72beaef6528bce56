//! Bootstrapping: giving levels back to a ciphertext that has used them up.
//!
//! What is done in which order, with which primes and scales, is the plan's business
//! ([`crate::model::bootstrapping`]); here it is executed.

mod dft;

use std::f64::consts::PI;
use std::sync::Arc;

use crate::context::top;
use crate::evaluator::check_slots;
use crate::model::ChebyshevPlan;
use crate::model::bootstrapping::{BootstrappingPlan, SlotData, StageStep};
use crate::ring::Basis;
use crate::{
    Ciphertext, Complex64, Context, Error, Evaluator, KeyRequest, LinearTransform, Term,
    TransformShape,
};
use dft::Direction;

/// How far the scale of a ciphertext may be above that of the plan: values are then larger than the
/// plan counts with by this factor.
const SCALE_EXCESS: f64 = 1.05;

/// A plan with its matrices encoded.
#[derive(Debug)]
pub struct Bootstrapper {
    plan: BootstrappingPlan,
    context: Arc<Context>,
    slots_to_coeffs: Vec<LinearTransform>,
    coeffs_to_slots: Vec<LinearTransform>,
    cosine: ChebyshevPlan,
}

impl Bootstrapper {
    /// Encodes the matrices of a plan. They take up to `ntt_budget` bytes in fast form, and a fraction
    /// of their size beyond it.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`] if the context has other parameters than the plan; those of
    /// [`LinearTransform::new`].
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
                let transform = encode_stage(context, step, direction, constant, budget)?;
                budget -= transform.bytes().min(budget);
                Ok(transform)
            };
            steps.into_iter().map(encode).collect::<Result<Vec<_>, Error>>()
        };
        // The sum of a number and its conjugate is twice the real part; the trace multiplies by the
        // number of repetitions.
        let repetitions = plan.parameters().max_slots() / plan.slots();
        let normalization = 1.0 / (2.0 * plan.eval_mod().bound * repetitions as f64);
        let (forth, back) = (Direction::CoeffsToSlots, Direction::SlotsToCoeffs);
        let coeffs_to_slots = encode(plan.coeffs_to_slots(), forth, normalization)?;
        let slots_to_coeffs = encode(plan.slots_to_coeffs(), back, 1.0)?;
        let cosine = ChebyshevPlan::new(&plan.eval_mod().coefficients())
            .expect("checked plans have polynomials of supported degrees");
        let context = Arc::clone(context);
        Ok(Self { plan, context, slots_to_coeffs, coeffs_to_slots, cosine })
    }

    /// The plan.
    pub fn plan(&self) -> &BootstrappingPlan {
        &self.plan
    }

    /// The keys that bootstrapping needs.
    pub fn key_request(&self) -> KeyRequest {
        let highest = self.plan.parameters().max_level();
        let mut request = KeyRequest {
            relinearization: Some(self.plan.eval_mod_level()),
            conjugation: Some(self.plan.eval_mod_level()),
            encapsulation: true,
            rotations: self.trace_rotations().map(|rotation| (rotation, highest)).collect(),
        };
        for transform in self.slots_to_coeffs.iter().chain(&self.coeffs_to_slots) {
            let level = transform.shape().level;
            let rotations = transform.rotations().into_iter().map(|r| (r, level)).collect();
            request.include(&KeyRequest { rotations, ..KeyRequest::default() });
        }
        request
    }

    /// Memory that the matrices hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.slots_to_coeffs.iter().chain(&self.coeffs_to_slots).map(LinearTransform::bytes).sum()
    }

    /// Bootstraps: the result has `target` application levels, the level
    /// [`BootstrappingPlan::output_level`] and the plan's scale.
    ///
    /// Values must be in \[−1, 1\]; beyond, they come out wrong. The level must be at least
    /// [`BootstrappingPlan::input_level`]; what is above it is given away.
    ///
    /// # Errors
    /// [`Error::BootstrappingTarget`], [`Error::ContextMismatch`], [`Error::SlotsMismatch`],
    /// [`Error::ScaleMismatch`] if the scale is above the plan's, [`Error::LevelsExhausted`], and those
    /// of missing keys.
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
        if a.scale > SCALE_EXCESS * plan.scale() {
            return Err(Error::ScaleMismatch { left: a.scale, right: plan.scale() });
        }
        let mut a = a.clone();
        a.drop_to_level(plan.input_level())?;
        if plan.data() == SlotData::Real {
            a = self.to_coefficients(evaluator, a)?;
        }
        let ratio = self.context.prime(0) / a.scale;
        let raised = self.raise(evaluator, a, target)?;
        let in_slots = apply(evaluator, &self.coeffs_to_slots, raised)?;
        let conjugate = evaluator.conjugate(&in_slots)?;
        let eval_mod = |x: &Ciphertext| self.eval_mod(evaluator, x, ratio);
        match plan.data() {
            SlotData::Real => eval_mod(&evaluator.add(&in_slots, &conjugate)?),
            SlotData::Complex => {
                let real = evaluator.add(&in_slots, &conjugate)?;
                // i·(z̄ − z) = 2·Im z.
                let mut imaginary = evaluator.sub(&conjugate, &in_slots)?;
                evaluator.multiply_imaginary_unit_assign(&mut imaginary)?;
                let (real, imaginary) = rayon::join(|| eval_mod(&real), || eval_mod(&imaginary));
                let (mut sum, mut imaginary) = (real?, imaginary?);
                evaluator.multiply_imaginary_unit_assign(&mut imaginary)?;
                evaluator.add_assign(&mut sum, &imaginary)?;
                self.to_coefficients(evaluator, sum)
            }
        }
    }

    /// SlotsToCoeffs, whatever the scale of the operand.
    fn to_coefficients(
        &self,
        evaluator: &Evaluator,
        mut a: Ciphertext,
    ) -> Result<Ciphertext, Error> {
        let factor = a.scale / self.plan.scale();
        a.scale = self.plan.scale();
        let mut in_coefficients = apply(evaluator, &self.slots_to_coeffs, a)?;
        in_coefficients.scale *= factor;
        Ok(in_coefficients)
    }

    /// From m modulo q0 to m + q0·I modulo the primes that the target needs, at the scale q0; with
    /// fewer slots than N/2, projected to the coefficients that they have.
    fn raise(
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
        let mut raised = keys.raise(context, &a, basis);
        raised.scale = context.prime(0);
        raised.slots = self.plan.parameters().max_slots();
        for rotation in self.trace_rotations() {
            let rotated = evaluator.rotate(&raised, rotation)?;
            evaluator.add_assign(&mut raised, &rotated)?;
        }
        raised.slots = a.slots;
        Ok(raised)
    }

    /// The rotations of full vectors that fix vectors with the plan's number of slots: n, 2n, ….
    fn trace_rotations(&self) -> impl Iterator<Item = i64> {
        let all = self.plan.parameters().max_slots();
        std::iter::successors(Some(self.plan.slots()), |n| Some(2 * n))
            .take_while(move |&n| n < all)
            .map(|n| n as i64)
    }

    /// From x/K, x = I + m/q0, to the message, given q0 over its scale. The result has the plan's scale.
    fn eval_mod(
        &self,
        evaluator: &Evaluator,
        x: &Ciphertext,
        ratio: f64,
    ) -> Result<Ciphertext, Error> {
        // The sine of 2πm/q0 is 2π/ratio times the value, as long as that is small.
        let sine_scale = self.plan.scale() * ratio / (2.0 * PI);
        let first_dropped = top(x.basis()) - self.cosine.depth() as usize;
        let doublings = self.plan.eval_mod().doublings as usize;
        // From the scale of the result back through y → 2y² − 1.
        let target_scale = (0..doublings)
            .rev()
            .fold(sine_scale, |scale, i| (scale * self.context.prime(first_dropped - i)).sqrt());
        let mut y = evaluator.evaluate_chebyshev(x, &self.cosine, target_scale)?;
        for _ in 0..doublings {
            y = evaluator.double_angle(&y)?;
        }
        y.scale = self.plan.scale();
        Ok(y)
    }
}

fn apply(
    evaluator: &Evaluator,
    stages: &[LinearTransform],
    a: Ciphertext,
) -> Result<Ciphertext, Error> {
    stages.iter().try_fold(a, |a, stage| {
        let mut outputs = evaluator.transform(&[a], stage)?;
        Ok(outputs.remove(0))
    })
}

fn encode_stage(
    context: &Context,
    step: StageStep,
    direction: Direction,
    constant: f64,
    ntt_budget: usize,
) -> Result<LinearTransform, Error> {
    let StageStep { stage, level, input_scale, output_scale } = step;
    let slots = 1usize << stage.log_slots;
    let shape = TransformShape { inputs: 1, outputs: 1, slots, level, input_scale, output_scale };
    let diagonals = dft::diagonals(stage, direction, constant);
    let terms = stage.terms(stage.babies()).map(|(giant, baby)| {
        let diagonal = &diagonals[&((giant + baby).rem_euclid(slots as i64) as usize)];
        // What the giant step will rotate to its place.
        let mut values: Vec<Complex64> = diagonal.clone();
        values.rotate_right(giant.rem_euclid(diagonal.len() as i64) as usize);
        (Term { output: 0, input: 0, giant, baby }, values)
    });
    LinearTransform::new(context, shape, terms, ntt_budget)
}
