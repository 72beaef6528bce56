//! Artifacts: compiled models as files, in parts for clients, servers and model owners.
//!
//! | section | holds | for |
//! |---|---|---|
//! | `client` | [`ClientInfo`]: parameters, ports, layouts; no weights | keys, encryption, decryption |
//! | `program` | the complete [`Program`] | the server |
//! | `model` | [`Model`]: network, activations, profile | simulation and verification |
//! | `parts` | hashes of the plain sections `client` and `program` | everybody |
//!
//! The program hash that all files name is that of the two hashes. So a file with one of the sections alone, for clients
//! ([`Artifact::write_client_only`]) or for servers ([`Artifact::write_server_only`]), proves that it is the one that belongs
//! to that program: a client part with another layout or scale, under which a client would decrypt something else or make
//! other keys, has another program hash. The owner's section is bound to nothing.
//!
//! Sections are decoded when they are asked for, from a copy of which the hash has been checked, and verified when they are
//! decoded.

use std::io::Write;
use std::path::Path;

use pic_ckks::model::noise::NoiseModel;
use pic_ckks::model::{KeyRequest, Parameters, SecurityLevel};
use pic_ir::activations::Activations;
use pic_ir::calibration::Calibration;
use pic_ir::layout::Layout;
use pic_ir::network::Network;
use pic_ir::normalization::Normalization;
use pic_ir::postprocessing::Postprocessing;
use pic_ir::prediction::Prediction;
use pic_ir::preprocessing::Preprocessing;
use pic_ir::profile::Profile;
use pic_ir::program::{MAX_CIPHERTEXTS, Port, Program, RangeCheck, Value, VerifiedProgram};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Kind, ProgramHash, Writer};
use crate::output_file::{Access, write_whole};
use crate::{Error, decode};

const PARTS: &str = "parts";
const CLIENT: &str = "client";
const PROGRAM: &str = "program";
const MODEL: &str = "model";

/// Longest plain sections that are read, in bytes. Decoded, they take a small multiple.
const MAX_CLIENT_BYTES: u64 = 16 << 20;
const MAX_WEIGHTS_BYTES: u64 = 1 << 30;

/// Below the precision that any output can have, negative.
const MOST_PRECISION_BITS: f64 = 64.0;

/// Bits by which predicted precisions may exceed what rounding leaves.
const PRECISION_TOLERANCE: f64 = 1.0;

/// A compiled model.
///
/// ```no_run
/// use std::path::Path;
///
/// use pic_runtime::Artifact;
///
/// # fn main() -> Result<(), pic_runtime::Error> {
/// let artifact = Artifact::open(Path::new("model.pic"))?;
/// println!("input {:?}", artifact.client()?.input.shape);
/// artifact.write_client_only(Path::new("model.client.pic"))?;
/// artifact.write_server_only(Path::new("model.server.pic"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Artifact {
    container: Container,
    parts: Parts,
    insecure_allowed: bool,
}

/// Hashes of the sections that make up a program.
#[derive(Clone, Copy, Debug)]
struct Parts {
    client: blake3::Hash,
    program: blake3::Hash,
}

/// The client's part: everything needed to make keys, encrypt and decrypt. It says nothing about the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Ring, modulus chain and security.
    pub parameters: Parameters,
    /// log2 of the slots of a ciphertext.
    pub log_slots: u32,
    /// Name and extents of what is encrypted.
    pub input: Port,
    /// Name and extents of what is decrypted.
    pub output: Port,
    /// Layout, level, scale and normalization of the input.
    pub input_encoding: Encoding,
    /// Layout, level, scale and normalization of the output.
    pub output_encoding: Encoding,
    /// Range check of the program, if it has one.
    pub range_check: Option<RangeCheckPart>,
    /// Map from raw inputs to the network's input.
    pub preprocessing: Preprocessing,
    /// Map from what is decrypted to the outputs of the ONNX file.
    pub postprocessing: Postprocessing,
    /// Evaluation keys that the program uses.
    pub keys: KeyRequest,
    /// Predicted work, time, memory and precision of a run.
    pub predicted: Prediction,
    /// Statistics of the calibration samples; none for programs that were made without.
    pub calibration: Option<Calibration>,
}

