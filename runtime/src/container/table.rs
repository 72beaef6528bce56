//! Header, table and trailer: what a container says of itself, wherever its content is.

use std::ops::Range;

use super::{
    ContainerError, END, Encoding, HEADER_BYTES, Kind, MAGIC, ProgramHash, TRAILER_BYTES, VERSION,
};

const MAX_SECTIONS: usize = 16;
/// Largest length of a table: for each section a name of 255 bytes with its length, encoding, two lengths and a
/// hash.
const MAX_TABLE_BYTES: u64 = MAX_SECTIONS as u64 * (1 + 255 + 1 + 8 + 8 + 32);

/// Entry of a section in the table. The hash is that of the stored bytes; the reader of the section compares it.
pub(super) struct Section {
    pub(super) name: String,
    pub(super) encoding: Encoding,
    /// Position of the section's bytes in the file.
    pub(super) range: Range<u64>,
    pub(super) plain_length: u64,
    pub(super) hash: [u8; 32],
}

impl Section {
    /// Bytes that are stored.
    pub(super) fn stored_length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Finds a section by its name.
pub(super) fn find<'a>(
    sections: &'a [Section],
    name: &'static str,
) -> Result<&'a Section, ContainerError> {
    sections.iter().find(|s| s.name == name).ok_or(ContainerError::MissingSection { name })
}

/// Position of the table in a container of `length` bytes, from its first and last bytes: as many as header and
/// trailer have, if the container has so many.
pub(super) fn locate(first: &[u8], last: &[u8], length: u64) -> Result<Range<u64>, ContainerError> {
    let mut header = Reader(first);
    if header.array() != Some(MAGIC) {
        return Err(ContainerError::Magic);
    }
    let version = header.u32().ok_or(ContainerError::Truncated)?;
    if version != VERSION {
        return Err(ContainerError::Version { found: version, known: VERSION });
    }
    if length < (HEADER_BYTES + TRAILER_BYTES) as u64 || !last.ends_with(&END) {
        return Err(ContainerError::Truncated);
    }
    let table_length = u64::from(Reader(last).u32().ok_or(ContainerError::Truncated)?);
    let end = length - TRAILER_BYTES as u64;
    match end.checked_sub(table_length) {
        Some(start) if start >= HEADER_BYTES as u64 && table_length <= MAX_TABLE_BYTES => {
            Ok(start..end)
        }
        _ => Err(ContainerError::Table),
    }
}

/// Checks the hash of header and table and reads them; the table begins at `table_start`.
pub(super) fn parse(
    header: &[u8],
    table: &[u8],
    trailer: &[u8],
    table_start: u64,
    kind: Kind,
) -> Result<(ProgramHash, Vec<Section>), ContainerError> {
    let mut trailer = Reader(trailer);
    trailer.u32().ok_or(ContainerError::Truncated)?;
    let hash = trailer.array::<32>().ok_or(ContainerError::Truncated)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(table);
    if hasher.finalize() != hash {
        return Err(ContainerError::Checksum { what: "header or table".into() });
    }

    let mut header = Reader(header);
    header.take(8 + 4).ok_or(ContainerError::Truncated)?;
    let number = header.u32().ok_or(ContainerError::Truncated)?;
    let found = Kind::from_number(number).ok_or(ContainerError::UnknownKind { number })?;
    if found != kind {
        return Err(ContainerError::Kind { expected: kind, found });
    }
    let program_hash = ProgramHash::from(header.array().ok_or(ContainerError::Truncated)?);

    let mut sections: Vec<Section> = Vec::new();
    let (mut reader, mut start) = (Reader(table), HEADER_BYTES as u64);
    while !reader.0.is_empty() {
        let section = reader.section(start).ok_or(ContainerError::Table)?;
        let duplicate = sections.iter().any(|s| s.name == section.name);
        if duplicate || sections.len() == MAX_SECTIONS || section.range.end > table_start {
            return Err(ContainerError::Table);
        }
        start = section.range.end;
        sections.push(section);
    }
    if start == table_start { Ok((program_hash, sections)) } else { Err(ContainerError::Table) }
}

/// Bytes that are still to be read.
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

    /// Reads an entry of the table, for a section that starts at `start`.
    fn section(&mut self, start: u64) -> Option<Section> {
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
        let range = start..start.checked_add(stored_length)?;
        Some(Section { name, encoding, range, plain_length, hash: self.array()? })
    }
}
