//! Acceptance criteria: how much the answers to held-back samples may change for a drop of accuracy by d.
//!
//! A few hundred calibration samples, often from the training data, say little of the accuracy on new
//! ones. Margins move alike on both, so their change is bounded, too.

use crate::layerwise::Classification;

/// Bounds on a [`Classification`], as multiples of the drop of accuracy that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Criteria {
    /// Largest loss of accuracy, over d.
    lost: f64,
    /// Largest share of other answers, over d.
    turned: f64,
    /// Largest root mean square change of margins, relative to the mean margin, over d to the power.
    margin_change: f64,
    power: f64,
}

impl Criteria {
    /// For chains without bootstraps, where accuracy is cheap. Where margins near zero have the density e (in units
    /// of one over the mean margin), normal changes of relative size x turn about 0.4·e·x of all answers; 5 allows
    /// for e = 0.5.
    pub const LEVELED: Self = Self { lost: 1.0, turned: 2.0, margin_change: 5.0, power: 1.0 };

    /// For deep networks, where a little accuracy costs bootstraps, and the bound above would cost most of
    /// them. Near the boundary about as many answers become right as wrong, so that what remains is of second
    /// order: ResNet-20 on CIFAR-10 loses at most 0.1·x² (up to x = 0.32), for which 3.2 would do. On training
    /// samples, where the plain network makes no mistake, every other answer is one.
    pub const BOOTSTRAPPED: Self = Self { lost: 3.0, turned: 8.0, margin_change: 2.9, power: 0.5 };

    /// Whether a measurement is within a drop of accuracy, as a fraction.
    pub fn accept(self, c: &Classification, drop: f64) -> bool {
        c.plain_accuracy - c.accuracy <= self.lost * drop
            && 1.0 - c.agreement <= self.turned * drop
            && c.margin_deviation <= self.margin_change * libm::pow(drop, self.power)
    }
}
