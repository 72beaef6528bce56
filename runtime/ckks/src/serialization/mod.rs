//! Bytes: writing objects, and reading them from strangers.
//!
//! Each object is one kind byte after a magic, a version, the fingerprint of the parameters, fields,
//! and raw limbs (8 little-endian bytes a residue, also of keys, which are packed in memory only).
//! Uniform halves of keys are stored as seeds. A reader checks everything against the context: sizes
//! before allocating, bases, residues below their primes, scales, slot counts. Containers, compression
//! and checksums are left to the caller.

#[cfg(feature = "client")]
mod client;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::context::check_scale;
use crate::keys::{EncapsulationKeys, Expected, Found, Pair, RELINEARIZATION, SwitchingKey};
use crate::model::{KeyRequest, Parameters};
use crate::ring::{Basis, Domain, PackedPoly, Poly, sample};
use crate::{Ciphertext, Context, Error, EvaluationKeys, FormatError, SeededCiphertext};

const MAGIC: &[u8; 4] = b"PICK";
const VERSION: u8 = 2;

/// Magic, kind, version and fingerprint.
const HEADER_BYTES: u64 = 4 + 1 + 1 + 16;

type Seed = [u8; sample::SEED_BYTES];

/// A kind of object.
struct Kind {
    /// The byte that marks it; 1 and 2 are those of the `client` module.
    mark: u8,
    /// Its name in errors.
    name: &'static str,
}

const EVALUATION_KEYS: Kind = Kind { mark: 3, name: "set of evaluation keys" };
const CIPHERTEXT: Kind = Kind { mark: 4, name: "ciphertext" };
const SEEDED_CIPHERTEXT: Kind = Kind { mark: 5, name: "seeded ciphertext" };

/// Writes what comes before so many switching keys.
pub(crate) fn write_head(
    context: &Context,
    count: usize,
    writer: &mut impl Write,
) -> io::Result<()> {
    writer.write_all(&header(context, EVALUATION_KEYS))?;
    writer.write_all(&(count as u32).to_le_bytes())
}

/// Writes one switching key: that for a Galois element, or [`RELINEARIZATION`].
pub(crate) fn write_key(
    element: u64,
    key: &SwitchingKey,
    writer: &mut impl Write,
) -> io::Result<()> {
    writer.write_all(&element.to_le_bytes())?;
    writer.write_all(&(key.level as u32).to_le_bytes())?;
    for (seed, (b, _)) in key.seeds.iter().zip(&key.parts) {
        writer.write_all(seed)?;
        b.write_to(writer)?;
    }
    Ok(())
}

/// Writes what comes after the switching keys.
pub(crate) fn write_end(
    encapsulation: Option<&EncapsulationKeys>,
    writer: &mut impl Write,
) -> io::Result<()> {
    writer.write_all(&[u8::from(encapsulation.is_some())])?;
    if let Some(EncapsulationKeys { to_sparse, from_sparse }) = encapsulation {
        for Pair { polys: (b, _), seed } in [to_sparse, from_sparse] {
            writer.write_all(seed)?;
            b.write_to(writer)?;
        }
    }
    Ok(())
}

impl EvaluationKeys {
    /// Writes the keys, one after the other.
    ///
    /// # Errors
    /// Those of the writer; [`Error::ContextMismatch`] as [`io::ErrorKind::InvalidInput`].
    pub fn write_to(&self, context: &Context, writer: &mut impl Write) -> io::Result<()> {
        let own = context.check_own(self.context);
        own.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let relinearization = self.relinearization.iter().map(|key| (RELINEARIZATION, key));
        let galois = self.galois.iter().map(|(&element, key)| (element, key));
        let count = self.galois.len() + usize::from(self.relinearization.is_some());
        write_head(context, count, writer)?;
        for (element, key) in relinearization.chain(galois) {
            write_key(element, key, writer)?;
        }
        write_end(self.encapsulation.as_ref(), writer)
    }

    /// Bytes that [`EvaluationKeys::write_to`] writes of the keys of a request, whose rotations are all different
    /// modulo N/2.
    pub fn serialized_bytes(parameters: &Parameters, request: &KeyRequest) -> u64 {
        let poly = |primes: usize| 8 * (parameters.degree() * primes) as u64;
        let seed = sample::SEED_BYTES as u64;
        let special = parameters.special().len();
        let key = |level: usize| {
            let parts = parameters.digit_ranges(level).count() as u64;
            8 + 4 + parts * (seed + poly(level + 1 + special))
        };
        let levels = request.rotations.values().copied();
        let levels = levels.chain(request.relinearization).chain(request.conjugation);
        let chain = parameters.moduli().len();
        // The lowest prime and a special one; the chain and that special one.
        let pair = 2 * seed + poly(2) + poly(chain + 1);
        let encapsulation = 1 + if request.encapsulation.is_some() { pair } else { 0 };
        HEADER_BYTES + 4 + levels.map(key).sum::<u64>() + encapsulation
    }

