//! Verified programs: a program whose invariants hold, with the facts that follow from it, each computed once.
//!
//! Engines, cost, memory and noise take nothing else, so that a program that was not verified cannot reach them,
//! and none of them derives again what another one has derived.

use std::collections::BTreeMap;
use std::ops::Deref;

use pic_ckks_model::op_counts::TransformSteps;
use pic_ckks_model::{ChebyshevPlan, KeyRequest};

use super::{MAX_DIAGONAL_BYTES, Op, Program, ProgramError, Value, ValueId};
use crate::matrix::Matrix;
use crate::postprocessing::Postprocessing;
use crate::prediction::Prediction;
use crate::transform::{
    Diagonal, Geometry, Schedule, Steps, Term, bounded_structure, diagonals, pairs,
};

/// A program that [`Program::verify`] has checked. It can be read, not changed.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedProgram {
    program: Program,
    /// One entry per value.
    facts: Vec<Facts>,
    uses: Vec<usize>,
}

/// Facts about one value: how its operation is carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// An input, encrypted by the client.
    Input,
    /// A product of two ciphertexts.
    Product,
    /// Evaluation plan of a Chebyshev series.
    Polynomial(ChebyshevPlan),
    /// Diagonals and rotations of a linear value.
    Linear(LinearFacts),
    /// A bootstrap.
    Bootstrap {
        /// Levels left afterwards, counted from above the primes of SlotsToCoeffs.
        levels: usize,
    },
}

/// Facts about a linear value: its diagonals, and the rotations that its schedule needs.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearFacts {
    /// Lengths of diagonals and periods, and the rotations of the final fold.
    pub geometry: Geometry,
    /// Baby steps, giant steps and hoisting.
    pub schedule: Schedule,
    /// Products of a ciphertext with a diagonal or a pair: each key is a diagonal, its value the second diagonal of
    /// the pair, if there is one.
    pub pairs: BTreeMap<Diagonal, Option<Diagonal>>,
    /// Baby steps, giant steps and numbers of products under the schedule.
    pub steps: Steps,
    /// Number of ciphertexts of the result.
    pub outputs: usize,
    /// Number of diagonals.
    diagonals: usize,
}

/// The constants of a linear value.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearConstants {
    /// The diagonals in stored units.
    pub diagonals: BTreeMap<Diagonal, Vec<f32>>,
    /// The bias in stored units, one per element.
    pub bias: Vec<f64>,
}

impl Deref for VerifiedProgram {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl VerifiedProgram {
    /// Joins a program and its facts. The caller has checked the program.
    pub(super) fn new(program: Program, facts: Vec<Facts>) -> Self {
        let uses = count_uses(&program);
        Self { program, facts, uses }
    }

    /// Returns the program alone, to be changed and verified again.
    pub fn into_program(self) -> Program {
        self.program
    }

    /// Replaces the prediction by `predicted` and keeps everything else.
    ///
    /// # Errors
    /// [`ProgramError::Prediction`] if a figure of `predicted` is negative, not finite or overflows
    /// ([`Prediction::is_sound`]).
    pub fn with_prediction(mut self, predicted: Prediction) -> Result<Self, ProgramError> {
        if !predicted.is_sound() {
            return Err(ProgramError::Prediction);
        }
        self.program.predicted = predicted;
        Ok(self)
    }

    /// Replaces what the client does with the outputs and keeps everything else.
    ///
    /// # Errors
    /// [`ProgramError::Postprocessing`] if it does not fit the output.
    pub fn with_postprocessing(
        mut self,
        postprocessing: Postprocessing,
    ) -> Result<Self, ProgramError> {
        postprocessing.verify(&self.program.output.shape).map_err(ProgramError::Postprocessing)?;
        self.program.postprocessing = postprocessing;
        Ok(self)
    }

    /// Replaces the requested keys by exactly those that the values need.
    pub(super) fn with_required_keys(mut self) -> Self {
        self.program.keys = self.required_keys();
        self
    }

    /// All values in order of evaluation, each with its facts.
    pub fn values_and_facts(&self) -> impl Iterator<Item = (&Value, &Facts)> {
        self.program.values.iter().zip(&self.facts)
    }

    /// Facts about a value.
    ///
    /// # Panics
    /// If there is no such value.
    pub fn facts(&self, id: ValueId) -> &Facts {
        &self.facts[id as usize]
    }

    /// Facts about a linear value; none for other values.
    pub fn linear(&self, id: ValueId) -> Option<&LinearFacts> {
        match self.facts(id) {
            Facts::Linear(linear) => Some(linear),
            _ => None,
        }
    }

    /// Number of uses of each value, by position. Being the sum of the range check counts as a use, being the
    /// output does not.
    pub fn uses(&self) -> &[usize] {
        &self.uses
    }

    /// Diagonals and bias of a linear value, generated from its matrices; none for other values.
    pub fn linear_constants(&self, id: ValueId) -> Option<LinearConstants> {
        let value = &self.values[id as usize];
        let Op::Linear { operands, matrices, bias, .. } = &value.op else { return None };
        let operand = |&o: &ValueId| &self.values[o as usize];
        let factors: Vec<f64> =
            operands.iter().map(|o| operand(o).half_width / value.half_width).collect();
        let mut constants: Vec<f64> = match bias {
            Some(bias) => bias.iter().map(|&b| f64::from(b)).collect(),
            None => vec![0.0; value.layout.len],
        };
        let mut entries = Vec::new();
        for (o, matrix) in operands.iter().zip(matrices) {
            let center = operand(o).center;
            if center != 0.0 {
                for (row, constant) in constants.iter_mut().enumerate() {
                    matrix.row(row, &mut entries);
                    *constant += center * entries.iter().map(|&(_, w)| w).sum::<f64>();
                }
            }
        }
        constants.iter_mut().for_each(|c| *c = value.normalization().store(*c));
        let terms = terms(&self.program, operands, matrices);
        Some(LinearConstants {
            diagonals: diagonals(&terms, &factors, &value.layout, self.log_slots),
            bias: constants,
        })
    }

