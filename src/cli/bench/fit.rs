//! The constants of the cost model that come closest to what was measured.

use nalgebra::{DMatrix, DVector};
use pic_ckks::model::UnitCosts;
use pic_ir::cost::{CostModel, Target};

use super::figure::{Figure, Part};

/// A cost model and how far it is from the figures it was made of.
pub struct Fit {
    /// The model.
    pub model: CostModel,
    /// Root mean square of the relative deviations.
    pub deviation: f64,
}

/// The prices that come closest to the figures of one thread, in relative terms, and the gain of
/// all threads over one, as a geometric mean over operations. Nothing without operations.
///
/// The kinds of work go together in all operations; kernels, if they were measured, tell them apart.
pub fn fit(figures: &[Figure], target: Target) -> Option<Fit> {
    let priced: Vec<_> = figures.iter().filter_map(|f| Some((f.work?, f.seconds))).collect();
    let operations = figures.iter().filter(|f| f.part == Part::Operations && f.work.is_some());
    let gains: Vec<f64> = operations.map(|f| f.seconds.gain().ln()).collect();
    if gains.is_empty() {
        return None;
    }
    let rows = priced.iter().map(|(work, seconds)| {
        [work.transforms, work.multiplications, work.conversions, work.words]
            .map(|w| w / seconds.one_thread)
    });
    let matrix = DMatrix::from_row_iterator(priced.len(), UNKNOWNS, rows.flatten());
    let (prices, deviation) = non_negative_least_squares(&matrix);
    let [transform, multiplication, conversion, word] = prices;
    let prices = UnitCosts { transform, multiplication, conversion, word };
    let speedup = (gains.iter().sum::<f64>() / gains.len() as f64).exp();
    let model = CostModel { target, prices, speedup };
    Some(Fit { model, deviation })
}

/// Number of prices to find.
const UNKNOWNS: usize = 4;

/// `x ≥ 0` with the least `|A·x − 1|²`, and the root mean square of what remains. The unknowns are few:
/// every subset of them is tried.
fn non_negative_least_squares(matrix: &DMatrix<f64>) -> ([f64; UNKNOWNS], f64) {
    let ones = DVector::from_element(matrix.nrows(), 1.0);
    let mut best = ([0.0; UNKNOWNS], f64::INFINITY);
    for subset in 1..1usize << UNKNOWNS {
        let columns: Vec<usize> = (0..UNKNOWNS).filter(|k| subset >> k & 1 == 1).collect();
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
            let mut prices = [0.0; UNKNOWNS];
            for ((&k, x), length) in columns.iter().zip(solution.iter()).zip(lengths) {
                prices[k] = x / length;
            }
            best = (prices, rest.sqrt());
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use pic_ckks::model::op_counts::OpCounts;

    use super::*;
    use crate::cli::bench::seconds::Seconds;

    #[test]
    fn the_fit_recovers_the_prices_behind_the_figures() {
        let prices =
            UnitCosts { transform: 7e-11, multiplication: 1e-10, conversion: 8e-11, word: 3e-10 };
        let target = "fma256:4".parse().unwrap();
        let truth = CostModel { target, prices, speedup: 2.5 };
        let works = [
            [1e7, 1e6, 0.0, 1e6],
            [1e6, 5e6, 2e6, 0.0],
            [0.0, 1e6, 9e6, 4e6],
            [3e7, 3e7, 3e7, 1e7],
            [1e6, 1e6, 1e6, 9e6],
        ];
        let figures = works.map(|[transforms, multiplications, conversions, words]| {
            let work = OpCounts { transforms, multiplications, conversions, words };
            let all_threads = truth.seconds(work);
            let one_thread = all_threads * truth.speedup;
            Figure {
                part: Part::Operations,
                what: "any",
                log_n: 13,
                limbs: 1,
                seconds: Seconds { one_thread, all_threads },
                target: None,
                met: None,
                peak_bytes: None,
                work: Some(work),
            }
        });
        let found = fit(&figures, target).unwrap();
        assert_eq!(found.model.target, target);
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-6;
        assert!(close(found.model.prices.transform, prices.transform));
        assert!(close(found.model.prices.multiplication, prices.multiplication));
        assert!(close(found.model.prices.conversion, prices.conversion));
        assert!(close(found.model.prices.word, prices.word));
        assert!(close(found.model.speedup, truth.speedup));
        assert!(found.deviation < 1e-6);
    }

    #[test]
    fn prices_are_never_negative() {
        let rows = [[1., 1., 0., 0.], [2., 1., 0., 0.], [0., 1., 0., 0.]];
        let matrix = DMatrix::from_row_iterator(3, UNKNOWNS, rows.concat());
        let (prices, _) = non_negative_least_squares(&matrix);
        assert!(prices.iter().all(|&p| p >= 0.0) && prices[1] > 0.0);
    }
}