    /// Reads what [`EvaluationKeys::write_to`] wrote.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Ring`], [`Error::LevelTooHigh`].
    pub fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self, Error> {
        Self::read(Reader::new(context, EVALUATION_KEYS, bytes)?, |_| Ok(()))
    }

    /// Reads keys as [`EvaluationKeys::from_bytes`] does, a polynomial at a time, if they are exactly those that
    /// a request asks for: each is compared before its memory is taken.
    ///
    /// # Errors
    /// [`Error::KeySet`], and those of [`EvaluationKeys::from_bytes`].
    pub fn read_requested(
        context: &Context,
        request: &KeyRequest,
        source: impl Read,
    ) -> Result<Self, Error> {
        let stream = Stream { source, buffer: Vec::new() };
        let mut expected = Expected::new(context, request);
        Self::read(Reader::new(context, EVALUATION_KEYS, stream)?, |found| expected.check(found))
    }

    /// Before each key is expanded, and at the end, `check` sees what it is.
    fn read<S: Source>(
        mut reader: Reader<S>,
        mut check: impl FnMut(Found) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let context = reader.context;
        let mut keys = BTreeMap::new();
        let mut above = 0;
        for _ in 0..reader.u32()? {
            let element = reader.u64()?;
            let is_galois = element % 2 == 1 && element < 2 * context.ring().degree() as u64;
            // Ascending, so that no key comes twice.
            if !(element == RELINEARIZATION || is_galois) || element < above {
                return Err(FormatError::Field("Galois element").into());
            }
            above = element + 1;
            let level = reader.u32()? as usize;
            check(Found::Key { element, level })?;
            keys.insert(element, reader.switching_key(level)?);
        }
        let has_encapsulation = match reader.array()? {
            [flag @ (0 | 1)] => flag == 1,
            _ => return Err(FormatError::Field("encapsulation").into()),
        };
        check(Found::End { has_encapsulation })?;
        let encapsulation = if has_encapsulation {
            let [low, high] = EncapsulationKeys::bases(context);
            let (to_sparse, from_sparse) = (reader.pair(low)?, reader.pair(high)?);
            Some(EncapsulationKeys { to_sparse, from_sparse })
        } else {
            None
        };
        reader.finish()?;
        let relinearization = keys.remove(&RELINEARIZATION);
        Ok(Self { relinearization, galois: keys, encapsulation, context: context.id() })
    }
}

impl Ciphertext {
    /// The ciphertext as bytes.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
    pub fn to_bytes(&self, context: &Context) -> Result<Vec<u8>, Error> {
        context.check_own(self.context)?;
        let mut bytes = header(context, CIPHERTEXT);
        append_shape(&mut bytes, self.basis(), self.scale, self.slots);
        append(&mut bytes, &self.c0);
        append(&mut bytes, &self.c1);
        Ok(bytes)
    }

    /// Reads what [`Ciphertext::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Ring`], [`Error::InvalidScale`], [`Error::SlotCount`].
    pub fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(context, CIPHERTEXT, bytes)?;
        let (basis, scale, slots) = reader.shape()?;
        let (c0, c1) = (reader.poly(basis)?, reader.poly(basis)?);
        reader.finish()?;
        Ok(Self { c0, c1, scale, slots, context: context.id() })
    }
}

impl SeededCiphertext {
    /// The ciphertext as bytes.
    ///
    /// # Errors
    /// [`Error::ContextMismatch`].
    pub fn to_bytes(&self, context: &Context) -> Result<Vec<u8>, Error> {
        context.check_own(self.context)?;
        let mut bytes = header(context, SEEDED_CIPHERTEXT);
        append_shape(&mut bytes, self.c0.basis(), self.scale, self.slots);
        bytes.extend(self.seed);
        append(&mut bytes, &self.c0);
        Ok(bytes)
    }

    /// Reads what [`SeededCiphertext::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Ring`], [`Error::InvalidScale`], [`Error::SlotCount`].
    pub fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(context, SEEDED_CIPHERTEXT, bytes)?;
        let (basis, scale, slots) = reader.shape()?;
        let seed = reader.seed()?;
        let c0 = reader.poly(basis)?;
        reader.finish()?;
        Ok(Self { c0, seed, scale, slots, context: context.id() })
    }
}

fn header(context: &Context, kind: Kind) -> Vec<u8> {
    [&MAGIC[..], &[kind.mark, VERSION], &context.fingerprint()].concat()
}

fn append(bytes: &mut Vec<u8>, poly: &Poly) {
    bytes.reserve(8 * poly.degree() * poly.basis().len());
    poly.write_to(bytes).expect("writing to memory does not fail");
}

