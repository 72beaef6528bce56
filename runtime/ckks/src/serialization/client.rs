//! Serialisation of the keys of clients: secret and public key.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Kind, Reader, append, header};
use crate::ring::Domain;
use crate::{Context, Error, FormatError, PublicKey, SecretKey};

const SECRET_KEY: Kind = Kind { mark: 1, name: "secret key" };
const PUBLIC_KEY: Kind = Kind { mark: 2, name: "public key" };

impl SecretKey {
    /// Serialises the secret key, into bytes that are zeroised on drop. They allow decryption and
    /// must be kept secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(header(self.context(), SECRET_KEY));
        bytes.reserve_exact(self.coefficients().len());
        bytes.extend(self.coefficients().iter().map(|&c| c as u8));
        bytes
    }

    /// Deserialises a secret key written by [`SecretKey::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Format`] if the bytes are not a secret key of these parameters.
    pub fn from_bytes(context: &Arc<Context>, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(context, SECRET_KEY, bytes)?;
        let bytes = reader.take(context.ring().degree())?;
        let coefficients: Vec<i8> = bytes.iter().map(|&b| b as i8).collect();
        let coefficients = Zeroizing::new(coefficients);
        reader.finish()?;
        if coefficients.iter().any(|c| !(-1..=1).contains(c)) {
            return Err(FormatError::Field("secret coefficient").into());
        }
        Ok(Self::from_coefficients(context, coefficients))
    }
}

impl PublicKey {
    /// Serialises the public key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = header(&self.context, PUBLIC_KEY);
        bytes.extend(self.seed);
        append(&mut bytes, &self.b);
        bytes
    }

    /// Deserialises a public key written by [`PublicKey::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Format`] if the bytes are not a public key of these parameters, [`Error::Ring`] if
    /// limbs are invalid.
    pub fn from_bytes(context: &Arc<Context>, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(context, PUBLIC_KEY, bytes)?;
        let seed = reader.seed()?;
        let basis = context.basis_at(context.parameters().max_level())?;
        let b = reader.poly(basis)?;
        reader.finish()?;
        let a = context.ring().uniform(&seed, basis, Domain::Ntt);
        Ok(Self { context: Arc::clone(context), b, a, seed })
    }
}
