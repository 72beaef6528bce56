//! What can go wrong between files, keys, ciphertexts and programs.

use std::io;
use std::path::{Path, PathBuf};

use pic_ckks::model::Parameters;
use pic_ir::activations::ActivationsError;
use pic_ir::network::NetworkError;
use pic_ir::program::ProgramError;

use crate::container::{ContainerError, ProgramHash};

/// A refused file, sample, key or ciphertext.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read, or is not what it should be.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ContainerError,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why; [`io::ErrorKind::AlreadyExists`] for a secret key that must not be replaced.
        source: io::Error,
    },
    /// Bytes in memory, or a section of a file, are not what they should be.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A section does not decode.
    #[error("section `{section}` does not decode: {source}")]
    Decode {
        /// The section.
        section: &'static str,
        /// Why.
        source: postcard::Error,
    },
    /// The artifact was written for clients, without the part that is asked for.
    #[error("the artifact has no `{part}` part: it was written for others to use without it")]
    MissingPart {
        /// `program` or `model`.
        part: &'static str,
    },
    /// The parameters claim no security.
    #[error("refused: {0} does not protect anything")]
    Insecure(Parameters),
    /// The parts of an artifact are not those of the program that it names.
    #[error("the artifact names program {stated}, but holds parts of program {found}")]
    ProgramHash {
        /// Hash in the header.
        stated: ProgramHash,
        /// Hash of the parts.
        found: ProgramHash,
    },
    /// A part of an artifact is not the one that belongs to the program: whoever made the file has changed it.
    #[error("the `{part}` part of the artifact has hash {found}, that of its program has {stated}")]
    PartHash {
        /// `client` or `program`.
        part: &'static str,
        /// Hash that the file names.
        stated: blake3::Hash,
        /// Hash of the part.
        found: blake3::Hash,
    },
    /// The hashes of an artifact's parts are malformed.
    #[error("the hashes of the artifact's parts are malformed")]
    Parts,
    /// An answer to another question.
    #[error("the answer belongs to question {found}, not to question {expected}")]
    OtherQuestion {
        /// Hash of the question in use.
        expected: blake3::Hash,
        /// Hash that the answer names.
        found: blake3::Hash,
    },
    /// The program's answers are too coarse to be shared.
    #[error(
        "answers cannot be shared: hiding the scheme's error in {queries} answers takes {needed:.1} bits of precision, \
         the program has {available:.1}, which is {:.1} too few", needed - available
    )]
    SharingPrecision {
        /// Answers to be shared.
        queries: u64,
        /// Bits needed.
        needed: f64,
        /// Bits predicted.
        available: f64,
    },
    /// As many answers have been shared as one secret key allows.
    #[error(
        "{shared} answers under this secret key have been shared, {asked} more would be above the limit of {limit}"
    )]
    SharingLimit {
        /// Answers shared.
        shared: u64,
        /// Answers to be shared now.
        asked: u64,
        /// The most.
        limit: u64,
    },
    /// Answers under one secret key were shared with the noise for another number of them.
    #[error(
        "the first answer under this secret key was shared as one of {first}, with the noise for so many: this one cannot be one of {asked}"
    )]
    SharingQueries {
        /// Answers that may be shared.
        first: u64,
        /// The number asked for now.
        asked: u64,
    },
    /// The hash of the question that an answer names is malformed.
    #[error("the hash of the question that the answer belongs to is malformed")]
    Question,
    /// A key or ciphertext belongs to another program.
    #[error("{what} belongs to program {found}, not to program {expected}")]
    OtherProgram {
        /// Which object.
        what: &'static str,
        /// Program in use.
        expected: ProgramHash,
        /// Program of the object.
        found: ProgramHash,
    },
    /// Keys and ciphertexts of different clients.
    #[error("{what} was made with another secret key")]
    OtherKey {
        /// Which object.
        what: &'static str,
    },
    /// The identifier of the secret key is malformed.
    #[error("the identifier of the secret key is malformed")]
    KeyId,
    /// The program is malformed.
    #[error("malformed program: {0}")]
    Program(#[from] ProgramError),
    /// The client's part contradicts itself, or the program.
    #[error("the client's part of the artifact is malformed or not that of its program")]
    ClientPart,
    /// The network is malformed.
    #[error("malformed network: {0}")]
    Network(#[from] NetworkError),
    /// The activations do not fit the network.
    #[error("malformed activations: {0}")]
    Activations(#[from] ActivationsError),
    /// A sample of the wrong size.
    #[error("sample {sample} has {found} values, the input {shape:?} takes {expected}")]
    SampleLength {
        /// Position in the batch.
        sample: usize,
        /// Values given.
        found: usize,
        /// Values needed.
        expected: usize,
        /// Extents of the input.
        shape: Vec<usize>,
    },
    /// An input is infinite or not a number.
    #[error("sample {sample}: value {index} is {value}")]
    NotFinite {
        /// Position in the batch.
        sample: usize,
        /// Position in the sample.
        index: usize,
        /// The value.
        value: f32,
    },
    /// An input is outside the range that the program was made for: its answer would be wrong, and look like one.
    #[error(
        "sample {sample}: value {index}{} is {value}, and the model was calibrated for {:.4} to {:.4}: \
         the answer would be wrong", after_preprocessing(*.preprocessed), range[0], range[1]
    )]
    OutOfRange {
        /// Position in the batch.
        sample: usize,
        /// Position in the sample.
        index: usize,
        /// The value, as the network takes it.
        value: f32,
        /// The least and the greatest value that are encrypted.
        range: [f64; 2],
        /// Whether values are changed by preprocessing.
        preprocessed: bool,
    },
    /// The number or size of ciphertexts is not what the file states.
    #[error(
        "the batch is malformed: {samples} samples of {ciphertexts} ciphertexts in {bytes} bytes"
    )]
    Batch {
        /// Samples stated.
        samples: u32,
        /// Ciphertexts per sample stated.
        ciphertexts: u32,
        /// Bytes present.
        bytes: usize,
    },
    /// A ciphertext is not at the place in the program where it is used.
    #[error("ciphertext with {property} {found}, the program needs {expected}")]
    Conformance {
        /// Number of ciphertexts, level, scale or slots.
        property: &'static str,
        /// As the program says.
        expected: f64,
        /// As found.
        found: f64,
    },
    /// Work that takes more memory than is available, or than it may have.
    #[error("{work} takes {needed} bytes of memory, {available} are available")]
    Memory {
        /// The work, as "running this program".
        work: &'static str,
        /// Bytes that it takes at least.
        needed: u64,
        /// Bytes that there are, or that it may have.
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
