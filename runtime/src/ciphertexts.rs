//! Batches of encrypted samples and answers, as files.
//!
//! A file holds the ciphertexts of one or more samples, in order, each of the same size. Only their
//! number and binding are checked here; a ciphertext's own bytes are checked where it is used, since
//! that takes the program's parameters.
//!
//! An answer names the question that it belongs to, by the hash of the batch of samples: so a client finds answers that were mixed up
//! or sent again. It proves nothing against a server that lies: that can compute what it likes and name any
//! question.

use std::io::Write;
use std::marker::PhantomData;
use std::path::Path;

use pic_ckks::Ciphertext;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Kind, ProgramHash, Writer};
use crate::key_binding::{KeyBinding, KeyId};
use crate::output_file::{Access, write_whole};
use crate::{Error, decode};

const SHAPE: &str = "shape";
const CIPHERTEXTS: &str = "ciphertexts";
const QUESTION: &str = "question";
const RANGE_CHECKS: &str = "range checks";

/// Samples encrypted by a client.
pub type EncryptedInput = Encrypted<Input>;

/// Results computed by a server.
pub type EncryptedOutput = Encrypted<Output>;

/// Marks encrypted samples, which a client sends.
#[derive(Debug)]
pub enum Input {}

/// Marks encrypted answers, which a server returns.
#[derive(Debug)]
pub enum Output {}

/// Direction of a batch: to the server or to the client.
pub trait Direction {
    /// Kind of the files.
    const KIND: Kind;
}

impl Direction for Input {
    const KIND: Kind = Kind::EncryptedInput;
}

impl Direction for Output {
    const KIND: Kind = Kind::EncryptedOutput;
}

