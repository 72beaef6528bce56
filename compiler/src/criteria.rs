//! Acceptance criteria: how much accuracy the approximated network may lose on held-back samples, for a requested
//! drop of accuracy d.
//!
//! A few hundred calibration samples, often from the training data, say little of the accuracy on new
//! ones. Margins move alike on both, so their change is bounded, too.

use crate::layerwise::Classification;

/// Bounds on a [`Classification`], as multiples of the drop of accuracy that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Criteria {
    /// Largest loss of accuracy, as a multiple of d.
    lost: f64,
    /// Largest share of samples with another class than the plain network's, as a multiple of d.
    turned: f64,
    /// Largest root mean square change of margins relative to the mean margin, as a multiple of d to the power
    /// `power`.
    margin_change: f64,
    power: f64,
}

impl Criteria {
    /// Criteria for chains without bootstraps, where accuracy is cheap. If margins near zero have the probability
    /// density e (in units of one over the mean margin), normally distributed changes of relative root mean square x
    /// change the class of about 0.4·e·x of all samples; the factor 5 on the change of margins keeps this share below d
    /// for e = 0.5.
    pub const LEVELED: Self = Self { lost: 1.0, turned: 2.0, margin_change: 5.0, power: 1.0 };

    /// Criteria for deep networks, where a little accuracy costs bootstraps, and [`Self::LEVELED`] would cost most
    /// of them. Near the boundary about as many answers become right as wrong, so that what remains is of second
    /// order: ResNet-20 on CIFAR-10 loses at most 0.1·x² (up to x = 0.32), for which 3.2 would do. On training
    /// samples, where the plain network makes no mistake, every changed answer is a mistake.
    pub const BOOTSTRAPPED: Self = Self { lost: 3.0, turned: 8.0, margin_change: 2.9, power: 0.5 };

    /// Returns whether the measured `c` meets the criteria if accuracy may drop by `drop`, a fraction from 0 to 1.
    pub fn accept(self, c: &Classification, drop: f64) -> bool {
        c.plain_accuracy - c.accuracy <= self.lost * drop
            && 1.0 - c.agreement <= self.turned * drop
            && c.margin_deviation <= self.margin_change * libm::pow(drop, self.power)
    }
}
