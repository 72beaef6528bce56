//! Speed of this machine as one number: the ratio of measured times to those by the shipped prices.

use pic_ir::cost::{CostModel, Target};

use super::figure::Figure;
use crate::cli::speed::Speed;

/// Sizes of the operations by which speed is judged, log2 of the ring degree and number of limbs: those of small
/// networks.
pub const SIZES: [(u32, usize); 2] = [(14, 8), (15, 8)];

/// Weight with which an operation counts when speed is judged, by its name ([`Figure::what`]); 0 for operations that do
/// not count. It is about the relative frequency in programs, whose time goes to linear values and polynomials in equal
/// parts.
pub fn weight(what: &str) -> f64 {
    match what {
        "linear_transform_12" => 2.0,
        "chebyshev_15" => 1.0,
        "rotate" => 2.0,
        "multiply_relinearize_rescale" => 1.0,
        _ => 0.0,
    }
}

/// Speed of this machine relative to the shipped prices of `target`, from the weighted sum of the times of these
/// operations; none unless all of them are among `figures`.
pub fn speed(figures: &[Figure], target: Target) -> Option<Speed> {
    let counts = |figure: &&Figure| SIZES.contains(&(figure.log_n, figure.limbs));
    let [mut shipped, mut one, mut all] = [0.0; 3];
    let mut found = 0;
    let prices = CostModel::of(target).prices;
    for figure in figures.iter().filter(counts) {
        let Some(work) = figure.work else { continue };
        let weight = weight(figure.what);
        found += usize::from(weight > 0.0);
        shipped += weight * prices.seconds(work);
        one += weight * figure.seconds.one_thread;
        all += weight * figure.seconds.all_threads;
    }
    (found == 4 * SIZES.len()).then(|| Speed::new(target, one / shipped, one / all))
}

#[cfg(test)]
mod tests {
    use pic_ckks::model::op_counts::OpCounts;

    use super::*;
    use crate::cli::bench::Part;
    use crate::cli::bench::seconds::Seconds;

    #[test]
    fn the_factor_is_that_of_all_operations_together() {
        let target: Target = "portable:4".parse().unwrap();
        let figure = |what, (log_n, limbs)| {
            let work = OpCounts { transforms: 1e6, ..OpCounts::default() };
            let shipped = CostModel::of(target).prices.seconds(work);
            let seconds = Seconds { one_thread: 1.5 * shipped, all_threads: 0.5 * shipped };
            let (met, peak_bytes) = (None, None);
            let part = Part::Operations;
            let work = Some(work);
            Figure { part, what, log_n, limbs, seconds, target: None, met, peak_bytes, work }
        };
        let names =
            ["linear_transform_12", "chebyshev_15", "rotate", "multiply_relinearize_rescale"];
        let mut figures: Vec<Figure> =
            SIZES.iter().flat_map(|&size| names.map(|what| figure(what, size))).collect();
        let speed = speed(&figures, target).unwrap();
        assert!((speed.factor - 1.5).abs() < 1e-9 && (speed.gain - 3.0).abs() < 1e-9);
        assert_eq!(speed.threads, 4);
        figures.pop();
        assert_eq!(super::speed(&figures, target), None);
    }
}
