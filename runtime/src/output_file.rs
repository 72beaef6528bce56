//! Output files that are whole or absent: written beside their place, synced, then renamed.

use std::fs::{File, Permissions};
use std::io;
use std::path::Path;

/// Who may read a new file, and whether it may take the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Readable as the process's file mode mask says; replaces an existing file.
    Shared,
    /// Readable by the owner alone (mode 0600).
    Private {
        /// Whether an existing file may be replaced.
        overwrite: bool,
    },
}

/// Creates `path` with what `write` puts into the file, or leaves everything as it was.
///
/// # Errors
/// Those of `write` and of the file system; [`io::ErrorKind::AlreadyExists`] where the file must not
/// be replaced.
pub fn write_whole(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pic-").permissions(permissions(access));
    let mut file = builder.tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    match access {
        Access::Private { overwrite: false } => file.persist_noclobber(path),
        _ => file.persist(path),
    }?;
    sync_folder(folder)
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
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

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
