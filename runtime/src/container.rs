//! The one container that every file of the project is: artifacts, keys and ciphertexts.
//!
//! ```text
//! header     magic [8] · format version u32 · kind u32 · program hash [32]
//! content    the bytes of each section, one after the other in the order of the table
//! table      per section: name length u8 · name · encoding u8 · stored length u64 ·
//!            plain length u64 · BLAKE3 of the stored bytes [32]
//! trailer    table length u32 · BLAKE3 of header and table [32] · end mark [8]
//! ```
//! Numbers are little-endian. The table stands at the end, so that sections of any size are written
//! as they come; nothing lies between sections, so that every byte of a file is covered by a hash.
//!
//! Hashes find damage, not malice: readers of sections still check what they read. What the sections
//! of each kind hold is the business of the modules that read them.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// Identifies a program: BLAKE3 of its encoded form. Every file names the program it belongs to.
pub type ProgramHash = blake3::Hash;

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// Not text, and not preserved by transfers that take it for text (the idea of PNG).
const MAGIC: [u8; 8] = *b"\x89PIC\r\n\x1a\n";
const END: [u8; 8] = *b"\x89picend\n";
const HEADER_BYTES: usize = 8 + 4 + 4 + 32;
const TRAILER_BYTES: usize = 4 + 32 + 8;
const MAX_SECTIONS: usize = 16;
const COMPRESSION_LEVEL: i32 = 3;
/// Windows of more than 16 MiB are refused; the level in use takes 2 MiB.
const MAX_LOG_WINDOW: u32 = 24;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A compiled model.
    Artifact = 1,
    /// A client's secret key.
    SecretKey = 2,
    /// Keys with which a server computes.
    EvaluationKeys = 3,
    /// Samples encrypted by a client.
    EncryptedInput = 4,
    /// Results computed by a server.
    EncryptedOutput = 5,
}

impl Kind {
    fn from_number(number: u32) -> Option<Self> {
        use Kind::*;
        [Artifact, SecretKey, EvaluationKeys, EncryptedInput, EncryptedOutput]
            .into_iter()
            .find(|&kind| kind as u32 == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Artifact => "an artifact",
            Self::SecretKey => "a secret key",
            Self::EvaluationKeys => "a set of evaluation keys",
            Self::EncryptedInput => "an encrypted input",
            Self::EncryptedOutput => "an encrypted output",
        })
    }
}

/// A container whose structure and hashes have been checked.
pub struct Container {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    program_hash: ProgramHash,
    sections: Vec<Section>,
}

struct Section {
    name: String,
    encoding: Encoding,
    range: Range<usize>,
    plain_length: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Raw = 0,
    Zstd = 1,
}

impl Container {
    /// Maps a file and checks it.
    ///
    /// # Errors
    /// Every variant of [`ContainerError`] but those of reading sections.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, ContainerError> {
        let file = File::open(path)?;
        // SAFETY: the map is only read, and what is read from it is checked like any foreign bytes,
        // so that changes by other processes are no worse than another content. This project
        // replaces files by renaming and never shortens them in place.
        let map = unsafe { Mmap::map(&file) }?;
        Self::parse(map, kind)
    }

    /// Checks a container in memory.
    ///
    /// # Errors
    /// As [`Container::open`], without those of the file system.
    pub fn parse(
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        kind: Kind,
    ) -> Result<Self, ContainerError> {
        let (program_hash, sections) = parse(bytes.as_ref(), kind)?;
        Ok(Self { bytes: Box::new(bytes), program_hash, sections })
    }

    /// The program that the content belongs to.
    pub fn program_hash(&self) -> ProgramHash {
        self.program_hash
    }

    /// The whole container, as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// Whether there is a section of this name.
    pub fn has(&self, name: &str) -> bool {
        self.sections.iter().any(|s| s.name == name)
    }

    /// The content of a section that is stored raw.
    ///
    /// # Errors
    /// [`ContainerError::MissingSection`], [`ContainerError::NotRaw`].
    pub fn raw(&self, name: &'static str) -> Result<&[u8], ContainerError> {
        let (section, stored) = self.find(name)?;
        match section.encoding {
            Encoding::Raw => Ok(stored),
            Encoding::Zstd => Err(ContainerError::NotRaw { name }),
        }
    }

    /// The plain content of a section: borrowed where it is stored raw, else decompressed. No more
    /// than `limit` bytes are taken.
    ///
    /// # Errors
    /// [`ContainerError::MissingSection`], [`ContainerError::SectionTooLarge`],
    /// [`ContainerError::Decompression`].
    pub fn plain(&self, name: &'static str, limit: u64) -> Result<Cow<'_, [u8]>, ContainerError> {
        let (section, stored) = self.find(name)?;
        if section.plain_length > limit {
            let length = section.plain_length;
            return Err(ContainerError::SectionTooLarge { name, length, limit });
        }
        match section.encoding {
            Encoding::Raw => Ok(Cow::Borrowed(stored)),
            Encoding::Zstd => decompress(stored, section.plain_length)
                .map(Cow::Owned)
                .map_err(|source| ContainerError::Decompression { name, source }),
        }
    }

    fn find(&self, name: &'static str) -> Result<(&Section, &[u8]), ContainerError> {
        let found = self.sections.iter().find(|s| s.name == name);
        let section = found.ok_or(ContainerError::MissingSection { name })?;
        Ok((section, &self.as_bytes()[section.range.clone()]))
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.sections.iter().map(|s| s.name.as_str()).collect();
        f.debug_struct("Container")
            .field("program_hash", &self.program_hash)
            .field("sections", &names)
            .finish_non_exhaustive()
    }
}