    /// Evaluation keys that the values need, derived from their operations.
    pub fn required_keys(&self) -> KeyRequest {
        let slots = 1i64 << self.log_slots;
        let mut keys = KeyRequest::default();
        for (value, facts) in self.values_and_facts() {
            let level = self.operand_level(value);
            match facts {
                Facts::Input => {}
                Facts::Polynomial(_) if is_affine(&value.op) => {}
                Facts::Product | Facts::Polynomial(_) => {
                    keys.relinearization = keys.relinearization.max(Some(level));
                }
                Facts::Linear(linear) => {
                    if !linear.steps.packed_inputs.is_empty() {
                        keys.conjugation = keys.conjugation.max(Some(level));
                    }
                    for rotation in linear.steps.rotations(self.log_slots) {
                        keys.rotate(rotation, level);
                    }
                    // Folds happen after the rescaling.
                    for rotation in linear.geometry.folds() {
                        keys.rotate(i64::from(rotation).rem_euclid(slots), value.level);
                    }
                }
                Facts::Bootstrap { .. } => {
                    if let Some(plan) = &self.bootstrapping {
                        keys.include(&plan.keys());
                    }
                }
            }
        }
        keys
    }

    /// Bytes of the diagonals of each linear value as they are generated, in single precision.
    pub fn diagonal_bytes(&self) -> impl Iterator<Item = u64> {
        self.facts.iter().filter_map(|facts| match facts {
            Facts::Linear(linear) => Some(linear.diagonal_bytes()),
            _ => None,
        })
    }
}

impl Facts {
    /// The facts of a value that is sound; `plan` is that of its polynomial. None if it has more than `most_diagonals`
    /// diagonals, or more than [`MAX_DIAGONAL_BYTES`] of them.
    pub(super) fn new(
        program: &Program,
        value: &Value,
        plan: Option<ChebyshevPlan>,
        most_diagonals: usize,
    ) -> Option<Self> {
        Some(match &value.op {
            Op::Input => Self::Input,
            Op::Product { .. } => Self::Product,
            Op::Polynomial { .. } => Self::Polynomial(plan.expect("polynomials have plans")),
            Op::Linear { operands, matrices, schedule, .. } => {
                let (schedule, most) = (*schedule, most_diagonals);
                Self::Linear(LinearFacts::new(program, value, operands, matrices, schedule, most)?)
            }
            Op::Bootstrap { .. } => {
                let plan = program.bootstrapping.as_ref().expect("bootstraps follow a plan");
                Self::Bootstrap { levels: value.level - plan.output_level(0) }
            }
        })
    }
}

impl LinearFacts {
    fn new(
        program: &Program,
        value: &Value,
        operands: &[ValueId],
        matrices: &[Matrix],
        schedule: Schedule,
        most_diagonals: usize,
    ) -> Option<Self> {
        let terms = terms(program, operands, matrices);
        let geometry = Geometry::new(&terms, &value.layout, program.log_slots);
        let diagonal_bytes = (size_of::<f32>() as u64) << geometry.log_length;
        let most = most_diagonals.min((MAX_DIAGONAL_BYTES / diagonal_bytes) as usize);
        let diagonals = bounded_structure(&terms, &value.layout, program.log_slots, most)?;
        let pairs = pairs(&diagonals, schedule.bsgs.pair_shift);
        Some(Self {
            geometry,
            schedule,
            steps: Steps::of_pairs(&pairs, schedule.bsgs),
            outputs: value.layout.ciphertexts(program.log_slots),
            diagonals: diagonals.len(),
            pairs,
        })
    }

    /// Numbers of operations of each kind in one evaluation, without the rotations of the final fold.
    pub fn counts(&self) -> TransformSteps {
        self.steps.counts(self.outputs, 1 << self.geometry.log_length)
    }

    /// Number of diagonals, each diagonal of a pair counted.
    pub(super) fn diagonals(&self) -> usize {
        self.diagonals
    }

    /// Bytes of the diagonals as they are generated, in single precision.
    pub fn diagonal_bytes(&self) -> u64 {
        (self.diagonals as u64 * size_of::<f32>() as u64) << self.geometry.log_length
    }
}

fn count_uses(program: &Program) -> Vec<usize> {
    let mut uses = vec![0; program.values.len()];
    if let Some(id) = program.range_check_values().last() {
        uses[id] += 1;
    }
    for &operand in program.values.iter().flat_map(|value| value.op.distinct_operands()) {
        uses[operand as usize] += 1;
    }
    uses
}

/// Returns whether an operation is a Chebyshev series of degree at most 1, which takes no product of ciphertexts.
fn is_affine(op: &Op) -> bool {
    match op {
        Op::Polynomial { coefficients, .. } => coefficients.iter().skip(2).all(|&c| c == 0.0),
        _ => false,
    }
}

/// The operands of a linear value as terms of a transform.
fn terms<'a>(program: &'a Program, operands: &[ValueId], matrices: &'a [Matrix]) -> Vec<Term<'a>> {
    let mut first_ciphertext = 0;
    let term = |(&operand, matrix): (&ValueId, &'a Matrix)| {
        let layout = &program.values[operand as usize].layout;
        let term = Term { matrix, layout, first_ciphertext };
        first_ciphertext += layout.ciphertexts(program.log_slots);
        term
    };
    operands.iter().zip(matrices).map(term).collect()
}
