//! Serialisation of ciphertexts and keys, and deserialisation of untrusted bytes.
//!
//! An object is a magic, one byte for its kind, a version, the fingerprint of the parameters,
//! fields, and raw limbs (8 little-endian bytes a residue, also of keys, which are packed only in
//! memory). Uniform halves of keys are stored as seeds. A reader checks everything against the
//! context: sizes before allocating, bases, residues below their primes, scales, slot counts.
//! Containers, compression and checksums are left to the caller.

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

/// Bytes of the header: magic, kind, version and fingerprint.
const HEADER_BYTES: u64 = 4 + 1 + 1 + 16;

type Seed = [u8; sample::SEED_BYTES];

/// A kind of object.
struct Kind {
    /// The byte that marks it; 1 and 2 are those of the `client` module.
    mark: u8,
    /// Name of the kind in errors.
    name: &'static str,
}

const EVALUATION_KEYS: Kind = Kind { mark: 3, name: "set of evaluation keys" };
const CIPHERTEXT: Kind = Kind { mark: 4, name: "ciphertext" };
const SEEDED_CIPHERTEXT: Kind = Kind { mark: 5, name: "seeded ciphertext" };

/// Writes the header and the number of switching keys.
pub(crate) fn write_head(
    context: &Context,
    count: usize,
    writer: &mut impl Write,
) -> io::Result<()> {
    writer.write_all(&header(context, EVALUATION_KEYS))?;
    writer.write_all(&(count as u32).to_le_bytes())
}

/// Writes one switching key, preceded by its Galois element or [`RELINEARIZATION`].
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

/// Writes the encapsulation keys, if any, which follow the switching keys.
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
    /// Serialises the keys to a writer, one after the other.
    ///
    /// # Errors
    /// The errors of `writer`, and [`Error::ContextMismatch`] as [`io::ErrorKind::InvalidInput`].
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

    /// Number of bytes that [`EvaluationKeys::write_to`] writes for the keys of a request whose
    /// rotations are distinct modulo N/2.
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

    /// Deserialises keys written by [`EvaluationKeys::write_to`].
    ///
    /// # Errors
    /// [`Error::Format`] if the bytes are not keys of these parameters, [`Error::Ring`] if limbs
    /// are invalid, [`Error::LevelTooHigh`] if a key has a level that the chain does not have.
    pub fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self, Error> {
        Self::read(Reader::new(context, EVALUATION_KEYS, bytes)?, |_| Ok(()))
    }

    /// Deserialises keys from a reader, a polynomial at a time, if they are exactly the keys of a
    /// request. Each key is compared with the request before its memory is allocated.
    ///
    /// # Errors
    /// [`Error::KeySet`] if a key is missing, not requested, or for another level, and the errors
    /// of [`EvaluationKeys::from_bytes`].
    pub fn read_requested(
        context: &Context,
        request: &KeyRequest,
        source: impl Read,
    ) -> Result<Self, Error> {
        let stream = Stream { source, buffer: Vec::new() };
        let mut expected = Expected::new(context, request);
        Self::read(Reader::new(context, EVALUATION_KEYS, stream)?, |found| expected.check(found))
    }

    /// Deserialises keys; `check` sees the name of each key before it is expanded, and the end.
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
    /// Serialises the ciphertext.
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

    /// Deserialises a ciphertext written by [`Ciphertext::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Ring`] if limbs are invalid, [`Error::InvalidScale`],
    /// [`Error::SlotCount`].
    pub fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(context, CIPHERTEXT, bytes)?;
        let (basis, scale, slots) = reader.shape()?;
        let (c0, c1) = (reader.poly(basis)?, reader.poly(basis)?);
        reader.finish()?;
        Ok(Self { c0, c1, scale, slots, context: context.id() })
    }
}

impl SeededCiphertext {
    /// Serialises the ciphertext, with its seed in place of the uniform half.
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

    /// Deserialises a ciphertext written by [`SeededCiphertext::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Ring`] if limbs are invalid, [`Error::InvalidScale`],
    /// [`Error::SlotCount`].
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

/// A reader of the bytes of one object.
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
        Ok(taken.try_into().expect("take returns exactly the requested length"))
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

/// A source of the bytes of an object.
trait Source {
    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<&[u8], FormatError>;

    /// A lower bound on the number of bytes left; zero only at the end.
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

/// A source that reads bytes on demand, in pieces as large as the largest polynomial.
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
