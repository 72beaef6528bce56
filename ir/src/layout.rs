//! Layouts: the slot of every element of a tensor.
//!
//! A layout is an affine map on the digits of the flattened index: element `e` has position
//! `Σ (e / divisor % modulus) · stride`. Row-major order, gaps left by strides, and channels that
//! fill those gaps (multiplexed packing, Lee et al. 2022, section 4) are all of this form, and a
//! reshape changes nothing.
//!
//! # Invariants ([`Layout::verify`])
//! - positions are distinct and below `2^log_period`;
//! - a tensor whose period does not exceed the slots occupies one ciphertext and is repeated with
//!   its period over all slots; a longer one is cut into consecutive ciphertexts and not repeated.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The position of each element of a flattened tensor. See the [module documentation](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layout {
    /// Number of elements.
    pub len: usize,
    /// The terms of the affine map.
    pub digits: Vec<Digit>,
    /// log2 of the period with which a single ciphertext repeats.
    pub log_period: u32,
}

/// One term `(e / divisor % modulus) · stride` of a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digit {
    /// Number of consecutive elements for which the digit keeps one value; at least 1.
    pub divisor: usize,
    /// Values the digit takes.
    pub modulus: usize,
    /// Slots per step of this digit.
    pub stride: usize,
}

/// Bounds on layouts from files, because they determine how much readers allocate and compute: largest log2 of a
/// period, and largest number of digits.
const MAX_LOG_PERIOD: u32 = 24;
const MAX_DIGITS: usize = 64;

impl Layout {
    /// Layout that places elements in order, without gaps.
    pub fn contiguous(len: usize) -> Self {
        Self::new(len, vec![Digit { divisor: 1, modulus: len, stride: 1 }])
    }

    /// A layout with the smallest power-of-two period that holds it.
    pub fn new(len: usize, digits: Vec<Digit>) -> Self {
        let last: usize = digits.iter().map(|d| (d.modulus - 1) * d.stride).sum();
        Self { len, digits, log_period: (last + 1).next_power_of_two().trailing_zeros() }
    }

    /// The position of element `e`.
    pub fn position(&self, e: usize) -> usize {
        self.digits.iter().map(|d| e / d.divisor % d.modulus * d.stride).sum()
    }

    /// The positions of all elements.
    pub fn positions(&self) -> Vec<u32> {
        let mut positions = vec![0u32; self.len];
        for d in &self.digits {
            for cycle in positions.chunks_mut(d.divisor.saturating_mul(d.modulus)) {
                for (value, run) in cycle.chunks_mut(d.divisor).enumerate() {
                    run.iter_mut().for_each(|p| *p += (value * d.stride) as u32);
                }
            }
        }
        positions
    }

    /// log2 of the number of slots after which the content of a ciphertext repeats: the period, or all slots if
    /// that is less.
    pub fn log_repeat(&self, log_slots: u32) -> u32 {
        self.log_period.min(log_slots)
    }

    /// Number of ciphertexts of `2^log_slots` slots that the tensor occupies.
    pub fn ciphertexts(&self, log_slots: u32) -> usize {
        let last: usize = self.digits.iter().map(|d| (d.modulus - 1) * d.stride).sum();
        (last >> log_slots) + 1
    }

    /// Contents of the slots of each ciphertext, one period long; slots without an element are zero.
    pub fn pack(&self, values: &[f64], log_slots: u32) -> Vec<Vec<f64>> {
        assert_eq!(values.len(), self.len, "one value per element");
        let mut slots =
            vec![vec![0.0; 1 << self.log_repeat(log_slots)]; self.ciphertexts(log_slots)];
        for (e, &value) in values.iter().enumerate() {
            let (ciphertext, slot) = split(self.position(e), log_slots);
            slots[ciphertext][slot] = value;
        }
        slots
    }

    /// Reads the elements back from the slots of each ciphertext: the inverse of [`Layout::pack`].
    pub fn unpack(&self, slots: &[Vec<f64>], log_slots: u32) -> Vec<f64> {
        let element = |e| {
            let (ciphertext, slot) = split(self.position(e), log_slots);
            slots[ciphertext][slot]
        };
        (0..self.len).map(element).collect()
    }

