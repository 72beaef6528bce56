//! Container format of all files of the project: artifacts, keys and ciphertexts.
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

mod read;
mod stream;
mod table;
mod write;

pub use read::Container;
pub use stream::ContainerFile;
pub use write::{Hashing, Writer};

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use pic_ir::escape::Escaped;

/// Hash of a program's parts for clients and servers ([`crate::artifact`]). Every file names the program it belongs
/// to.
pub type ProgramHash = blake3::Hash;

/// Version of the format that is written and read.
pub const VERSION: u32 = 9;

/// First bytes of a file. They are no text, and transfers that take the file for text damage them (the idea of
/// PNG).
const MAGIC: [u8; 8] = *b"\x89PIC\r\n\x1a\n";
const END: [u8; 8] = *b"\x89picend\n";
const HEADER_BYTES: usize = 8 + 4 + 4 + 32;
const TRAILER_BYTES: usize = 4 + 32 + 8;

/// Number of bytes that [`is_secret_key`] needs: magic, version and kind.
pub(crate) const HEADER_START: usize = 8 + 4 + 4;

/// Returns whether a file with these first bytes is a secret key, of any version.
pub(crate) fn is_secret_key(start: &[u8]) -> bool {
    start.starts_with(&MAGIC) && start.get(12..16) == Some(&(Kind::SecretKey as u32).to_le_bytes())
}

/// Kind of a file.
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

/// Opens a regular file and returns its length. Pipes and devices have none and are refused.
fn regular_file(path: &Path) -> Result<(File, u64), ContainerError> {
    // Before it is opened: a pipe without a writer would wait for one.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into());
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Largest plain length of a compressed section that is read. Weights shrink by a tenth, lists of indices to a
/// twentieth; sections that would shrink more are written uncompressed, so that a small file stays small when it is
/// read.
const fn max_plain(stored: u64) -> u64 {
    const RATIO: u64 = 64;
    const BASE: u64 = 1 << 20;
    stored.saturating_mul(RATIO).saturating_add(BASE)
}

/// Form in which a section is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Raw = 0,
    Zstd = 1,
}

/// Reason why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file does not start with the magic bytes.
    #[error("not a file of this program")]
    Magic,
    /// The file has another version of the format.
    #[error("format version {found} is not known here (known: {known})")]
    Version {
        /// Version of the file.
        found: u32,
        /// Version that is read.
        known: u32,
    },
    /// The file is shorter than its structure says.
    #[error("the file is truncated")]
    Truncated,
    /// A hash does not match the bytes.
    #[error("the file is damaged: the checksum of `{}` does not match", Escaped(what))]
    Checksum {
        /// Name of the section, or "header and table".
        what: String,
    },
    /// The number of the kind is unknown.
    #[error("unknown kind of file, number {number}")]
    UnknownKind {
        /// Number of the kind.
        number: u32,
    },
    /// The file is of another kind than the requested one.
    #[error("this is {found}; {expected} is needed")]
    Kind {
        /// Requested kind.
        expected: Kind,
        /// Kind of the file.
        found: Kind,
    },
    /// The section table contradicts itself or the file.
    #[error("the section table is malformed")]
    Table,
    /// A section is missing.
    #[error("the file has no section `{name}`")]
    MissingSection {
        /// Name of the section.
        name: &'static str,
    },
    /// A section is compressed that must be stored raw.
    #[error("section `{name}` is compressed")]
    NotRaw {
        /// Name of the section.
        name: &'static str,
    },
    /// A section is longer than any valid one.
    #[error("section `{name}` has {length} bytes, at most {limit} are read")]
    SectionTooLarge {
        /// Name of the section.
        name: &'static str,
        /// Length stated, in bytes.
        length: u64,
        /// Largest length allowed, in bytes.
        limit: u64,
    },
    /// A compressed section cannot be decompressed, or to another length than stated.
    #[error("section `{name}` does not decompress: {source}")]
    Decompression {
        /// Name of the section.
        name: &'static str,
        /// Error of the decompressor.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use proptest::prelude::*;

    const PLAIN: &[u8] = b"the quick brown fox jumps over the lazy dog, the lazy dog, the lazy dog";

    fn program() -> ProgramHash {
        blake3::hash(b"program")
    }

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), Kind::Artifact, program()).unwrap();
        // zstd is C, which Miri does not run.
        if cfg!(miri) {
            writer.raw("text", |w| w.write_all(PLAIN)).unwrap();
        } else {
            writer.compressed("text", PLAIN).unwrap();
        }
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
    #[cfg_attr(miri, ignore = "zstd is C")]
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
        // All of them take Miri more than eight minutes.
        let step = if cfg!(miri) { 97 } else { 1 };
        for position in (0..8 * bytes.len()).step_by(step) {
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
        assert!(matches!(changed(8, 1), ContainerError::Version { found: 1, known: VERSION }));
        assert!(matches!(changed(12, 77), ContainerError::UnknownKind { number: 77 }));
        assert!(matches!(changed(0, 0), ContainerError::Magic));
        assert!(matches!(parse_sample(vec![]), Err(ContainerError::Magic)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "zstd is C")]
    fn plain_lengths_that_lie_are_refused() {
        // The plain length of the first section stands after its name, encoding and stored length.
        let table = |bytes: &[u8]| bytes.len() - TRAILER_BYTES - 2 * (1 + 4 + 1 + 8 + 8 + 32);
        for claimed in [0, PLAIN.len() as u64 - 1, PLAIN.len() as u64 + 1, 1 << 20, 1 << 30] {
            let mut bytes = sample();
            let at = table(&bytes) + 1 + 4 + 1 + 8;
            bytes[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
            reseal(&mut bytes);
            let container = parse_sample(bytes).unwrap();
            let error = container.plain("text", 1 << 30).unwrap_err();
            if claimed <= 1 << 20 {
                assert!(matches!(error, ContainerError::Decompression { .. }), "{error}");
            } else {
                // Before anything is decompressed.
                assert!(matches!(error, ContainerError::SectionTooLarge { .. }), "{error}");
            }
        }
    }

    /// As a network of zeros has.
    #[test]
    #[cfg_attr(miri, ignore = "zstd is C")]
    fn what_compresses_too_well_is_stored_as_it_is() {
        for (length, is_raw) in [(1 << 20, false), (1 << 24, true)] {
            let mut writer = Writer::new(Vec::new(), Kind::Artifact, program()).unwrap();
            writer.compressed("zeros", &vec![0; length]).unwrap();
            let container = parse_sample(writer.finish().unwrap()).unwrap();
            assert_eq!(container.plain("zeros", length as u64).unwrap().len(), length);
            assert_eq!(container.raw("zeros").is_ok(), is_raw);
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
