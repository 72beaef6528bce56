//! What keys and ciphertexts belong to, so that those of different programs or clients are not mixed.

use crate::Error;
use crate::container::ProgramHash;

/// Identifies a secret key without helping to find it: a BLAKE3 hash in a context of its own.
pub(crate) type KeyId = [u8; 32];

/// The program and the secret key for which something was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyBinding {
    pub(crate) program: ProgramHash,
    pub(crate) key: KeyId,
}

impl KeyBinding {
    /// Refuses `what` if it was made for another program or key.
    pub(crate) fn check(&self, what: &'static str, found: &Self) -> Result<(), Error> {
        check_program(what, self.program, found.program)?;
        if found.key == self.key { Ok(()) } else { Err(Error::OtherKey { what }) }
    }
}

/// Refuses `what` if it was made for another program.
pub(crate) fn check_program(
    what: &'static str,
    expected: ProgramHash,
    found: ProgramHash,
) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::OtherProgram { what, expected, found }) }
}