/// The ciphertexts of a batch of samples.
#[derive(Debug)]
pub struct Encrypted<D> {
    container: Container,
    shape: Shape,
    /// Hash of the samples that are answered; none for samples.
    question: Option<blake3::Hash>,
    direction: PhantomData<D>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Shape {
    key: KeyId,
    samples: u32,
    /// Number of ciphertexts per sample.
    ciphertexts: u32,
}

impl<D: Direction> Encrypted<D> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Read`], and those of [`Encrypted::from_bytes`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::new(Container::open(path, D::KIND).map_err(Error::read(path))?)
    }

    /// Reads a batch from the content of its file, [`Encrypted::as_bytes`].
    ///
    /// # Errors
    /// [`Error::Container`], [`Error::Decode`], [`Error::Batch`].
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, Error> {
        Self::new(Container::parse(bytes, D::KIND)?)
    }

    /// Content of the batch's file.
    pub fn as_bytes(&self) -> &[u8] {
        self.container.as_bytes()
    }

    /// Writes the batch to a file, whole or not at all. An existing regular file is replaced unless it is a secret key.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_whole(path, Access::Shared, |file| file.write_all(self.as_bytes()))
            .map_err(Error::write(path))
    }

    /// Hash of the program that the ciphertexts belong to.
    pub fn program_hash(&self) -> ProgramHash {
        self.container.program_hash()
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.shape.samples as usize
    }

    /// Joins the serialised ciphertexts of samples. Answers have their question and, for some programs, one more
    /// ciphertext a sample.
    fn join(
        binding: KeyBinding,
        samples: &[Vec<Vec<u8>>],
        question: Option<blake3::Hash>,
        range_checks: &[Vec<u8>],
    ) -> Result<Self, Error> {
        let ciphertexts = samples.first().map_or(0, Vec::len) as u32;
        let shape = Shape { key: binding.key, samples: samples.len() as u32, ciphertexts };
        let shape = postcard::to_stdvec(&shape).expect("plain data types encode to memory");
        let write = || {
            let mut writer = Writer::new(Vec::new(), D::KIND, binding.program)?;
            writer.raw(SHAPE, |w| w.write_all(&shape))?;
            if let Some(question) = question {
                writer.raw(QUESTION, |w| w.write_all(question.as_bytes()))?;
            }
            writer
                .raw(CIPHERTEXTS, |w| samples.iter().flatten().try_for_each(|c| w.write_all(c)))?;
            if !range_checks.is_empty() {
                writer
                    .raw(RANGE_CHECKS, |w| range_checks.iter().try_for_each(|c| w.write_all(c)))?;
            }
            writer.finish()
        };
        Self::from_bytes(write().expect("writing to memory does not fail"))
    }

    /// Refuses batches of another binding, or of another number of ciphertexts per sample.
    pub(crate) fn check(&self, binding: &KeyBinding, ciphertexts: usize) -> Result<(), Error> {
        let found = KeyBinding { program: self.program_hash(), key: self.shape.key };
        binding.check("the batch of ciphertexts", &found)?;
        conform("number of ciphertexts", ciphertexts as f64, f64::from(self.shape.ciphertexts))
    }

    /// The serialised ciphertexts of each sample.
    pub(crate) fn iter(&self) -> Result<impl Iterator<Item = Vec<&[u8]>>, Error> {
        let bytes = self.container.raw(CIPHERTEXTS)?;
        let Shape { samples, ciphertexts, .. } = self.shape;
        let count = samples as usize * ciphertexts as usize;
        let size = bytes.len() / count;
        Ok(bytes
            .chunks_exact(size * ciphertexts as usize)
            .map(move |sample| sample.chunks_exact(size).collect()))
    }

    fn new(container: Container) -> Result<Self, Error> {
        let fail = |source| Error::Decode { section: SHAPE, source };
        let shape: Shape = decode::from_bytes(container.raw(SHAPE)?).map_err(fail)?;
        let question = match D::KIND {
            Kind::EncryptedOutput => {
                let hash: Result<[u8; blake3::OUT_LEN], _> = container.raw(QUESTION)?.try_into();
                Some(hash.map_err(|_| Error::Question)?.into())
            }
            _ => None,
        };
        let bytes = container.raw(CIPHERTEXTS)?.len();
        let Shape { samples, ciphertexts, .. } = shape;
        let count = u64::from(samples) * u64::from(ciphertexts);
        if count == 0 || bytes == 0 || !(bytes as u64).is_multiple_of(count) {
            return Err(Error::Batch { samples, ciphertexts, bytes });
        }
        Ok(Self { container, shape, question, direction: PhantomData })
    }
}

impl Encrypted<Input> {
    /// Joins the serialised ciphertexts of samples.
    #[cfg(feature = "client")]
    pub(crate) fn collect(binding: KeyBinding, samples: &[Vec<Vec<u8>>]) -> Result<Self, Error> {
        Self::join(binding, samples, None, &[])
    }

    /// BLAKE3 hash of the file's content, which identifies the batch.
    pub fn hash(&self) -> blake3::Hash {
        blake3::hash(self.as_bytes())
    }
}

impl Encrypted<Output> {
    /// Joins the serialised ciphertexts of answers and of range checks, of which there are none or one for each
    /// answer.
    #[cfg(feature = "server")]
    pub(crate) fn collect(
        binding: KeyBinding,
        answers: &[Vec<Vec<u8>>],
        question: blake3::Hash,
        range_checks: &[Vec<u8>],
    ) -> Result<Self, Error> {
        Self::join(binding, answers, Some(question), range_checks)
    }

    /// The serialised range check of each sample; none if `wanted` is not set.
    #[cfg(feature = "client")]
    pub(crate) fn range_checks(
        &self,
        wanted: bool,
    ) -> Result<impl Iterator<Item = Option<&[u8]>>, Error> {
        let samples = self.samples();
        conform("range checks", f64::from(wanted), f64::from(self.container.has(RANGE_CHECKS)))?;
        let bytes = if wanted { self.container.raw(RANGE_CHECKS)? } else { &[] };
        if !bytes.len().is_multiple_of(samples) || wanted && bytes.is_empty() {
            let (samples, bytes) = (self.shape.samples, bytes.len());
            return Err(Error::Batch { samples, ciphertexts: 1, bytes });
        }
        let size = bytes.len() / samples;
        Ok((0..samples).map(move |k| wanted.then(|| &bytes[k * size..][..size])))
    }

    /// Hash of the batch of samples that these answers belong to, as the server states it.
    pub fn question(&self) -> blake3::Hash {
        self.question.expect("files of answers name their question")
    }

    /// Refuses answers that name another batch than `question`, or that are not as many as its samples. This finds
    /// answers that were mixed up or are incomplete; it is no proof against a server, which can name any batch.
    ///
    /// # Errors
    /// [`Error::OtherQuestion`] if the answers name another batch, [`Error::Conformance`] if their number is not that
    /// of the samples.
    pub fn check_question(&self, question: &EncryptedInput) -> Result<(), Error> {
        let (expected, found) = (question.hash(), self.question());
        if found != expected {
            return Err(Error::OtherQuestion { expected, found });
        }
        conform("samples", question.samples() as f64, self.samples() as f64)
    }
}

/// Refuses a ciphertext whose number of slots, level or scale is not the one expected.
pub(crate) fn check_conformance(
    ciphertext: &Ciphertext,
    log_slots: u32,
    level: usize,
    scale: f64,
) -> Result<(), Error> {
    conform("slots", f64::from(log_slots).exp2(), ciphertext.slots() as f64)?;
    conform("level", level as f64, ciphertext.level() as f64)?;
    conform("limbs", (level + 1) as f64, ciphertext.basis().len() as f64)?;
    conform("scale", scale, ciphertext.scale())
}

fn conform(property: &'static str, expected: f64, found: f64) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Conformance { property, expected, found }) }
}
