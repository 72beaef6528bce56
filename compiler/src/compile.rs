//! The driver: every pass in order, from the bytes of an ONNX file to a verified program.
//!
//! Read this file first. What each step means is said at the top of its module; what is decided
//! here is which point of the front of latency against loss to take, because that needs
//! measurements of the whole network, and the scale, because that needs the whole program.

use pic_ckks_model::bootstrapping::{EphemeralWeight, LOG2_FAILURE};
use pic_ckks_model::{ParametersError, SecurityLevel};
use pic_ir::activations::Activations;
use pic_ir::calibration::Calibration;
use pic_ir::cost::{CostModel, Target};
use pic_ir::network::Network;
use pic_ir::plan::Plan;
use pic_ir::preprocessing::{Preprocessing, PreprocessingError};
use pic_ir::profile::Profile;
use pic_ir::program::{Program, ProgramError};

use crate::composite::{self, CompositeError};
use crate::dataset::{Dataset, DatasetError, Objective};
use crate::evaluate::{Layer, exact_layers};
use crate::fit::FitError;
use crate::frontend::{self, ImportError};
use crate::layerwise::{self, Measurement, RefitError};
use crate::method::Method;
use crate::ola::InstanceError;
use crate::plan;
use crate::profile::{self, ProfileError};
use crate::range_check::RangeCheckError;
use crate::rewrite::{rescale, simplify};
use crate::search::Search;
use crate::sensitivity;

/// One of this many calibration samples is held back to measure accuracy.
const HELD_BACK: usize = 2;

/// Samples from which gradients of margins are estimated: they vary less than those of the cross-entropy,
/// most of which are zero.
const MARGIN_SAMPLES: usize = 64;

/// Most samples to which polynomials are refitted, and as many on which they are measured, while choices
/// are tried; ranges and profile are those of all.
const MOST_TRIED_ON: usize = 512;

/// What the user asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest loss of accuracy against the plain network, as a fraction. `None` asks for the most
    /// accurate program within the latency budget, or for a drop of 0.005 without one.
    pub max_accuracy_drop: Option<f64>,
    /// Longest predicted latency, seconds on the machine of `cost`.
    pub latency_budget: Option<f64>,
    /// Security level.
    pub security: SecurityLevel,
    /// A bootstrap of one ciphertext fails with a probability of 2 to minus this at most.
    pub failure_bits: f64,
    /// Hamming weight of the secret under which bootstrapping raises the modulus.
    pub ephemeral_weight: EphemeralWeight,
    /// Least predicted precision of the stored output, bits.
    pub min_precision_bits: f64,
    /// The machine that will run the program, and its prices. Without, [`CostModel::of`]
    /// [`Target::REFERENCE`], as this crate knows no machine; `pic::Compiler` puts in that on which it runs.
    pub cost: Option<CostModel>,
    /// How raw inputs become the network's.
    pub preprocessing: Preprocessing,
    /// Seed of everything random in the compiler.
    pub seed: u64,
    /// How losses of layers are estimated.
    pub sensitivity: SensitivityForm,
    /// Most bytes that the server may need, if bounded.
    pub memory_limit: Option<u64>,
    /// How polynomials, degrees and bootstraps are chosen.
    pub method: Method,
    /// Whether the program also answers if some activation's input left its interval ([`crate::range_check`]).
    pub range_check: bool,
    /// Points of the front that are simulated on held-back samples, beside those that the choice needs.
    pub simulated_points: usize,
}

/// How the loss that a polynomial causes is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SensitivityForm {
    /// `A·E` with gradient statistics of the margin between the two highest classes.
    #[default]
    Margin,
    /// `A·E` with gradient statistics of the cross-entropy, as in the OLA paper.
    Gradient,
    /// The change of the cross-entropy is measured with each polynomial put in place.
    Measured,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_accuracy_drop: None,
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
            method: Method::default(),
            range_check: false,
            simulated_points: 0,
        }
    }
}

impl Options {
    /// What operations cost.
    pub fn cost(&self) -> CostModel {
        self.cost.unwrap_or_else(|| CostModel::of(Target::REFERENCE))
    }
}

/// Everything that compiling found out.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the server runs.
    pub program: Program,
    /// The network in canonical form, with exact activations.
    pub network: Network,
    /// The same with the constants that the program has: those corrected for its polynomials.
    pub corrected: Network,
    /// What calibration showed.
    pub profile: Profile,
    /// What the calibration samples were like, for clients.
    pub calibration: Calibration,
    /// The chosen polynomials.
    pub activations: Activations,
    /// The decisions behind the program.
    pub plan: Plan,
    /// Latency against loss: every choice of degrees that is best for its latency.
    pub front: Vec<FrontPoint>,
    /// For comparison: the same degree in every layer.
    pub uniform: Vec<FrontPoint>,
    /// How the chosen polynomials do on held-back calibration samples.
    pub measured: Measurement,
    /// What the user should know of the import and of what was made.
    pub notes: Vec<String>,
}

