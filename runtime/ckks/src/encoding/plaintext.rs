//! Plaintext polynomials: in the NTT domain, ready for arithmetic, or compact as integer
//! coefficients. They may hold the message of a ciphertext, so both are zeroised on drop.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::context::ContextId;
use crate::ring::{Basis, PackedPoly, Poly, Ring, SecretPoly};
use crate::{Context, Error};

/// A vector encoded as a polynomial in the NTT domain on a basis.
#[derive(Debug, Clone)]
pub struct Plaintext {
    pub(crate) poly: SecretPoly,
    pub(crate) scale: f64,
    pub(crate) slots: usize,
    pub(crate) context: ContextId,
}

impl Plaintext {
    /// The exact factor between values and encoded integers.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The set of primes for which the plaintext has limbs.
    pub fn basis(&self) -> Basis {
        self.poly.basis()
    }
}

/// A vector of n slots encoded as 2n integer coefficients of 4 or 8 bytes each, independent of the
/// modulus.
#[derive(Debug, Clone)]
pub struct CompactPlaintext {
    coefficients: Coefficients,
    largest: f64,
    scale: f64,
    slots: usize,
    context: ContextId,
}

#[derive(Debug, Clone, ZeroizeOnDrop)]
enum Coefficients {
    Narrow(Box<[i32]>),
    Wide(Box<[i64]>),
}

/// Coefficients are below 2 to this power in magnitude, well within the range of `i64`.
const MAX_COEFFICIENT_BITS: f64 = 62.0;

impl CompactPlaintext {
    /// Rounds scaled coefficients to integers.
    pub(crate) fn round(
        context: &Context,
        coefficients: &[f64],
        scale: f64,
    ) -> Result<Self, Error> {
        let largest = coefficients.iter().fold(0.0, |max: f64, c| max.max(c.abs()));
        if coefficients.iter().any(|c| !c.is_finite()) || largest.log2() >= MAX_COEFFICIENT_BITS {
            let (bits, capacity) = (largest.log2(), MAX_COEFFICIENT_BITS);
            return Err(Error::CoefficientOverflow { bits, capacity });
        }
        let rounded = coefficients.iter().map(|c| c.round());
        let coefficients = if largest < f64::from(i32::MAX) {
            Coefficients::Narrow(rounded.map(|c| c as i32).collect())
        } else {
            Coefficients::Wide(rounded.map(|c| c as i64).collect())
        };
        let slots = coefficients.len() / 2;
        Ok(Self { coefficients, largest, scale, slots, context: context.id() })
    }

    /// The exact factor between values and encoded integers.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        match &self.coefficients {
            Coefficients::Narrow(c) => size_of_val(&**c),
            Coefficients::Wide(c) => size_of_val(&**c),
        }
    }

    /// The plaintext in the NTT domain at a level.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelTooHigh`], and [`Error::CoefficientOverflow`] if a
    /// coefficient does not fit the modulus of the level.
    pub fn at_level(&self, context: &Context, level: usize) -> Result<Plaintext, Error> {
        self.on_basis(context, context.basis_at(level)?)
    }

    /// The plaintext in the NTT domain on any basis of the context.
    pub(crate) fn on_basis(&self, context: &Context, basis: Basis) -> Result<Plaintext, Error> {
        context.check_own(self.context)?;
        self.check_capacity(context, basis)?;
        let poly = self.residues(context.ring(), basis).into();
        Ok(Plaintext { poly, scale: self.scale, slots: self.slots, context: self.context })
    }

    /// Refuses a basis that the coefficients do not fit.
    pub(crate) fn check_capacity(&self, context: &Context, basis: Basis) -> Result<(), Error> {
        let (bits, capacity) = (self.largest.log2(), context.log_modulus(basis) - 1.0);
        if bits < capacity { Ok(()) } else { Err(Error::CoefficientOverflow { bits, capacity }) }
    }

    /// The polynomial in the NTT domain modulo the primes of a basis, in the subring that has one
    /// residue for each run of equal ones. The context must be the one that encoded it.
    pub(crate) fn runs(&self, context: &Context, basis: Basis) -> Poly {
        self.residues(&context.ring_of_period(self.slots), basis)
    }

    /// [`CompactPlaintext::runs`] as a packed polynomial.
    pub(crate) fn packed_runs(&self, context: &Context, basis: Basis) -> PackedPoly {
        let ring = context.ring_of_period(self.slots);
        ring.pack(&self.residues(&ring, basis))
    }

    /// The polynomial in the NTT domain on a basis, as an element of `ring`: the ring of the
    /// context or a subring that contains it.
    fn residues(&self, ring: &Ring, basis: Basis) -> Poly {
        let gap = ring.degree() / self.coefficients.len();
        let mut poly = match &self.coefficients {
            Coefficients::Narrow(c) if gap == 1 => ring.from_signed(c, basis),
            Coefficients::Wide(c) if gap == 1 => ring.from_signed(c, basis),
            Coefficients::Narrow(c) => ring.from_signed(&spread(c, gap), basis),
            Coefficients::Wide(c) => ring.from_signed(&spread(c, gap), basis),
        };
        ring.ntt(&mut poly);
        poly
    }
}

impl Coefficients {
    fn len(&self) -> usize {
        match self {
            Self::Narrow(c) => c.len(),
            Self::Wide(c) => c.len(),
        }
    }
}

/// p(X) → p(X^gap).
fn spread<T: Copy + Default + Zeroize>(coefficients: &[T], gap: usize) -> Zeroizing<Vec<T>> {
    let mut spread = Zeroizing::new(vec![T::default(); coefficients.len() * gap]);
    for (to, &c) in spread.iter_mut().step_by(gap).zip(coefficients) {
        *to = c;
    }
    spread
}
