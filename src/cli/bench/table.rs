//! The tables: figures against their targets, bootstrapping to fewer levels, the cost model.

use super::bootstrapping::Bootstrap;
use super::fit::Fit;
use super::measure::Figure;
use super::targets::Target;
use crate::cli::text::{Table, bytes, or_dash, percent};

/// Everything that was measured, on so many threads.
pub fn report(
    figures: &[Figure],
    bootstraps: &[Bootstrap],
    fit: Option<&Fit>,
    threads: usize,
) -> String {
    let mut text = figures_table(figures, bootstraps, threads).to_string();
    if !bootstraps.is_empty() {
        text += &format!("\n{}", bootstraps_table(bootstraps, threads));
    }
    if let Some(fit) = fit {
        text += &format!("\n{}", cost_model(fit));
    }
    text
}

/// One line for each figure, and for bootstrapping to all levels.
fn figures_table(figures: &[Figure], bootstraps: &[Bootstrap], threads: usize) -> Table {
    let all = format!("{threads} threads");
    let headings =
        ["what", "log N", "limbs", "1 thread", &all, "gain", "must (1, 2 threads)", "met", "peak"];
    let mut table = Table::new(&headings);
    let highest = bootstraps.iter().map(|b| &b.figure).filter(|figure| figure.target.is_some());
    for figure in figures.iter().chain(highest) {
        table.row([
            figure.what.replace('_', " "),
            figure.log_n.to_string(),
            figure.limbs.to_string(),
            duration(figure.seconds.one_thread),
            duration(figure.seconds.all_threads),
            format!("{:.2}", figure.seconds.gain()),
            or_dash(figure.target, must),
            or_dash(figure.met, |met| if met { "yes" } else { "no" }.into()),
            or_dash(figure.peak_bytes, bytes),
        ]);
    }
    table
}

/// Time and precision against the levels that are left.
fn bootstraps_table(bootstraps: &[Bootstrap], threads: usize) -> Table {
    let all = format!("{threads} threads");
    let headings = [
        "what",
        "log N",
        "slots",
        "levels left",
        "1 thread",
        &all,
        "mean bits",
        "minimum bits",
        "keys",
        "matrices",
    ];
    let mut table = Table::new(&headings);
    for bootstrap in bootstraps {
        let figure = &bootstrap.figure;
        table.row([
            figure.what.replace('_', " "),
            figure.log_n.to_string(),
            bootstrap.slots.to_string(),
            bootstrap.levels_left.to_string(),
            duration(figure.seconds.one_thread),
            duration(figure.seconds.all_threads),
            format!("{:.1}", bootstrap.mean_bits),
            format!("{:.1}", bootstrap.minimum_bits),
            bytes(bootstrap.key_bytes as u64),
            bytes(bootstrap.matrix_bytes as u64),
        ]);
    }
    table
}

fn cost_model(fit: &Fit) -> String {
    let m = &fit.model;
    format!(
        "cost model: {:.2e} s a transformed coefficient and stage, {:.2e} s a product, {:.2e} s a converted\n\
         coefficient and pair of limbs, {:.2e} s a word from or to memory; {} threads are {:.2} times as fast\n\
         as one; deviation {}\n",
        m.prices.transform,
        m.prices.multiplication,
        m.prices.conversion,
        m.prices.word,
        m.threads,
        m.speedup,
        percent(fit.deviation)
    )
}

fn must(target: Target) -> String {
    let two = or_dash(target.two_threads, duration);
    format!("{}, {two}", duration(target.one_thread))
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
