//! Output files that are whole or absent: written beside their place, synced, then renamed.
//!
//! No output takes the place of a secret key, whose loss is the loss of everything encrypted with it: only
//! [`Access::SecretKey`] may, and only where that was asked for. This guards against slips of the hand, not
//! against another process that puts a key there at the same moment.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::container::{HEADER_START, is_secret_key};

/// Access rights of a new file, and the existing files that it may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Readable as the process's file mode mask says; replaces an existing file.
    Shared,
    /// Readable by the owner alone (mode 0600).
    Private {
        /// True if an existing file may be replaced.
        overwrite: bool,
    },
    /// A secret key: as private files, and the only kind that may replace a secret key. It replaces nothing else.
    SecretKey {
        /// True if an existing file may be replaced.
        overwrite: bool,
    },
}

impl Access {
    fn replaces_files(self) -> bool {
        !matches!(self, Self::Private { overwrite: false } | Self::SecretKey { overwrite: false })
    }
}

/// Reason why a file is not replaced. The source of [`io::Error`]s of kind [`io::ErrorKind::AlreadyExists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Irreplaceable {
    /// The file is a secret key: nothing encrypted with it could be decrypted any more.
    #[error("there is a secret key in its place, which this would destroy")]
    SecretKey,
    /// The file is not a secret key, and a secret key is to be written.
    #[error("what is in its place is no secret key, and a new one replaces secret keys alone")]
    NoSecretKey,
    /// The file is a device, pipe or socket.
    #[error("what is in its place is not a regular file")]
    Special,
    /// The file is another output of the same command.
    #[error("two outputs of this command would be the same file")]
    Output,
    /// The file is an input of the same command.
    #[error("it is also an input of this command")]
    Input,
}

impl From<Irreplaceable> for io::Error {
    fn from(reason: Irreplaceable) -> Self {
        Self::new(io::ErrorKind::AlreadyExists, reason)
    }
}

/// Creates `path` with what `write` puts into the file, or leaves everything as it was.
///
/// # Errors
/// The errors of `write`, of the file system, and of [`check`].
pub fn write_whole(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    Prepared::new(path, access, write)?.place()
}

/// Checks in advance the conditions on which [`write_whole`] refuses to write, for commands that compute for long.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where a file must not be replaced, with [`Irreplaceable`] as its source
/// unless it is [`Access`] that forbids it; those of reading the first bytes of an existing file.
pub fn check(path: &Path, access: Access) -> io::Result<()> {
    let kind = match fs::metadata(path) {
        // A link that leads nowhere is replaced like a file.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return fs::metadata(folder_of(path)).map(drop);
        }
        metadata => metadata?.file_type(),
    };
    if !access.replaces_files() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Opening a pipe would wait for its writer.
    if !kind.is_file() {
        return Err(Irreplaceable::Special.into());
    }
    let mut start = Vec::new();
    File::open(path)?.take(HEADER_START as u64).read_to_end(&mut start)?;
    let (is_key, makes_key) = (is_secret_key(&start), matches!(access, Access::SecretKey { .. }));
    match (is_key, makes_key) {
        (true, false) => Err(Irreplaceable::SecretKey.into()),
        // An empty file holds nothing.
        (false, true) if !start.is_empty() => Err(Irreplaceable::NoSecretKey.into()),
        _ => Ok(()),
    }
}

/// Returns whether two paths lead to one file, or would if they were written. Links are followed where they lead
/// somewhere.
///
/// # Errors
/// The errors of finding the folder of a file that does not exist.
pub fn same_file(a: &Path, b: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        return Ok((a.dev(), a.ino()) == (b.dev(), b.ino()));
    }
    let place = |path: &Path| {
        if let Ok(found) = fs::canonicalize(path) {
            return Ok(found);
        }
        let folder = fs::canonicalize(folder_of(path))?;
        // `..` has no name and is a folder, which exists.
        Ok::<PathBuf, io::Error>(folder.join(path.file_name().unwrap_or_default()))
    };
    Ok(place(a)? == place(b)?)
}

/// A file that is written and synced, but not yet moved to its place. It is deleted when dropped.
pub struct Prepared {
    file: NamedTempFile,
    path: PathBuf,
    access: Access,
}

impl Prepared {
    /// Writes the file beside its place.
    ///
    /// # Errors
    /// As [`write_whole`].
    pub fn new(
        path: &Path,
        access: Access,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Self> {
        check(path, access)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".pic-").permissions(permissions(access));
        let mut file = builder.tempfile_in(folder_of(path))?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        Ok(Self { file, path: path.into(), access })
    }