/// A choice of degrees.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontPoint {
    /// Predicted latency, seconds.
    pub seconds: f64,
    /// Predicted loss, in the unit of the objective.
    pub loss: f64,
    /// Degree of each activation layer.
    pub degrees: Vec<usize>,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Levels of the chain, or between bootstraps.
    pub levels: usize,
    /// Bootstraps.
    pub bootstraps: usize,
    /// How its polynomials do on held-back samples, if they were tried.
    pub measured: Option<Measurement>,
}

/// Points of a front are worth showing if they have at most this share of the loss of the one before.
const USEFUL_LOSS: f64 = 0.8;

/// Share of the loss of the fastest choice below which more accuracy is of no use.
const NEGLIGIBLE_LOSS: f64 = 1e-6;

/// The points of a front that are worth a person's time: those that were simulated, and those much more
/// accurate than the one before.
pub fn useful(front: &[FrontPoint]) -> Vec<&FrontPoint> {
    let negligible = NEGLIGIBLE_LOSS * front.first().map_or(0.0, |p| p.loss);
    let mut kept: Vec<&FrontPoint> = Vec::new();
    for point in front {
        let last = kept.last().map_or(f64::INFINITY, |p| p.loss);
        let useful = point.loss <= USEFUL_LOSS * last && last > negligible;
        if useful || point.measured.is_some() {
            kept.push(point);
        }
    }
    kept
}

/// Follows a compilation.
pub trait Progress: Sync {
    /// A stage of `total` units begins.
    fn stage(&self, name: &str, total: u64);
    /// `done` units of the stage are done.
    fn advance(&self, done: u64);
}

