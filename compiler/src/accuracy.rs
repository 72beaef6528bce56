//! Expected loss of accuracy, estimated from how far outputs move and not from how many answers change.
//!
//! The *lead* of a sample is how far the output of its right class is above the largest other output: an answer is
//! right if its lead is positive. Of a few hundred samples hardly any lead changes its sign when polynomials take the
//! place of activations, so that counting those says little. But every sample says how much leads change. A change
//! is split into a part that is proportional to the lead, by which no answer turns, and a rest. Rests hardly depend on
//! the lead, so any sample could have had the rest of any other: the expected accuracy is the share of right answers
//! among all pairs of a lead and a rest. Its standard error is about half that of a count, as from four times
//! as many samples. Answers turn in both directions where leads of both signs are known, that is with labels.

use pic_ir::prediction::Fidelity;

/// Number of groups of samples that the jackknife leaves out in turn.
const GROUPS: usize = 10;

/// Accuracy of a plain network on calibration samples from which it may have been trained on them.
const LEARNT: f64 = 0.98;

/// An estimate and its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// The lead of class `class`: its output above the largest other one. Minus infinity if an output is infinite or not a
/// number, as such an answer is right about nothing.
pub fn lead(outputs: &[f32], class: usize) -> f64 {
    if outputs.iter().any(|y| !y.is_finite()) {
        return f64::NEG_INFINITY;
    }
    let others = outputs.iter().enumerate().filter(|&(k, _)| k != class).map(|(_, &y)| y);
    f64::from(outputs[class]) - f64::from(others.fold(f32::NEG_INFINITY, f32::max))
}

/// Expected drop of accuracy, as a share from −1 to 1, from the leads of the right classes in the plain network and
/// in the one with polynomials. There must be a sample, and the first leads must be finite.
///
/// The standard error is that of the jackknife over groups of samples, and what one sample on the verge between two
/// answers would add, as there could be some among the samples to come.
pub fn expected_drop(plain: &[f64], found: &[f64]) -> Estimate {
    let count = plain.len();
    let without = |group: usize| {
        let kept = (0..count).filter(|k| k % GROUPS != group);
        let (plain, found): (Vec<_>, Vec<_>) = kept.map(|k| (plain[k], found[k])).unzip();
        drop(&plain, &found)
    };
    let value = drop(plain, found);
    let groups = GROUPS.min(count);
    let squares: f64 = match groups {
        1 => 0.0,
        _ => (0..groups).map(|group| pic_ckks_model::square(without(group) - value)).sum(),
    };
    let jackknife = squares * (groups - 1) as f64 / groups as f64;
    let unseen = 0.5 / (count + 1) as f64;
    Estimate { value, standard_error: (jackknife + unseen * unseen).sqrt() }
}

/// What a user should know of a measured fidelity: whether so many `samples` can tell the drop that was `asked`, a
/// fraction, and whether they are like those to come. `validated` says that they are not calibration samples.
pub fn remarks(fidelity: Fidelity, asked: f64, samples: usize, validated: bool) -> Vec<String> {
    let (standard_error, plain) = match fidelity {
        Fidelity::Accuracy { plain, standard_error, .. } => (standard_error, Some(plain)),
        Fidelity::Agreement { standard_error, .. } => (standard_error, None),
        Fidelity::Error { .. } => return vec![],
    };
    let mut remarks = vec![];
    if 2.0 * standard_error > asked && asked > 0.0 {
        // Half of the calibration samples are measured. Standard errors fall with the root of the number.
        let factor = if validated { 1.0 } else { 2.0 };
        let needed = factor * samples as f64 * pic_ckks_model::square(2.0 * standard_error / asked);
        let kind = if validated { "validation" } else { "calibration" };
        remarks.push(format!(
            "{samples} samples tell the accuracy to ± {:.2} points; {:.2} points take about {} {kind} samples",
            100.0 * standard_error,
            100.0 * asked,
            round_up(needed)
        ));
    }
    if let Some(plain) = plain.filter(|&plain| plain >= LEARNT && !validated) {
        remarks.push(format!(
            "the plain network has {:.1} % of the calibration samples right: if it was trained on them, give others \
             for validation, because accuracy on new samples is another",
            100.0 * plain
        ));
    }
    remarks
}

/// A number of samples, rounded up to two digits.
fn round_up(number: f64) -> u64 {
    let unit = libm::pow(10.0, (libm::log10(number.max(1.0)).floor() - 1.0).max(0.0));
    ((number / unit).ceil() * unit) as u64
}

