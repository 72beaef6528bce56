//! Key files of a client.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::{Client, SECRET};
use crate::Error;
use crate::container::{Kind, Writer};
use crate::output_file::{Access, Irreplaceable, Prepared, check, same_file};

impl Client {
    /// Writes the secret key, readable by the owner alone. Whoever has the file can decrypt.
    ///
    /// # Errors
    /// [`Error::Write`]; of kind [`std::io::ErrorKind::AlreadyExists`] if the file exists and `overwrite` is not set.
    pub fn write_secret_key(&self, path: &Path, overwrite: bool) -> Result<(), Error> {
        self.prepare_secret_key(path, overwrite)?.place().map_err(Error::write(path))
    }

    /// Makes the evaluation keys that the program takes, and no others, and writes them.
    ///
    /// # Errors
    /// [`Error::Ckks`], [`Error::Write`].
    pub fn write_evaluation_keys(&self, path: &Path) -> Result<(), Error> {
        check(path, Access::Shared).map_err(Error::write(path))?;
        self.prepare_evaluation_keys(path)?.place().map_err(Error::write(path))
    }

    /// Makes and writes secret key and evaluation keys. If anything fails before the files are moved to their
    /// places, no file has changed; if the move fails, there is no new secret key, and no old one is lost.
    ///
    /// # Errors
    /// The errors of [`Client::write_secret_key`] and [`Client::write_evaluation_keys`]; [`Error::Write`] for
    /// [`Irreplaceable::Output`] if both are the same file.
    pub fn write_key_pair(
        &self,
        secret_key: &Path,
        evaluation_keys: &Path,
        overwrite: bool,
    ) -> Result<(), Error> {
        Self::check_key_pair(secret_key, evaluation_keys, overwrite)?;
        let evaluation = self.prepare_evaluation_keys(evaluation_keys)?;
        let secret = self.prepare_secret_key(secret_key, overwrite)?;
        if overwrite {
            // The old secret key goes last, when nothing else can fail.
            evaluation.place().map_err(Error::write(evaluation_keys))?;
            return secret.place().map_err(Error::write(secret_key));
        }
        secret.place().map_err(Error::write(secret_key))?;
        evaluation.place().map_err(|error| {
            // It is new, and half of a pair is of no use. If it cannot be removed, the first error says more.
            let _ = std::fs::remove_file(secret_key);
            Error::write(evaluation_keys)(error)
        })
    }

    /// Checks in advance the conditions on which [`Client::write_key_pair`] refuses to write, before minutes of
    /// work.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn check_key_pair(
        secret_key: &Path,
        evaluation_keys: &Path,
        overwrite: bool,
    ) -> Result<(), Error> {
        check(secret_key, Access::SecretKey { overwrite }).map_err(Error::write(secret_key))?;
        check(evaluation_keys, Access::Shared).map_err(Error::write(evaluation_keys))?;
        match same_file(secret_key, evaluation_keys) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::write(evaluation_keys)(Irreplaceable::Output.into())),
            Err(error) => Err(Error::write(evaluation_keys)(error)),
        }
    }

    fn prepare_secret_key(&self, path: &Path, overwrite: bool) -> Result<Prepared, Error> {
        let bytes = self.secret.to_bytes();
        // Unbuffered: no copy of the secret is left in memory.
        let write = |file: &mut File| {
            let mut writer = Writer::new(file, Kind::SecretKey, self.binding.program)?;
            writer.raw(SECRET, |w| w.write_all(&bytes))?;
            writer.finish().map(drop)
        };
        Prepared::new(path, Access::SecretKey { overwrite }, write).map_err(Error::write(path))
    }

    fn prepare_evaluation_keys(&self, path: &Path) -> Result<Prepared, Error> {
        let keys = self.evaluation_keys()?;
        let write = |file: &mut File| super::evaluation_keys::write(keys, self.binding, file);
        Prepared::new(path, Access::Shared, write).map_err(Error::write(path))
    }
}
