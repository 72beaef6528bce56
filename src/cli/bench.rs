//! `pic bench`: how fast this machine is, and the cost model that follows from it.

mod operations;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use nalgebra::{DMatrix, DVector};
use pic::Progress;
use pic_ir::cost::{CostModel, Work};
use serde::Serialize;

use self::operations::{Bench, Case, Operation};
use super::error::Failure;
use super::text::{Table, bytes};
use super::{Session, memory, output};

/// Time operations on this machine and derive the constants of the cost model
#[derive(Args)]
#[command(after_help = "Example:\n  pic bench --output cost.json\n  \
    pic compile model.onnx --calibration x.npy --cost cost.json")]
pub struct Arguments {
    /// Write the constants of the cost model here, for `pic compile --cost`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ring degrees to measure, log2
    #[arg(long, value_name = "LOG2", num_args = 1.., default_values_t = [13, 14, 15],
        value_parser = clap::value_parser!(u32).range(13..=16))]
    log_n: Vec<u32>,
    /// Seconds for each figure; the fastest of the runs that fit counts
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = super::values::seconds)]
    budget: f64,
}

/// Parameter sets as programs of growing depth use them.
const CASES: [Case; 6] = [
    Case { log_n: 13, limbs: 4, special: 1 },
    Case { log_n: 14, limbs: 8, special: 2 },
    Case { log_n: 15, limbs: 8, special: 2 },
    Case { log_n: 15, limbs: 14, special: 3 },
    Case { log_n: 16, limbs: 11, special: 3 },
    Case { log_n: 16, limbs: 24, special: 6 },
];

/// One line of the result; the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    operation: &'static str,
    log_n: u32,
    limbs: usize,
    special: usize,
    threads: usize,
    milliseconds: f64,
    peak_bytes: Option<u64>,
    #[serde(skip)]
    work: Option<Work>,
}

pub fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    let all = rayon::current_num_threads();
    let thread_counts = if all == 1 { vec![1] } else { vec![1, all] };
    let budget = Duration::from_secs_f64(arguments.budget);
    let mut figures = Vec::new();
    for case in CASES.iter().filter(|case| arguments.log_n.contains(&case.log_n)) {
        let bench = Bench::new(*case)?;
        let operations = bench.operations();
        let stage = format!("N = 2^{}, {} limbs", case.log_n, case.limbs);
        session.progress.stage(&stage, (operations.len() * thread_counts.len()) as u64);
        let mut done = 0;
        for &threads in &thread_counts {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            for operation in &operations {
                figures.push(pool.install(|| measure(case, operation, threads, budget))?);
                done += 1;
                session.progress.advance(done);
            }
        }
    }
    session.progress.finish();
    let fit = fit(&figures, all);
    if let Some(path) = &arguments.output {
        output::write_json(path, &fit.model)?;
    }
    session.print(&figures, || report(&figures, &fit))
}

fn measure(
    case: &Case,
    operation: &Operation,
    threads: usize,
    budget: Duration,
) -> Result<Figure, Failure> {
    memory::reset_peak();
    (operation.run)()?;
    let begin = Instant::now();
    let mut fastest = Duration::MAX;
    let mut runs = 0;
    while runs < 3 || begin.elapsed() < budget {
        let start = Instant::now();
        (operation.run)()?;
        fastest = fastest.min(start.elapsed());
        runs += 1;
    }
    Ok(Figure {
        operation: operation.name,
        log_n: case.log_n,
        limbs: case.limbs,
        special: case.special,
        threads,
        milliseconds: fastest.as_secs_f64() * 1e3,
        peak_bytes: memory::peak_bytes(),
        work: operation.work,
    })
}

/// A cost model and how far it is from the figures it was made of.
struct Fit {
    model: CostModel,
    /// Root mean square of the relative deviations.
    deviation: f64,
}

/// The prices that come closest to the figures of one thread, in relative terms, and the gain of
/// all threads over one, as a geometric mean.
fn fit(figures: &[Figure], threads: usize) -> Fit {
    let priced = |f: &&Figure| f.work.is_some();
    let single: Vec<&Figure> = figures.iter().filter(|f| f.threads == 1).filter(priced).collect();
    let rows = single.iter().map(|f| {
        let work = f.work.expect("figures without work were left out");
        [work.transforms, work.multiplications, work.conversions]
            .map(|w| w / (f.milliseconds * 1e-3))
    });
    let matrix = DMatrix::from_row_iterator(single.len(), 3, rows.flatten());
    let (prices, deviation) = non_negative_least_squares(&matrix);
    let gain = |f: &&Figure| {
        let key = |f: &Figure| (f.operation, f.log_n, f.limbs);
        let all = figures.iter().find(|g| g.threads == threads && key(g) == key(f));
        all.map_or(0.0, |all| (f.milliseconds / all.milliseconds).ln())
    };
    let speedup = (single.iter().map(gain).sum::<f64>() / single.len().max(1) as f64).exp();
    let [transform, multiplication, conversion] = prices;
    Fit { model: CostModel { transform, multiplication, conversion, threads, speedup }, deviation }
}

