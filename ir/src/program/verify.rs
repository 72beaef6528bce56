//! The invariants of a program, which the [module](super) lists.

use pic_ckks_model::ChebyshevPlan;

use super::verified::{Facts, VerifiedProgram};
use super::{
    Fault, MAX_CIPHERTEXTS, MAX_DIAGONALS, MAX_PAIRS, MAX_VALUES, Op, Program, ProgramError,
    RangeCheck, Value,
};
use crate::transform::BsgsSchedule;

/// Largest width of giant steps: more than there are slots.
const MAX_GIANT_WIDTH: u32 = 1 << 24;

impl Program {
    /// Checks every invariant listed in the module documentation.
    ///
    /// # Errors
    /// The first invariant that is broken.
    pub fn verify(self) -> Result<VerifiedProgram, ProgramError> {
        let verified = self.verify_values()?;
        let within = |&r: &i64| (1..1 << (verified.parameters.log_n() - 1)).contains(&r);
        let keys = &verified.keys;
        let sound = keys.covers(&verified.required_keys())
            && keys.highest_level().is_none_or(|level| level <= verified.parameters.max_level())
            && keys.rotations.keys().all(within);
        if sound { Ok(verified) } else { Err(ProgramError::Keys) }
    }

    /// Checks every invariant except those of the keys, and replaces the requested keys by exactly those that the
    /// values need.
    ///
    /// # Errors
    /// The first invariant that is broken.
    pub fn verify_with_required_keys(self) -> Result<VerifiedProgram, ProgramError> {
        Ok(self.verify_values()?.with_required_keys())
    }

