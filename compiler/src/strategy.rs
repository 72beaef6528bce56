//! Strategies by which programs are chosen: this project's, and those that it is compared with.
//!
//! All of them share layouts, chains, bootstrapping, prices and runtime, and all are held to the same
//! accuracy on held-back samples: what they differ in is the choice alone.

use crate::fit;
use crate::series_parallel::BootstrapPlacement;

/// Strategy by which polynomials, degrees and bootstraps are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Degrees, places of bootstraps, the levels that they restore, chain and ring in one optimisation;
    /// polynomials are refitted in network order and linear nodes corrected for them.
    #[default]
    Joint,
    /// One degree for all layers, otherwise as [`Self::Joint`].
    Uniform,
    /// The method of Lee et al., *Optimizing Layerwise Polynomial Approximation for Efficient Private Inference on
    /// Fully Homomorphic Encryption* (2023): polynomials fitted to normal densities, losses by gradients of the
    /// cross-entropy, degrees by the dynamic program over discretised time, a bootstrap behind every activation.
    Ola,
    /// ReLU by a composition of minimax polynomials of degrees 15, 15 and 27 in every layer, after Lee et al.,
    /// *Low-Complexity Deep Convolutional Neural Networks on FHE Using Multiplexed Parallel Convolutions* (ICML
    /// 2022); bootstraps are placed as by [`Self::Joint`].
    Composite,
}

impl Strategy {
    /// True if polynomials are refitted to the inputs that the polynomials before them produce, and linear nodes
    /// corrected.
    pub(crate) fn refits(self) -> bool {
        matches!(self, Self::Joint | Self::Uniform)
    }

    /// Parameters of the fits.
    pub(crate) fn fit(self) -> fit::FitOptions {
        match self {
            Self::Joint | Self::Uniform | Self::Composite => fit::FitOptions::default(),
            // Without a histogram, a bound on errors is all that restrains the tails. Bootstrapping follows,
            // which does not take any scale.
            Self::Ola => fit::FitOptions {
                normal_share: 1.0,
                uniform_share: 0.0,
                tail: 0.05,
                any_scale: false,
                ..fit::FitOptions::default()
            },
        }
    }

    /// Places where values may be bootstrapped.
    pub(crate) fn bootstrap_placement(self) -> BootstrapPlacement {
        match self {
            Self::Joint | Self::Uniform | Self::Composite => BootstrapPlacement::All,
            Self::Ola => BootstrapPlacement::Activations,
        }
    }
}