fn drop(plain: &[f64], found: &[f64]) -> f64 {
    let count = plain.len() as f64;
    let largest = plain.iter().fold(0.0f64, |max, lead| max.max(lead.abs()));
    // What turns an answer anyway should not decide what is proportional.
    let change =
        |(plain, found): (&f64, &f64)| (found - plain).clamp(-2.0 * largest, 2.0 * largest);
    let finite = || plain.iter().zip(found).filter(|(_, found)| found.is_finite());
    let squares: f64 = finite().map(|(plain, _)| plain * plain).sum();
    let products: f64 = finite().map(|(plain, found)| plain * change((plain, found))).sum();
    let slope = if squares > 0.0 { (products / squares).max(-1.0) } else { 0.0 };
    let mut rests: Vec<f64> = finite().map(|pair| change(pair) - slope * pair.0).collect();
    rests.sort_by(f64::total_cmp);
    let right: usize = plain
        .iter()
        .map(|lead| rests.len() - rests.partition_point(|rest| (1.0 + slope) * lead + rest <= 0.0))
        .sum();
    let plainly_right = plain.iter().filter(|&&lead| lead > 0.0).count() as f64;
    (plainly_right - right as f64 / count) / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    /// Standard normal draws, by the central limit of twelve uniform ones.
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.next_u32() as f64 / f64::from(u32::MAX)).sum::<f64>() - 6.0
    }

    /// Normal leads and independent normal changes: the drop has a closed form.
    fn draw(count: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let pair = |_| {
            let lead = 2.0 + normal(rng);
            (lead, 0.8 * lead + 0.5 * normal(rng))
        };
        (0..count).map(pair).unzip()
    }

    fn exact() -> f64 {
        let below = |x: f64| 0.5 * libm::erfc(x / std::f64::consts::SQRT_2);
        below(1.6 / (0.64f64 + 0.25).sqrt()) - below(2.0)
    }

    #[test]
    fn the_estimate_is_right_and_half_as_uncertain_as_a_count() {
        let (mut mean, mut squares, mut counted, mut covered) = (0.0, 0.0, 0.0, 0);
        let sets = 200;
        for seed in 0..sets {
            let (plain, found) = draw(200, seed);
            let Estimate { value, standard_error } = expected_drop(&plain, &found);
            let right = |leads: &[f64]| leads.iter().filter(|&&lead| lead > 0.0).count() as f64;
            let count = (right(&plain) - right(&found)) / 200.0;
            mean += value / sets as f64;
            squares += (value - exact()).powi(2) / sets as f64;
            counted += (count - exact()).powi(2) / sets as f64;
            covered += usize::from((value - exact()).abs() < 2.0 * standard_error);
        }
        assert!((mean - exact()).abs() < 0.1 * exact(), "{mean}, not {}", exact());
        assert!(squares.sqrt() < 0.6 * counted.sqrt(), "{} and {}", squares.sqrt(), counted.sqrt());
        assert!(covered >= 180, "two standard errors cover {covered} of {sets}");
    }

    #[test]
    fn what_only_grows_or_shrinks_turns_nothing() {
        let (plain, _) = draw(100, 1);
        let half: Vec<f64> = plain.iter().map(|lead| 0.5 * lead).collect();
        let estimate = expected_drop(&plain, &half);
        assert_eq!(estimate.value, 0.0);
        assert!((estimate.standard_error - 0.5 / 101.0).abs() < 1e-15);
    }

    #[test]
    fn answers_that_are_not_numbers_are_wrong() {
        let plain = vec![1.0; 10];
        let mut found = plain.clone();
        found[3] = lead(&[0.0, f32::NAN], 0);
        assert!((expected_drop(&plain, &found).value - 0.1).abs() < 1e-12);
        assert_eq!(expected_drop(&plain, &vec![f64::NEG_INFINITY; 10]).value, 1.0);
        assert_eq!(expected_drop(&[0.0], &[0.0]).value, 0.0);
    }

    #[test]
    fn remarks_say_how_many_samples_would_do() {
        let fidelity = Fidelity::Accuracy { plain: 0.9, drop: 0.0, standard_error: 0.01 };
        let [remark] = &remarks(fidelity, 0.005, 50, false)[..] else { panic!("one remark") };
        // 50 · (0.02 / 0.005)², twice because half is held back.
        assert!(
            remark.contains("± 1.00 points") && remark.contains(" 1600 calibration"),
            "{remark}"
        );
        assert!(remarks(fidelity, 0.02, 50, false).is_empty());
        let learnt = Fidelity::Accuracy { plain: 1.0, drop: 0.0, standard_error: 0.001 };
        assert!(remarks(learnt, 0.005, 50, false)[0].contains("validation"));
        assert!(remarks(learnt, 0.005, 50, true).is_empty());
        assert_eq!([round_up(0.3), round_up(87.2), round_up(1234.5)], [1, 88, 1300]);
    }

    #[test]
    fn leads_are_over_the_best_other() {
        assert_eq!(lead(&[1.0, 4.0, 2.5], 1), 1.5);
        assert_eq!(lead(&[1.0, 4.0, 2.5], 0), -3.0);
        assert_eq!(lead(&[1.0, f32::INFINITY], 1), f64::NEG_INFINITY);
    }
}
