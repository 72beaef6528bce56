//! Containers that are not held in memory: sections are read when they are used, and their hashes compared at the
//! end.
//!
//! For evaluation keys, which would take a gibibyte of memory beside what is made of them. What another process
//! does to the file meanwhile is found as a checksum that does not match, or as a file that ends early.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::table::{self, Section};
use super::{
    ContainerError, Encoding, HEADER_BYTES, Kind, ProgramHash, TRAILER_BYTES, regular_file,
};

const BUFFER_BYTES: usize = 1 << 20;

/// A file of which header and table have been checked, but not the sections.
pub struct ContainerFile {
    file: File,
    program_hash: ProgramHash,
    sections: Vec<Section>,
}

impl ContainerFile {
    /// Opens a file of a kind and checks its header, table and trailer.
    ///
    /// # Errors
    /// Every variant of [`ContainerError`] but those of reading sections.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, ContainerError> {
        let (mut file, length) = regular_file(path)?;
        let mut header = Vec::new();
        (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut header)?;
        let trailer_start = length.saturating_sub(TRAILER_BYTES as u64);
        let trailer = read_at(&mut file, trailer_start, length - trailer_start)?;
        let range = table::locate(&header, &trailer, length)?;
        let table = read_at(&mut file, range.start, range.end - range.start)?;
        let (program_hash, sections) = table::parse(&header, &table, &trailer, range.start, kind)?;
        Ok(Self { file, program_hash, sections })
    }

    /// Hash of the program that the content belongs to.
    pub fn program_hash(&self) -> ProgramHash {
        self.program_hash
    }

    /// Calls `read` with the content of a section that is stored raw, then checks the hash of the whole section, also of
    /// what `read` left over. So `read` sees bytes that are not yet checked: rely on its result only once this function
    /// has returned it.
    ///
    /// # Errors
    /// [`ContainerError::MissingSection`] and [`ContainerError::NotRaw`] before `read` is called;
    /// [`ContainerError::Io`], [`ContainerError::Truncated`] and [`ContainerError::Checksum`]; otherwise the error of
    /// `read`. If the content is damaged and `read` fails, too, the damage is reported.
    pub fn raw<T, E: From<ContainerError>>(
        &self,
        name: &'static str,
        read: impl FnOnce(&mut dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        let section = table::find(&self.sections, name)?;
        if section.encoding != Encoding::Raw {
            return Err(ContainerError::NotRaw { name }.into());
        }
        let mut file = &self.file;
        file.seek(SeekFrom::Start(section.range.start)).map_err(ContainerError::from)?;
        let mut content = Hashed {
            input: BufReader::with_capacity(BUFFER_BYTES, file.take(section.stored_length())),
            hasher: blake3::Hasher::new(),
            length: 0,
        };
        let result = read(&mut content);
        io::copy(&mut content, &mut io::sink()).map_err(ContainerError::from)?;
        if content.length != section.stored_length() {
            return Err(ContainerError::Truncated.into());
        }
        if content.hasher.finalize() != section.hash {
            return Err(ContainerError::Checksum { what: name.into() }.into());
        }
        result
    }
}

impl fmt::Debug for ContainerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerFile")
            .field("file", &self.file)
            .field("program_hash", &self.program_hash)
            .finish_non_exhaustive()
    }
}

/// Reader that counts and hashes the bytes it passes on.
struct Hashed<R> {
    input: R,
    hasher: blake3::Hasher,
    length: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        self.length += read as u64;
        Ok(read)
    }
}

/// Reads up to `length` bytes at a place of a file; fewer if the file ends early.
fn read_at(file: &mut File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
