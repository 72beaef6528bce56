//! Options of a compilation.

use pic_ckks_model::SecurityLevel;
use pic_ckks_model::bootstrapping::{EphemeralWeight, LOG2_FAILURE};
use pic_ir::cost::{CostModel, Target};
use pic_ir::preprocessing::Preprocessing;

use crate::strategy::Strategy;

/// Requirements that a program must meet, and the strategy by which it is chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the outputs are. By default several outputs are those of classes, and a single one is a number. Outputs are
    /// those of the encrypted network, before anything that the client applies, such as a final Softmax or Sigmoid.
    pub task: Option<Task>,
    /// Largest expected loss of accuracy against the plain network, as a fraction; without labels, largest expected
    /// share of samples that get another class. `None` asks for the most accurate program within the latency budget, or
    /// for a drop of 0.005 without one. For classification only.
    pub max_accuracy_drop: Option<f64>,
    /// Largest root mean square error of the outputs, before what the client applies, as a fraction of their spread
    /// ([`pic_ir::prediction::Fidelity::Error`]); the error of no held-back sample is above five times that. `None` asks
    /// for the most accurate program within the latency budget, or for an error of 0.01 without one. For regression
    /// only.
    pub max_error: Option<f64>,
    /// Longest acceptable latency of a sample, predicted seconds on the machine of `cost`.
    pub latency_budget: Option<f64>,
    /// Security level of the parameters.
    pub security: SecurityLevel,
    /// A bootstrap of one ciphertext fails with a probability of at most 2^−`failure_bits`.
    pub failure_bits: f64,
    /// Hamming weight of the secret under which bootstrapping raises the modulus.
    pub ephemeral_weight: EphemeralWeight,
    /// Smallest acceptable precision of the output, in bits: −log2 of the standard deviation that is predicted for the
    /// scheme's error in the stored output. The error of approximation is not part of it.
    pub min_precision_bits: f64,
    /// The machine that will run the program, and its prices. The default is [`CostModel::of`]
    /// [`Target::REFERENCE`], as this crate knows no machine; `pic::Compiler` names the one on which it runs.
    pub cost: Option<CostModel>,
    /// Map from raw inputs to the network's inputs.
    pub preprocessing: Preprocessing,
    /// Seed of everything random in the compiler.
    pub seed: u64,
    /// Method by which the losses of layers are estimated.
    pub sensitivity: SensitivityForm,
    /// Largest memory of the server in bytes; unlimited if none.
    pub memory_limit: Option<u64>,
    /// Strategy by which polynomials, degrees and bootstraps are chosen.
    pub strategy: Strategy,
    /// True if the program also checks whether an activation's input leaves its interval ([`crate::range_check`]).
    pub range_check: bool,
    /// Number of points of the Pareto front, evenly spread in latency, that are refitted and measured on held-back
    /// samples for [`crate::point_summary::PointSummary::measured`], in addition to the points that are measured to choose the
    /// program.
    pub simulated_points: usize,
}

/// What a network's outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One output for each class, of which the largest is the answer.
    Classification,
    /// Numbers, as those of regressors, embeddings and autoencoders.
    Regression,
}

/// Method by which the loss that a polynomial causes is estimated. `A·E` is the product of the layer's sensitivity
/// ([`pic_ir::profile::Sensitivity`]) and the polynomial's error ([`pic_ir::activations::Approximation::error`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SensitivityForm {
    /// `A·E` with gradient statistics of the margin between the two highest classes.
    #[default]
    Margin,
    /// `A·E` with gradient statistics of the cross-entropy, as in the OLA paper.
    Gradient,
    /// Measured mean square change of the cross-entropy, with each polynomial alone in place of its activation.
    Measured,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            task: None,
            max_accuracy_drop: None,
            max_error: None,
            latency_budget: None,
            security: SecurityLevel::Bits128,
            failure_bits: -LOG2_FAILURE,
            ephemeral_weight: EphemeralWeight::default(),
            min_precision_bits: 9.0,
            cost: None,
            preprocessing: Preprocessing::default(),
            seed: 0,
            sensitivity: SensitivityForm::default(),
            memory_limit: None,
            strategy: Strategy::default(),
            range_check: false,
            simulated_points: 0,
        }
    }
}

impl Options {
    /// Method by which losses are estimated: [`SensitivityForm::Gradient`] for the strategy [`Strategy::Ola`], as
    /// published, else the requested one.
    pub(crate) fn sensitivity_form(&self) -> SensitivityForm {
        match self.strategy {
            Strategy::Ola => SensitivityForm::Gradient,
            _ => self.sensitivity,
        }
    }

    /// The task that was named, or else that of a network with so many outputs.
    pub(crate) fn task(&self, outputs: usize) -> Task {
        let by_outputs = if outputs > 1 { Task::Classification } else { Task::Regression };
        self.task.unwrap_or(by_outputs)
    }

    /// Prices of the machine that will run the program.
    pub fn cost(&self) -> CostModel {
        self.cost.unwrap_or_else(|| CostModel::of(Target::REFERENCE))
    }
}