/// A program's range check, as far as a client needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeCheckPart {
    /// Limit of the sum.
    pub check: RangeCheck,
    /// Encoding of the sum: one element.
    pub encoding: Encoding,
}

/// Encoding of a tensor in its ciphertexts: the fields of a program's [`Value`] that determine it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// The slot of each element.
    pub layout: Layout,
    /// Level of the ciphertexts.
    pub level: usize,
    /// Exact scale of the ciphertexts.
    pub scale: f64,
    /// Real value stored as 0.
    pub center: f64,
    /// Difference of real values stored as 1.
    pub half_width: f64,
}

/// The model owner's part: the products from which the program was compiled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    /// The network as simplified by the frontend: the plaintext reference.
    pub network: Network,
    /// The polynomials that stand for its activations.
    pub activations: Activations,
    /// Statistics of the activations' inputs over the calibration samples.
    pub profile: Profile,
    /// Facts of the compilation.
    pub facts: CompileFacts,
}

/// Facts of a compilation that no other product holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompileFacts {
    /// Version of the compiler.
    pub compiler: String,
    /// Number of calibration or validation samples that played no part when polynomials were fitted and intervals placed.
    pub held_back: usize,
    /// Number of those samples that take some activation's input out of the interval of its polynomial.
    pub outside: usize,
}

impl Artifact {
    /// Encodes a program that was made without calibration samples, and the owner's part, if given.
    ///
    /// # Errors
    /// [`Error::Network`] or [`Error::Activations`] of the model.
    pub fn new(program: &VerifiedProgram, model: Option<&Model>) -> Result<Self, Error> {
        Self::from_parts(&ClientInfo::new(program), program, model)
    }

    /// Encodes a program with statistics of its calibration samples, by which clients recognise unusual inputs and
    /// answers.
    ///
    /// # Errors
    /// The errors of [`Artifact::new`]; [`Error::ClientPart`] if the statistics are not of the program's inputs.
    pub fn calibrated(
        program: &VerifiedProgram,
        calibration: &Calibration,
        model: Option<&Model>,
    ) -> Result<Self, Error> {
        let calibration = Some(calibration.clone());
        let client = ClientInfo { calibration, ..ClientInfo::new(program) };
        client.verify()?;
        Self::from_parts(&client, program, model)
    }

    /// Encodes the parts of a program that is sound.
    fn from_parts(
        client: &ClientInfo,
        program: &Program,
        model: Option<&Model>,
    ) -> Result<Self, Error> {
        let (client, encoded) = (encode(client), encode(program));
        let parts = Parts { client: blake3::hash(&client), program: blake3::hash(&encoded) };
        let model = model.map(|model| model.verify().map(|()| encode(model))).transpose()?;
        let sections = [(CLIENT, Some(client)), (PROGRAM, Some(encoded)), (MODEL, model)];
        let container = Container::parse(container(parts, sections), Kind::Artifact)?;
        Self::checked(container, true)
    }

