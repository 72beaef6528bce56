//! Timing: the fastest of several runs, on one thread and on all.

use std::time::{Duration, Instant};

use pic::Progress;
use pic_ckks::Error;
use pic_ckks::model::work::Work;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;

use super::Part;
use super::targets::{Target, target};
use crate::cli::error::Failure;
use crate::cli::{Session, memory};

/// Code to time: does it once and says how long that took, without what it had to prepare.
pub type Run<'a> = Box<dyn FnMut() -> Result<Duration, Error> + Send + 'a>;

/// Something to time.
pub struct Task<'a> {
    /// Its name.
    pub what: &'static str,
    /// Primes that it works on, without special ones.
    pub limbs: usize,
    /// How many times it does what a figure is for.
    pub count: f64,
    /// The elementary work, where it belongs to the cost model.
    pub work: Option<Work>,
    /// Does it.
    pub run: Run<'a>,
}

/// One line of the table; the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Where it belongs.
    pub part: Part,
    /// What was timed.
    pub what: &'static str,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Primes that it works on, without special ones.
    pub limbs: usize,
    /// Seconds.
    #[serde(flatten)]
    pub seconds: Seconds,
    /// What it must reach.
    pub target: Option<Target>,
    /// Whether it does.
    pub met: Option<bool>,
    /// Largest resident set of the process meanwhile.
    pub peak_bytes: Option<u64>,
    /// Of the cost model.
    #[serde(skip)]
    pub work: Option<Work>,
}

impl Figure {
    /// With its target, if there is one, given how many threads all are.
    pub fn judged(self, threads: usize) -> Self {
        let target = target(self.what, self.log_n, self.limbs);
        let met = target.map(|target| target.met_by(self.seconds, threads));
        Self { target, met, ..self }
    }
}

/// Fastest runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seconds {
    /// On one thread.
    #[serde(rename = "one_thread_seconds")]
    pub one_thread: f64,
    /// On all threads.
    #[serde(rename = "all_threads_seconds")]
    pub all_threads: f64,
}

impl Seconds {
    /// How many times faster all threads are than one.
    pub fn gain(self) -> f64 {
        self.one_thread / self.all_threads
    }
}

/// Measures with the same patience everywhere and shows progress.
pub struct Stopwatch<'a> {
    /// Shows the progress.
    pub session: &'a Session,
    pools: [ThreadPool; 2],
    budget: Duration,
}

impl<'a> Stopwatch<'a> {
    /// Times each figure for about `budget` on one thread, and as long on all `threads`.
    pub fn new(session: &'a Session, threads: usize, budget: Duration) -> Result<Self, Failure> {
        let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self { session, pools: [pool(1)?, pool(threads)?], budget })
    }

    /// Times tasks under one ring degree.
    pub fn figures(
        &self,
        part: Part,
        stage: &str,
        log_n: u32,
        tasks: Vec<Task>,
    ) -> Result<Vec<Figure>, Failure> {
        self.session.progress.stage(stage, tasks.len() as u64);
        let figure = |(done, mut task): (usize, Task)| {
            memory::reset_peak();
            let seconds = self.time(&mut task)?;
            let peak_bytes = memory::peak_bytes();
            self.session.progress.advance(done as u64 + 1);
            let Task { what, limbs, work, .. } = task;
            let (target, met) = (None, None);
            Ok(Figure { part, what, log_n, limbs, seconds, target, met, peak_bytes, work })
        };
        tasks.into_iter().enumerate().map(figure).collect()
    }

    /// How many threads all threads are.
    pub fn threads(&self) -> usize {
        self.pools[1].current_num_threads()
    }

    fn time(&self, task: &mut Task) -> Result<Seconds, Error> {
        let [one, all] = &self.pools;
        let one_thread = one.install(|| self.fastest(task))?;
        let all_threads =
            if self.threads() == 1 { one_thread } else { all.install(|| self.fastest(task))? };
        Ok(Seconds { one_thread, all_threads })
    }

    /// The first runs also warm up caches and pools; the fastest of all counts.
    fn fastest(&self, task: &mut Task) -> Result<f64, Error> {
        const LEAST: usize = 3;
        let begin = Instant::now();
        let mut fastest = Duration::MAX;
        let mut runs = 0;
        while runs < LEAST || begin.elapsed() < self.budget {
            fastest = fastest.min((task.run)()?);
            runs += 1;
        }
        Ok(fastest.as_secs_f64() / task.count)
    }
}

/// Runs something once, and says how long it took. What it returns is dropped afterwards.
pub fn timed<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<Duration, Error> {
    let start = Instant::now();
    let result = std::hint::black_box(run()?);
    let elapsed = start.elapsed();
    drop(result);
    Ok(elapsed)
}
