//! Expected loss of accuracy, estimated from how far outputs move and not from how many answers change.
//!
//! The *lead* of a sample is how far the output of its right class is above the largest other output: an answer is
//! right if its lead is positive. Of a few hundred samples hardly any lead changes its sign when polynomials take the
//! place of activations, so that counting those says little. But every sample says how much leads change. A change
//! is split into a part that is proportional to the lead, by which no answer turns, and a rest. Rests hardly depend on
//! the lead, so any sample could have had the rest of any other: the expected accuracy is the share of right answers
//! among all pairs of a lead and a rest. Its standard error is about half that of a count, as from four times
//! as many samples. Answers turn in both directions where leads of both signs are known, that is with labels.

use pic_ckks_model::square;
use pic_ir::prediction::Fidelity;

/// Number of groups of samples that the jackknife leaves out in turn.
const GROUPS: usize = 10;

/// Accuracy of a plain network on calibration samples from which it may have been trained on them.
const LEARNT: f64 = 0.98;

/// Share of new samples on which a network is taken to be wrong if it has learnt the calibration samples.
pub const WRONG_ON_NEW: f64 = 0.05;

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

/// Where samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They are like those to come.
    New,
    /// The network may have been trained on them: of those to come more are near the verge between two answers.
    Calibration,
}

/// Expected drop of accuracy on samples to come, as a share from −1 to 1, from the leads of the right classes in the
/// plain network and in the one with polynomials. There must be a sample, and the first leads must be finite.
///
/// If the plain network has nearly all of the calibration samples right, their leads are taken to be those of new
/// samples but for normal noise by which the network is wrong on [`WRONG_ON_NEW`] of them, and the larger drop counts:
/// that of the samples or that of these.
///
/// The standard error is that of the jackknife over groups of samples, and what one sample on the verge between two
/// answers would add, as there could be some among the samples to come.
pub fn expected_drop(plain: &[f64], found: &[f64], origin: Origin) -> Estimate {
    let count = plain.len();
    let is_learnt = origin == Origin::Calibration && accuracy(plain) >= LEARNT;
    let drop = |plain: &[f64], found: &[f64]| {
        let changes = Changes::new(plain, found);
        let seen = changes.drop(plain);
        if is_learnt { seen.max(changes.drop_on_noisy(plain, WRONG_ON_NEW)) } else { seen }
    };
    let without = |group: usize| {
        let kept = (0..count).filter(|k| k % GROUPS != group);
        let (plain, found): (Vec<_>, Vec<_>) = kept.map(|k| (plain[k], found[k])).unzip();
        drop(&plain, &found)
    };
    let value = drop(plain, found);
    let groups = GROUPS.min(count);
    let squares: f64 = match groups {
        1 => 0.0,
        _ => (0..groups).map(|group| square(without(group) - value)).sum(),
    };
    let jackknife = squares * (groups - 1) as f64 / groups as f64;
    let unseen = 0.5 / (count + 1) as f64;
    Estimate { value, standard_error: (jackknife + unseen * unseen).sqrt() }
}

/// Share of right answers by their leads.
fn accuracy(leads: &[f64]) -> f64 {
    leads.iter().filter(|&&lead| lead > 0.0).count() as f64 / leads.len() as f64
}

/// Probability that a standard normal number is below `x`.
fn normal_below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Changes of leads: a factor, and rests beside it.
struct Changes {
    factor: f64,
    /// In ascending order, without those of answers that are not numbers.
    rests: Vec<f64>,
    /// Number of samples, with those.
    samples: f64,
}

impl Changes {
    fn new(plain: &[f64], found: &[f64]) -> Self {
        let largest = plain.iter().fold(0.0f64, |max, lead| max.max(lead.abs()));
        // What turns an answer anyway should not decide what is proportional.
        let change =
            |(plain, found): (&f64, &f64)| (found - plain).clamp(-2.0 * largest, 2.0 * largest);
        let finite = || plain.iter().zip(found).filter(|(_, found)| found.is_finite());
        let squares: f64 = finite().map(|(plain, _)| plain * plain).sum();
        let products: f64 = finite().map(|(plain, found)| plain * change((plain, found))).sum();
        let slope = if squares > 0.0 { products / squares } else { 0.0 };
        let mut rests: Vec<f64> = finite().map(|pair| change(pair) - slope * pair.0).collect();
        rests.sort_by(f64::total_cmp);
        Self { factor: (1.0 + slope).max(0.0), rests, samples: plain.len() as f64 }
    }