fn append_shape(bytes: &mut Vec<u8>, basis: Basis, scale: f64, slots: usize) {
    bytes.extend(basis.bits().to_le_bytes());
    bytes.extend(scale.to_le_bytes());
    bytes.extend((slots as u64).to_le_bytes());
}

/// An object's bytes.
struct Reader<'a, S> {
    context: &'a Context,
    source: S,
}

impl<'a, S: Source> Reader<'a, S> {
    fn new(context: &'a Context, kind: Kind, source: S) -> Result<Self, Error> {
        let mut reader = Self { context, source };
        if reader.array::<4>()? != *MAGIC || reader.array::<1>()? != [kind.mark] {
            return Err(FormatError::Kind(kind.name).into());
        }
        let [version] = reader.array()?;
        if version != VERSION {
            return Err(FormatError::Version(version).into());
        }
        if reader.array()? != context.fingerprint() {
            return Err(FormatError::OtherParameters.into());
        }
        Ok(reader)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], FormatError> {
        self.source.take(length)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], FormatError> {
        let taken = self.take(LENGTH)?;
        Ok(taken.try_into().expect("take gives exactly the length asked for"))
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    fn seed(&mut self) -> Result<Seed, FormatError> {
        self.array()
    }

    fn poly(&mut self, basis: Basis) -> Result<Poly, Error> {
        let ring = self.context.ring();
        let bytes = self.take(8 * ring.degree() * basis.len())?;
        Ok(ring.read(bytes, basis, Domain::Ntt)?)
    }

    /// Basis, scale and slots of a ciphertext.
    fn shape(&mut self) -> Result<(Basis, f64, usize), Error> {
        let basis = Basis::from_bits(u128::from_le_bytes(self.array()?));
        let chain = self.context.basis_at(self.context.parameters().max_level())?;
        if basis.is_empty() || !basis.is_subset(chain) {
            return Err(FormatError::Field("basis").into());
        }
        let scale = f64::from_le_bytes(self.array()?);
        check_scale(scale)?;
        let slots = usize::try_from(self.u64()?).map_err(|_| FormatError::Field("slot count"))?;
        self.context.check_slots(slots)?;
        Ok((basis, scale, slots))
    }

    fn switching_key(&mut self, level: usize) -> Result<SwitchingKey, Error> {
        let basis = self.context.basis_at(level)?.union(self.context.special_basis());
        let (mut parts, mut seeds) = (Vec::new(), Vec::new());
        for _ in self.context.parameters().digit_ranges(level) {
            let seed = self.seed()?;
            parts.push(self.pair_of(&seed, basis)?);
            seeds.push(seed);
        }
        Ok(SwitchingKey { level, parts, seeds })
    }

    fn pair(&mut self, basis: Basis) -> Result<Pair, Error> {
        let seed = self.seed()?;
        Ok(Pair { polys: self.pair_of(&seed, basis)?, seed })
    }

    /// Both halves of a part of a key.
    fn pair_of(&mut self, seed: &Seed, basis: Basis) -> Result<(PackedPoly, PackedPoly), Error> {
        let (b, ring) = (self.poly(basis)?, self.context.ring());
        Ok((ring.pack(&b), ring.pack(&ring.uniform(seed, basis, Domain::Ntt))))
    }

    fn finish(mut self) -> Result<(), FormatError> {
        match self.source.left()? {
            0 => Ok(()),
            left => Err(FormatError::TrailingBytes(left)),
        }
    }
}

/// Where an object's bytes come from.
trait Source {
    /// The next bytes.
    fn take(&mut self, length: usize) -> Result<&[u8], FormatError>;

    /// How many are left, at least: none only at the end.
    fn left(&mut self) -> Result<usize, FormatError>;
}

impl Source for &[u8] {
    fn take(&mut self, length: usize) -> Result<&[u8], FormatError> {
        let truncated = FormatError::Truncated { needed: length, left: self.len() };
        self.split_off(..length).ok_or(truncated)
    }

    fn left(&mut self) -> Result<usize, FormatError> {
        Ok(self.len())
    }
}

/// Bytes that come as they are asked for, in pieces as large as the largest polynomial.
struct Stream<R> {
    source: R,
    buffer: Vec<u8>,
}

impl<R: Read> Source for Stream<R> {
    fn take(&mut self, length: usize) -> Result<&[u8], FormatError> {
        self.buffer.clear();
        let read = self.source.by_ref().take(length as u64).read_to_end(&mut self.buffer);
        let left = read.map_err(|error| FormatError::Source(error.kind()))?;
        if left == length {
            Ok(&self.buffer)
        } else {
            Err(FormatError::Truncated { needed: length, left })
        }
    }

    fn left(&mut self) -> Result<usize, FormatError> {
        match self.take(1) {
            Err(FormatError::Truncated { .. }) => Ok(0),
            taken => taken.map(<[u8]>::len),
        }
    }
}
