//! Reading containers: structure and hashes are checked first, sections are decoded when asked for.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::table::{self, Section};
use super::{
    ContainerError, Encoding, HEADER_BYTES, Kind, ProgramHash, TRAILER_BYTES, max_plain,
    regular_file,
};

/// log2 of the largest decompression window that is accepted; the compression level in use takes 2 MiB.
const MAX_LOG_WINDOW: u32 = 24;

/// A container in memory whose structure and hashes have been checked.
///
/// Files are copied, not mapped: of a mapped file, others can take away pages, which kills the process, and change
/// bytes that have been checked. For files too large to be held twice there is [`super::ContainerFile`].
pub struct Container {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    program_hash: ProgramHash,
    sections: Vec<Section>,
}

impl Container {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// Every variant of [`ContainerError`] but those of reading sections.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, ContainerError> {
        let (file, length) = regular_file(path)?;
        if kind == Kind::SecretKey {
            Self::parse(Zeroizing::new(read_whole(file, length)?), kind)
        } else {
            Self::parse(read_whole(file, length)?, kind)
        }
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

    /// Hash of the program that the content belongs to.
    pub fn program_hash(&self) -> ProgramHash {
        self.program_hash
    }

    /// The whole container, as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// Returns whether there is a section of this name.
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

    /// The plain content of a section: borrowed if the section is stored raw, else decompressed. Content
    /// of more than `limit` bytes is refused. So is a compressed section whose content is longer than 64 times its
    /// stored length plus 1 MiB, so that a small file cannot take much memory.
    ///
    /// # Errors
    /// [`ContainerError::MissingSection`]; [`ContainerError::SectionTooLarge`] above one of these bounds;
    /// [`ContainerError::Decompression`].
    pub fn plain(&self, name: &'static str, limit: u64) -> Result<Cow<'_, [u8]>, ContainerError> {
        let (section, stored) = self.find(name)?;
        let limit = match section.encoding {
            Encoding::Raw => limit,
            Encoding::Zstd => limit.min(max_plain(section.stored_length())),
        };
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
        let section = table::find(&self.sections, name)?;
        Ok((section, stored(self.as_bytes(), section).ok_or(ContainerError::Table)?))
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

/// Decompresses a section. Memory grows with the output, not with the length that the table states.
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
    let header = &bytes[..bytes.len().min(HEADER_BYTES)];
    let trailer = &bytes[bytes.len().saturating_sub(TRAILER_BYTES)..];
    let range = table::locate(header, trailer, bytes.len() as u64)?;
    let table = &bytes[range.start as usize..range.end as usize];
    let (program_hash, sections) = table::parse(header, table, trailer, range.start, kind)?;
    for section in &sections {
        let stored = stored(bytes, section).ok_or(ContainerError::Table)?;
        if blake3::hash(stored) != section.hash {
            return Err(ContainerError::Checksum { what: section.name.clone() });
        }
    }
    Ok((program_hash, sections))
}

/// The bytes of a section.
fn stored<'a>(bytes: &'a [u8], section: &Section) -> Option<&'a [u8]> {
    bytes.get(section.range.start as usize..section.range.end as usize)
}

/// Reads a file of `length` bytes into memory that is taken at once, so that no copy of a part stays behind.
fn read_whole(file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let capacity = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(capacity).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
