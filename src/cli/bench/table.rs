//! The tables, row by row: figures against their targets, bootstrapping to fewer levels, the cost model.

use pic_ir::cost::Target;

use super::figure::{Bootstrap, Figure};
use super::fit::Fit;
use super::goals;
use crate::cli::text::{Columns, bytes, or_dash, percent};

/// Heading with the properties of all rows: kernel set, threads, and the runs that count.
pub fn heading(target: Target) -> String {
    let Target { kernels, threads } = target;
    format!("{kernels} kernels, {threads} threads; the fastest of several runs\n")
}

const FIGURES: Columns<9> = Columns([28, 5, 5, 8, 12, 5, 19, 3, 9]);

/// Above the rows of [`figure`].
pub fn figures_heading(threads: usize) -> String {
    let all = format!("{threads} threads");
    let must = "must (1, 2 threads)";
    FIGURES.row(["what", "log N", "limbs", "1 thread", &all, "gain", must, "met", "peak"])
}

/// A figure and its target.
pub fn figure(figure: &Figure) -> String {
    FIGURES.row([
        &figure.what.replace('_', " "),
        &figure.log_n.to_string(),
        &figure.limbs.to_string(),
        &duration(figure.seconds.one_thread),
        &duration(figure.seconds.all_threads),
        &format!("{:.2}", figure.seconds.gain()),
        &or_dash(figure.target, must),
        &or_dash(figure.met, met),
        &or_dash(figure.peak_bytes, bytes),
    ])
}

const BOOTSTRAPS: Columns<13> = Columns([22, 5, 5, 11, 8, 12, 19, 3, 9, 12, 9, 9, 9]);

/// Above the rows of [`bootstrap`].
pub fn bootstraps_heading(threads: usize) -> String {
    let all = format!("{threads} threads");
    let row = BOOTSTRAPS.row([
        "what",
        "log N",
        "slots",
        "levels left",
        "1 thread",
        &all,
        "must (1, 2 threads)",
        "met",
        "mean bits",
        "minimum bits",
        "keys",
        "matrices",
        "peak",
    ]);
    format!("\n{row}")
}

/// Time and precision of bootstrapping to some levels.
pub fn bootstrap(bootstrap: &Bootstrap) -> String {
    let figure = &bootstrap.figure;
    BOOTSTRAPS.row([
        &figure.what.replace('_', " "),
        &figure.log_n.to_string(),
        &bootstrap.slots.to_string(),
        &bootstrap.levels_left.to_string(),
        &duration(figure.seconds.one_thread),
        &duration(figure.seconds.all_threads),
        &or_dash(figure.target, must),
        &or_dash(figure.met, met),
        &format!("{:.1}", bootstrap.mean_bits),
        &format!("{:.1}", bootstrap.minimum_bits),
        &bytes(bootstrap.key_bytes as u64),
        &bytes(bootstrap.matrix_bytes as u64),
        &or_dash(figure.peak_bytes, bytes),
    ])
}

/// The constants of the cost model.
pub fn cost_model(fit: &Fit) -> String {
    let m = &fit.model;
    format!(
        "\ncost model: {:.2e} s a transformed coefficient and stage, {:.2e} s a product, {:.2e} s a converted\n\
         coefficient and pair of limbs, {:.2e} s a word from or to memory; {} threads are {:.2} times as fast\n\
         as one; deviation {}\n",
        m.prices.transform,
        m.prices.multiplication,
        m.prices.conversion,
        m.prices.word,
        m.target.threads,
        m.speedup,
        percent(fit.deviation)
    )
}

fn must(target: goals::Goal) -> String {
    let two = or_dash(target.two_threads, duration);
    format!("{}, {two}", duration(target.one_thread))
}

fn met(met: bool) -> String {
    if met { "yes" } else { "no" }.into()
}

/// A duration in the unit that suits it, from nanoseconds up, to three digits.
fn duration(seconds: f64) -> String {
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let fits = |&&(_, unit): &&(&str, f64)| seconds >= unit;
    let (name, unit) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    let value = seconds / unit;
    let decimals = if value < 1.0 { 3 } else { 2usize.saturating_sub(value.log10() as usize) };
    format!("{value:.decimals$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        assert_eq!(duration(6.04e-11), "0.060 ns");
        assert_eq!(duration(43.21e-6), "43.2 µs");
        assert_eq!(duration(0.1234), "123 ms");
        assert_eq!(duration(1.0), "1.00 s");
    }
}
