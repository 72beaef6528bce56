//! A client's keys as files.

use std::io::{self, Write};
use std::path::Path;

use super::{Client, SECRET};
use crate::Error;
use crate::container::{Kind, Writer};
use crate::output_file::{Access, Irreplaceable, Prepared, check, same_file};

impl Client {
    /// Writes the secret key, readable by the owner alone. Whoever has the file can decrypt.
    ///
    /// # Errors
    /// [`Error::Write`]; of kind [`io::ErrorKind::AlreadyExists`] if the file exists and `overwrite` is not set.
    pub fn write_secret_key(&self, path: &Path, overwrite: bool) -> Result<(), Error> {
        self.prepare_secret_key(path, overwrite)?.place().map_err(Error::write(path))
    }

    /// Makes the evaluation keys that the program takes, and no others, and writes them.
    ///
    /// # Errors
    /// [`Error::Ckks`], [`Error::Write`].
    pub fn write_evaluation_keys(&self, path: &Path) -> Result<(), Error> {
        self.prepare_evaluation_keys(path)?.place().map_err(Error::write(path))
    }

    /// Makes and writes both: if anything fails, no file has changed, but for what another process changes
    /// meanwhile.
    ///
    /// # Errors
    /// Those of [`Client::write_secret_key`] and [`Client::write_evaluation_keys`]; [`Error::Write`] for
    /// [`Irreplaceable::Output`] if both are the same file.
    pub fn write_key_pair(
        &self,
        secret_key: &Path,
        evaluation_keys: &Path,
        overwrite: bool,
    ) -> Result<(), Error> {
        // What can be refused is refused before minutes of work.
        check(secret_key, Access::SecretKey { overwrite }).map_err(Error::write(secret_key))?;
        match same_file(secret_key, evaluation_keys) {
            Ok(false) => {}
            Ok(true) => {
                return Err(Error::write(evaluation_keys)(Irreplaceable::Output.into()));
            }
            Err(error) => return Err(Error::write(evaluation_keys)(error)),
        }
        let evaluation = self.prepare_evaluation_keys(evaluation_keys)?;
        let secret = self.prepare_secret_key(secret_key, overwrite)?;
        let is_new = !secret_key.exists();
        secret.place().map_err(Error::write(secret_key))?;
        evaluation.place().map_err(|error| {
            if is_new {
                // Half of a pair is of no use; that it cannot be removed is less to know than the error.
                let _ = std::fs::remove_file(secret_key);
            }
            Error::write(evaluation_keys)(error)
        })
    }

    fn prepare_secret_key(&self, path: &Path, overwrite: bool) -> Result<Prepared, Error> {
        let bytes = self.secret.to_bytes();
        // Unbuffered: no copy of the secret is left in memory.
        let write = |file: &mut std::fs::File| {
            let mut writer = Writer::new(file, Kind::SecretKey, self.origin.program)?;
            writer.raw(SECRET, |w| w.write_all(&bytes))?;
            writer.finish().map(drop)
        };
        Prepared::new(path, Access::SecretKey { overwrite }, write).map_err(Error::write(path))
    }

    fn prepare_evaluation_keys(&self, path: &Path) -> Result<Prepared, Error> {
        check(path, Access::Shared).map_err(Error::write(path))?;
        let keys = self.evaluation_keys()?;
        let write = |file: &mut std::fs::File| -> io::Result<()> {
            super::evaluation_keys::write(&keys, &self.context, self.origin, file)
        };
        Prepared::new(path, Access::Shared, write).map_err(Error::write(path))
    }
}
