//! Writing containers in one pass, to anything that takes bytes.

use std::io::{self, Write};

use super::{END, Encoding, HEADER_BYTES, Kind, MAGIC, ProgramHash, VERSION, max_plain};

const COMPRESSION_LEVEL: i32 = 3;

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
    /// The errors of the output.
    pub fn new(mut output: W, kind: Kind, program_hash: ProgramHash) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&(kind as u32).to_le_bytes());
        header[16..].copy_from_slice(program_hash.as_bytes());
        output.write_all(&header)?;
        Ok(Self { output, header, table: Vec::new() })
    }

    /// Adds a compressed section. It is stored raw if it would shrink so much that readers would take it for an
    /// attack.
    ///
    /// # Errors
    /// The errors of the output.
    pub fn compressed(&mut self, name: &str, plain: &[u8]) -> io::Result<()> {
        let stored = zstd::bulk::compress(plain, COMPRESSION_LEVEL)?;
        if plain.len() as u64 > max_plain(stored.len() as u64) {
            return self.raw(name, |output| output.write_all(plain));
        }
        let write = |output: &mut Hashing<'_, W>| output.write_all(&stored);
        self.append(name, Encoding::Zstd, Some(plain.len() as u64), write)
    }

    /// Adds a section as `write` produces it: for content that does not compress.
    ///
    /// # Errors
    /// The errors of `write` and of the output.
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
    /// The errors of the output.
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
        let name_length = u8::try_from(name.len()).expect("section names are short constants");
        self.table.push(name_length);
        self.table.extend(name.as_bytes());
        self.table.push(encoding as u8);
        self.table.extend(length.to_le_bytes());
        self.table.extend(plain_length.unwrap_or(length).to_le_bytes());
        self.table.extend(hasher.finalize().as_bytes());
        Ok(())
    }
}

/// Writer that counts and hashes the bytes it passes on.
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
