//! Polynomials kept as factors for sums of products: residues of small primes may take half a word.
//!
//! Only storage; what multiplies them is [`Ring::sums_of_products`].

use super::pool::Limbs;
use super::{Basis, Domain, Poly, Residues, Ring};

/// Residues that share eight words: the first half of them in the low halves of the words.
const PAIRED_BLOCK: usize = 16;

/// A polynomial in the NTT domain, possibly of a subring; residues of some primes are stored two to a
/// word.
pub struct Factor {
    /// Those with a word each.
    whole: Poly,
    paired: Limbs,
    paired_basis: Basis,
}

impl Factor {
    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        8 * self.whole.degree() * self.whole.basis().len()
            + 4 * self.whole.degree() * self.paired_basis.len()
    }

    /// The residues modulo the prime with this index.
    ///
    /// # Panics
    /// If there are none.
    pub fn residues(&self, index: usize) -> Residues<'_> {
        if self.paired_basis.contains(index) {
            Residues::Paired(&self.paired[self.paired_basis.position(index)])
        } else {
            Residues::Stored(self.whole.limb(index))
        }
    }
}

impl Ring {
    /// The polynomial as a factor, with the residues of some primes two to a word.
    ///
    /// # Panics
    /// If the polynomial is not in the NTT domain, or lacks primes to be paired, or they are not below 2^32.
    pub fn factor(&self, mut poly: Poly, paired_basis: Basis) -> Factor {
        self.assert_domain(&poly, Domain::Ntt);
        let is_small = |i: usize| self.modulus(i).value() < 1 << 32;
        assert!(paired_basis.iter().all(is_small), "residues modulo {paired_basis:?} need words");
        let mut paired = self.paired_pool.take(paired_basis.len());
        for (i, words) in paired_basis.iter().zip(paired.iter_mut()) {
            let blocks = poly.limb(i).chunks_exact(PAIRED_BLOCK);
            for (words, residues) in words.chunks_exact_mut(PAIRED_BLOCK / 2).zip(blocks) {
                let (low, high) = residues.split_at(PAIRED_BLOCK / 2);
                for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
                    *word = low | high << 32;
                }
            }
        }
        poly.restrict(poly.basis().difference(paired_basis));
        Factor { whole: poly, paired, paired_basis }
    }
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factor")
            .field("whole", &self.whole)
            .field("paired_basis", &self.paired_basis)
            .finish_non_exhaustive()
    }
}
