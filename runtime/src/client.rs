//! The client: makes keys, encrypts samples, decrypts results. The only module with a secret.
//!
//! Values that were decrypted hold the scheme's noise, from which others could learn about the
//! secret key (Li and Micciancio, 2021): do not give exact decryptions to whoever can choose or
//! knows the ciphertexts, the server above all. [`Client::decrypt`] leaves out the digits that are only noise;
//! [`Client::decrypt_for_sharing`] hides the noise.

mod key_files;

use std::path::Path;
use std::sync::Arc;

use pic_ckks::{Ciphertext, Context, KeyGeneration, SecretKey, secret_rng};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::Error;
use crate::answer::{Answer, round};
use crate::artifact::{Artifact, ClientInfo, Encoding, RangeCheckPart};
use crate::ciphertexts::{EncryptedInput, EncryptedOutput, check_conformance};
use crate::clear::normal;
use crate::container::{Container, Kind};
use crate::evaluation_keys::{self, EvaluationKeyFile};
use crate::key_binding::{KeyBinding, check_program};
use crate::sample::check_sample;
use crate::sharing::{SharedAnswers, flooding_bits, precision_needed};

const SECRET: &str = "secret key";

/// The holder of a secret key for one program. The key is zeroised when it is dropped.
///
/// ```no_run
/// use std::path::Path;
///
/// use pic_runtime::{Artifact, Client, EncryptedOutput};
///
/// # fn main() -> Result<(), pic_runtime::Error> {
/// let artifact = Artifact::open(Path::new("model.client.pic"))?;
/// let client = Client::generate(&artifact)?;
/// client.write_key_pair(Path::new("secret.key"), Path::new("evaluation.keys"), false)?;
/// client.encrypt(&[vec![0.0; 64]])?.write(Path::new("x.ct"))?;
/// // The server makes `y.ct` of `x.ct` and `evaluation.keys`.
/// let answers = client.decrypt(&EncryptedOutput::open(Path::new("y.ct"))?)?;
/// println!("class {:?}", answers[0].class());
/// # Ok(())
/// # }
/// ```
pub struct Client {
    info: ClientInfo,
    binding: KeyBinding,
    context: Arc<Context>,
    secret: SecretKey,
}

impl Client {
    /// Makes a new secret key for the program of an artifact.
    ///
    /// # Errors
    /// The errors of [`Artifact::client`]; [`Error::Randomness`].
    pub fn generate(artifact: &Artifact) -> Result<Self, Error> {
        let (info, context) = prepare(artifact)?;
        let secret = SecretKey::generate(&context, &mut secret_rng()?);
        Ok(Self::new(artifact, info, context, secret))
    }

    /// Reads a secret key.
    ///
    /// # Errors
    /// The errors of [`Artifact::client`]; [`Error::Read`], [`Error::Container`],
    /// [`Error::OtherProgram`], [`Error::Ckks`].
    pub fn open(artifact: &Artifact, secret_key: &Path) -> Result<Self, Error> {
        let (info, context) = prepare(artifact)?;
        let container =
            Container::open(secret_key, Kind::SecretKey).map_err(Error::read(secret_key))?;
        check_program("the secret key", artifact.program_hash(), container.program_hash())?;
        let secret = SecretKey::from_bytes(&context, container.raw(SECRET)?)?;
        Ok(Self::new(artifact, info, context, secret))
    }

    /// Makes the evaluation keys in memory, for a server in the same process.
    ///
    /// # Errors
    /// [`Error::Ckks`].
    pub fn make_evaluation_keys(&self) -> Result<EvaluationKeyFile, Error> {
        let mut bytes = Vec::new();
        let written = evaluation_keys::write(self.evaluation_keys()?, self.binding, &mut bytes);
        written.expect("writing to memory does not fail");
        EvaluationKeyFile::from_bytes(bytes)
    }

    /// The client's part of the artifact.
    pub fn info(&self) -> &ClientInfo {
        &self.info
    }

    /// Memory of a number of encrypted samples, in bytes.
    pub fn encrypted_bytes(&self, samples: usize) -> u64 {
        let Encoding { layout, level, .. } = &self.info.input_encoding;
        let ciphertexts = layout.ciphertexts(self.info.log_slots) as u64;
        let ciphertext = 8 * self.info.parameters.degree() as u64 * (*level as u64 + 1);
        // One by one, and joined in a file.
        (2 * ciphertext * ciphertexts).saturating_mul(samples as u64)
    }

