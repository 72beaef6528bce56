//! The server: runs a program on encrypted samples.
//!
//! It holds the program and a client's evaluation keys. Nothing that it holds, takes or returns
//! decrypts, and with the feature `server` alone the crate has no type that does:
//!
//! ```
//! use pic_runtime::{EncryptedInput, EncryptedOutput, Error, Server};
//!
//! fn serve(server: &Server, input: &EncryptedInput) -> Result<EncryptedOutput, Error> {
//!     server.run(input)
//! }
//! ```
//! ```compile_fail,E0599
//! use pic_runtime::{EncryptedOutput, Server};
//!
//! fn peek(server: &Server, output: &EncryptedOutput) {
//!     server.decrypt(output);
//! }
//! ```

use pic_ckks::{Context, SeededCiphertext};
use pic_ir::memory::{least_server_bytes, peak_ciphertext_bytes};
use pic_ir::prediction::Memory;
use pic_ir::program::VerifiedProgram;

use crate::Error;
use crate::artifact::Artifact;
use crate::ciphertexts::{EncryptedInput, EncryptedOutput, check_conformance};
use crate::ckks::Ckks;
use crate::engine::{Computed, Step, execute};
use crate::evaluation_keys::EvaluationKeyFile;
use crate::key_binding::{KeyBinding, check_program};
use crate::machine;

/// A program with the evaluation keys of one client, ready to run.
///
/// ```no_run
/// use std::path::Path;
///
/// use pic_runtime::{Artifact, EncryptedInput, EvaluationKeyFile, Server};
///
/// # fn main() -> Result<(), pic_runtime::Error> {
/// let artifact = Artifact::open(Path::new("model.server.pic"))?;
/// let keys = EvaluationKeyFile::open(Path::new("evaluation.keys"))?;
/// let server = Server::new(&artifact, keys)?;
/// let answer = server.run(&EncryptedInput::open(Path::new("x.ct"))?)?;
/// answer.write(Path::new("y.ct"))
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    program: VerifiedProgram,
    binding: KeyBinding,
    ckks: Ckks,
    memory: Memory,
}

/// Builder of a [`Server`] with options.
///
/// ```no_run
/// # fn serve(artifact: &pic_runtime::Artifact, keys: pic_runtime::EvaluationKeyFile) -> Result<(), pic_runtime::Error> {
/// let server = pic_runtime::Server::builder(artifact).memory_limit(8 << 30).build(keys)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ServerBuilder<'a> {
    artifact: &'a Artifact,
    memory_limit: Option<u64>,
}

impl ServerBuilder<'_> {
    /// Largest memory that the server may take, in bytes. The default is the memory that is available when it is
    /// made.
    ///
    /// Constants of the program are encoded in the form that is fastest to use as far as the memory goes, and beyond in a
    /// smaller one that takes longer to use.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Expands the keys, which must be those that the program uses, and encodes the program's constants.
    ///
    /// # Errors
    /// The errors of [`Artifact::program`]; [`Error::OtherProgram`], [`Error::Container`],
    /// [`Error::KeyId`], [`Error::Memory`], [`Error::Ckks`].
    pub fn build(self, keys: EvaluationKeyFile) -> Result<Server, Error> {
        let binding = keys.binding()?;
        check_program("the set of evaluation keys", self.artifact.program_hash(), binding.program)?;
        let program = self.artifact.program()?;
        let spare = self.spare_bytes(required_bytes(&program))?;
        let context = Context::new(program.parameters.clone())?;
        let expanded = keys.expand(&context, &program.keys)?;
        // Serialised, they may be in memory, too.
        drop(keys);
        let key_bytes = expanded.bytes() as u64;
        let ckks = Ckks::new(&program, &context, expanded, spare)?;
        let memory = Memory {
            key_bytes,
            diagonal_bytes: ckks.diagonal_bytes() as u64,
            matrix_bytes: ckks.matrix_bytes() as u64,
            ciphertext_bytes: peak_ciphertext_bytes(&program) as u64,
            workspace_bytes: ckks.workspace_bytes() as u64,
        };
        Ok(Server { program, binding, ckks, memory })
    }

    /// Memory beyond what the server needs in any case, in bytes.
    fn spare_bytes(&self, needed: u64) -> Result<usize, Error> {
        let available = self.memory_limit.or_else(machine::available_bytes).unwrap_or(u64::MAX);
        match available.checked_sub(needed) {
            Some(spare) => Ok(usize::try_from(spare).unwrap_or(usize::MAX)),
            None => Err(Error::Memory { work: "running this program", needed, available }),
        }
    }
}