/// Memory grows with what comes out, not with what the table promises.
fn decompress(stored: &[u8], plain_length: u64) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
    decoder.window_log_max(MAX_LOG_WINDOW)?;
    let mut plain = Vec::new();
    decoder.take(plain_length.saturating_add(1)).read_to_end(&mut plain)?;
    if plain.len() as u64 == plain_length {
        Ok(plain)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the plain length is not as stated"))
    }
}

fn parse(bytes: &[u8], kind: Kind) -> Result<(ProgramHash, Vec<Section>), ContainerError> {
    let mut header = Reader(bytes);
    if header.array() != Some(MAGIC) {
        return Err(ContainerError::Magic);
    }
    let version = header.u32().ok_or(ContainerError::Truncated)?;
    if version != VERSION {
        return Err(ContainerError::Version { found: version, known: VERSION });
    }
    if bytes.len() < HEADER_BYTES + TRAILER_BYTES || !bytes.ends_with(&END) {
        return Err(ContainerError::Truncated);
    }
    let (body, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
    let mut trailer = Reader(trailer);
    let table_length = trailer.u32().ok_or(ContainerError::Truncated)? as usize;
    let hash = trailer.array::<32>().ok_or(ContainerError::Truncated)?;
    let table_start = body.len().checked_sub(table_length).filter(|&s| s >= HEADER_BYTES);
    let table_start = table_start.ok_or(ContainerError::Table)?;
    let table = &body[table_start..];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..HEADER_BYTES]).update(table);
    if hasher.finalize() != hash {
        return Err(ContainerError::Checksum { what: "header or table".into() });
    }

    let number = header.u32().ok_or(ContainerError::Truncated)?;
    let found = Kind::from_number(number).ok_or(ContainerError::UnknownKind { number })?;
    if found != kind {
        return Err(ContainerError::Kind { expected: kind, found });
    }
    let program_hash = ProgramHash::from(header.array().ok_or(ContainerError::Truncated)?);
    let sections = parse_table(table, &body[..table_start])?;
    Ok((program_hash, sections))
}

/// Reads the table and checks every section's bytes; `content` is the file up to the table.
fn parse_table(table: &[u8], content: &[u8]) -> Result<Vec<Section>, ContainerError> {
    let mut sections: Vec<Section> = Vec::new();
    let (mut reader, mut start) = (Reader(table), HEADER_BYTES);
    while !reader.0.is_empty() {
        let (section, hash) = reader.section(start).ok_or(ContainerError::Table)?;
        let duplicate = sections.iter().any(|s| s.name == section.name);
        if duplicate || sections.len() == MAX_SECTIONS {
            return Err(ContainerError::Table);
        }
        let stored = content.get(section.range.clone()).ok_or(ContainerError::Table)?;
        if blake3::hash(stored) != hash {
            return Err(ContainerError::Checksum { what: section.name });
        }
        start = section.range.end;
        sections.push(section);
    }
    if start == content.len() { Ok(sections) } else { Err(ContainerError::Table) }
}

