//! The CKKS engine: constants of a program, encoded once, and the operations of `pic-ckks` on ciphertexts.
//!
//! All ciphertexts have the slots of the program; tensors with a shorter period repeat, as their
//! layout says. Nothing here can decrypt.

use std::collections::BTreeSet;
use std::sync::Arc;

use pic_ckks::model::ChebyshevPlan;
use pic_ckks::{
    Bootstrapper, Ciphertext, Complex64, ComplexPart, Context, Error, EvaluationKeys, Evaluator,
    LinearTransform, Plaintext, Term, TransformShape,
};
use pic_ir::program::{Facts, LinearConstants, LinearFacts, Value, ValueId, VerifiedProgram};
use pic_ir::transform::{BsgsSchedule, Diagonal, split_rotation};

use crate::engine::Engine;

/// A program's constants, encoded, with the keys to use them.
#[derive(Debug)]
pub struct Ckks {
    evaluator: Evaluator,
    constants: Vec<Constants>,
    bootstrapper: Option<Bootstrapper>,
}

/// Encoded constants of one value.
#[derive(Debug)]
enum Constants {
    Input,
    Linear(EncodedLinear),
    Polynomial {
        plan: ChebyshevPlan,
        scale: f64,
    },
    Product {
        scale: f64,
    },
    /// Number of application levels that the bootstrap restores.
    Bootstrap {
        target: usize,
    },
}

#[derive(Debug)]
struct EncodedLinear {
    transform: LinearTransform,
    /// Indices of the inputs x that are replaced by x + i·rot(x), where rot rotates by the shift of pairs.
    paired: BTreeSet<u32>,
    shift: i64,
    /// Memory of the rotated inputs and of the sums, in bytes: they live modulo the special primes, too, and all at
    /// one time.
    workspace_bytes: usize,
    /// Bias of each output ciphertext; none where it is zero.
    bias: Vec<Option<Plaintext>>,
}

impl Ckks {
    /// Encodes the constants of a program. Diagonals are held in NTT form within `budget` bytes. Beyond it they are
    /// held as integers, which take longer to use.
    ///
    /// # Errors
    /// The errors of encoding; [`Error::ContextMismatch`] for keys of another context.
    pub fn new(
        program: &VerifiedProgram,
        context: &Arc<Context>,
        keys: EvaluationKeys,
        budget: usize,
    ) -> Result<Self, Error> {
        let evaluator = Evaluator::new(Arc::clone(context), Arc::new(keys))?;
        // Its matrices are used most often.
        let plan = program.bootstrapping.clone();
        let bootstrapper = plan.map(|plan| Bootstrapper::new(context, plan, budget)).transpose()?;
        let mut left = budget - bootstrapper.as_ref().map_or(0, Bootstrapper::bytes).min(budget);
        let constants = |(id, (value, facts)): (usize, (&Value, &Facts))| {
            Ok(match facts {
                Facts::Input => Constants::Input,
                Facts::Product => Constants::Product { scale: value.scale },
                &Facts::Bootstrap { levels } => Constants::Bootstrap { target: levels },
                Facts::Polynomial(plan) => {
                    Constants::Polynomial { plan: plan.clone(), scale: value.scale }
                }
                Facts::Linear(facts) => {
                    let linear = EncodedLinear::new(program, context, id as ValueId, facts, left)?;
                    left = left.saturating_sub(linear.transform.bytes());
                    Constants::Linear(linear)
                }
            })
        };
        let constants = program.values_and_facts().enumerate().map(constants);
        let constants = constants.collect::<Result<_, Error>>()?;
        Ok(Self { evaluator, constants, bootstrapper })
    }

    /// Context of the parameters.
    pub fn context(&self) -> &Arc<Context> {
        self.evaluator.context()
    }

    /// Bytes of the encoded diagonals.
    pub fn diagonal_bytes(&self) -> usize {
        let bytes = |constants: &Constants| match constants {
            Constants::Linear(linear) => linear.transform.bytes(),
            _ => 0,
        };
        self.constants.iter().map(bytes).sum()
    }

