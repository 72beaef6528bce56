//! The passes of the compiler by name.

use std::fmt;
use std::str::FromStr;

/// A pass. The order is that in which outputs depend on each other. Passes behind [`Pass::CorrectLosses`] run once
/// for every scale that is tried, those behind [`Pass::Allocate`] for every point of the front that is tried, and for one
/// before the front is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// ONNX file to network.
    Import,
    /// Network to its canonical form.
    Canonicalize,
    /// Network without its final activations, which are left to the client.
    StripFinal,
    /// Network in which every activation has an operand of its own.
    Isolate,
    /// Ranges of the inputs of activations.
    Ranges,
    /// Network without the activations that are linear on their ranges.
    Linearize,
    /// Network whose channels have like ranges.
    Equalize,
    /// Network with compositions for some activations, where single polynomials are not accurate enough. Passes from
    /// [`Pass::Profile`] on are run again for it.
    Compose,
    /// Distributions of the inputs of activations, and sensitivities of the loss to their errors.
    Profile,
    /// Candidate polynomials for every activation.
    Approximate,
    /// Losses of the candidates by measurement.
    CorrectLosses,
    /// Modulus chains and layouts, priced.
    Cost,
    /// Pareto front of latency against loss.
    Allocate,
    /// Polynomials of one point fitted again in network order, and measured.
    Refit,
    /// Levels, scales and normalisation of every value.
    Plan,
    /// The program.
    Lower,
    /// The verified program, with its keys and the facts that follow from it.
    Verify,
    /// Time, memory and precision of the program.
    Estimate,
    /// The program with a second answer that checks ranges.
    RangeCheck,
}

impl Pass {
    /// All passes in order.
    pub const ALL: [Self; 19] = [
        Self::Import,
        Self::Canonicalize,
        Self::StripFinal,
        Self::Isolate,
        Self::Ranges,
        Self::Linearize,
        Self::Equalize,
        Self::Compose,
        Self::Profile,
        Self::Approximate,
        Self::CorrectLosses,
        Self::Cost,
        Self::Allocate,
        Self::Refit,
        Self::Plan,
        Self::Lower,
        Self::Verify,
        Self::Estimate,
        Self::RangeCheck,
    ];

    /// Name of the pass on the command line, such as `equalize`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Canonicalize => "canonicalize",
            Self::StripFinal => "strip-final",
            Self::Isolate => "isolate",
            Self::Ranges => "ranges",
            Self::Linearize => "linearize",
            Self::Equalize => "equalize",
            Self::Compose => "compose",
            Self::Profile => "profile",
            Self::Approximate => "approximate",
            Self::CorrectLosses => "correct-losses",
            Self::Cost => "cost",
            Self::Allocate => "allocate",
            Self::Refit => "refit",
            Self::Plan => "plan",
            Self::Lower => "lower",
            Self::Estimate => "estimate",
            Self::RangeCheck => "range-check",
            Self::Verify => "verify",
        }
    }

    /// Description of the pass for progress output.
    pub fn description(self) -> &'static str {
        match self {
            Self::Import => "read the network",
            Self::Canonicalize | Self::StripFinal | Self::Isolate | Self::Linearize => {
                "rewrite the network"
            }
            Self::Ranges => "find ranges",
            Self::Equalize => "equalize channels",
            Self::Compose => "compose polynomials",
            Self::Profile => "profile activations",
            Self::Approximate => "fit polynomials",
            Self::CorrectLosses => "measure losses",
            Self::Cost => "choose layouts and chains",
            Self::Allocate => "choose degrees and bootstraps",
            Self::Refit => "refit and measure",
            Self::Plan | Self::Lower => "make the program",
            Self::Estimate => "predict time and precision",
            Self::RangeCheck => "add the range check",
            Self::Verify => "verify the program",
        }
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no pass `{name}`; passes are {}", Pass::ALL.map(Pass::name).join(", "))]
pub struct UnknownPass {
    name: String,
}

impl FromStr for Pass {
    type Err = UnknownPass;

    fn from_str(name: &str) -> Result<Self, UnknownPass> {
        let found = Self::ALL.into_iter().find(|pass| pass.name() == name);
        found.ok_or_else(|| UnknownPass { name: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for pass in Pass::ALL {
            assert_eq!(pass.to_string().parse(), Ok(pass));
        }
        assert!(Pass::ALL.is_sorted());
        let error = "fold".parse::<Pass>().unwrap_err().to_string();
        assert!(error.contains("`fold`") && error.contains("allocate"), "{error}");
    }
}