/// The unread rest of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A line of the table, for a section that starts at `start`, and the hash of its bytes.
    fn section(&mut self, start: usize) -> Option<(Section, [u8; 32])> {
        let [name_length] = self.array()?;
        let name = String::from_utf8(self.take(name_length.into())?.to_vec()).ok()?;
        let encoding = match self.array()? {
            [0] => Encoding::Raw,
            [1] => Encoding::Zstd,
            _ => return None,
        };
        let stored_length = self.length()?;
        let plain_length = self.length()?;
        if encoding == Encoding::Raw && stored_length != plain_length {
            return None;
        }
        let range = start..start.checked_add(usize::try_from(stored_length).ok()?)?;
        Some((Section { name, encoding, range, plain_length }, self.array()?))
    }
}

/// Writes a container from front to back.
pub struct Writer<W> {
    output: W,
    header: [u8; HEADER_BYTES],
    table: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Starts a container.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut output: W, kind: Kind, program_hash: ProgramHash) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&(kind as u32).to_le_bytes());
        header[16..].copy_from_slice(program_hash.as_bytes());
        output.write_all(&header)?;
        Ok(Self { output, header, table: Vec::new() })
    }

    /// Adds a compressed section.
    ///
    /// # Errors
    /// Those of the output.
    pub fn compressed(&mut self, name: &str, plain: &[u8]) -> io::Result<()> {
        let stored = zstd::bulk::compress(plain, COMPRESSION_LEVEL)?;
        let write = |output: &mut Hashing<'_, W>| output.write_all(&stored);
        self.append(name, Encoding::Zstd, Some(plain.len() as u64), write)
    }

    /// Adds a section as `write` produces it: for content that does not compress.
    ///
    /// # Errors
    /// Those of `write` and of the output.
    pub fn raw(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Hashing<'_, W>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.append(name, Encoding::Raw, None, write)
    }

    /// Writes the table and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.header).update(&self.table);
        self.output.write_all(&self.table)?;
        self.output.write_all(&(self.table.len() as u32).to_le_bytes())?;
        self.output.write_all(hasher.finalize().as_bytes())?;
        self.output.write_all(&END)?;
        Ok(self.output)
    }

    fn append(
        &mut self,
        name: &str,
        encoding: Encoding,
        plain_length: Option<u64>,
        write: impl FnOnce(&mut Hashing<'_, W>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut hashing =
            Hashing { output: &mut self.output, hasher: blake3::Hasher::new(), length: 0 };
        write(&mut hashing)?;
        let Hashing { hasher, length, .. } = hashing;
        let name_length = u8::try_from(name.len()).expect("section names are short");
        self.table.push(name_length);
        self.table.extend(name.as_bytes());
        self.table.push(encoding as u8);
        self.table.extend(length.to_le_bytes());
        self.table.extend(plain_length.unwrap_or(length).to_le_bytes());
        self.table.extend(hasher.finalize().as_bytes());
        Ok(())
    }
}