    /// Encrypts preprocessed samples in one batch.
    ///
    /// Samples outside the range that the program was made for are refused: their answers would be wrong and
    /// look like any other. See [`ClientInfo::unusual`] for samples that are only unlike those of calibration.
    ///
    /// # Errors
    /// [`Error::SampleLength`], [`Error::NotFinite`], [`Error::OutOfRange`], [`Error::Batch`] without samples,
    /// [`Error::Ckks`].
    pub fn encrypt<S: AsRef<[f32]>>(&self, samples: &[S]) -> Result<EncryptedInput, Error> {
        let mut samples_by_position = samples.iter().enumerate();
        samples_by_position
            .try_for_each(|(k, sample)| self.info.check_range(k, sample.as_ref()))?;
        self.encrypt_out_of_range(samples)
    }

    /// Encrypts preprocessed samples whatever their values. Answers to samples outside the range of calibration may
    /// be wrong. Most of them are found to be unreliable ([`Answer::reliable`]), but not all.
    ///
    /// # Errors
    /// As [`Client::encrypt`], without [`Error::OutOfRange`].
    pub fn encrypt_out_of_range<S: AsRef<[f32]>>(
        &self,
        samples: &[S],
    ) -> Result<EncryptedInput, Error> {
        let mut rng = secret_rng()?;
        let encrypt = |(index, sample): (usize, &S)| {
            let (sample, encoding) = (sample.as_ref(), &self.info.input_encoding);
            check_sample(index, sample, &self.info.input.shape, encoding.layout.len)?;
            self.encrypt_one(sample, encoding, &mut rng)
        };
        let samples: Vec<_> =
            samples.iter().enumerate().map(encrypt).collect::<Result<_, Error>>()?;
        EncryptedInput::collect(self.binding, &samples)
    }

    /// Decrypts a batch of answers. Logits are in real units and rounded to the precision of the program
    /// ([`ClientInfo::output_grid`]); outputs are computed from them ([`ClientInfo::postprocessing`]).
    ///
    /// # Errors
    /// [`Error::OtherProgram`], [`Error::OtherKey`], [`Error::Conformance`], [`Error::Ckks`]; [`Error::Batch`] and
    /// [`Error::Container`] if the range checks of a file are damaged or not as many as its answers.
    pub fn decrypt(&self, output: &EncryptedOutput) -> Result<Vec<Answer>, Error> {
        let grid = self.info.output_grid();
        self.decrypt_with(output, |value| round(value, grid))
    }

    /// Decrypts a batch of answers with every digit, for measurements of the scheme's error. Do not show the result
    /// to others: the error depends on the secret key.
    ///
    /// # Errors
    /// As [`Client::decrypt`].
    pub fn decrypt_raw(&self, output: &EncryptedOutput) -> Result<Vec<Answer>, Error> {
        self.decrypt_with(output, |value| value)
    }

    /// Decrypts answers that others may see, with so much noise that `queries` answers under one secret key reveal
    /// nothing of the scheme's error ([`crate::sharing`]). `queries` is the number of answers that may ever be shared
    /// under this key, and must be the same in every call. The answers are added to `counter` before they are
    /// decrypted. Answers have no [`Answer::range_check`], and outputs and logits of those that are not
    /// [`reliable`](Answer::reliable), whose error is not predicted, are NaN.
    ///
    /// ```no_run
    /// # fn share(client: &pic_runtime::Client, answer: &pic_runtime::EncryptedOutput) -> Result<(), pic_runtime::Error> {
    /// let counter = client.shared_answers("secret.key".as_ref());
    /// let answers = client.decrypt_for_sharing(answer, 1000, &counter)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Client::decrypt`]; [`Error::SharingPrecision`] if the program is not precise enough for so much
    /// noise, [`Error::SharingLimit`] if more than `queries` answers would have been shared, [`Error::SharingQueries`] if
    /// `queries` is not what it was for the first, [`Error::Write`] for the counter's file, [`Error::Randomness`].
    pub fn decrypt_for_sharing(
        &self,
        output: &EncryptedOutput,
        queries: u64,
        counter: &SharedAnswers,
    ) -> Result<Vec<Answer>, Error> {
        let outputs = self.info.output_encoding.layout.len;
        let needed = precision_needed(queries, outputs);
        let available = self.info.predicted.precision_bits;
        if available < needed {
            return Err(Error::SharingPrecision { queries, needed, available });
        }
        self.check(output)?;
        counter.add(output.samples() as u64, queries)?;
        let deviation = self.info.output_deviation() * flooding_bits(queries, outputs).exp2();
        let grid = (0.5 * deviation).log2().floor().exp2();
        let mut rng = secret_rng()?;
        let mut answers =
            self.decrypt_with(output, |value| round(value + deviation * normal(&mut rng), grid))?;
        for answer in &mut answers {
            // The sum of the range check reveals the scheme's error, too.
            answer.range_check = None;
            if !answer.reliable {
                answer.outputs.fill(f32::NAN);
                answer.logits.fill(f32::NAN);
            }
        }
        Ok(answers)
    }