    /// Bytes of the encoded matrices of bootstrapping.
    pub fn matrix_bytes(&self) -> usize {
        self.bootstrapper.as_ref().map_or(0, Bootstrapper::bytes)
    }

    /// Largest workspace that a linear value takes while it is computed, in bytes.
    pub fn workspace_bytes(&self) -> usize {
        let bytes = |constants: &Constants| match constants {
            Constants::Linear(linear) => linear.workspace_bytes,
            _ => 0,
        };
        self.constants.iter().map(bytes).max().unwrap_or(0)
    }

    fn linear(&self, id: ValueId) -> &EncodedLinear {
        let Constants::Linear(linear) = &self.constants[id as usize] else {
            unreachable!("the value is linear")
        };
        linear
    }
}

impl EncodedLinear {
    fn new(
        program: &VerifiedProgram,
        context: &Context,
        id: ValueId,
        facts: &LinearFacts,
        budget: usize,
    ) -> Result<Self, Error> {
        let value = &program.values[id as usize];
        let constants = program.linear_constants(id).expect("the value is linear");
        let paired = &facts.steps.packed_inputs;
        let layout = &value.layout;
        let operands = value.op.operands().iter().map(|&o| &program.values[o as usize]);
        let input_scales: Vec<f64> =
            operands.flat_map(|o| vec![o.scale; o.layout.ciphertexts(program.log_slots)]).collect();
        let slots = 1 << program.log_slots;
        let shape = TransformShape {
            inputs: input_scales.len(),
            outputs: facts.outputs,
            slots,
            level: value.level + 1,
            input_scale: input_scales[0],
            output_scale: value.scale,
            hoisting: facts.schedule.hoisting,
            part: if paired.is_empty() { ComplexPart::Whole } else { ComplexPart::Real },
        };
        let terms = terms(&constants, facts, &input_scales);
        let transform = LinearTransform::new(context, shape, terms, budget)?;
        let bias = |slots_of_period: Vec<f64>| {
            if slots_of_period.iter().all(|&b| b == 0.0) {
                return Ok(None);
            }
            let repeated: Vec<f64> = slots_of_period.into_iter().cycle().take(slots).collect();
            context.encode(&repeated, value.scale, value.level).map(Some)
        };
        let packed = layout.pack(&constants.bias, program.log_slots);
        let BsgsSchedule { giant_width, pair_shift } = facts.schedule.bsgs;
        let baby = |d: &Diagonal| (d.input, split_rotation(d.rotation, giant_width).1);
        let rotated: BTreeSet<(u32, i32)> = facts.pairs.keys().map(baby).collect();
        let primes = shape.level + 1 + program.parameters.special().len();
        let pair_bytes = 2 * 8 * program.parameters.degree() * primes;
        Ok(Self {
            transform,
            paired: paired.clone(),
            shift: pair_shift.into(),
            workspace_bytes: pair_bytes * (rotated.len() + shape.outputs),
            bias: packed.into_iter().map(bias).collect::<Result<_, Error>>()?,
        })
    }
}

