//! The OLA dynamic program: one alternative for each step, on the Pareto front of time and loss.
//!
//! This module knows nothing of networks, polynomials or ciphertexts. An [`Instance`] is a
//! series–parallel arrangement of steps; each step offers alternatives that consume levels or restore
//! them, take a time that depends on the level they start at, and add to a loss. So the choice of degrees,
//! of where to bootstrap and of how far is one problem. [`Instance::front`] returns every
//! Pareto-optimal choice.
//! [`discretised`](crate::baselines::discretised) is the form of the OLA paper, a chain without levels under a time
//! budget.

mod solver;

/// Index of a step in [`Instance::steps`].
pub type StepId = usize;

/// An allocation problem: which alternative each step uses, and at which level.
///
/// The result leaves at level 0 and the input arrives at a level of at most `max_level`.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Order of the steps; every step occurs exactly once.
    pub structure: Structure,
    /// The alternatives of each step. A fixed operation is a step with one alternative of loss 0.
    pub steps: Vec<Vec<Alternative>>,
    /// Highest level of any value.
    pub max_level: u32,
}

/// A series–parallel arrangement of steps.
#[derive(Clone, Debug, PartialEq)]
pub enum Structure {
    /// A single step.
    Step(StepId),
    /// Parts one after the other. An empty list is a wire, which costs nothing.
    Series(Vec<Structure>),
    /// Branches that start from one value and whose results meet at one level.
    Parallel(Vec<Structure>),
}

/// One way to perform a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// Effect on the level.
    pub effect: Effect,
    /// Contribution to the loss, in any unit, not negative.
    pub loss: f64,
    /// Time by level of the step's input, in any unit, not negative. The alternative is not available at levels
    /// where it is infinite or that are beyond the end of the list.
    pub time: Vec<f64>,
}

/// Effect of an alternative on the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The level is reduced by this number.
    Consume(u32),
    /// The level becomes this one, whatever it was.
    Restore(u32),
}

impl Effect {
    /// Level after the step, given the one before; none if too few levels are left.
    pub fn apply(self, level: u32) -> Option<u32> {
        match self {
            Self::Consume(depth) => level.checked_sub(depth),
            Self::Restore(target) => Some(target),
        }
    }
}

/// A choice of an alternative and a level for every step, with its time and loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Sum of the times of all steps, in the unit of [`Alternative::time`].
    pub time: f64,
    /// Sum of the losses of all steps, in the unit of [`Alternative::loss`].
    pub loss: f64,
    /// Lowest level at which the input can arrive.
    pub input_level: u32,
    /// Choice of each step, by [`StepId`].
    pub choices: Vec<Choice>,
}

/// Alternative that a step uses, and the level at which it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Index of the alternative in the step's entry of [`Instance::steps`].
    pub alternative: usize,
    /// Level of the step's input.
    pub level: u32,
}

/// Reason why an [`Instance`] cannot be solved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InstanceError {
    /// A step does not occur exactly once in the structure.
    #[error("step {step} occurs {occurrences} times in the structure, not once")]
    Occurrences {
        /// Index of the step.
        step: StepId,
        /// Number of occurrences.
        occurrences: usize,
    },
    /// The structure names a step that is not described.
    #[error("step {step} has no alternatives listed, there are {steps} steps")]
    UnknownStep {
        /// Index of the step.
        step: StepId,
        /// Number of steps described.
        steps: usize,
    },
    /// A time or loss is negative or not a number, or a loss is infinite.
    #[error("step {step}, alternative {alternative}: time or loss is negative or not a number")]
    Cost {
        /// Index of the step.
        step: StepId,
        /// Index of the alternative.
        alternative: usize,
    },
    /// The bound on the loss of accuracy by thinning is negative or not a number.
    #[error("epsilon is {0}, it must be finite and not negative")]
    Epsilon(f64),
}

impl Instance {
    /// The Pareto front in order of ascending time and strictly descending loss; empty if nothing
    /// fits `max_level`.
    ///
    /// With `epsilon = 0` the front is exact. With `epsilon > 0` it is thinned on the way: for
    /// every feasible choice there is a point that is no slower and whose loss is at most
    /// `1 + epsilon` times that of the choice.
    ///
    /// # Errors
    /// [`InstanceError`] if the instance is malformed, or `epsilon` is negative or not finite.
    pub fn front(&self, epsilon: f64) -> Result<Vec<Solution>, InstanceError> {
        self.verify()?;
        if !(epsilon.is_finite() && epsilon >= 0.0) {
            return Err(InstanceError::Epsilon(epsilon));
        }
        Ok(solver::front(self, epsilon))
    }

    /// The fastest solution in which each step uses the given alternative. Steps without one are free, and so are
    /// levels. None if the alternatives do not fit `max_level`.
    ///
    /// # Errors
    /// [`InstanceError`] if the instance is malformed.
    pub fn fastest(
        &self,
        alternatives: &[Option<usize>],
    ) -> Result<Option<Solution>, InstanceError> {
        let allowed = |(step, fixed): (&Vec<Alternative>, &Option<usize>)| match *fixed {
            Some(k) => vec![step[k].clone()],
            None => step.clone(),
        };
        let steps = self.steps.iter().zip(alternatives).map(allowed).collect();
        let fixed = Self { structure: self.structure.clone(), steps, max_level: self.max_level };
        let mut solution = fixed.front(0.0)?.into_iter().next();
        for (choice, fixed) in solution.iter_mut().flat_map(|s| &mut s.choices).zip(alternatives) {
            choice.alternative = fixed.unwrap_or(choice.alternative);
        }
        Ok(solution)
    }

    fn verify(&self) -> Result<(), InstanceError> {
        let mut occurrences = vec![0; self.steps.len()];
        self.structure.count(&mut occurrences)?;
        if let Some(step) = occurrences.iter().position(|&n| n != 1) {
            return Err(InstanceError::Occurrences { step, occurrences: occurrences[step] });
        }
        for (step, alternatives) in self.steps.iter().enumerate() {
            let sound = |a: &Alternative| {
                a.loss.is_finite() && a.loss >= 0.0 && a.time.iter().all(|&t| t >= 0.0)
            };
            if let Some(alternative) = alternatives.iter().position(|a| !sound(a)) {
                return Err(InstanceError::Cost { step, alternative });
            }
        }
        Ok(())
    }
}

/// The solution of least loss among those that take at most `time`; none if all take longer. `front` is in ascending
/// order of time and descending order of loss, as [`Instance::front`] returns it.
pub fn within_time(front: &[Solution], time: f64) -> Option<&Solution> {
    front.iter().take_while(|s| s.time <= time).last()
}

/// The fastest solution among those that lose at most `loss`; none if all lose more. `front` is in ascending order of
/// time and descending order of loss, as [`Instance::front`] returns it.
pub fn within_loss(front: &[Solution], loss: f64) -> Option<&Solution> {
    front.iter().find(|s| s.loss <= loss)
}

impl Structure {
    fn count(&self, occurrences: &mut [usize]) -> Result<(), InstanceError> {
        match self {
            Self::Step(step) => {
                let steps = occurrences.len();
                let unknown = InstanceError::UnknownStep { step: *step, steps };
                *occurrences.get_mut(*step).ok_or(unknown)? += 1;
                Ok(())
            }
            Self::Series(parts) | Self::Parallel(parts) => {
                parts.iter().try_for_each(|part| part.count(occurrences))
            }
        }
    }
}

#[cfg(test)]
mod tests;
