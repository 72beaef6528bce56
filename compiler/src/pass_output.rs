//! The outputs of passes: each has a text form to look at and invariants to check.

use std::sync::Arc;

use pic_ir::network::Network;
use pic_ir::plan::Plan;
use pic_ir::postprocessing::Postprocessing;
use pic_ir::prediction::Prediction;
use pic_ir::profile::{LayerProfile, Profile};
use pic_ir::program::{Program, VerifiedProgram};

use crate::allocate::{CostedChain, Point};
use crate::composition::Composed;
use crate::fit::Candidate;
use crate::frontend::Import;
use crate::layerwise::{Measurement, Refitted};

/// The output of a pass: it has a text form and invariants.
pub trait PassOutput {
    /// Text form, in lines that end with a line break.
    fn text(&self) -> String;

    /// Checks its invariants.
    ///
    /// # Errors
    /// The first that it breaks.
    fn verify(&self) -> Result<(), String>;
}

/// An error as a text.
fn described<E: ToString>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

fn ensure(holds: bool, invariant: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("broken: {invariant}")) }
}

/// What the client does behind a network, a line for each step.
fn then(postprocessing: &Postprocessing) -> String {
    postprocessing.steps.iter().map(|step| format!("then {step}, by the client\n")).collect()
}

fn fits(postprocessing: &Postprocessing, network: &Network) -> Result<(), String> {
    described(postprocessing.verify(&network.graph[network.output].shape).map(|_| ()))
}

impl PassOutput for Import {
    fn text(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
        notes + &self.network.to_string() + &then(&self.postprocessing)
    }

    fn verify(&self) -> Result<(), String> {
        described(self.network.verify())?;
        fits(&self.postprocessing, &self.network)
    }
}

impl PassOutput for Network {
    fn text(&self) -> String {
        self.to_string()
    }

    fn verify(&self) -> Result<(), String> {
        described(Network::verify(self))
    }
}

impl PassOutput for (Network, Postprocessing) {
    fn text(&self) -> String {
        self.0.to_string() + &then(&self.1)
    }

    fn verify(&self) -> Result<(), String> {
        described(self.0.verify())?;
        fits(&self.1, &self.0)
    }
}

impl PassOutput for Composed {
    fn text(&self) -> String {
        self.network.to_string()
    }

    fn verify(&self) -> Result<(), String> {
        described(self.network.verify())
    }
}

impl PassOutput for Vec<LayerProfile> {
    fn text(&self) -> String {
        let range = |layer: &LayerProfile| {
            let (min, max) = (layer.overall.min, layer.overall.max);
            format!("{}: {min:.4} … {max:.4}, extreme {:.4}\n", layer.name, layer.extreme)
        };
        self.iter().map(range).collect()
    }

    fn verify(&self) -> Result<(), String> {
        let holds = |layer: &LayerProfile| {
            let reach = layer.overall.max_abs();
            layer.overall.min <= layer.overall.max && reach <= layer.extreme && reach.is_finite()
        };
        ensure(self.iter().all(holds), "ranges are finite and within the estimated extreme")
    }
}

impl PassOutput for Profile {
    fn text(&self) -> String {
        self.to_string()
    }

    fn verify(&self) -> Result<(), String> {
        self.layers.verify()?;
        let sound = |layer: &LayerProfile| layer.sensitivity.value >= 0.0;
        ensure(self.layers.iter().all(sound), "sensitivities are not negative")
    }
}

impl PassOutput for Vec<Vec<Candidate>> {
    fn text(&self) -> String {
        let line = |candidate: &Candidate| {
            let a = &candidate.approximation;
            let (degree, depth, name) = (a.degree(), candidate.depth, &a.name);
            format!("{name}: degree {degree}, depth {depth}, loss {:.3e}\n", a.loss)
        };
        self.iter().flatten().map(line).collect()
    }

    fn verify(&self) -> Result<(), String> {
        ensure(self.iter().all(|list| !list.is_empty()), "every layer has a candidate")?;
        let sound = |candidate: &Candidate| {
            let a = &candidate.approximation;
            a.coefficients.iter().all(|c| c.is_finite()) && a.half_width > 0.0 && a.loss >= 0.0
        };
        ensure(self.iter().flatten().all(sound), "candidates are finite, losses not negative")
    }
}

impl PassOutput for Vec<Arc<CostedChain>> {
    fn text(&self) -> String {
        let line = |costed: &Arc<CostedChain>| {
            let (chain, steps) = (&costed.chain, costed.instance.steps.len());
            let kind = if chain.bootstrapping().is_some() { "bootstrapped" } else { "leveled" };
            let (log_n, levels) = (chain.log_n(), costed.instance.max_level);
            format!("N = 2^{log_n}, {kind}, {levels} levels, {steps} steps\n")
        };
        self.iter().map(line).collect()
    }

    fn verify(&self) -> Result<(), String> {
        let fits = |costed: &Arc<CostedChain>| {
            let levels = costed.instance.max_level as usize;
            costed.chain.max_levels().is_some_and(|most| levels <= most)
        };
        ensure(self.iter().all(fits), "no instance has more levels than its chain")
    }
}

impl PassOutput for Vec<Point> {
    fn text(&self) -> String {
        let line = |point: &Point| {
            let (time, loss) = (point.solution.time, point.solution.loss);
            let bootstraps = point.bootstrapped().iter().filter(|&&b| b).count();
            format!(
                "{time:.4} s, loss {loss:.3e}, {bootstraps} bootstraps, candidates {:?}\n",
                point.candidates
            )
        };
        self.iter().map(line).collect()
    }

    fn verify(&self) -> Result<(), String> {
        let trades = |a: &Point, b: &Point| {
            a.solution.time <= b.solution.time && a.solution.loss > b.solution.loss
        };
        ensure(self.is_sorted_by(trades), "later points are slower and more accurate")
    }
}

impl PassOutput for (Refitted, Measurement) {
    fn text(&self) -> String {
        let measured = &self.1;
        format!("{}{measured:?}\n", self.0.activations)
    }

    fn verify(&self) -> Result<(), String> {
        let Refitted { network, activations } = &self.0;
        described(network.verify())?;
        described(activations.verify(network))
    }
}

impl PassOutput for (&Network, Plan) {
    fn text(&self) -> String {
        self.1.to_string()
    }

    fn verify(&self) -> Result<(), String> {
        described(self.1.verify(self.0))
    }
}

impl PassOutput for Program {
    fn text(&self) -> String {
        self.to_string()
    }

    /// Succeeds: the pass behind each one that makes a program verifies it, in release builds, too.
    fn verify(&self) -> Result<(), String> {
        Ok(())
    }
}

impl PassOutput for VerifiedProgram {
    fn text(&self) -> String {
        self.to_string()
    }

    /// Succeeds: a value of this type has been verified.
    fn verify(&self) -> Result<(), String> {
        Ok(())
    }
}

impl PassOutput for Prediction {
    fn text(&self) -> String {
        let (seconds, bits) = (self.seconds(), self.precision_bits);
        let bytes = self.memory.total_bytes();
        format!("{seconds:.4} s, {bits:.2} bits, {bytes} bytes\n")
    }

    fn verify(&self) -> Result<(), String> {
        ensure(self.is_sound(), "figures are finite and not negative")
    }
}
