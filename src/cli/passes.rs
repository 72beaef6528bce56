//! The passes of the compiler as they run: the time of each, and the products that are asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pic::Progress;
use pic_compiler::pass::Pass;
use serde::Serialize;

use super::progress::Reporter;
use super::text::{Table, percent, printable, seconds};

/// Follows a compilation for someone who looks closer than at its progress.
pub struct PassObserver<'a> {
    reporter: &'a Reporter,
    dumped: &'a [Pass],
    times: Mutex<BTreeMap<Pass, (usize, Duration)>>,
}

/// The runs of a pass.
#[derive(Serialize)]
pub struct PassTime {
    pass: &'static str,
    runs: usize,
    /// Seconds of all runs of the pass.
    seconds: f64,
}

impl<'a> PassObserver<'a> {
    /// Shows progress, and on stderr what the passes `dumped` make.
    pub fn new(reporter: &'a Reporter, dumped: &'a [Pass]) -> Self {
        Self { reporter, dumped, times: Mutex::default() }
    }

    /// The time of each pass that ran, in order.
    pub fn times(self) -> Vec<PassTime> {
        let times = self.times.into_inner().unwrap_or_else(PoisonError::into_inner);
        let time = |(pass, (runs, took)): (Pass, (usize, Duration))| PassTime {
            pass: pass.name(),
            runs,
            seconds: took.as_secs_f64(),
        };
        times.into_iter().map(time).collect()
    }
}

impl Progress for PassObserver<'_> {
    fn stage(&self, name: &str, total: u64) {
        self.reporter.stage(name, total);
    }

    fn advance(&self, done: u64) {
        self.reporter.advance(done);
    }

    fn finished(&self, pass: Pass, took: Duration, product: &dyn Fn() -> String) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let (runs, total) = times.entry(pass).or_default();
        (*runs, *total) = (*runs + 1, *total + took);
        if self.dumped.contains(&pass) {
            self.reporter.finish();
            eprintln!("== {pass}\n{}", printable(&product()));
        }
    }
}

/// A table of times.
pub fn timing_table(times: &[PassTime]) -> String {
    let all: f64 = times.iter().map(|time| time.seconds).sum();
    let mut table = Table::new(&["pass", "runs", "time", "share"]);
    for &PassTime { pass, runs, seconds: time } in times {
        table.row([pass.into(), runs.to_string(), seconds(time), percent(time / all)]);
    }
    format!("{table}all passes {}\n", seconds(all))
}