    /// Counter of shared answers, kept beside the file of this client's secret key.
    pub fn shared_answers(&self, secret_key: &Path) -> SharedAnswers {
        // Another key in the same file has a count of its own, and a file has one by whatever link it is reached.
        let [a, b, c, d, ..] = self.binding.key;
        let file = secret_key.canonicalize().unwrap_or_else(|_| secret_key.into());
        let mut name = file.into_os_string();
        name.push(format!(".{a:02x}{b:02x}{c:02x}{d:02x}.shared"));
        SharedAnswers::at(Path::new(&name))
    }

    fn check(&self, output: &EncryptedOutput) -> Result<(), Error> {
        let layout = &self.info.output_encoding.layout;
        output.check(&self.binding, layout.ciphertexts(self.info.log_slots))
    }

    /// Decrypts, changes logits for whoever sees them, and judges what is seen: a verdict on exact logits would tell those who
    /// see it where within the last digit the exact one lies. Postprocessing sees changed logits, too, so that it reveals no
    /// more than they do.
    fn decrypt_with(
        &self,
        output: &EncryptedOutput,
        mut change: impl FnMut(f64) -> f64,
    ) -> Result<Vec<Answer>, Error> {
        self.check(output)?;
        let check = self.info.range_check.as_ref();
        let mut decrypt = |(sample, sum): (Vec<&[u8]>, Option<&[u8]>)| {
            let logits = self.decrypt_one(&sample, &self.info.output_encoding)?;
            let decrypt_sum = |(part, sum): (&RangeCheckPart, &[u8])| {
                Ok::<f64, Error>(self.decrypt_one(&[sum], &part.encoding)?[0])
            };
            let sum = check.zip(sum).map(decrypt_sum).transpose()?;
            let logits = logits.iter().map(|&value| change(value) as f32).collect();
            Ok(Answer::new(&self.info, logits, sum))
        };
        output.iter()?.zip(output.range_checks(check.is_some())?).map(&mut decrypt).collect()
    }

    fn encrypt_one(
        &self,
        sample: &[f32],
        encoding: &Encoding,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let stored = sample.iter().map(|&v| encoding.normalization().store(f64::from(v)));
        let stored = Zeroizing::new(stored.collect::<Vec<_>>());
        let packed = Zeroizing::new(encoding.layout.pack(&stored, self.info.log_slots));
        let encrypt = |slots: &Vec<f64>| {
            let all = 1 << self.info.log_slots;
            let slots = Zeroizing::new(slots.iter().copied().cycle().take(all).collect::<Vec<_>>());
            let plaintext = self.context.encode(&slots, encoding.scale, encoding.level)?;
            Ok(self.secret.encrypt(&plaintext, rng)?.to_bytes(&self.context)?)
        };
        packed.iter().map(encrypt).collect()
    }

    fn decrypt_one(
        &self,
        ciphertexts: &[&[u8]],
        encoding: &Encoding,
    ) -> Result<Zeroizing<Vec<f64>>, Error> {
        let decrypt = |bytes: &&[u8]| {
            let ciphertext = Ciphertext::from_bytes(&self.context, bytes)?;
            check_conformance(&ciphertext, self.info.log_slots, encoding.level, encoding.scale)?;
            Ok(self.context.decode(&self.secret.decrypt(&ciphertext)?)?)
        };
        let slots =
            Zeroizing::new(ciphertexts.iter().map(decrypt).collect::<Result<Vec<_>, Error>>()?);
        let mut values = Zeroizing::new(encoding.layout.unpack(&slots, self.info.log_slots));
        values.iter_mut().for_each(|value| *value = encoding.normalization().read(*value));
        Ok(values)
    }

    fn evaluation_keys(&self) -> Result<KeyGeneration<'_>, Error> {
        Ok(KeyGeneration::new(&self.secret, &self.info.keys, &mut secret_rng()?)?)
    }

    fn new(
        artifact: &Artifact,
        info: ClientInfo,
        context: Arc<Context>,
        secret: SecretKey,
    ) -> Self {
        // A hash from which a secret of this entropy cannot be found.
        let mut hasher = blake3::Hasher::new_derive_key("pic secret key identifier v1");
        let key = hasher.update(&secret.to_bytes()).finalize().into();
        // The hasher's state depends on the secret.
        hasher.zeroize();
        let binding = KeyBinding { program: artifact.program_hash(), key };
        Self { info, binding, context, secret }
    }
}

fn prepare(artifact: &Artifact) -> Result<(ClientInfo, Arc<Context>), Error> {
    let info = artifact.client()?;
    let context = Context::new(info.parameters.clone())?;
    Ok((info, context))
}
