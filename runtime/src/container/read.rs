//! Reading containers: structure and hashes are checked first, sections are decoded when asked for.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use super::{
    ContainerError, END, Encoding, HEADER_BYTES, Kind, MAGIC, ProgramHash, TRAILER_BYTES, VERSION,
};

const MAX_SECTIONS: usize = 16;
/// Windows of more than 16 MiB are refused; the level in use takes 2 MiB.
const MAX_LOG_WINDOW: u32 = 24;

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
