//! What a run spent its time on, value by value and by kind of operation.

use std::collections::BTreeMap;
use std::time::Instant;

use pic_runtime::engine::Step;
use serde::Serialize;
use serde_json::{Value, json};

use super::text::{Table, percent, seconds};

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
    name: String,
    /// Kind of operation.
    kind: &'static str,
    /// Seconds a sample.
    seconds: f64,
    /// Lowest level among its operands.
    level_in: usize,
    /// Its level.
    level_out: usize,
}

/// All layers of one kind; keys of `--json`.
#[derive(Debug, Serialize)]
pub struct Operations {
    /// Kind of operation.
    kind: &'static str,
    /// How many layers there are.
    count: usize,
    /// Seconds a sample.
    seconds: f64,
    /// Of the time of all layers.
    share: f64,
    /// Mean of the layers' levels before.
    level_in: f64,
    /// Mean of the layers' levels after.
    level_out: f64,
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

    /// Seconds a sample, of the samples after the first, for which memory has yet to be fetched; of the first if
    /// there are no others.
    pub fn warm_seconds(&self) -> f64 {
        let end_of_first = self.steps.iter().filter(|(sample, ..)| *sample == 0).map(|step| step.1);
        let first = end_of_first.fold(0.0, f64::max);
        match self.steps.last() {
            Some(&(last, end, _)) if last > 0 => (end - first) / last as f64,
            _ => first,
        }
    }

    /// One line a layer, in order of evaluation.
    pub fn layers(&self) -> Vec<Layer> {
        let samples = self.steps.iter().map(|(sample, ..)| sample + 1).max().unwrap_or(1);
        let first = self.steps.iter().filter(|(sample, ..)| *sample == 0);
        let layer = |(_, _, step): &(usize, f64, Step)| {
            let same = self.steps.iter().filter(|(.., other)| other.id == step.id);
            Layer {
                name: step.name.clone(),
                kind: step.kind,
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
                "cat": step.kind,
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

/// Layers by kind, the longest first.
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

/// One line a kind.
pub fn operations_table(operations: &[Operations]) -> Table {
    let headings = ["operation", "layers", "time", "share", "mean level in", "mean level out"];
    let mut table = Table::new(&headings);
    for o in operations {
        table.row([
            o.kind.into(),
            o.count.to_string(),
            seconds(o.seconds),
            percent(o.share),
            format!("{:.1}", o.level_in),
            format!("{:.1}", o.level_out),
        ]);
    }
    table
}

/// One line a layer.
pub fn layers_table(layers: &[Layer]) -> Table {
    let mut table = Table::new(&["layer", "operation", "time", "level in", "level out"]);
    for l in layers {
        let levels = [l.level_in, l.level_out].map(|level| level.to_string());
        let cells = [l.name.clone(), l.kind.into(), seconds(l.seconds)];
        table.row(cells.into_iter().chain(levels));
    }
    table
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
        let mut trace = Trace::new();
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

    #[test]
    fn chrome_gets_one_event_a_step() {
        let chrome = trace().chrome();
        assert_eq!(chrome["traceEvents"].as_array().unwrap().len(), 6);
        let last = &chrome["traceEvents"][5];
        assert_eq!(
            (&last["dur"], &last["tid"], &last["cat"]),
            (&6e6.into(), &1.into(), &"polynomial".into())
        );
    }
}