    /// Reads an artifact file.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::ProgramHash`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let container = Container::open(path, Kind::Artifact).map_err(Error::read(path))?;
        Self::checked(container, false)
    }

    /// Reads an artifact from memory, for instance one embedded in an executable.
    ///
    /// # Errors
    /// [`Error::Container`], [`Error::ProgramHash`].
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, Error> {
        Self::checked(Container::parse(bytes, Kind::Artifact)?, false)
    }

    /// Refuses a file whose program hash is not that of the parts that it names.
    fn checked(container: Container, insecure_allowed: bool) -> Result<Self, Error> {
        let parts = Parts::decode(container.raw(PARTS)?)?;
        let (stated, found) = (container.program_hash(), parts.program_hash());
        if stated != found {
            return Err(Error::ProgramHash { stated, found });
        }
        Ok(Self { container, parts, insecure_allowed })
    }

    /// Accepts parameters that protect nothing, as tests use. Otherwise only programs that never
    /// left this process ([`Artifact::new`]) may have them.
    pub fn allow_insecure_parameters(self) -> Self {
        Self { insecure_allowed: true, ..self }
    }

    /// Hash of the parts for clients and servers, which identifies the program.
    pub fn program_hash(&self) -> ProgramHash {
        self.container.program_hash()
    }

    /// Decodes and verifies the part for clients.
    ///
    /// # Errors
    /// [`Error::MissingPart`] if the file has no such part, [`Error::Container`], [`Error::PartHash`] if it is not the
    /// part that the program hash names, [`Error::Decode`], [`Error::ClientPart`] if its content is not sound,
    /// [`Error::Insecure`] unless [`Artifact::allow_insecure_parameters`] was called.
    pub fn client(&self) -> Result<ClientInfo, Error> {
        let client: ClientInfo = decode_part(CLIENT, &self.bound_part(CLIENT)?)?;
        client.verify()?;
        self.check_security(&client.parameters)?;
        Ok(client)
    }

    /// The server's part.
    ///
    /// # Errors
    /// [`Error::MissingPart`], [`Error::Container`], [`Error::PartHash`], [`Error::Decode`],
    /// [`Error::Program`], [`Error::ClientPart`], [`Error::Insecure`].
    pub fn program(&self) -> Result<VerifiedProgram, Error> {
        let section = self.bound_part(PROGRAM)?;
        let program: Program = decode_part(PROGRAM, &section)?;
        self.check_security(&program.parameters)?;
        let program = program.verify()?;
        let client = self.client()?;
        let expected =
            ClientInfo { calibration: client.calibration.clone(), ..ClientInfo::new(&program) };
        if client != expected {
            return Err(Error::ClientPart);
        }
        Ok(program)
    }

    /// The model owner's part.
    ///
    /// # Errors
    /// [`Error::MissingPart`], [`Error::Container`], [`Error::Decode`], [`Error::Network`],
    /// [`Error::Activations`].
    pub fn model(&self) -> Result<Model, Error> {
        let model: Model = decode_part(MODEL, &self.part(MODEL, MAX_WEIGHTS_BYTES)?)?;
        model.verify()?;
        Ok(model)
    }

    /// The content of the artifact's file.
    pub fn as_bytes(&self) -> &[u8] {
        self.container.as_bytes()
    }

    /// The artifact for clients: the same program hash, no weights.
    ///
    /// # Errors
    /// The errors of [`Artifact::client`].
    pub fn client_only(&self) -> Result<Self, Error> {
        self.client()?;
        self.with_sections([(CLIENT, Some(self.bound_part(CLIENT)?))])
    }

    /// The artifact for servers: the same program hash, and nothing of the calibration samples but
    /// [`ClientInfo::calibration`].
    ///
    /// # Errors
    /// The errors of [`Artifact::program`].
    pub fn server_only(&self) -> Result<Self, Error> {
        self.program()?;
        let (client, program) = (self.bound_part(CLIENT)?, self.bound_part(PROGRAM)?);
        self.with_sections([(CLIENT, Some(client)), (PROGRAM, Some(program))])
    }

    fn with_sections<const COUNT: usize>(
        &self,
        sections: [(&str, Option<Vec<u8>>); COUNT],
    ) -> Result<Self, Error> {
        let container = Container::parse(container(self.parts, sections), Kind::Artifact)?;
        Self::checked(container, self.insecure_allowed)
    }

    /// Writes the artifact.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_bytes(path, self.as_bytes())
    }

    /// Writes a file with [`Artifact::client_only`].
    ///
    /// # Errors
    /// [`Error::Write`], and those of [`Artifact::client`].
    pub fn write_client_only(&self, path: &Path) -> Result<(), Error> {
        self.client_only()?.write(path)
    }

    /// Writes a file with [`Artifact::server_only`].
    ///
    /// # Errors
    /// [`Error::Write`], and those of [`Artifact::program`].
    pub fn write_server_only(&self, path: &Path) -> Result<(), Error> {
        self.server_only()?.write(path)
    }

    /// The content of a part that the program hash covers, in memory that nothing changes between check and use.
    fn bound_part(&self, part: &'static str) -> Result<Vec<u8>, Error> {
        let (stated, limit) = match part {
            CLIENT => (self.parts.client, MAX_CLIENT_BYTES),
            _ => (self.parts.program, MAX_WEIGHTS_BYTES),
        };
        let section = self.part(part, limit)?;
        let found = blake3::hash(&section);
        if stated != found {
            return Err(Error::PartHash { part, stated, found });
        }
        Ok(section)
    }

    fn part(&self, part: &'static str, limit: u64) -> Result<Vec<u8>, Error> {
        if !self.container.has(part) {
            return Err(Error::MissingPart { part });
        }
        Ok(self.container.plain(part, limit)?.into_owned())
    }

    fn check_security(&self, parameters: &Parameters) -> Result<(), Error> {
        if parameters.security() == SecurityLevel::Insecure && !self.insecure_allowed {
            return Err(Error::Insecure(parameters.clone()));
        }
        Ok(())
    }
}