/// Counts and hashes what passes through.
pub struct Hashing<'a, W> {
    output: &'a mut W,
    hasher: blake3::Hasher,
    length: u64,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not start with the magic.
    #[error("not a file of this program")]
    Magic,
    /// Written by another version.
    #[error("format version {found} is not known here (known: {known})")]
    Version {
        /// Version of the file.
        found: u32,
        /// Version that is read.
        known: u32,
    },
    /// The end is missing.
    #[error("the file is truncated")]
    Truncated,
    /// Bytes are not those that were written.
    #[error("the file is damaged: the checksum of `{what}` does not match")]
    Checksum {
        /// The section, or the header and table.
        what: String,
    },
    /// A kind that does not exist.
    #[error("unknown kind of file, number {number}")]
    UnknownKind {
        /// Its number.
        number: u32,
    },
    /// Another kind of file than was asked for.
    #[error("this is {found}; {expected} is needed")]
    Kind {
        /// Kind that was asked for.
        expected: Kind,
        /// Kind of the file.
        found: Kind,
    },
    /// The section table contradicts itself or the file.
    #[error("the section table is malformed")]
    Table,
    /// A section is not there.
    #[error("the file has no section `{name}`")]
    MissingSection {
        /// Its name.
        name: &'static str,
    },
    /// A section is compressed that never is.
    #[error("section `{name}` is compressed")]
    NotRaw {
        /// Its name.
        name: &'static str,
    },
    /// A section is longer than any valid one.
    #[error("section `{name}` has {length} bytes, at most {limit} are read")]
    SectionTooLarge {
        /// Its name.
        name: &'static str,
        /// Bytes stated.
        length: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A section is not what its encoding says.
    #[error("section `{name}` does not decompress: {source}")]
    Decompression {
        /// Its name.
        name: &'static str,
        /// What the decompressor says.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &[u8] = b"the quick brown fox jumps over the lazy dog, the lazy dog, the lazy dog";

    fn program() -> ProgramHash {
        blake3::hash(b"program")
    }

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), Kind::Artifact, program()).unwrap();
        writer.compressed("text", PLAIN).unwrap();
        writer.raw("bulk", |w| w.write_all(&[7; 100])).unwrap();
        writer.finish().unwrap()
    }

    fn parse_sample(bytes: Vec<u8>) -> Result<Container, ContainerError> {
        Container::parse(bytes, Kind::Artifact)
    }

    /// Repairs the hash of header and table, as an attacker would.
    fn reseal(bytes: &mut [u8]) {
        let trailer = bytes.len() - TRAILER_BYTES;
        let length = u32::from_le_bytes(bytes[trailer..trailer + 4].try_into().unwrap()) as usize;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes[..HEADER_BYTES]);
        hasher.update(&bytes[trailer.saturating_sub(length)..trailer]);
        bytes[trailer + 4..trailer + 36].copy_from_slice(hasher.finalize().as_bytes());
    }

    #[test]
    fn sections_come_back() {
        let container = parse_sample(sample()).unwrap();
        assert_eq!(container.program_hash(), program());
        assert_eq!(&*container.plain("text", 1000).unwrap(), PLAIN);
        assert_eq!(*container.plain("bulk", 100).unwrap(), [7; 100]);
        assert_eq!(*container.raw("bulk").unwrap(), [7; 100]);
        assert!(matches!(container.raw("text"), Err(ContainerError::NotRaw { name: "text" })));
        assert!(container.has("bulk") && !container.has("other"));
        assert!(matches!(
            container.plain("other", 1),
            Err(ContainerError::MissingSection { name: "other" })
        ));
        assert!(matches!(
            container.plain("text", 10),
            Err(ContainerError::SectionTooLarge { length: 71, limit: 10, .. })
        ));
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            parse_sample(bytes[..length].to_vec()).unwrap_err();
        }
        parse_sample([&bytes[..], b"x"].concat()).unwrap_err();
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = sample();
        for position in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position / 8] ^= 1 << (position % 8);
            parse_sample(flipped).unwrap_err();
        }
    }

    #[test]
    fn other_kinds_and_versions_are_refused_by_name() {
        let error = Container::parse(sample(), Kind::SecretKey).unwrap_err();
        assert!(matches!(
            error,
            ContainerError::Kind { expected: Kind::SecretKey, found: Kind::Artifact }
        ));
        let changed = |at: usize, value: u8| {
            let mut bytes = sample();
            bytes[at] = value;
            reseal(&mut bytes);
            parse_sample(bytes).unwrap_err()
        };
        assert!(matches!(changed(8, 2), ContainerError::Version { found: 2, known: 1 }));
        assert!(matches!(changed(12, 77), ContainerError::UnknownKind { number: 77 }));
        assert!(matches!(changed(0, 0), ContainerError::Magic));
        assert!(matches!(parse_sample(vec![]), Err(ContainerError::Magic)));
    }

    #[test]
    fn plain_lengths_that_lie_are_refused() {
        // The plain length of the first section stands after its name, encoding and stored length.
        let table = |bytes: &[u8]| bytes.len() - TRAILER_BYTES - 2 * (1 + 4 + 1 + 8 + 8 + 32);
        for claimed in [0, PLAIN.len() as u64 - 1, PLAIN.len() as u64 + 1, 1 << 30] {
            let mut bytes = sample();
            let at = table(&bytes) + 1 + 4 + 1 + 8;
            bytes[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
            reseal(&mut bytes);
            let container = parse_sample(bytes).unwrap();
            let error = container.plain("text", 1 << 30).unwrap_err();
            assert!(matches!(error, ContainerError::Decompression { .. }), "{error}");
        }
    }

    proptest! {
        /// Damage in the table that an attacker has sealed again is found or harmless.
        #[test]
        fn resealed_tables_never_panic(
            changes in prop::collection::vec((0usize..400, any::<u8>()), 1..4),
        ) {
            let mut bytes = sample();
            for (at, value) in changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            reseal(&mut bytes);
            if let Ok(container) = parse_sample(bytes) {
                let _ = container.plain("text", 1 << 20);
                let _ = container.plain("bulk", 1 << 20);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            parse_sample(bytes.clone()).unwrap_err();
            bytes.splice(0..0, MAGIC.into_iter().chain(VERSION.to_le_bytes()));
            bytes.extend(END);
            parse_sample(bytes).unwrap_err();
        }
    }
}