/// Memory of a server with all constants in their smallest form, in bytes: the prediction in the artifact, or the
/// lower bound that follows from the program itself, if that is more, because an artifact could understate.
fn required_bytes(program: &VerifiedProgram) -> u64 {
    let predicted = program.predicted.memory;
    let others = predicted.total_bytes() - predicted.constant_bytes();
    (others + predicted.constant_bytes() / COMPACT_SHARE).max(least_server_bytes(program))
}

/// Assumed ratio of the memory of constants in their fastest and in their smallest form: 8 bytes for every prime of a
/// coefficient against 4 or 8 in all.
const COMPACT_SHARE: u64 = 8;

impl Server {
    /// A server that keeps within the memory that is available on this machine, if the operating system tells it.
    ///
    /// # Errors
    /// The errors of [`ServerBuilder::build`].
    pub fn new(artifact: &Artifact, keys: EvaluationKeyFile) -> Result<Self, Error> {
        Self::builder(artifact).build(keys)
    }

    /// A server of this artifact, with options.
    pub fn builder(artifact: &Artifact) -> ServerBuilder<'_> {
        ServerBuilder { artifact, memory_limit: None }
    }

    /// The program.
    pub fn program(&self) -> &VerifiedProgram {
        &self.program
    }

    /// Memory that the server holds, by purpose.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Runs the program on every sample of a batch, one after the other.
    ///
    /// # Errors
    /// [`Error::OtherProgram`], [`Error::OtherKey`], [`Error::Conformance`], [`Error::Ckks`].
    pub fn run(&self, input: &EncryptedInput) -> Result<EncryptedOutput, Error> {
        self.run_observed(input, &mut |_, _| {})
    }

    /// Runs the program as [`Server::run`] does. After each computed value, `observe` gets the sample's position in
    /// the batch and the step.
    ///
    /// # Errors
    /// The errors of [`Server::run`].
    pub fn run_observed(
        &self,
        input: &EncryptedInput,
        observe: &mut dyn FnMut(usize, &Step),
    ) -> Result<EncryptedOutput, Error> {
        let ciphertexts = self.program.values[0].layout.ciphertexts(self.program.log_slots);
        input.check(&self.binding, ciphertexts)?;
        let mut run = |(index, sample): (usize, Vec<&[u8]>)| {
            self.run_one(&sample, &mut |step| observe(index, step))
        };
        let (mut outputs, mut range_checks) = (vec![], vec![]);
        for sample in input.iter()?.enumerate() {
            let Computed { output, range_check } = run(sample)?;
            outputs.push(output);
            range_checks.extend(range_check);
        }
        EncryptedOutput::collect(self.binding, &outputs, input.hash(), &range_checks)
    }

    fn run_one(
        &self,
        sample: &[&[u8]],
        observe: &mut dyn FnMut(&Step),
    ) -> Result<Computed<Vec<u8>>, Error> {
        let (context, value) = (self.ckks.context(), &self.program.values[0]);
        let read = |bytes: &&[u8]| {
            let ciphertext = SeededCiphertext::from_bytes(context, bytes)?.expand(context)?;
            check_conformance(&ciphertext, self.program.log_slots, value.level, value.scale)?;
            Ok(ciphertext)
        };
        let input = sample.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        let Computed { output, range_check } =
            execute(&self.program, &mut &self.ckks, input, observe)?;
        Ok(Computed {
            output: output.iter().map(|c| c.to_bytes(context)).collect::<Result<_, _>>()?,
            range_check: range_check.map(|c| c.to_bytes(context)).transpose()?,
        })
    }
}
