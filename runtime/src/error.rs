//! Errors of files, keys, ciphertexts and programs.

use std::io;
use std::path::{Path, PathBuf};

use pic_ckks::model::Parameters;
use pic_ir::activations::ActivationsError;
use pic_ir::network::NetworkError;
use pic_ir::program::ProgramError;

use crate::container::{ContainerError, ProgramHash};

/// Reason why a file, sample, key or ciphertext is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read, or is not of the expected kind or form.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: ContainerError,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// The cause; of kind [`io::ErrorKind::AlreadyExists`] for a secret key that must not be replaced.
        source: io::Error,
    },
    /// Bytes in memory or a section of a file violate the container format.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A section does not decode.
    #[error("section `{section}` does not decode: {source}")]
    Decode {
        /// Name of the section.
        section: &'static str,
        /// The cause.
        source: postcard::Error,
    },
    /// The artifact lacks a part, because it was written for clients or servers.
    #[error("the artifact has no `{part}` part: it was written for others to use without it")]
    MissingPart {
        /// Name of the part: `client`, `program` or `model`.
        part: &'static str,
    },
    /// The parameters claim no security.
    #[error("refused: {0} does not protect anything")]
    Insecure(Parameters),
    /// The parts of an artifact do not have the program hash that its header states.
    #[error("the artifact names program {stated}, but holds parts of program {found}")]
    ProgramHash {
        /// Hash in the header.
        stated: ProgramHash,
        /// Hash of the parts.
        found: ProgramHash,
    },
    /// A part of an artifact does not have the hash that belongs to the program: whoever made the file has changed
    /// it.
    #[error("the `{part}` part of the artifact has hash {found}, that of its program has {stated}")]
    PartHash {
        /// Name of the part: `client` or `program`.
        part: &'static str,
        /// Hash that the file names.
        stated: blake3::Hash,
        /// Hash of the part.
        found: blake3::Hash,
    },
    /// The hashes of an artifact's parts are malformed.
    #[error("the hashes of the artifact's parts are malformed")]
    Parts,
    /// An answer belongs to another batch of samples.
    #[error("the answer belongs to question {found}, not to question {expected}")]
    OtherQuestion {
        /// Hash of the batch in use.
        expected: blake3::Hash,
        /// Hash that the answer names.
        found: blake3::Hash,
    },
    /// The precision of the program is too low for its answers to be shared.
    #[error(
        "answers cannot be shared: hiding the scheme's error in {queries} answers takes {needed:.1} bits of precision, \
         the program has {available:.1}, which is {:.1} too few", needed - available
    )]
    SharingPrecision {
        /// Number of answers to be shared.
        queries: u64,
        /// Precision needed, bits.
        needed: f64,
        /// Precision predicted, bits.
        available: f64,
    },
    /// Sharing more answers would exceed the limit for one secret key.
    #[error(
        "{shared} answers under this secret key have been shared, {asked} more would be above the limit of {limit}"
    )]
    SharingLimit {
        /// Number of answers that have been shared.
        shared: u64,
        /// Number of answers to be shared now.
        asked: u64,
        /// Largest number in all.
        limit: u64,
    },
    /// Earlier answers under this secret key were shared with the noise for another number of answers.
    #[error(
        "the first answer under this secret key was shared as one of {first}, with the noise for so many: this one cannot be one of {asked}"
    )]
    SharingQueries {
        /// Number of answers for which the noise was chosen.
        first: u64,
        /// Number of answers requested now.
        asked: u64,
    },
    /// The hash of the question that an answer names is malformed.
    #[error("the hash of the question that the answer belongs to is malformed")]
    Question,
    /// A key or ciphertext belongs to another program.
    #[error("{what} belongs to program {found}, not to program {expected}")]
    OtherProgram {
        /// Name of the object, such as "evaluation keys".
        what: &'static str,
        /// Hash of the program in use.
        expected: ProgramHash,
        /// Hash of the program that the object names.
        found: ProgramHash,
    },
    /// A key or ciphertext belongs to another secret key.
    #[error("{what} was made with another secret key")]
    OtherKey {
        /// Name of the object.
        what: &'static str,
    },
    /// The identifier of the secret key is malformed.
    #[error("the identifier of the secret key is malformed")]
    KeyId,
    /// The program is malformed.
    #[error("malformed program: {0}")]
    Program(#[from] ProgramError),
    /// The client's part is inconsistent, or contradicts the program.
    #[error("the client's part of the artifact is malformed or not that of its program")]
    ClientPart,
    /// The network is malformed.
    #[error("malformed network: {0}")]
    Network(#[from] NetworkError),
    /// The activations do not fit the network.
    #[error("malformed activations: {0}")]
    Activations(#[from] ActivationsError),
    /// A sample has the wrong number of elements.
    #[error("sample {sample} has {found} values, the input {shape:?} takes {expected}")]
    SampleLength {
        /// Position of the sample in its batch.
        sample: usize,
        /// Number of elements given.
        found: usize,
        /// Number of elements needed.
        expected: usize,
        /// Extents of the input.
        shape: Vec<usize>,
    },
    /// An element of a sample is infinite or not a number.
    #[error("sample {sample}: value {index} is {value}")]
    NotFinite {
        /// Position of the sample in its batch.
        sample: usize,
        /// Position of the element in the sample.
        index: usize,
        /// The value.
        value: f32,
    },
    /// An element is outside the range that the program was made for. The answer would be wrong, and look like a
    /// right one.
    #[error(
        "sample {sample}: value {index}{} is {value}, and the model was calibrated for {:.4} to {:.4}: \
         the answer would be wrong", after_preprocessing(*.preprocessed), range[0], range[1]
    )]
    OutOfRange {
        /// Position of the sample in its batch.
        sample: usize,
        /// Position of the element in the sample.
        index: usize,
        /// The value after preprocessing.
        value: f32,
        /// Smallest and largest value that are encrypted.
        range: [f64; 2],
        /// True if preprocessing changes values.
        preprocessed: bool,
    },
    /// The number or size of ciphertexts is not the one that the file states.
    #[error(
        "the batch is malformed: {samples} samples of {ciphertexts} ciphertexts in {bytes} bytes"
    )]
    Batch {
        /// Number of samples stated.
        samples: u32,
        /// Number of ciphertexts per sample stated.
        ciphertexts: u32,
        /// Number of bytes present.
        bytes: usize,
    },
    /// A ciphertext does not have the form that the program needs at this place.
    #[error("ciphertext with {property} {found}, the program needs {expected}")]
    Conformance {
        /// Name of the property: number of ciphertexts, level, scale or slots.
        property: &'static str,
        /// Value that the program states.
        expected: f64,
        /// Value found.
        found: f64,
    },
    /// The work takes more memory than is available or permitted.
    #[error("{work} takes {needed} bytes of memory, {available} are available")]
    Memory {
        /// Description of the work, such as "running this program".
        work: &'static str,
        /// Lower bound on the memory needed, bytes.
        needed: u64,
        /// Memory available or permitted, bytes.
        available: u64,
    },
    /// The scheme refused an operation, or the bytes of a key or ciphertext.
    #[error(transparent)]
    Ckks(#[from] pic_ckks::Error),
    /// The system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] pic_ckks::ring::RingError),
}

fn after_preprocessing(preprocessed: bool) -> &'static str {
    if preprocessed { " after preprocessing" } else { "" }
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(ContainerError) -> Self {
        move |source| Self::Read { path: path.into(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.into(), source }
    }
}
