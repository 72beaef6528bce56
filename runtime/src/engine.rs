//! What a program does, operation by operation, on any engine.
//!
//! [`execute`] is the one place that follows the semantics of [`pic_ir::program`]; engines supply
//! the operations on single ciphertexts and hold the constants. What the operations cost and what
//! their ciphertexts are is theirs alone.

use std::time::{Duration, Instant};

use pic_ir::program::{Op, Program, Value, ValueId, VerifiedProgram};

/// The operations that programs are made of.
pub trait Engine {
    /// One ciphertext, or what stands for it.
    type Ciphertext: Clone;
    /// Why an operation is refused.
    type Error;

    /// The same value with the moduli above `level` removed.
    fn drop_to_level(
        &mut self,
        x: Self::Ciphertext,
        level: usize,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// The diagonals of linear value `id`, applied to the ciphertexts of all its operands and
    /// rescaled to its stated scale; blocks are not yet summed.
    fn transform(
        &mut self,
        id: ValueId,
        inputs: Vec<Self::Ciphertext>,
    ) -> Result<Vec<Self::Ciphertext>, Self::Error>;

    /// Slots rotated to the left.
    fn rotate(
        &mut self,
        x: &Self::Ciphertext,
        rotation: i32,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// `a + b`.
    fn add(
        &mut self,
        a: Self::Ciphertext,
        b: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// The bias of linear value `id` added to its ciphertext number `index`, whose blocks have been
    /// summed.
    fn add_bias(
        &mut self,
        id: ValueId,
        index: usize,
        x: Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// The Chebyshev series of value `id` at `x`, at its stated scale.
    fn polynomial(
        &mut self,
        id: ValueId,
        x: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// `x` with levels restored, as bootstrapped value `id` states it.
    fn bootstrap(
        &mut self,
        id: ValueId,
        x: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;

    /// The product that is value `id`, rescaled to its stated scale. Both operands are the same
    /// object for a square.
    fn product(
        &mut self,
        id: ValueId,
        a: &Self::Ciphertext,
        b: &Self::Ciphertext,
    ) -> Result<Self::Ciphertext, Self::Error>;
}

/// A value that has been computed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// The value.
    pub id: ValueId,
    /// Its name.
    pub name: String,
    /// Its kind of operation, [`Op::name`].
    pub kind: &'static str,
    /// When its computation began, seconds after the start of the run.
    pub start: f64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Lowest level among its operands.
    pub level_in: usize,
    /// Its level.
    pub level_out: usize,
}

/// What a program computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed<C> {
    /// The ciphertexts of the output.
    pub output: Vec<C>,
    /// The sum of the range check, if the program has one.
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
    let output = values.values.pop().flatten().expect("the last value has no user");
    // Of one element, and therefore one ciphertext.
    let sum = program.range_check_values().last();
    let range_check = sum.and_then(|id| values.get(id as ValueId).pop());
    Ok(Computed { output, range_check })
}

/// The values that still have users.
struct Values<C> {
    values: Vec<Option<Vec<C>>>,
    uses_left: Vec<usize>,
}

impl<C: Clone> Values<C> {
    /// The ciphertexts of a value, for one of its uses.
    fn get(&mut self, id: ValueId) -> Vec<C> {
        let (value, left) = (&mut self.values[id as usize], &mut self.uses_left[id as usize]);
        *left -= 1;
        let found = if *left == 0 { value.take() } else { value.clone() };
        found.expect("a value lives until its last use")
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