/// Follows nothing.
impl Progress for () {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Preprocessing does not fit the input.
    #[error(transparent)]
    Preprocessing(#[from] PreprocessingError),
    /// Calibration samples or labels cannot be used.
    #[error("calibration data: {0}")]
    Dataset(#[from] DatasetError),
    /// Profiling failed.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No polynomial could be fitted.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Polynomials could not be refitted in network order.
    #[error(transparent)]
    Refit(#[from] RefitError),
    /// Parameters could not be made.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// No ring of the security table has enough levels.
    #[error(
        "the network needs at least {needed} levels, but without bootstrapping {security} security allows {available} \
         (N = 2^{log_n}), and no plan with bootstrapping leaves enough between bootstraps (`{deepest}` takes {of_deepest})"
    )]
    TooDeep {
        /// Levels of the cheapest choice.
        needed: usize,
        /// The layer that takes most.
        deepest: String,
        /// Levels that it takes.
        of_deepest: usize,
        /// Levels of the largest ring.
        available: usize,
        /// log2 of that ring's degree.
        log_n: u32,
        /// The security asked for.
        security: SecurityLevel,
    },
    /// No choice of degrees keeps the accuracy.
    #[error(
        "no choice of degrees keeps the accuracy within {asked:.2} points; the most accurate loses {best:.2} points on \
         held-back samples (predicted {seconds:.3} s)"
    )]
    Accuracy {
        /// Points asked for.
        asked: f64,
        /// Points that the most accurate choice loses.
        best: f64,
        /// Its latency.
        seconds: f64,
    },
    /// The latency budget is too small for the accuracy.
    #[error(
        "a predicted latency of {budget:.3} s cannot be met; the nearest feasible one is {nearest:.3} s"
    )]
    Latency {
        /// Seconds asked for.
        budget: f64,
        /// Seconds of the fastest choice that meets the accuracy.
        nearest: f64,
    },
    /// No scale gives the precision.
    #[error(
        "{asked:.1} bits of precision were asked for, {best:.1} is the most that these parameters allow"
    )]
    Precision {
        /// Bits asked for.
        asked: f64,
        /// Bits at the largest scale.
        best: f64,
    },
    /// The server would need too much memory.
    #[error("running the program needs {needed} bytes, {available} are available")]
    Memory {
        /// Bytes predicted.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// The method has no polynomials for an activation.
    #[error(transparent)]
    Composite(#[from] CompositeError),
    /// A pass produced something malformed: a fault of the compiler.
    #[error("internal fault: {0}")]
    Program(#[from] ProgramError),
    /// The program cannot check ranges.
    #[error(transparent)]
    RangeCheck(#[from] RangeCheckError),
    /// The optimisation instance was malformed: a fault of the compiler.
    #[error("internal fault: {0}")]
    Instance(#[from] InstanceError),
}

/// Compiles an ONNX network for encrypted inputs.
///
/// `samples` are raw calibration inputs, flattened, before preprocessing; `labels` their classes.
pub fn compile(
    onnx: &[u8],
    samples: &[&[f32]],
    labels: Option<&[usize]>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Compiled, CompileError> {
    let import = frontend::import(onnx)?;
    let compiled = compile_network(&import.network, samples, labels, options, progress)?;
    let notes = import.notes.iter().map(ToString::to_string).chain(compiled.notes).collect();
    Ok(Compiled { notes, ..compiled })
}

/// Compiles a verified network.
pub fn compile_network(
    network: &Network,
    samples: &[&[f32]],
    labels: Option<&[usize]>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Compiled, CompileError> {
    let network = plan::separate(&simplify(network));
    debug_assert_eq!(network.verify(), Ok(()));

    Dataset::new(&network, samples, labels)?;
    let shape = network.graph[network.input()].shape.clone();
    options.preprocessing.verify(&shape)?;
    let mut prepared: Vec<Vec<f32>> = samples.iter().map(|s| s.to_vec()).collect();
    prepared.iter_mut().for_each(|sample| options.preprocessing.apply(&shape, sample));
    let views: Vec<&[f32]> = prepared.iter().map(|s| &s[..]).collect();
    let (mut held, mut fitting): (Vec<usize>, Vec<usize>) =
        (0..views.len()).partition(|k| k % HELD_BACK == HELD_BACK - 1);
    if views.len() < 2 * HELD_BACK {
        // Too few to set any aside.
        fitting = (0..views.len()).collect();
        held = fitting.clone();
    }
    let [fitting, held] = [fitting, held].map(|part| {
        let labels = labels.map(|labels| part.iter().map(|&k| labels[k]).collect::<Vec<_>>());
        (part.iter().map(|&k| views[k]).collect::<Vec<_>>(), labels)
    });
    let sensitivity = match options.method {
        Method::Ola => SensitivityForm::Gradient,
        _ => options.sensitivity,
    };
    let (objective, sampled) = match sensitivity {
        SensitivityForm::Margin => (Objective::Margin, MARGIN_SAMPLES),
        SensitivityForm::Gradient | SensitivityForm::Measured => {
            (Objective::CrossEntropy, sensitivity::Options::default().samples)
        }
    };
    let data = |samples, labels| Dataset::new(&network, samples, labels);
    let fitting = data(&fitting.0, fitting.1.as_deref())?.with_objective(objective);
    let held = data(&held.0, held.1.as_deref())?.with_objective(objective);

    let follow = |done, _| progress.advance(done);
    let profile_options = profile::Options {
        sensitivity: sensitivity::Options {
            seed: options.seed,
            samples: sampled,
            ..Default::default()
        },
        ..Default::default()
    };
    progress.stage("ranges", 0);
    let ranges = profile::inputs(&network, &fitting, &profile_options, &follow)?;
    let network = match options.method {
        Method::Joint | Method::Uniform => rescale(&network, &ranges),
        Method::Ola => network,
        Method::Composite => composite::rewrite(&network)?,
    };

    progress.stage("profile", 0);
    let (profile, mut candidates) = if options.method == Method::Composite {
        let layers = profile::inputs(&network, &fitting, &profile_options, &follow)?;
        let candidates = composite::candidates(&network, &layers);
        (Profile { samples: fitting.len(), layers }, candidates)
    } else {
        let profile = profile::profile(&network, &fitting, &profile_options, &follow)?;
        progress.stage("fit", 0);
        let candidates = layerwise::candidates(&network, &profile, &options.method.fit())?;
        (profile, candidates)
    };
    if sensitivity == SensitivityForm::Measured {
        progress.stage("measure losses", 0);
        let polynomials: Vec<Vec<_>> = candidates
            .iter()
            .map(|list| list.iter().map(|c| Layer::Approximate(&c.approximation)).collect())
            .collect();
        let exact = exact_layers(&network);
        let measured = sensitivity::measured(&network, &exact, &fitting, &polynomials, &follow);
        for (candidate, measured) in candidates.iter_mut().flatten().zip(measured.iter().flatten())
        {
            candidate.approximation.loss = measured.second_moment;
        }
    }

    progress.stage("plan", 0);
    let (fitting, held) = (fitting.first(MOST_TRIED_ON), held.first(MOST_TRIED_ON));
    let placing = layerwise::placing(&held);
    let placing = Dataset::new(&network, &placing, None)?;
    let samples = [fitting, placing, held];
    let search = Search::new(&network, &profile, &candidates, samples, options, progress);
    let chosen = search.choose()?;
    Ok(Compiled {
        calibration: Calibration::new(&shape, &views, chosen.output_magnitude),
        program: chosen.program,
        corrected: chosen.corrected,
        activations: chosen.activations,
        plan: chosen.plan,
        front: chosen.front,
        uniform: chosen.uniform,
        measured: chosen.measured,
        notes: chosen.notes,
        profile,
        network,
    })
}
