//! The basis of a polynomial (the set of primes for which it has limbs) and the domain of its
//! limbs.

/// A **set** of prime indices of one [`Ring`](super::Ring), at most 128.
///
/// Any subset of the primes is a basis, not only a prefix of the chain, so that a modulus can be
/// raised to just the primes that are needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Basis(u128);

impl Basis {
    /// Number of distinct indices in a basis: they range from 0 to 127.
    pub const CAPACITY: usize = 128;

    /// The empty basis.
    pub const EMPTY: Self = Self(0);

    /// The set of the given indices; repetitions are harmless.
    ///
    /// # Panics
    /// If an index is not below [`Basis::CAPACITY`].
    pub fn from_indices(indices: impl IntoIterator<Item = usize>) -> Self {
        Self(indices.into_iter().fold(0, |bits, i| {
            assert!(i < Self::CAPACITY, "prime index {i} is out of range");
            bits | 1 << i
        }))
    }

    /// The set `{index}`.
    ///
    /// # Panics
    /// If the index is not below [`Basis::CAPACITY`].
    pub fn single(index: usize) -> Self {
        Self::from_indices([index])
    }

    /// The set as a bit mask, bit `i` for prime index `i`.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// The set whose mask is `bits`.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Number of primes.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether `index` is in the set.
    pub fn contains(self, index: usize) -> bool {
        index < Self::CAPACITY && self.0 >> index & 1 == 1
    }

    /// The indices, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = usize> + Clone {
        (0..Self::CAPACITY).filter(move |&i| self.contains(i))
    }

    /// The primes that are in at least one of the sets.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The primes of `self` that are not in `other`.
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The primes that are in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether every prime of `self` is in `other`.
    pub fn is_subset(self, other: Self) -> bool {
        self.difference(other).is_empty()
    }

    /// Returns whether the sets have no prime in common.
    pub fn is_disjoint(self, other: Self) -> bool {
        self.intersection(other).is_empty()
    }

    /// Number of primes of the set below `index`: the position of its limb.
    pub(super) fn position(self, index: usize) -> usize {
        (self.0 & ((1 << index) - 1)).count_ones() as usize
    }
}

impl std::fmt::Debug for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Domain of a polynomial: the meaning of the numbers of a limb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Coefficients of `1, X, …, X^(N-1)`.
    Coefficient,
    /// Values at the odd powers of a primitive 2N-th root of unity, in bit-reversed order: position
    /// `i` holds the value at `ψ^(2·brv(i) + 1)`, see [`super::Ring::root`].
    Ntt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_algebra() {
        let a = Basis::from_indices([0, 3, 127]);
        let b = Basis::from_indices([3, 5, 3]);
        assert_eq!((a.len(), b.len()), (3, 2));
        assert_eq!(a.union(b), Basis::from_indices([0, 3, 5, 127]));
        assert_eq!(a.difference(b), Basis::from_indices([0, 127]));
        assert_eq!(a.intersection(b), Basis::single(3));
        assert!(Basis::single(3).is_subset(a) && !a.is_subset(b));
        assert!(Basis::EMPTY.is_subset(b) && Basis::EMPTY.is_disjoint(a));
        assert_eq!(a.iter().collect::<Vec<_>>(), [0, 3, 127]);
        assert!(!a.contains(200));
        assert_eq!(format!("{b:?}"), "{3, 5}");
        for (position, index) in a.iter().enumerate() {
            assert_eq!(a.position(index), position);
        }
    }
}