    /// Drop of accuracy on samples with these leads.
    fn drop(&self, leads: &[f64]) -> f64 {
        let wrong =
            |lead: &f64| self.rests.partition_point(|rest| self.factor * lead + rest <= 0.0);
        let right: usize = leads.iter().map(|lead| self.rests.len() - wrong(lead)).sum();
        accuracy(leads) - right as f64 / self.samples / leads.len() as f64
    }

    /// Drop of accuracy on samples with these leads and normal noise beside, so much that the plain network is wrong on a
    /// share `wrong` of them.
    fn drop_on_noisy(&self, leads: &[f64], wrong: f64) -> f64 {
        let count = leads.len() as f64;
        let wrong_at = |deviation: f64| {
            leads.iter().map(|lead| normal_below(-lead / deviation)).sum::<f64>() / count
        };
        let largest = leads.iter().fold(0.0f64, |max, lead| max.max(lead.abs()));
        let (mut low, mut high) = (0.0, 100.0 * largest.max(f64::MIN_POSITIVE));
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if wrong_at(middle) < wrong { low = middle } else { high = middle }
        }
        let deviation = (self.factor * high).max(f64::MIN_POSITIVE);
        let right = |lead: &f64| {
            let below =
                self.rests.iter().map(|rest| normal_below((self.factor * lead + rest) / deviation));
            below.sum::<f64>() / self.samples
        };
        (1.0 - wrong_at(high)) - leads.iter().map(right).sum::<f64>() / count
    }
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
        let needed = factor * samples as f64 * square(2.0 * standard_error / asked);
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
            "the plain network has {:.1} % of the calibration samples right, so it may have been trained on them: the \
             drop is estimated as if it had {:.0} % of new ones wrong; give other samples for validation to know",
            100.0 * plain,
            100.0 * WRONG_ON_NEW
        ));
    }
    remarks
}

/// A number of samples, rounded up to two digits.
fn round_up(number: f64) -> u64 {
    let unit = libm::pow(10.0, (libm::log10(number.max(1.0)).floor() - 1.0).max(0.0));
    ((number / unit).ceil() * unit) as u64
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
            let Estimate { value, standard_error } = expected_drop(&plain, &found, Origin::New);
            let right = |leads: &[f64]| leads.iter().filter(|&&lead| lead > 0.0).count() as f64;
            let count = (right(&plain) - right(&found)) / 200.0;
            mean += value / sets as f64;
            squares += square(value - exact()) / sets as f64;
            counted += square(count - exact()) / sets as f64;
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
        let estimate = expected_drop(&plain, &half, Origin::New);
        assert_eq!(estimate.value, 0.0);
        assert!((estimate.standard_error - 0.5 / 101.0).abs() < 1e-15);
    }

    #[test]
    fn answers_that_are_not_numbers_are_wrong() {
        let plain = vec![1.0; 10];
        let mut found = plain.clone();
        found[3] = lead(&[0.0, f32::NAN], 0);
        assert!((expected_drop(&plain, &found, Origin::New).value - 0.1).abs() < 1e-12);
        assert_eq!(expected_drop(&plain, &[f64::NEG_INFINITY; 10], Origin::New).value, 1.0);
        assert_eq!(expected_drop(&[0.0], &[0.0], Origin::New).value, 0.0);
    }

    /// Of samples that the network has learnt no answer turns; of new ones, which are noisy, some do. Leads and noise
    /// are normal, so that the drop has a closed form.
    #[test]
    fn learnt_samples_stand_for_noisy_ones() {
        let rng = &mut ChaCha8Rng::seed_from_u64(4);
        let pair = |_| {
            let lead = 10.0 + normal(rng);
            (lead, 0.7 * lead + 1.5 * normal(rng))
        };
        let (plain, found): (Vec<f64>, Vec<f64>) = (0..2000).map(pair).unzip();
        assert!(expected_drop(&plain, &found, Origin::New).value < 1e-4);
        let estimate = expected_drop(&plain, &found, Origin::Calibration);
        // 10 is 1.6449 deviations of leads with noise; with polynomials there are 1.5² beside 0.49 times that.
        let variance = square(10.0 / 1.644_854);
        let left = normal_below(7.0 / (0.49 * variance + 2.25).sqrt());
        let expected = 0.95 - left;
        assert!((estimate.value / expected - 1.0).abs() < 0.1, "{estimate:?} {expected}");
        // Where some answers are wrong, leads of both signs are known.
        let mut known = plain.clone();
        known.iter_mut().step_by(20).for_each(|lead| *lead = -1.0);
        let origins = [Origin::New, Origin::Calibration];
        let [new, calibration] = origins.map(|origin| expected_drop(&known, &known, origin));
        assert_eq!(new, calibration);
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