    /// Moves the file to its place.
    ///
    /// # Errors
    /// As [`write_whole`].
    pub fn place(self) -> io::Result<()> {
        let Self { file, path, access } = self;
        check(&path, access)?;
        if access.replaces_files() { file.persist(&path) } else { file.persist_noclobber(&path) }?;
        sync_folder(folder_of(&path))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn permissions(access: Access) -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    // The mask of the process is applied to it.
    Permissions::from_mode(if access == Access::Shared { 0o666 } else { 0o600 })
}

/// Makes the rename durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
compile_error!("file modes are written for Unix; say here how a private file is made elsewhere");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Kind, VERSION, Writer};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const ALL: [Access; 5] = [
        Access::Shared,
        Access::Private { overwrite: true },
        Access::Private { overwrite: false },
        Access::SecretKey { overwrite: true },
        Access::SecretKey { overwrite: false },
    ];

    fn secret_key() -> Vec<u8> {
        let writer = Writer::new(Vec::new(), Kind::SecretKey, blake3::hash(b"program")).unwrap();
        writer.finish().unwrap()
    }

    fn reason(error: &io::Error) -> Option<Irreplaceable> {
        error.get_ref()?.downcast_ref().copied()
    }

    #[test]
    fn only_a_secret_key_replaces_a_secret_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        let mut of_other_version = secret_key();
        of_other_version[8] = VERSION as u8 + 1;
        for key in [secret_key(), secret_key()[..HEADER_START].to_vec(), of_other_version] {
            fs::write(&path, &key).unwrap();
            for access in ALL {
                for target in [&path, &link] {
                    let result = write_whole(target, access, |f| f.write_all(b"new"));
                    if access == (Access::SecretKey { overwrite: true }) {
                        result.unwrap();
                        assert_eq!(fs::read(target).unwrap(), b"new");
                        fs::write(&path, &key).unwrap();
                        let _ = fs::remove_file(&link);
                        symlink(&path, &link).unwrap();
                        continue;
                    }
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{access:?}");
                    let expected = access.replaces_files().then_some(Irreplaceable::SecretKey);
                    assert_eq!(reason(&error), expected, "{access:?}");
                    assert_eq!(fs::read(&path).unwrap(), key);
                }
            }
        }
        // Other kinds, and what only begins alike, are replaced.
        let mut artifact = secret_key();
        artifact[12] = Kind::Artifact as u8;
        for content in [&artifact[..], &secret_key()[..HEADER_START - 1], b""] {
            fs::write(&path, content).unwrap();
            write_whole(&path, Access::Shared, |f| f.write_all(b"new")).unwrap();
            // By a secret key only what is empty.
            fs::write(&path, content).unwrap();
            let result = write_whole(&path, Access::SecretKey { overwrite: true }, |_| Ok(()));
            let expected = (!content.is_empty()).then_some(Irreplaceable::NoSecretKey);
            assert_eq!(result.err().as_ref().and_then(reason), expected);
        }
    }

    #[test]
    fn a_secret_key_that_comes_while_writing_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let write = |file: &mut File| fs::write(&path, secret_key()).and(file.write_all(b"new"));
        let error = write_whole(&path, Access::Shared, write).unwrap_err();
        assert_eq!(reason(&error), Some(Irreplaceable::SecretKey));
        assert_eq!(fs::read(&path).unwrap(), secret_key());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        for (path, kind) in
            [("/dev/null", io::ErrorKind::AlreadyExists), ("/", io::ErrorKind::IsADirectory)]
        {
            let error = write_whole(Path::new(path), Access::Shared, |_| Ok(())).unwrap_err();
            assert_eq!(error.kind(), kind, "{path}");
        }
    }

    #[test]
    fn one_file_by_two_names_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink(at("sub"), at("alias")).unwrap();
        let same = |a: &str, b: &str| same_file(&at(a), &at(b)).unwrap();
        // None exists yet.
        assert!(same("k", "./k") && same("k", "sub/../k") && same("sub/k", "alias/k"));
        assert!(!same("k", "sub/k"));
        // A link that leads to where nothing is yet: replaced itself, it is a file of its own.
        symlink(at("k"), at("link")).unwrap();
        assert!(!same("k", "link"));
        fs::write(at("k"), b"").unwrap();
        fs::hard_link(at("k"), at("hard")).unwrap();
        assert!(same("k", "link") && same("k", "hard") && same("./k", "k"));
        assert!(!same("k", "new") && !same("k", "sub"));
        same_file(&at("k"), &at("missing/k")).unwrap_err();
    }

    #[test]
    fn private_files_are_private_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let write = |overwrite, content: &[u8]| {
            write_whole(&path, Access::Private { overwrite }, |f| f.write_all(content))
        };
        write(false, b"one").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write(false, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(true, b"three").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn failed_writes_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write_whole(&path, Access::Shared, |f| f.write_all(b"old")).unwrap();
        let failing = |f: &mut File| f.write_all(b"half").and(Err(io::Error::other("full")));
        write_whole(&path, Access::Shared, failing).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
