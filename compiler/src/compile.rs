//! The driver: every pass in order, from the bytes of an ONNX file to a verified program.
//!
//! Read this file first. What each step means is said at the top of its module; what is decided
//! here is which point of the front of latency against loss to take, because that needs
//! measurements of the whole network, and the scale, because that needs the whole program.

use pic_ir::activations::Activations;
use pic_ir::calibration::Calibration;
use pic_ir::network::Network;
use pic_ir::plan::Plan;
use pic_ir::profile::Profile;
use pic_ir::program::Program;

use crate::baselines::composite;
use crate::dataset::{Dataset, Objective};
use crate::error::CompileError;
use crate::evaluate::{Layer, exact_layers};
use crate::layerwise::{self, Measurement};
use crate::options::{Options, SensitivityForm};
use crate::pareto::ParetoPoint;
use crate::progress::Progress;
use crate::rewrite::{canonicalize, equalize, isolate};
use crate::search::Search;
use crate::sensitivity;
use crate::strategy::Strategy;
use crate::{frontend, profile};

/// One of this many calibration samples is held back to measure accuracy.
const HELD_BACK: usize = 2;

/// Samples from which gradients of margins are estimated: they vary less than those of the cross-entropy,
/// most of which are zero.
const MARGIN_SAMPLES: usize = 64;

/// Most samples to which polynomials are refitted, and as many on which they are measured, while choices
/// are tried; ranges and profile are those of all.
const MOST_TRIED_ON: usize = 512;

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
    pub front: Vec<ParetoPoint>,
    /// For comparison: the same degree in every layer.
    pub uniform: Vec<ParetoPoint>,
    /// How the chosen polynomials do on held-back calibration samples.
    pub measured: Measurement,
    /// What the user should know of the import and of what was made.
    pub notes: Vec<String>,
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
    let network = isolate(&canonicalize(network));
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
    let sensitivity = match options.strategy {
        Strategy::Ola => SensitivityForm::Gradient,
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
    let network = match options.strategy {
        Strategy::Joint | Strategy::Uniform => equalize(&network, &ranges),
        Strategy::Ola => network,
        Strategy::Composite => composite::rewrite(&network)?,
    };

    progress.stage("profile", 0);
    let (profile, mut candidates) = if options.strategy == Strategy::Composite {
        let layers = profile::inputs(&network, &fitting, &profile_options, &follow)?;
        let candidates = composite::candidates(&network, &layers);
        (Profile { samples: fitting.len(), layers }, candidates)
    } else {
        let profile = profile::profile(&network, &fitting, &profile_options, &follow)?;
        progress.stage("fit", 0);
        let candidates = layerwise::candidates(&network, &profile, &options.strategy.fit())?;
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
