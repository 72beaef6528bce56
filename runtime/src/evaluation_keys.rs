//! Evaluation keys as files: what a client hands to the server that computes for it.
//!
//! They decrypt nothing. They stay serialised here, in memory or mapped; a server expands them.

use std::path::Path;

use pic_ckks::{Context, EvaluationKeys};

use crate::Error;
use crate::container::{Container, Kind};
use crate::origin::Origin;

const KEY: &str = "key";
const EVALUATION_KEYS: &str = "evaluation keys";

/// The evaluation keys of one client for one program.
#[derive(Debug)]
pub struct EvaluationKeyFile(Container);

impl EvaluationKeyFile {
    /// Maps a file.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Container::open(path, Kind::EvaluationKeys).map(Self).map_err(Error::read(path))
    }

    /// Takes a file's content.
    ///
    /// # Errors
    /// [`Error::Container`].
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, Error> {
        Ok(Self(Container::parse(bytes, Kind::EvaluationKeys)?))
    }

    /// The file's content.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Writes the keys as they come, without a second copy in memory.
#[cfg(feature = "client")]
pub(crate) fn write(
    keys: &EvaluationKeys,
    context: &Context,
    origin: Origin,
    output: impl std::io::Write,
) -> std::io::Result<()> {
    use std::io::{BufWriter, Write};

    let output = BufWriter::new(output);
    let mut writer = crate::container::Writer::new(output, Kind::EvaluationKeys, origin.program)?;
    writer.raw(KEY, |w| w.write_all(&origin.key))?;
    writer.raw(EVALUATION_KEYS, |w| keys.write_to(context, w))?;
    writer.finish()?.flush()
}

#[cfg(feature = "server")]
impl EvaluationKeyFile {
    /// What the keys are for.
    pub(crate) fn origin(&self) -> Result<Origin, Error> {
        let key = self.0.raw(KEY)?.try_into().map_err(|_| Error::KeyId)?;
        Ok(Origin { program: self.0.program_hash(), key })
    }

    /// Expands the keys for computation.
    pub(crate) fn expand(&self, context: &Context) -> Result<EvaluationKeys, Error> {
        Ok(EvaluationKeys::from_bytes(context, self.0.raw(EVALUATION_KEYS)?)?)
    }
}