impl ClientInfo {
    /// The client's part of a program, without calibration.
    pub fn new(program: &Program) -> Self {
        Self {
            parameters: program.parameters.clone(),
            log_slots: program.log_slots,
            input: program.input.clone(),
            output: program.output.clone(),
            input_encoding: Encoding::new(&program.values[0]),
            output_encoding: Encoding::new(program.output_value()),
            range_check: program
                .range_check
                .zip(program.range_check_value())
                .map(|(check, value)| RangeCheckPart { check, encoding: Encoding::new(value) }),
            preprocessing: program.preprocessing.clone(),
            postprocessing: program.postprocessing.clone(),
            keys: program.keys.clone(),
            predicted: program.predicted,
            calibration: None,
        }
    }

    /// Extents of the outputs of an answer ([`Answer::outputs`](crate::Answer::outputs)), which are those of
    /// [`ClientInfo::output`] unless postprocessing changes them.
    ///
    /// # Errors
    /// [`Error::ClientPart`] if the postprocessing does not fit the output, never of a part that was read from a file.
    pub fn outputs_shape(&self) -> Result<Vec<usize>, Error> {
        self.postprocessing.verify(&self.output.shape).map_err(|_| Error::ClientPart)
    }

    fn verify(&self) -> Result<(), Error> {
        let within = |level: usize| level <= self.parameters.max_level();
        let [input, output] = [&self.input_encoding.layout, &self.output_encoding.layout];
        // Slots are as many as the longest period of the program, or N/2.
        let least = input.log_period.max(output.log_period).min(self.parameters.log_n() - 1);
        let port = |port: &Port, encoding: &Encoding| {
            let len = port.shape.iter().try_fold(1usize, |len, &extent| len.checked_mul(extent));
            len == Some(encoding.layout.len)
                && within(encoding.level)
                && encoding.is_usable()
                && encoding.layout.ciphertexts(self.log_slots) <= MAX_CIPHERTEXTS
        };
        if self.log_slots >= self.parameters.log_n() || self.log_slots < least {
            return Err(Error::ClientPart);
        }
        let all_slots = 1 << (self.parameters.log_n() - 1);
        let sound = port(&self.input, &self.input_encoding)
            && port(&self.output, &self.output_encoding)
            && self.range_check.as_ref().is_none_or(|RangeCheckPart { check, encoding }| {
                encoding.layout.len == 1
                    && within(encoding.level)
                    && encoding.is_usable()
                    && check.is_sound(encoding.normalization())
            })
            && self.preprocessing.verify(&self.input.shape).is_ok()
            && self.postprocessing.verify(&self.output.shape).is_ok()
            && self.predicted.is_sound()
            && (-MOST_PRECISION_BITS..=self.most_precision_bits())
                .contains(&self.predicted.precision_bits)
            && self.output_grid().is_normal()
            && self.calibration.as_ref().is_none_or(|c| c.is_sound(&self.input.shape))
            && self.keys.highest_level().is_none_or(within)
            && self.keys.rotations.keys().all(|r| (1..all_slots).contains(r));
        if sound { Ok(()) } else { Err(Error::ClientPart) }
    }