    /// Checks every invariant listed in the module documentation.
    ///
    /// # Errors
    /// [`LayoutError`] if an invariant is broken, or the layout has more digits or a longer period than any
    /// program needs.
    pub fn verify(&self) -> Result<(), LayoutError> {
        let fail = || LayoutError { layout: self.to_string() };
        let bound = 1usize << self.log_period.min(MAX_LOG_PERIOD);
        let small = self.log_period <= MAX_LOG_PERIOD && self.digits.len() <= MAX_DIGITS;
        if !small || self.len == 0 || self.len > bound {
            return Err(fail());
        }
        let mut last = 0usize;
        for d in &self.digits {
            if d.divisor == 0 || d.modulus == 0 {
                return Err(fail());
            }
            let reach =
                (d.modulus - 1).checked_mul(d.stride).filter(|&r| r < bound).ok_or_else(fail)?;
            last = last.checked_add(reach).filter(|&l| l < bound).ok_or_else(fail)?;
        }
        let mut taken = vec![false; last + 1];
        for e in 0..self.len {
            if std::mem::replace(&mut taken[self.position(e)], true) {
                return Err(fail());
            }
        }
        Ok(())
    }
}

/// Index of the ciphertext and slot within it that a position falls into.
pub fn split(position: usize, log_slots: u32) -> (usize, usize) {
    (position >> log_slots, position & ((1 << log_slots) - 1))
}

/// A layout breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("layout {layout} is not an injective map into its period")]
pub struct LayoutError {
    /// The layout in text form.
    pub layout: String,
}

/// `len: modulus·stride@divisor + … mod period`.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.len)?;
        for (k, d) in self.digits.iter().enumerate() {
            write!(
                f,
                "{}{}·{}@{}",
                if k == 0 { " " } else { " + " },
                d.modulus,
                d.stride,
                d.divisor
            )?;
        }
        write!(f, " mod 2^{}", self.log_period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4 channels of 2×2, packed into the gaps that a stride-2 layer leaves in a 4×4 image.
    fn multiplexed() -> Layout {
        let digit = |divisor, modulus, stride| Digit { divisor, modulus, stride };
        Layout::new(16, vec![digit(1, 2, 2), digit(2, 2, 8), digit(4, 2, 1), digit(8, 2, 4)])
    }

    #[test]
    fn packing_places_and_returns_every_element() {
        let layout = multiplexed();
        layout.verify().unwrap();
        assert_eq!(layout.position(4 * 3 + 2 + 1), 4 + 1 + 8 + 2);
        let one_by_one: Vec<u32> = (0..16).map(|e| layout.position(e) as u32).collect();
        assert_eq!(layout.positions(), one_by_one);
        let values: Vec<f64> = (0..16).map(f64::from).collect();
        for log_slots in [2, 3, 4, 7] {
            let packed = layout.pack(&values, log_slots);
            assert_eq!(packed.len(), 16usize.div_ceil(1 << log_slots));
            assert_eq!(layout.unpack(&packed, log_slots), values);
        }
    }

    #[test]
    fn overlapping_or_overlong_layouts_are_refused() {
        let digit = |divisor, modulus, stride| Digit { divisor, modulus, stride };
        for digits in [
            vec![digit(1, 4, 1), digit(4, 4, 3)],
            vec![digit(0, 4, 1)],
            vec![digit(1, usize::MAX, usize::MAX)],
            vec![digit(1, 16, 1 << 40)],
        ] {
            Layout { len: 16, digits, log_period: 5 }.verify().unwrap_err();
        }
        Layout { log_period: 63, ..multiplexed() }.verify().unwrap_err();
        let len = 1 << 31;
        Layout { log_period: 31, ..Layout::contiguous(len) }.verify().unwrap_err();
        let mut long = multiplexed();
        long.digits.resize(1000, digit(1, 1, 0));
        long.verify().unwrap_err();
    }
}
