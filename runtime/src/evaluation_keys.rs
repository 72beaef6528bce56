//! Evaluation keys as files: what a client hands to the server that computes for it.
//!
//! They decrypt nothing. They stay serialised here, in memory or in their file; a server expands them.

use std::path::{Path, PathBuf};

use pic_ckks::EvaluationKeys;
use pic_ckks::model::KeyRequest;

use crate::Error;
use crate::artifact::ClientInfo;
use crate::container::{Container, ContainerFile, Kind};
use crate::key_binding::KeyBinding;

const KEY: &str = "key";
const EVALUATION_KEYS: &str = "evaluation keys";

/// Sizes of the evaluation keys of a program, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySizes {
    /// Memory that the client takes while it makes keys: the largest key, once for each thread of this machine.
    pub making_bytes: u64,
    /// Memory that the keys take in a server, which expands them.
    pub server_bytes: u64,
    /// Length of the key file, without its headers of some hundred bytes.
    pub file_bytes: u64,
}

impl ClientInfo {
    /// Sizes of the program's evaluation keys, computed without making them.
    pub fn key_sizes(&self) -> KeySizes {
        let largest =
            KeyRequest { relinearization: self.keys.highest_level(), ..KeyRequest::default() };
        KeySizes {
            making_bytes: largest.bytes(&self.parameters) * rayon::current_num_threads() as u64,
            server_bytes: self.keys.bytes(&self.parameters),
            file_bytes: EvaluationKeys::serialized_bytes(&self.parameters, &self.keys),
        }
    }
}

/// The serialised evaluation keys of one client for one program, in memory or in a file.
#[derive(Debug)]
pub struct EvaluationKeyFile(Source);

#[derive(Debug)]
enum Source {
    Memory(Container),
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "servers alone expand keys"))]
    File {
        file: ContainerFile,
        path: PathBuf,
    },
}

impl EvaluationKeyFile {
    /// Opens a file. It is read when a server expands the keys, and not held in memory.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = ContainerFile::open(path, Kind::EvaluationKeys).map_err(Error::read(path))?;
        Ok(Self(Source::File { file, path: path.into() }))
    }

    /// Reads keys from the content of a key file.
    ///
    /// # Errors
    /// [`Error::Container`].
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, Error> {
        Ok(Self(Source::Memory(Container::parse(bytes, Kind::EvaluationKeys)?)))
    }

    /// Content of the key file if the keys are in memory; none if they are in a file.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Source::Memory(container) => Some(container.as_bytes()),
            Source::File { .. } => None,
        }
    }
}

/// Makes keys and writes each when it is made.
#[cfg(feature = "client")]
pub(crate) fn write(
    keys: pic_ckks::KeyGeneration,
    binding: KeyBinding,
    output: impl std::io::Write,
) -> std::io::Result<()> {
    use std::io::{BufWriter, Write};

    let output = BufWriter::new(output);
    let mut writer = crate::container::Writer::new(output, Kind::EvaluationKeys, binding.program)?;
    writer.raw(KEY, |w| w.write_all(&binding.key))?;
    writer.raw(EVALUATION_KEYS, |w| keys.write_to(w))?;
    writer.finish()?.flush()
}

#[cfg(feature = "server")]
mod expand {
    use std::io::Read;

    use pic_ckks::Context;
    use pic_ckks::model::KeyRequest;

    use super::{
        EVALUATION_KEYS, Error, EvaluationKeyFile, EvaluationKeys, KEY, KeyBinding, Source,
    };
    use crate::container::ContainerError;
    use crate::key_binding::KeyId;

    impl EvaluationKeyFile {
        /// Program and secret key that the keys belong to.
        pub(crate) fn binding(&self) -> Result<KeyBinding, Error> {
            let program = match &self.0 {
                Source::Memory(container) => container.program_hash(),
                Source::File { file, .. } => file.program_hash(),
            };
            let mut key = Vec::new();
            // One byte more than there should be shows that there are more.
            let limit = size_of::<KeyId>() as u64 + 1;
            self.read(KEY, |content| {
                let read = content.take(limit).read_to_end(&mut key);
                read.map(drop).map_err(|error| ContainerError::from(error).into())
            })?;
            Ok(KeyBinding { program, key: key.try_into().map_err(|_| Error::KeyId)? })
        }

        /// Expands the keys for computation. They must be those that are requested.
        pub(crate) fn expand(
            &self,
            context: &Context,
            request: &KeyRequest,
        ) -> Result<EvaluationKeys, Error> {
            self.read(EVALUATION_KEYS, |content| {
                Ok(EvaluationKeys::read_requested(context, request, content)?)
            })
        }

        /// Calls `read` with the content of a section.
        fn read<T>(
            &self,
            name: &'static str,
            read: impl FnOnce(&mut dyn Read) -> Result<T, Error>,
        ) -> Result<T, Error> {
            match &self.0 {
                Source::Memory(container) => read(&mut container.raw(name)?),
                Source::File { file, path } => file.raw(name, read).map_err(|error| match error {
                    Error::Container(source) => Error::read(path)(source),
                    other => other,
                }),
            }
        }
    }
}
