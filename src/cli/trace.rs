//! Time of a run as tables, and as a file for trace viewers.

use pic::evaluation::{Layer, Operations, Trace, TracedStep};
use serde_json::{Value, json};

use super::text::{Table, percent, seconds};

/// The format that chrome://tracing and Perfetto read: microseconds, one row a sample.
pub fn chrome(trace: &Trace) -> Value {
    let event = |TracedStep { sample, end, step, .. }: &TracedStep| {
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
    let events: Vec<Value> = trace.steps().iter().map(event).collect();
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
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
    use pic::Step;

    use super::*;

    #[test]
    fn chrome_gets_one_event_a_step() {
        let mut trace = Trace::begin();
        for sample in 0..2 {
            trace.record(
                sample,
                &Step {
                    id: 1,
                    name: "v1".into(),
                    kind: "polynomial",
                    start: 0.0,
                    seconds: 6.0,
                    level_in: 9,
                    level_out: 5,
                },
            );
        }
        let chrome = chrome(&trace);
        assert_eq!(chrome["traceEvents"].as_array().unwrap().len(), 2);
        let last = &chrome["traceEvents"][1];
        assert_eq!(
            (&last["dur"], &last["tid"], &last["cat"]),
            (&6e6.into(), &1.into(), &"polynomial".into())
        );
    }
}
