//! The server: runs a program on encrypted samples.
//!
//! It holds the program and a client's evaluation keys. Nothing that it holds, takes or returns
//! decrypts, and with the feature `server` alone the crate has no type that does:
//!
//! ```
//! use pic_runtime::{EncryptedInput, EncryptedOutput, Error, Server};
//!
//! fn serve(server: &Server, input: &EncryptedInput) -> Result<EncryptedOutput, Error> {
//!     server.run(input, &mut |_, _| {})
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
use pic_ir::memory::peak_ciphertext_bytes;
use pic_ir::prediction::Memory;
use pic_ir::program::VerifiedProgram;

use crate::Error;
use crate::artifact::Artifact;
use crate::ciphertexts::{EncryptedInput, EncryptedOutput, check_conformance};
use crate::ckks::Ckks;
use crate::engine::{Computed, Step, execute};
use crate::evaluation_keys::EvaluationKeyFile;
use crate::key_binding::{KeyBinding, check_program};

/// A program with the evaluation keys of one client, ready to run.
#[derive(Debug)]
pub struct Server {
    program: VerifiedProgram,
    binding: KeyBinding,
    ckks: Ckks,
    memory: Memory,
}

impl Server {
    /// Expands the keys, which must be those that the program takes, and encodes the program's constants. Up to `plaintext_budget` bytes of them
    /// are held in the form that is fastest to use, the others in a smaller one.
    ///
    /// # Errors
    /// Those of [`Artifact::program`]; [`Error::OtherProgram`], [`Error::Container`],
    /// [`Error::KeyId`], [`Error::Ckks`].
    pub fn new(
        artifact: &Artifact,
        keys: EvaluationKeyFile,
        plaintext_budget: usize,
    ) -> Result<Self, Error> {
        let binding = keys.binding()?;
        check_program("the set of evaluation keys", artifact.program_hash(), binding.program)?;
        let program = artifact.program()?;
        let context = Context::new(program.parameters.clone())?;
        let expanded = keys.expand(&context, &program.keys)?;
        // Serialised, they may be in memory, too.
        drop(keys);
        let key_bytes = expanded.bytes() as u64;
        let ckks = Ckks::new(&program, &context, expanded, plaintext_budget)?;
        let memory = Memory {
            key_bytes,
            diagonal_bytes: ckks.diagonal_bytes() as u64,
            matrix_bytes: ckks.matrix_bytes() as u64,
            ciphertext_bytes: peak_ciphertext_bytes(&program) as u64,
            workspace_bytes: ckks.workspace_bytes() as u64,
        };
        Ok(Self { program, binding, ckks, memory })
    }

    /// The program.
    pub fn program(&self) -> &VerifiedProgram {
        &self.program
    }

    /// What the server holds in memory.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Runs the program on every sample of a batch, one after the other. After each computed value
    /// `observe` gets the sample's position and the step.
    ///
    /// # Errors
    /// [`Error::OtherProgram`], [`Error::OtherKey`], [`Error::Conformance`], [`Error::Ckks`].
    pub fn run(
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
