//! What a run spent its time on, value by value.

use std::time::Instant;

use pic_runtime::backend::Step;
use serde::Serialize;
use serde_json::{Value, json};

/// The steps of all samples of a run.
pub struct Trace {
    begin: Instant,
    /// Sample, seconds from the beginning to the end of the step, and the step.
    steps: Vec<(usize, f64, Step)>,
}

/// The time of one layer, averaged over samples; keys of `--json`.
#[derive(Debug, Serialize)]
pub struct Layer {
    /// Name of the value in the program.
    pub name: String,
    /// Seconds a sample.
    pub seconds: f64,
    /// Lowest level among its operands.
    pub level_in: usize,
    /// Its level.
    pub level_out: usize,
}

impl Trace {
    /// A trace that begins now.
    pub fn new() -> Self {
        Self { begin: Instant::now(), steps: Vec::new() }
    }

    /// Adds a step that has just ended.
    pub fn record(&mut self, sample: usize, step: &Step) {
        self.steps.push((sample, self.elapsed(), step.clone()));
    }

    /// Steps recorded.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Seconds since the beginning.
    pub fn elapsed(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// One line a layer, in order of evaluation.
    pub fn layers(&self) -> Vec<Layer> {
        let samples = self.steps.iter().map(|(sample, ..)| sample + 1).max().unwrap_or(1);
        let first = self.steps.iter().filter(|(sample, ..)| *sample == 0);
        let layer = |(_, _, step): &(usize, f64, Step)| {
            let same = self.steps.iter().filter(|(.., other)| other.id == step.id);
            Layer {
                name: step.name.clone(),
                seconds: same.map(|(.., s)| s.seconds).sum::<f64>() / samples as f64,
                level_in: step.level_in,
                level_out: step.level_out,
            }
        };
        first.map(layer).collect()
    }

    /// The format that chrome://tracing and Perfetto read: microseconds, one row a sample.
    pub fn chrome(&self) -> Value {
        let event = |(sample, end, step): &(usize, f64, Step)| {
            json!({
                "name": step.name,
                "ph": "X",
                "ts": (end - step.seconds) * 1e6,
                "dur": step.seconds * 1e6,
                "pid": 0,
                "tid": sample,
                "args": { "level_in": step.level_in, "level_out": step.level_out },
            })
        };
        let events: Vec<Value> = self.steps.iter().map(event).collect();
        json!({ "displayTimeUnit": "ms", "traceEvents": events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_averaged_over_samples() {
        let step = |id, seconds| Step {
            id,
            name: format!("v{id}"),
            start: 0.0,
            seconds,
            level_in: 3,
            level_out: 2,
        };
        let mut trace = Trace::new();
        for (sample, factor) in [(0, 1.0), (1, 3.0)] {
            trace.record(sample, &step(1, factor));
            trace.record(sample, &step(2, 2.0 * factor));
        }
        let layers = trace.layers();
        assert_eq!(layers.len(), 2);
        assert_eq!((layers[0].name.as_str(), layers[0].seconds), ("v1", 2.0));
        assert_eq!(layers[1].seconds, 4.0);
        let chrome = trace.chrome();
        assert_eq!(chrome["traceEvents"].as_array().unwrap().len(), 4);
        assert_eq!(chrome["traceEvents"][3]["dur"], 6e6);
    }
}
