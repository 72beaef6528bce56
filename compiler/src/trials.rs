//! Trials: polynomials of a point are refitted in network order and measured on held-back samples.

use std::collections::HashMap;

use pic_ir::activations::Activations;
use pic_ir::network::Network;
use pic_ir::profile::Profile;

use crate::allocate::Point;
use crate::dataset::Dataset;
use crate::error::CompileError;
use crate::fit::Candidate;
use crate::layerwise::{self, Measurement, Reference, Refitted};
use crate::pass::Pass;
use crate::pass_runner::PassRunner;
use crate::select::Trials;
use crate::strategy::Strategy;

/// Refits the polynomials of points of the Pareto front, measures the network with them, and caches the results.
pub struct RefitTrials<'a> {
    /// The network after all rewrites, with exact activations.
    pub network: &'a Network,
    /// Statistics of the inputs of the network's activations.
    pub profile: &'a Profile,
    /// Candidate polynomials of each activation layer, into which [`Point::candidates`] are indices.
    pub candidates: &'a [Vec<Candidate>],
    /// Strategy of the compilation, which decides whether polynomials are refitted ([`Strategy::refits`]).
    pub strategy: Strategy,
    /// Samples to which polynomials are fitted.
    pub fitting: Dataset<'a>,
    /// Held-back samples that polynomials are not fitted to, but whose values the refitted intervals hold, too.
    pub placing: Dataset<'a>,
    /// Samples on which points are measured.
    pub measuring: &'a Reference<'a>,
    /// Runner that reports and times each trial as the pass [`Pass::Refit`].
    pub passes: &'a PassRunner<'a>,
    /// Results so far, by [`Point::candidates`].
    pub known: HashMap<Vec<usize>, (Refitted, Measurement)>,
}

impl RefitTrials<'_> {
    /// The polynomials of a point, refitted if the strategy refits any, and their measurement on held-back samples.
    ///
    /// # Errors
    /// [`CompileError::Refit`] if a polynomial cannot be fitted.
    pub fn try_point(&mut self, point: &Point) -> Result<(Refitted, Measurement), CompileError> {
        if let Some(known) = self.known.get(&point.candidates) {
            return Ok(known.clone());
        }
        let tried = self.passes.run(Pass::Refit, |progress| {
            let refitted = if self.strategy.refits() {
                let options = layerwise::RefitOptions::default();
                let (network, profile) = (self.network, self.profile);
                let (fitting, placing, chosen) = (&self.fitting, &self.placing, self.chosen(point));
                layerwise::refit(network, fitting, placing, profile, &chosen, &options, progress)?
            } else {
                self.as_fitted(point)
            };
            let measured = self.measuring.measure(&refitted);
            Ok::<_, CompileError>((refitted, measured))
        })?;
        self.known.insert(point.candidates.clone(), tried.clone());
        Ok(tried)
    }

    /// Measurement of a point; none if the point has not been tried.
    pub fn known(&self, point: &Point) -> Option<Measurement> {
        self.known.get(&point.candidates).map(|&(_, measured)| measured)
    }

    /// The polynomials of a point without refitting, and the network without corrections for them.
    pub fn as_fitted(&self, point: &Point) -> Refitted {
        let layers = self.chosen(point).iter().map(|c| c.approximation.clone()).collect();
        Refitted { network: self.network.clone(), activations: Activations { layers } }
    }

    fn chosen(&self, point: &Point) -> Vec<&Candidate> {
        self.candidates.iter().zip(&point.candidates).map(|(list, &c)| &list[c]).collect()
    }
}

impl Trials for RefitTrials<'_> {
    fn measure(&mut self, point: &Point) -> Result<Measurement, CompileError> {
        Ok(self.try_point(point)?.1)
    }

    fn limiting_layer(&self, point: &Point) -> String {
        let chosen = self.chosen(point).into_iter().map(|candidate| &candidate.approximation);
        let worst = chosen.max_by(|a, b| a.loss.total_cmp(&b.loss));
        worst.map(|layer| layer.name.clone()).unwrap_or_default()
    }
}