    /// Checks every invariant except those of the keys.
    fn verify_values(self) -> Result<VerifiedProgram, ProgramError> {
        let Some(first) = self.values.first() else { return Err(ProgramError::Empty) };
        if self.values.len() > MAX_VALUES {
            return Err(ProgramError::Values { values: self.values.len() });
        }
        let longest = self.values.iter().map(|v| v.layout.log_period).max().unwrap_or(0);
        if self.log_slots != longest.min(self.parameters.log_n() - 1) {
            return Err(ProgramError::Slots { log_slots: self.log_slots, longest });
        }
        let length = |shape: &[usize]| shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
        for (port, value) in [(&self.input, first), (&self.output, self.output_value())] {
            if length(&port.shape) != Some(value.layout.len) {
                return Err(ProgramError::Port { name: port.name.clone() });
            }
        }
        self.preprocessing.verify(&self.input.shape).map_err(|_| ProgramError::Preprocessing)?;
        self.postprocessing.verify(&self.output.shape).map_err(ProgramError::Postprocessing)?;
        if !self.predicted.is_sound() {
            return Err(ProgramError::Prediction);
        }
        let fault = |value: &Value, fault| ProgramError::Value { name: value.name.clone(), fault };
        let mut plans = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            plans.push(self.verify_value(index, value).map_err(|found| fault(value, found))?);
        }
        if self.range_check.is_some_and(|check| !self.is_sound(check)) {
            return Err(ProgramError::RangeCheck);
        }
        if let Some(plan) = &self.bootstrapping
            && (plan.parameters() != &self.parameters || plan.slots() != 1 << self.log_slots)
        {
            return Err(ProgramError::Bootstrapping);
        }
        let mut facts = Vec::new();
        let mut most_diagonals = MAX_DIAGONALS;
        for (value, plan) in self.values.iter().zip(plans) {
            let found = Facts::new(&self, value, plan, most_diagonals);
            let found = found.ok_or_else(|| fault(value, Fault::Size))?;
            if let Facts::Linear(linear) = &found {
                most_diagonals -= linear.diagonals();
            }
            facts.push(found);
        }
        Ok(VerifiedProgram::new(self, facts))
    }

    fn is_sound(&self, check: RangeCheck) -> bool {
        let (first, end) = (check.first as usize, self.values.len() - 1);
        (1..end).contains(&first)
            && self.values[first..end].last().is_some_and(|sum| {
                matches!(sum.op, Op::Linear { .. })
                    && sum.layout.len == 1
                    && sum.layout.ciphertexts(self.log_slots) == 1
                    && check.is_sound(sum.normalization())
            })
    }

    /// Checks a value by itself and against its operands. Returns the evaluation plan of a polynomial, which the
    /// check makes anyway; none for other values.
    fn verify_value(&self, index: usize, value: &Value) -> Result<Option<ChebyshevPlan>, Fault> {
        value.layout.verify()?;
        let ciphertexts = value.layout.ciphertexts(self.log_slots);
        if ciphertexts > MAX_CIPHERTEXTS {
            return Err(Fault::Size);
        }
        if value.op.operands().iter().any(|&o| o as usize >= index) {
            return Err(Fault::Order);
        }
        if (index == 0) != matches!(value.op, Op::Input) {
            return Err(Fault::Input);
        }
        if value.level > self.parameters.max_level() {
            return Err(Fault::Level { level: value.level, operand: self.parameters.max_level() });
        }
        let usable =
            value.scale.is_finite() && value.scale > 1.0 && value.normalization().is_sound();
        if !usable {
            return Err(Fault::Scale);
        }
        let operands: Vec<&Value> =
            value.op.operands().iter().map(|&o| &self.values[o as usize]).collect();
        let needed = self.operand_level(value);
        if let Some(operand) = operands.iter().find(|o| o.level < needed) {
            return Err(Fault::Level { level: needed, operand: operand.level });
        }
        let close = |x: f64, y: f64| (x - y).abs() <= 1e-9 * y.abs();
        let len = value.layout.len;
        match &value.op {
            Op::Input => {}
            Op::Polynomial { coefficients, .. } => {
                let plan = ChebyshevPlan::absorbing(coefficients).map_err(|_| Fault::Polynomial)?;
                let scale = plan.output_scale(operands[0].scale, needed, self.parameters.moduli());
                if operands[0].layout != value.layout {
                    return Err(Fault::Length);
                }
                if value.center != 0.0 || scale.is_some_and(|scale| !close(value.scale, scale)) {
                    return Err(Fault::Scale);
                }
                return Ok(Some(plan));
            }
            Op::Bootstrap { .. } => {
                let plan = self.bootstrapping.as_ref().ok_or(Fault::Bootstrapping)?;
                let operand = operands[0];
                if operand.layout != value.layout {
                    return Err(Fault::Length);
                }
                let restored = plan.output_level(0)..=plan.output_level(plan.levels());
                let sound = restored.contains(&value.level)
                    && value.scale == plan.output_scale()
                    && operand.scale <= plan.input_scale() * (1.0 + 1e-9)
                    && value.normalization() == operand.normalization();
                if !sound {
                    return Err(Fault::Bootstrapping);
                }
            }
            Op::Product { .. } => {
                let [a, b] = [operands[0], operands[1]];
                if a.layout != value.layout || b.layout != value.layout {
                    return Err(Fault::Length);
                }
                let scale = a.scale * b.scale / self.parameters.moduli()[needed] as f64;
                let exact = close(value.scale, scale)
                    && close(value.half_width, a.half_width * b.half_width);
                let centered = [a, b, value].iter().all(|v| v.center == 0.0);
                if !(exact && centered) {
                    return Err(Fault::Scale);
                }
            }
            Op::Linear { matrices, bias, schedule, .. } => {
                let BsgsSchedule { giant_width, pair_shift } = schedule.bsgs;
                let sound = (1..=MAX_GIANT_WIDTH).contains(&giant_width)
                    && pair_shift < 1 << self.log_slots;
                if matrices.len() != operands.len() || operands.is_empty() || !sound {
                    return Err(Fault::Length);
                }
                let inputs = operands.iter().map(|o| o.layout.ciphertexts(self.log_slots));
                if inputs.sum::<usize>() * ciphertexts > MAX_PAIRS {
                    return Err(Fault::Size);
                }
                for (matrix, operand) in matrices.iter().zip(&operands) {
                    matrix.verify()?;
                    if (matrix.rows(), matrix.cols()) != (len, operand.layout.len) {
                        return Err(Fault::Length);
                    }
                    if !matrix.is_finite() {
                        return Err(Fault::NotFinite);
                    }
                }
                match bias {
                    Some(bias) if bias.len() != len => return Err(Fault::Length),
                    Some(bias) if !bias.iter().all(|b| b.is_finite()) => {
                        return Err(Fault::NotFinite);
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }
}
