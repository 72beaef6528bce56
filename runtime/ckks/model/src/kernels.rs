//! Names of the kernel sets: implementations of the ring's inner loops, one for each group of
//! processor instructions.
//!
//! All kernel sets compute the same bits and differ in speed only, which is why unit costs refer to
//! a kernel set. Detection of the sets that a processor can run is in `pic_ckks::ring`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An implementation of the ring's inner loops for certain processor instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelSet {
    /// Safe Rust for every machine.
    Portable,
    /// Double precision with fused multiply-add in 256-bit vectors: AVX2 and FMA (Intel since Haswell,
    /// AMD since Zen).
    Fma256,
    /// Double precision with fused multiply-add in 512-bit vectors: AVX-512 F, BW, DQ and VL (Intel
    /// since Skylake-X).
    Fma512,
    /// 52-bit integer multiply-add in 512-bit vectors and byte permutations: AVX-512 IFMA and VBMI
    /// (Intel since Ice Lake, AMD since Zen 4).
    Ifma,
}

impl KernelSet {
    /// All kernel sets, the fastest first.
    pub const ALL: [Self; 4] = [Self::Ifma, Self::Fma512, Self::Fma256, Self::Portable];

    /// Name of the set on the command line and in the environment; the inverse of
    /// [`KernelSet::from_str`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Fma256 => "fma256",
            Self::Fma512 => "fma512",
            Self::Ifma => "ifma",
        }
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Error of [`KernelSet::from_str`]: there is no kernel set of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no kernel set; there are ifma, fma512, fma256 and portable")]
pub struct UnknownKernelSet {
    /// The unknown name.
    pub name: String,
}

impl FromStr for KernelSet {
    type Err = UnknownKernelSet;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|set| set.name() == name);
        found.ok_or_else(|| UnknownKernelSet { name: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for set in KernelSet::ALL {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        let error = "avx".parse::<KernelSet>().unwrap_err();
        assert_eq!(error, UnknownKernelSet { name: "avx".into() });
    }
}