    /// The most precision that an output can have: what the rounding of its last rescaling leaves, or encryption if it is the
    /// input as it came. How much noise hides the scheme's error depends on the precision that a file states.
    fn most_precision_bits(&self) -> f64 {
        let noise = NoiseModel::new(&self.parameters, 1 << self.log_slots);
        let scale = self.output_encoding.scale;
        let is_input = self.output_encoding == self.input_encoding;
        let variance = if is_input { noise.fresh_secret(scale) } else { noise.rescale(scale) };
        -0.5 * variance.log2() + PRECISION_TOLERANCE
    }
}

impl Encoding {
    /// Encoding of a value of a program.
    pub fn new(value: &Value) -> Self {
        Self {
            layout: value.layout.clone(),
            level: value.level,
            scale: value.scale,
            center: value.center,
            half_width: value.half_width,
        }
    }

    /// Map between the real and the stored elements.
    pub fn normalization(&self) -> Normalization {
        Normalization { center: self.center, half_width: self.half_width }
    }

    fn is_usable(&self) -> bool {
        self.layout.verify().is_ok()
            && self.scale.is_finite()
            && self.scale > 1.0
            && self.normalization().is_sound()
    }
}

impl Model {
    fn verify(&self) -> Result<(), Error> {
        self.network.verify()?;
        self.activations.verify(&self.network)?;
        Ok(())
    }
}

fn encode(part: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(part).expect("plain data types encode to memory")
}

fn decode_part<T: DeserializeOwned>(section: &'static str, bytes: &[u8]) -> Result<T, Error> {
    decode::from_bytes(bytes).map_err(|source| Error::Decode { section, source })
}

/// Separates program hashes from other uses of BLAKE3.
const PROGRAM_HASH_CONTEXT: &str = "pic program hash of client and program part v5";

impl Parts {
    fn decode(section: &[u8]) -> Result<Self, Error> {
        let hash = |bytes: &[u8]| bytes.try_into().map(blake3::Hash::from_bytes);
        match section.split_at_checked(blake3::OUT_LEN) {
            Some((client, program)) => match (hash(client), hash(program)) {
                (Ok(client), Ok(program)) => Ok(Self { client, program }),
                _ => Err(Error::Parts),
            },
            None => Err(Error::Parts),
        }
    }

    fn program_hash(&self) -> ProgramHash {
        let mut hasher = blake3::Hasher::new_derive_key(PROGRAM_HASH_CONTEXT);
        hasher.update(self.client.as_bytes()).update(self.program.as_bytes());
        hasher.finalize()
    }
}

fn container<const COUNT: usize>(
    parts: Parts,
    sections: [(&str, Option<Vec<u8>>); COUNT],
) -> Vec<u8> {
    let write = || {
        let mut writer = Writer::new(Vec::new(), Kind::Artifact, parts.program_hash())?;
        writer.raw(PARTS, |w| {
            w.write_all(parts.client.as_bytes())?;
            w.write_all(parts.program.as_bytes())
        })?;
        for (name, plain) in sections {
            if let Some(plain) = plain {
                writer.compressed(name, &plain)?;
            }
        }
        writer.finish()
    };
    write().expect("writing to memory does not fail")
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole(path, Access::Shared, |file| file.write_all(bytes)).map_err(Error::write(path))
}