/// One period of each diagonal or pair of them, as terms of baby and giant steps.
///
/// A transform takes inputs of one scale, and operands have scales of their own: all inputs are
/// declared to have the first one's, and the diagonals of an input make up for what that does to its
/// values.
fn terms<'a>(
    constants: &'a LinearConstants,
    facts: &'a LinearFacts,
    input_scales: &'a [f64],
) -> impl Iterator<Item = (Term, Vec<Complex64>)> + 'a {
    let term = move |(diagonal, second): (&Diagonal, &Option<Diagonal>)| {
        let width = facts.schedule.bsgs.giant_width;
        let (giant, baby) = split_rotation(diagonal.rotation, width);
        let factor = input_scales[0] / input_scales[diagonal.input as usize];
        let values = &constants.diagonals[diagonal];
        let second = second.map(|second| &constants.diagonals[&second]);
        // Multiplied before the giant step, which takes it to its place.
        let value = |slot: usize| {
            let from = (slot as i64 - i64::from(giant)).rem_euclid(values.len() as i64) as usize;
            let (a, b) = (values[from], second.map_or(0.0, |second| second[from]));
            Complex64 { re: a.into(), im: (-b).into() } * factor
        };
        let period: Vec<Complex64> = (0..values.len()).map(value).collect();
        let term = Term {
            output: diagonal.output as usize,
            input: diagonal.input as usize,
            giant: giant.into(),
            baby: baby.into(),
        };
        (term, period)
    };
    // A ciphertext that holds nothing but its bias still has to exist.
    let has_terms = |&output: &usize| constants.diagonals.keys().any(|d| d.output == output as u32);
    let empty = (0..facts.outputs).filter(move |output| !has_terms(output));
    let zero =
        move |output| (Term { output, input: 0, giant: 0, baby: 0 }, vec![Complex64::ZERO; 2]);
    facts.pairs.iter().map(term).chain(empty.map(zero))
}

impl Engine for &Ckks {
    type Ciphertext = Ciphertext;
    type Error = Error;

    fn drop_to_level(&mut self, mut x: Ciphertext, level: usize) -> Result<Ciphertext, Error> {
        x.drop_to_level(level)?;
        Ok(x)
    }

    fn transform(
        &mut self,
        id: ValueId,
        mut inputs: Vec<Ciphertext>,
    ) -> Result<Vec<Ciphertext>, Error> {
        let EncodedLinear { transform, paired, shift, .. } = self.linear(id);
        for (input, number) in inputs.iter_mut().zip(0..) {
            if paired.contains(&number) {
                let mut rotated = self.evaluator.rotate(input, *shift)?;
                self.evaluator.multiply_imaginary_unit_assign(&mut rotated)?;
                self.evaluator.add_assign(input, &rotated)?;
            }
            input.set_scale(transform.shape().input_scale)?;
        }
        self.evaluator.linear_transform(&inputs, transform)
    }

    fn rotate(&mut self, x: &Ciphertext, rotation: i32) -> Result<Ciphertext, Error> {
        self.evaluator.rotate(x, rotation.into())
    }

    fn add(&mut self, mut a: Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        self.evaluator.add_assign(&mut a, b)?;
        Ok(a)
    }

    fn add_bias(
        &mut self,
        id: ValueId,
        index: usize,
        mut x: Ciphertext,
    ) -> Result<Ciphertext, Error> {
        if let Some(bias) = &self.linear(id).bias[index] {
            self.evaluator.add_plain_assign(&mut x, bias)?;
        }
        Ok(x)
    }

    fn polynomial(&mut self, id: ValueId, x: &Ciphertext) -> Result<Ciphertext, Error> {
        let Constants::Polynomial { plan, scale } = &self.constants[id as usize] else {
            unreachable!("the value is a polynomial")
        };
        self.evaluator.evaluate_chebyshev(x, plan, *scale)
    }

    fn bootstrap(&mut self, id: ValueId, x: &Ciphertext) -> Result<Ciphertext, Error> {
        let (Constants::Bootstrap { target }, Some(bootstrapper)) =
            (&self.constants[id as usize], &self.bootstrapper)
        else {
            unreachable!("the value is bootstrapped")
        };
        bootstrapper.bootstrap(&self.evaluator, x, *target)
    }

    fn product(
        &mut self,
        id: ValueId,
        a: &Ciphertext,
        b: &Ciphertext,
    ) -> Result<Ciphertext, Error> {
        let Constants::Product { scale } = self.constants[id as usize] else {
            unreachable!("the value is a product")
        };
        let mut product = self.evaluator.multiply_rescale(a, b)?;
        // The stated scale, of which the actual one is the same number with other roundings.
        product.set_scale(scale)?;
        Ok(product)
    }
}
