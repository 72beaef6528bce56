//! Time of a run by value and by kind of operation.

use std::collections::BTreeMap;
use std::time::Instant;

use pic_runtime::engine::Step;
use pic_runtime::{EncryptedInput, EncryptedOutput, Error, Server};
use serde::Serialize;

use crate::Progress;

/// The steps of all samples of a run, in the order in which they ended.
#[derive(Clone, Debug)]
pub struct Trace {
    begin: Instant,
    steps: Vec<TracedStep>,
}

/// A computed value of one sample, with the time at which it was done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TracedStep {
    /// Position of the sample in its batch.
    pub sample: usize,
    /// End of the step, seconds since the trace began.
    pub end: f64,
    /// Record of the value.
    pub step: Step,
}

/// The time of one layer, averaged over samples. Serialised it has the keys of `pic run --layers --json`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Layer {
    /// Name of the value in the program.
    pub name: String,
    /// Kind of operation.
    pub kind: &'static str,
    /// Seconds per sample.
    pub seconds: f64,
    /// Lowest level among its operands.
    pub level_in: usize,
    /// Level of the value.
    pub level_out: usize,
}

/// Total of all layers of one kind. Serialised it has the keys of `pic run --json`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Operations {
    /// Kind of operation.
    pub kind: &'static str,
    /// Number of layers.
    pub count: usize,
    /// Seconds per sample.
    pub seconds: f64,
    /// Share of the time of all layers, from 0 to 1.
    pub share: f64,
    /// Mean of the layers' levels before the operation.
    pub level_in: f64,
    /// Mean of the layers' levels after the operation.
    pub level_out: f64,
}

/// Runs every sample of a batch, with reports to `progress`, and records the time of every step.
///
/// # Errors
/// The errors of [`Server::run`].
pub fn run_traced(
    server: &Server,
    input: &EncryptedInput,
    progress: &dyn Progress,
) -> Result<(EncryptedOutput, Trace), Error> {
    let steps = server.program().values.len().saturating_sub(1) * input.samples();
    progress.stage("run", steps as u64);
    let mut trace = Trace::begin();
    let answer = server.run_observed(input, &mut |sample, step| {
        trace.record(sample, step);
        progress.advance(trace.steps.len() as u64);
    })?;
    Ok((answer, trace))
}

impl Trace {
    /// A trace that begins now.
    pub fn begin() -> Self {
        Self { begin: Instant::now(), steps: Vec::new() }
    }

    /// Records a step that has just ended, of the sample at this position of the batch.
    pub fn record(&mut self, sample: usize, step: &Step) {
        let end = self.begin.elapsed().as_secs_f64();
        self.steps.push(TracedStep { sample, end, step: step.clone() });
    }

    /// All steps in the order in which they ended.
    pub fn steps(&self) -> &[TracedStep] {
        &self.steps
    }

    /// Seconds from the beginning of the trace to the end of the last step.
    pub fn seconds(&self) -> f64 {
        self.steps.last().map_or(0.0, |last| last.end)
    }

    /// Seconds per sample without the first one, during which memory is still being allocated; those of the first
    /// if there is no other.
    pub fn warm_seconds(&self) -> f64 {
        let of_first = self.steps.iter().filter(|traced| traced.sample == 0);
        let first = of_first.map(|traced| traced.end).fold(0.0, f64::max);
        match self.steps.last() {
            Some(last) if last.sample > 0 => (last.end - first) / last.sample as f64,
            _ => first,
        }
    }

    /// Mean time of each layer, in order of evaluation.
    pub fn layers(&self) -> Vec<Layer> {
        let samples = self.steps.iter().map(|traced| traced.sample + 1).max().unwrap_or(1);
        let first = self.steps.iter().filter(|traced| traced.sample == 0);
        let layer = |TracedStep { step, .. }: &TracedStep| {
            let same = self.steps.iter().filter(|other| other.step.id == step.id);
            Layer {
                name: step.name.clone(),
                kind: step.kind,
                seconds: same.map(|same| same.step.seconds).sum::<f64>() / samples as f64,
                level_in: step.level_in,
                level_out: step.level_out,
            }
        };
        first.map(layer).collect()
    }
}

/// Totals by kind of operation, the slowest kind first.
pub fn operations(layers: &[Layer]) -> Vec<Operations> {
    let all: f64 = layers.iter().map(|l| l.seconds).sum();
    let mut kinds: BTreeMap<&str, Vec<&Layer>> = BTreeMap::new();
    for layer in layers {
        kinds.entry(layer.kind).or_default().push(layer);
    }
    let sum = |layers: &[&Layer]| {
        let (kind, count) = (layers[0].kind, layers.len());
        let mean = |of: fn(&Layer) -> usize| {
            layers.iter().map(|l| of(l)).sum::<usize>() as f64 / count as f64
        };
        let (level_in, level_out) = (mean(|l| l.level_in), mean(|l| l.level_out));
        let seconds: f64 = layers.iter().map(|l| l.seconds).sum();
        Operations { kind, count, seconds, share: seconds / all, level_in, level_out }
    };
    let mut operations: Vec<_> = kinds.values().map(|layers| sum(layers)).collect();
    operations.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two samples of a convolution and two activations; the second sample takes thrice as long.
    fn trace() -> Trace {
        let step = |id: u32, kind, seconds, level_in, level_out| Step {
            id,
            name: format!("v{id}"),
            kind,
            start: 0.0,
            seconds,
            level_in,
            level_out,
        };
        let mut trace = Trace::begin();
        for (sample, factor) in [(0, 1.0), (1, 3.0)] {
            trace.record(sample, &step(1, "polynomial", factor, 9, 5));
            trace.record(sample, &step(2, "linear", 4.0 * factor, 5, 4));
            trace.record(sample, &step(3, "polynomial", 2.0 * factor, 4, 1));
        }
        trace
    }

    #[test]
    fn layers_are_averaged_over_samples() {
        let layers = trace().layers();
        let found: Vec<_> = layers.iter().map(|l| (l.name.as_str(), l.kind, l.seconds)).collect();
        let expected =
            [("v1", "polynomial", 2.0), ("v2", "linear", 8.0), ("v3", "polynomial", 4.0)];
        assert_eq!(found, expected);
    }

    #[test]
    fn operations_sum_and_average_over_layers() {
        let operations = operations(&trace().layers());
        let found: Vec<_> = operations
            .iter()
            .map(|o| (o.kind, o.count, o.seconds, o.share, o.level_in, o.level_out))
            .collect();
        let expected = [
            ("linear", 1, 8.0, 8.0 / 14.0, 5.0, 4.0),
            ("polynomial", 2, 6.0, 6.0 / 14.0, 6.5, 3.0),
        ];
        assert_eq!(found, expected);
        assert!(super::operations(&[]).is_empty());
    }
}