/// `x ≥ 0` with the least `|A·x − 1|²`, and the root mean square of what remains. Three unknowns:
/// every subset of them is tried.
fn non_negative_least_squares(matrix: &DMatrix<f64>) -> ([f64; 3], f64) {
    let ones = DVector::from_element(matrix.nrows(), 1.0);
    let mut best = ([0.0; 3], f64::INFINITY);
    for subset in 1..8usize {
        let columns: Vec<usize> = (0..3).filter(|k| subset >> k & 1 == 1).collect();
        let chosen = matrix.select_columns(&columns);
        // Columns differ by their units only: scaled to length 1 the rank is plain to see.
        let lengths: Vec<f64> = chosen.column_iter().map(|c| c.norm()).collect();
        if lengths.contains(&0.0) {
            continue;
        }
        let scaled =
            DMatrix::from_fn(chosen.nrows(), chosen.ncols(), |r, c| chosen[(r, c)] / lengths[c]);
        let Ok(solution) = scaled.clone().svd(true, true).solve(&ones, 1e-9) else { continue };
        let rest = (&scaled * &solution - &ones).norm_squared() / ones.len() as f64;
        if solution.iter().all(|&x| x >= 0.0) && rest.sqrt() < best.1 {
            let mut prices = [0.0; 3];
            for ((&k, x), length) in columns.iter().zip(solution.iter()).zip(lengths) {
                prices[k] = x / length;
            }
            best = (prices, rest.sqrt());
        }
    }
    best
}

fn report(figures: &[Figure], fit: &Fit) -> String {
    let mut table =
        Table::new(&["operation", "log N", "limbs", "special", "threads", "ms", "peak"]);
    for f in figures {
        table.row([
            f.operation.into(),
            f.log_n.to_string(),
            f.limbs.to_string(),
            f.special.to_string(),
            f.threads.to_string(),
            format!("{:.3}", f.milliseconds),
            super::text::or_dash(f.peak_bytes, bytes),
        ]);
    }
    let m = &fit.model;
    format!(
        "{table}\ncost model: {:.2e} s a transformed coefficient and stage, {:.2e} s a product, {:.2e} s a converted\n\
         coefficient and pair of limbs; {} threads are {:.2} times as fast as one; deviation {}\n",
        m.transform,
        m.multiplication,
        m.conversion,
        m.threads,
        m.speedup,
        super::text::percent(fit.deviation)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fit_recovers_the_prices_behind_the_figures() {
        let truth = CostModel {
            transform: 7e-11,
            multiplication: 4e-10,
            conversion: 8e-11,
            threads: 4,
            speedup: 2.5,
        };
        let works = [(1e7, 1e6, 0.0), (1e6, 5e6, 2e6), (0.0, 1e6, 9e6), (3e7, 3e7, 3e7)];
        let figure = |threads, factor: f64| {
            works.map(|(transforms, multiplications, conversions)| {
                let work = Work { transforms, multiplications, conversions };
                Figure {
                    operation: "any",
                    log_n: 13,
                    limbs: transforms as usize,
                    special: 1,
                    threads,
                    milliseconds: truth.seconds(work) * truth.speedup * factor * 1e3,
                    peak_bytes: None,
                    work: Some(work),
                }
            })
        };
        let found = fit(&[figure(1, 1.0), figure(4, 0.4)].concat(), 4);
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-6;
        assert!(close(found.model.transform, truth.transform));
        assert!(close(found.model.multiplication, truth.multiplication));
        assert!(close(found.model.conversion, truth.conversion));
        assert!(close(found.model.speedup, truth.speedup));
        assert!(found.deviation < 1e-6);
    }

    #[test]
    fn prices_are_never_negative() {
        let matrix = DMatrix::from_row_slice(3, 3, &[1., 1., 0., 2., 1., 0., 0., 1., 0.]);
        let (prices, _) = non_negative_least_squares(&matrix);
        assert!(prices.iter().all(|&p| p >= 0.0) && prices[1] > 0.0);
    }
}
