//! Plaintext polynomials: ready for arithmetic, or compact. They may be what ciphertexts hide, so both are
//! zeroised on drop.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::context::ContextId;
use crate::ring::{Basis, PackedPoly, Poly, Ring, SecretPoly};
use crate::{Context, Error};

/// An encoded vector in the NTT domain on some basis.
#[derive(Debug, Clone)]
pub struct Plaintext {
    pub(crate) poly: SecretPoly,
    pub(crate) scale: f64,
    pub(crate) slots: usize,
    pub(crate) context: ContextId,
}

impl Plaintext {
    /// The factor between values and integers.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The primes it has residues for.
    pub fn basis(&self) -> Basis {
        self.poly.basis()
    }
}

/// An encoded vector as its 2n integer coefficients: 4 or 8 bytes for each, whatever the modulus.
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

/// Coefficients stay below 2 to this power, safely inside an `i64`.
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

    /// The factor between values and integers.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.coefficients {
            Coefficients::Narrow(c) => size_of_val(&**c),
            Coefficients::Wide(c) => size_of_val(&**c),
        }
    }

    /// The NTT form at a level.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`], [`Error::LevelTooHigh`], [`Error::CoefficientOverflow`].
    pub fn at_level(&self, context: &Context, level: usize) -> Result<Plaintext, Error> {
        self.on_basis(context, context.basis_at(level)?)
    }

    /// The NTT form on any basis of the context.
    pub(crate) fn on_basis(&self, context: &Context, basis: Basis) -> Result<Plaintext, Error> {
        context.check_own(self.context)?;
        self.check_capacity(context, basis)?;
        let poly = self.residues(context.ring(), basis).into();
        Ok(Plaintext { poly, scale: self.scale, slots: self.slots, context: self.context })
    }

    /// Whether the coefficients fit a basis.
    pub(crate) fn check_capacity(&self, context: &Context, basis: Basis) -> Result<(), Error> {
        let (bits, capacity) = (self.largest.log2(), context.log_modulus(basis) - 1.0);
        if bits < capacity { Ok(()) } else { Err(Error::CoefficientOverflow { bits, capacity }) }
    }

    /// The polynomial in the NTT domain modulo any primes, for a context that is its own, with one residue
    /// for each run of equal ones.
    pub(crate) fn runs(&self, context: &Context, basis: Basis) -> Poly {
        self.residues(&context.ring_of_period(self.slots), basis)
    }

    /// The same, packed.
    pub(crate) fn packed_runs(&self, context: &Context, basis: Basis) -> PackedPoly {
        let ring = context.ring_of_period(self.slots);
        ring.pack(&self.residues(&ring, basis))
    }

    /// The polynomial in the NTT domain modulo any primes, as one of the ring of its context or of a
    /// subring that has it.
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
