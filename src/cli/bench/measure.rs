//! Timing: the fastest of several runs, on one thread and on all.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pic::{Progress, machine};
use pic_ckks::Error;
use pic_ckks::model::UnitCosts;
use pic_ckks::model::op_counts::OpCounts;
use pic_ir::cost::Target;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::figure::{Figure, Part};
use super::seconds::Seconds;
use super::table;
use crate::cli::Session;
use crate::cli::error::Failure;

/// Code to time: performs the operations once and returns how long they took, without what had to be prepared for them.
pub type Run<'a> = Box<dyn FnMut() -> Result<Duration, Error> + Send + 'a>;

/// An operation to time.
pub struct Task<'a> {
    /// Name of the operation.
    pub what: &'static str,
    /// Number of primes that the operation works on, special primes excluded.
    pub limbs: usize,
    /// Number of operations in one run; the figure is the time of one.
    pub count: f64,
    /// Elementary work that the cost model counts; none for operations outside the model.
    pub work: Option<OpCounts>,
    /// Code that is timed.
    pub run: Run<'a>,
}

/// Times operations, each for about the same time, on one thread and on all threads, and prints what it measures. The
/// fastest run counts.
pub struct Stopwatch<'a> {
    /// Session to which rows are printed.
    pub session: &'a Session,
    /// Kernel set and number of threads of this process.
    pub target: Target,
    pools: [ThreadPool; 2],
    budget: Duration,
    /// When all has to be done, if it has.
    end: Option<Instant>,
    /// Seconds that were expected of what is done, and that it took.
    spent: Cell<[f64; 2]>,
}

impl<'a> Stopwatch<'a> {
    /// A stopwatch that times each operation for about `budget` on one thread, and as long on all. If there is a
    /// `limit`, work that is not expected to end within this time from now is left out.
    pub fn new(
        session: &'a Session,
        target: Target,
        budget: Duration,
        limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self {
            session,
            target,
            pools: [pool(1)?, pool(target.threads)?],
            budget,
            end: limit.map(|limit| Instant::now() + limit),
            spent: Cell::new([0.0; 2]),
        })
    }

    /// Returns whether there is a limit on the time of the whole benchmark.
    pub fn is_limited(&self) -> bool {
        self.end.is_some()
    }

    /// Does `work`, which is expected to take `expected` seconds, and returns its result. If too little time is left
    /// for it, prints that `stage` is left out and returns none.
    pub fn within<T>(
        &self,
        stage: &str,
        expected: f64,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        // UnitCosts may be off; what was done so far shows by how much.
        let [promised, taken] = self.spent.get();
        let seconds = expected * if promised > 0.0 { taken / promised } else { 1.0 };
        let start = Instant::now();
        let left = self.end.map(|end| end.saturating_duration_since(start).as_secs_f64());
        if left.is_some_and(|left| seconds > left) {
            let text =
                format!("  {stage}: left out, it would take about {seconds:.0} s; see --all\n");
            self.session.say(text)?;
            return Ok(None);
        }
        let result = work()?;
        self.spent.set([promised + expected, taken + start.elapsed().as_secs_f64()]);
        Ok(Some(result))
    }

    /// Predicted seconds of some work on one thread, at the shipped prices.
    pub fn expected(&self, work: OpCounts) -> f64 {
        UnitCosts::of(self.target.kernels).seconds(work)
    }

    /// Predicted seconds that it takes to time some work, on one thread and on all.
    pub fn expected_of_figure(&self, work: OpCounts) -> f64 {
        2.0 * (LEAST_RUNS as f64 * self.expected(work)).max(self.budget.as_secs_f64())
    }

    /// Times tasks under one ring degree, prints a row for each, and returns the figures with their target times.
    pub fn rows(&self, part: Part, log_n: u32, tasks: Vec<Task>) -> Result<Vec<Figure>, Failure> {
        let row = |task| {
            let figure = self.figure(part, log_n, task)?.judged(self.target);
            self.session.say(table::figure(&figure))?;
            Ok(figure)
        };
        tasks.into_iter().map(row).collect()
    }

    /// Times one task, and measures the peak memory meanwhile. The figure has no target time yet ([`Figure::judged`]).
    pub fn figure(&self, part: Part, log_n: u32, mut task: Task) -> Result<Figure, Failure> {
        let name = format!("{}, N = 2^{log_n}, {} limbs", task.what.replace('_', " "), task.limbs);
        self.session.progress.stage(&name, 0);
        machine::reset_peak();
        let seconds = self.time(&mut task)?;
        let peak_bytes = machine::peak_bytes();
        let Task { what, limbs, work, .. } = task;
        let (target, met) = (None, None);
        Ok(Figure { part, what, log_n, limbs, seconds, target, met, peak_bytes, work })
    }

    fn time(&self, task: &mut Task) -> Result<Seconds, Error> {
        let ([one, all], budget) = (&self.pools, self.budget);
        let one_thread = one.install(|| fastest(task, budget))?;
        let all_threads = if self.target.threads == 1 {
            one_thread
        } else {
            all.install(|| fastest(task, budget))?
        };
        Ok(Seconds { one_thread, all_threads })
    }
}

/// The first runs also warm up caches and pools; the fastest of all that fit counts.
fn fastest(task: &mut Task, budget: Duration) -> Result<f64, Error> {
    let begin = Instant::now();
    let mut fastest = Duration::MAX;
    let mut runs = 0;
    while runs < LEAST_RUNS || begin.elapsed() < budget {
        fastest = fastest.min((task.run)()?);
        runs += 1;
    }
    Ok(fastest.as_secs_f64() / task.count)
}

/// Fewest runs for a figure.
const LEAST_RUNS: usize = 3;

/// Runs code once and returns its duration. Its result is dropped after the measurement.
pub fn timed<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<Duration, Error> {
    let start = Instant::now();
    let result = std::hint::black_box(run()?);
    let elapsed = start.elapsed();
    drop(result);
    Ok(elapsed)
}
