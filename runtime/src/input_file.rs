//! Input files that are read whole: models, arrays, prices.
//!
//! Artifacts, keys and ciphertexts are not read by this, but as [`crate::container`]s.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens a file that is to be read whole. Opening a pipe would wait for its writer, and a device may have no end.
///
/// # Errors
/// The errors of the system; of kind [`io::ErrorKind::Other`] for what is no file, or is empty.
pub fn open(path: &Path) -> io::Result<File> {
    let metadata = fs::metadata(path)?;
    let reason = match metadata.file_type() {
        kind if kind.is_dir() => "it is a folder",
        kind if !kind.is_file() => "it is a pipe or a device: a file is needed, which has an end",
        _ if metadata.len() == 0 => "it is empty",
        _ => return File::open(path),
    };
    Err(io::Error::other(reason))
}

/// Reads the bytes of a file that [`open`] accepts.
///
/// # Errors
/// The errors of [`open`], and of reading.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut open(path)?, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        let why = |path: &Path| read(path).unwrap_err().to_string();
        assert_eq!(why(folder.path()), "it is a folder");
        assert_eq!(why(&empty), "it is empty");
        assert!(why(Path::new("/dev/zero")).contains("a pipe or a device"));
        assert!(why(&folder.path().join("missing")).contains("No such file"));
    }
}
