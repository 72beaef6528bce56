//! Binding of keys and ciphertexts to a program and a client, so that those of different ones are not mixed.

use crate::Error;
use crate::container::ProgramHash;

/// Identifier of a secret key that does not help to find it: its BLAKE3 hash in a context of its own.
pub(crate) type KeyId = [u8; 32];

/// The program and the secret key that an object belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyBinding {
    pub(crate) program: ProgramHash,
    pub(crate) key: KeyId,
}

impl KeyBinding {
    /// Refuses the object called `what` if it belongs to another program or key.
    pub(crate) fn check(&self, what: &'static str, found: &Self) -> Result<(), Error> {
        check_program(what, self.program, found.program)?;
        if found.key == self.key { Ok(()) } else { Err(Error::OtherKey { what }) }
    }
}

/// Refuses the object called `what` if it belongs to another program.
pub(crate) fn check_program(
    what: &'static str,
    expected: ProgramHash,
    found: ProgramHash,
) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::OtherProgram { what, expected, found }) }
}
