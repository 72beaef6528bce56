//! Normalization: the affine map between real values and the values that ciphertexts store.

/// The map `stored = (real − center) / half_width`, which brings `center ± half_width` to [−1, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Real value stored as 0.
    pub center: f64,
    /// Difference of real values stored as 1.
    pub half_width: f64,
}

impl Normalization {
    /// The stored value of a real value.
    pub fn store(self, real: f64) -> f64 {
        (real - self.center) / self.half_width
    }

    /// The real value of a stored value.
    ///
    /// ```
    /// let stored = pic_ir::normalization::Normalization { center: 1.0, half_width: 2.0 };
    /// assert_eq!((stored.store(3.0), stored.read(1.0)), (1.0, 3.0));
    /// ```
    pub fn read(self, stored: f64) -> f64 {
        stored * self.half_width + self.center
    }

    /// True if both constants are finite and the half width is positive.
    pub fn is_sound(self) -> bool {
        self.center.is_finite() && self.half_width.is_finite() && self.half_width > 0.0
    }
}
