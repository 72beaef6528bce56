//! Engines, and the execution of a program on any of them.
//!
//! [`execute`] is the one place that follows the semantics of [`pic_ir::program`]; engines supply
//! the operations on single ciphertexts and hold the constants. What the operations cost and what
//! their ciphertexts are is theirs alone.

use std::time::{Duration, Instant};

use pic_ir::program::{Op, Program, Value, ValueId, VerifiedProgram};

/// An engine: the operations on single ciphertexts that programs consist of.
pub trait Engine {
    /// A ciphertext, or its stand-in.
    type Ciphertext: Clone;
    /// Reason why an operation is refused.
    type Error;

    /// Drops a ciphertext to a level: removes the moduli above it.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn drop_to_level(
        &mut self,
        x: Self::Ciphertext,
        level: usize,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// Applies the diagonals of linear value `id` to the ciphertexts of all its operands and rescales to its stated
    /// scale. Blocks are not yet summed.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn transform(
        &mut self,
        id: ValueId,
        inputs: Vec<Self::Ciphertext>,
    ) -> Result<Vec<Self::Ciphertext>, Self::Error>;

    /// Rotates slots to the left.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn rotate(
        &mut self,
        x: &Self::Ciphertext,
        rotation: i32,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// `a + b`.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn add(
        &mut self,
        a: Self::Ciphertext,
        b: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// Adds the bias of linear value `id` to its ciphertext number `index`, whose blocks have been summed.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn add_bias(
        &mut self,
        id: ValueId,
        index: usize,
        x: Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// Evaluates the Chebyshev series of value `id` at `x`, at its stated scale.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn polynomial(
        &mut self,
        id: ValueId,
        x: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// Bootstraps `x` to the level that value `id` states.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn bootstrap(
        &mut self,
        id: ValueId,
        x: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// Multiplies `a` and `b` and rescales to the stated scale of value `id`. Both operands are the same object for
    /// a square.
    ///
    /// # Errors
    /// [`Self::Error`] if the operation is refused.
    fn product(
        &mut self,
        id: ValueId,
        a: &Self::Ciphertext,
        b: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;
}

/// Record of a computed value.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// Position of the value in the program.
    pub id: ValueId,
    /// Name of the value.
    pub name: String,
    /// Kind of the operation ([`Op::name`]).
    pub kind: &'static str,
    /// Start of the computation, seconds after the start of the run.
    pub start: f64,
    /// Duration of the computation, seconds.
    pub seconds: f64,
    /// Lowest level among its operands.
    pub level_in: usize,
    /// Level of the value.
    pub level_out: usize,
}

/// Ciphertexts that a program computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed<C> {
    /// The ciphertexts of the output.
    pub output: Vec<C>,
    /// Sum of the range check; none if the program has no range check.
    pub range_check: Option<C>,
}

/// Runs a program on the ciphertexts of its input. After each computed value, `observe` is called. A value
/// is dropped after its last use.
///
/// # Errors
/// The first error of the engine.
pub fn execute<E: Engine>(
    program: &VerifiedProgram,
    engine: &mut E,
    input: Vec<E::Ciphertext>,
    observe: &mut dyn FnMut(&Step),
) -> Result<Computed<E::Ciphertext>, E::Error> {
    let mut values = Values { values: vec![Some(input)], uses_left: program.uses().to_vec() };
    let begin = Instant::now();
    for index in 1..program.values.len() {
        let start = begin.elapsed();
        let result = compute(program, engine, index, &mut values)?;
        values.values.push(Some(result));
        observe(&step(program, index, start, begin.elapsed()));
    }
    let output = values.values.pop().flatten().expect("the output is kept to the end");
    // The sum has one element, and therefore one ciphertext.
    let sum = program.range_check_values().last();
    let range_check = sum.and_then(|id| values.get(id as ValueId).pop());
    Ok(Computed { output, range_check })
}

/// Ciphertexts of the values that still have users.
struct Values<C> {
    values: Vec<Option<Vec<C>>>,
    uses_left: Vec<usize>,
}

impl<C: Clone> Values<C> {
    /// Takes the ciphertexts of a value for one of its uses; the last use drops the value.
    fn get(&mut self, id: ValueId) -> Vec<C> {
        let (value, left) = (&mut self.values[id as usize], &mut self.uses_left[id as usize]);
        *left -= 1;
        let found = if *left == 0 { value.take() } else { value.clone() };
        found.expect("values are kept until their last use")
    }
}

fn compute<E: Engine>(
    program: &VerifiedProgram,
    engine: &mut E,
    index: usize,
    values: &mut Values<E::Ciphertext>,
) -> Result<Vec<E::Ciphertext>, E::Error> {
    let (id, value) = (index as ValueId, &program.values[index]);
    let level = program.operand_level(value);
    match &value.op {
        Op::Input => unreachable!("the input of a verified program is its first value only"),
        Op::Linear { operands, .. } => {
            let mut inputs = Vec::new();
            for &operand in operands {
                inputs.extend(operand_at(engine, values.get(operand), level)?);
            }
            let geometry = program.linear(id).expect("the value is linear").geometry;
            let mut outputs = Vec::new();
            for (number, mut x) in engine.transform(id, inputs)?.into_iter().enumerate() {
                for rotation in geometry.folds() {
                    let rotated = engine.rotate(&x, rotation)?;
                    x = engine.add(x, &rotated)?;
                }
                outputs.push(engine.add_bias(id, number, x)?);
            }
            Ok(outputs)
        }
        &Op::Polynomial { operand, .. } => {
            let x = operand_at(engine, values.get(operand), level)?;
            x.iter().map(|x| engine.polynomial(id, x)).collect()
        }
        &Op::Bootstrap { operand } => {
            let x = operand_at(engine, values.get(operand), level)?;
            x.iter().map(|x| engine.bootstrap(id, x)).collect()
        }
        &Op::Product { operands: [a, b] } => {
            let x = operand_at(engine, values.get(a), level)?;
            if a == b {
                return x.iter().map(|x| engine.product(id, x, x)).collect();
            }
            let y = operand_at(engine, values.get(b), level)?;
            x.iter().zip(&y).map(|(x, y)| engine.product(id, x, y)).collect()
        }
    }
}

fn operand_at<E: Engine>(
    engine: &mut E,
    ciphertexts: Vec<E::Ciphertext>,
    level: usize,
) -> Result<Vec<E::Ciphertext>, E::Error> {
    ciphertexts.into_iter().map(|x| engine.drop_to_level(x, level)).collect()
}

fn step(program: &Program, index: usize, start: Duration, end: Duration) -> Step {
    let value: &Value = &program.values[index];
    let operand_level = |&o: &ValueId| program.values[o as usize].level;
    Step {
        id: index as ValueId,
        name: value.name.clone(),
        kind: value.op.name(),
        start: start.as_secs_f64(),
        seconds: (end - start).as_secs_f64(),
        level_in: value.op.operands().iter().map(operand_level).min().unwrap_or(value.level),
        level_out: value.level,
    }
}
