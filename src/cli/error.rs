//! Display of a failed command: the failure, its cause, and advice.
//!
//! Libraries return precise errors; a code and advice are added here, for people.

use std::error::Error;
use std::path::Path;
use std::{fmt, io};

use miette::{Diagnostic, MietteHandlerOpts};
use pic::data::DataError;
use pic::evaluation::{MethodError, TestSetError};
use pic::{CompileError, CompilerError, KeySizes};
use pic_ckks::ring::RingError;
use pic_compiler::error::AllocationError;
use pic_ir::preprocessing::PreprocessingError;
use pic_runtime::container::ContainerError;
use pic_runtime::output_file::Irreplaceable;
use serde::Serialize;

use super::text::{bytes, printable, printable_json};

/// A failed command, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Failure {
    code: String,
    message: String,
    help: Option<String>,
}

impl Failure {
    /// A failure with an error's message and those of its causes.
    pub fn new(code: &str, error: &dyn Error, help: impl Into<Option<&'static str>>) -> Self {
        Self { code: code.into(), message: message(error), help: help.into().map(String::from) }
    }

    /// Arguments that were not understood.
    pub fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let (message, advice) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.trim().trim_start_matches("error: ").to_owned();
        let help = Some(advice.trim()).filter(|advice| !advice.is_empty()).map(String::from);
        Self { code: "pic::usage".into(), message, help }
    }

    /// A file that cannot be read or written.
    pub fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        let message = format!("cannot {action} `{}`: {error}", path.display());
        let (code, help) = file_advice(error);
        Self { code: code.into(), message, help: help.map(String::from) }
    }

    /// Something too large for this machine.
    fn memory(action: &str, needed: u64, available: u64) -> Self {
        Self {
            code: "pic::memory".into(),
            message: format!(
                "{action} takes {} of memory, {} are available",
                bytes(needed),
                bytes(available)
            ),
            help: Some("compile with --memory-limit, or run it on a larger machine".into()),
        }
    }

    /// Keys too large for this machine.
    pub fn key_sizes(
        KeySizes { making_bytes, file_bytes, .. }: KeySizes,
        memory: u64,
        disk: u64,
    ) -> Self {
        Self {
            code: "pic::key::size".into(),
            message: format!(
                "making the evaluation keys of this program takes {} of memory and a file of {}; {} of memory and {} of disk are available",
                bytes(making_bytes),
                bytes(file_bytes),
                bytes(memory),
                bytes(disk)
            ),
            help: Some(
                "check that the file is the one that the model's owner gave you: it says which keys are made; with --yes they are made all the same"
                    .into(),
            ),
        }
    }

    /// Shows it on stderr.
    pub fn show(self, json: bool) {
        if json {
            let value = serde_json::json!({ "error": self });
            eprintln!("{}", printable_json(&value.to_string()));
        } else {
            // Words stay whole: paths and hashes are copied from messages.
            let options = MietteHandlerOpts::new().break_words(false);
            // Set once: the process ends with this message.
            let _ = miette::set_hook(Box::new(move |_| Box::new(options.clone().build())));
            let printed = Self { message: printable(&self.message), ..self };
            eprintln!("{:?}", miette::Report::new(printed));
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let (code, help) = data_advice(&error);
        Self { code: code.into(), message: message(&error), help }
    }
}

impl From<PreprocessingError> for Failure {
    fn from(error: PreprocessingError) -> Self {
        CompileError::from(error).into()
    }
}

impl From<TestSetError> for Failure {
    fn from(error: TestSetError) -> Self {
        Self::new("pic::input", &error, None)
    }
}

impl From<MethodError> for Failure {
    fn from(error: MethodError) -> Self {
        match error {
            MethodError::Compile(error) => error.into(),
            MethodError::Run(error) => error.into(),
            error => Self::new("pic::compare", &error, None),
        }
    }
}

impl From<pic::Error> for Failure {
    fn from(error: pic::Error) -> Self {
        if let pic::Error::Memory { work, needed, available } = error {
            return Self::memory(work, needed, available);
        }
        let (code, help) = runtime_advice(&error);
        if let pic::Error::MissingPart { part } = error {
            let message = missing_part(part);
            return Self { code: code.into(), message, help: help.map(String::from) };
        }
        Self::new(code, &error, help)
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        let (code, help) = compile_advice(&error);
        Self::new(code, &error, help)
    }
}

impl From<CompilerError> for Failure {
    fn from(error: CompilerError) -> Self {
        match error {
            CompilerError::Compile(error) => error.into(),
            CompilerError::Machine(error) | CompilerError::Artifact(error) => error.into(),
            error => Self::new("pic::file", &error, None),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new("pic::io", &error, None)
    }
}

impl From<rayon::ThreadPoolBuildError> for Failure {
    fn from(error: rayon::ThreadPoolBuildError) -> Self {
        Self::new("pic::threads", &error, "ask for fewer with --threads")
    }
}

impl From<pic_ckks::Error> for Failure {
    fn from(error: pic_ckks::Error) -> Self {
        Self::new("pic::ckks", &error, None)
    }
}

/// The message of an error, followed by those of its causes that it does not quote itself.
fn message(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }
}

/// Code and advice for files of samples and labels.
fn data_advice(error: &DataError) -> (&'static str, Option<String>) {
    use DataError as E;
    let (code, help) = match error {
        E::Read { .. } => (
            "pic::input::read",
            "save arrays with numpy: np.save(\"x.npy\", x) or np.savez(\"data.npz\", x=x, y=y)",
        ),
        E::Shape { expected, .. } => {
            let help = format!(
                "give one sample of shape {expected:?}, or a batch with one more axis in front"
            );
            return ("pic::input::shape", Some(help));
        }
        E::NotFinite { .. } => (
            "pic::input::not_finite",
            "remove such samples, or replace the values: numpy.nan_to_num",
        ),
        E::LabelCount { .. } => {
            ("pic::input::labels", "give one label per sample, in the same order")
        }
        E::Class { .. } => ("pic::input::label", "check that labels and network belong together"),
        E::Empty { .. } => return ("pic::input::empty", None),
        E::Index { .. } => return ("pic::input::index", None),
        E::Label { .. } => return ("pic::input::label", None),
        _ => return ("pic::input", None),
    };
    (code, Some(help.into()))
}

/// Description of the file of a model that lacks a part.
fn missing_part(part: &str) -> String {
    match part {
        "program" => "this is the client's part of the model: it has no `program` part".into(),
        _ => format!("this is the server's part of the model: it has no `{part}` part"),
    }
}

/// Code and advice for errors of files, keys and ciphertexts.
fn runtime_advice(error: &pic::Error) -> (&'static str, Option<&'static str>) {
    use pic::Error as E;
    match error {
        E::Read { source: ContainerError::Io(_), .. } => ("pic::file", None),
        E::Read { source, .. } | E::Container(source) => container_advice(source),
        E::Write { source, .. } if is_without_reason(source, io::ErrorKind::AlreadyExists) => (
            "pic::key::exists",
            Some(
                "choose another name, or replace it with --force: what was encrypted with it is lost",
            ),
        ),
        E::Write { source, .. } => file_advice(source),
        E::MissingPart { part: "program" } => (
            "pic::artifact::part",
            Some(
                "give MODEL.pic, or to `pic run` the server's part (`pic compile --server-output`)",
            ),
        ),
        E::MissingPart { .. } => {
            ("pic::artifact::part", Some("give MODEL.pic, which the model's owner has"))
        }
        E::OtherProgram { .. } => (
            "pic::key::program",
            Some("use the artifact, keys and ciphertexts of one compilation together"),
        ),
        E::ProgramHash { .. } | E::PartHash { .. } => (
            "pic::artifact::forged",
            Some(
                "do not use the file: take it from the model's owner again, by a channel that you trust",
            ),
        ),
        E::SharingPrecision { .. } => (
            "pic::sharing::precision",
            Some(
                "compile the model with --shareable, share fewer answers, or show classes only with --top",
            ),
        ),
        E::SharingLimit { .. } => (
            "pic::sharing::limit",
            Some(
                "make new keys with `pic keygen`; answers under the old ones must not be shared any more",
            ),
        ),
        E::SharingQueries { .. } => (
            "pic::sharing::limit",
            Some("give `--share` the number that it had for the first answer, or make new keys"),
        ),
        E::OtherQuestion { .. } => {
            ("pic::question", Some("ask the server again for the answer to this question"))
        }
        E::OtherKey { .. } => {
            ("pic::key::other", Some("use the keys that one `pic keygen` wrote together"))
        }
        E::Ckks(pic_ckks::Error::KeySet(_)) => {
            ("pic::key::set", Some("make the keys again with `pic keygen` and this model"))
        }
        E::Insecure(_) => ("pic::artifact::insecure", Some("compile the model again")),
        E::SampleLength { .. } | E::NotFinite { .. } => ("pic::input", None),
        E::OutOfRange { .. } => (
            "pic::input::range",
            Some(
                "check units and preprocessing, or calibrate with samples like these; encrypt it all the same with \
                 --allow-out-of-range",
            ),
        ),
        E::Randomness(_) => ("pic::random", None),
        E::Ckks(pic_ckks::Error::Ring(RingError::KernelsUnavailable { .. })) => {
            ("pic::kernels", Some("unset PIC_KERNELS, or name other kernels with it"))
        }
        _ => ("pic::file::malformed", Some(TRANSFER)),
    }
}

/// Returns whether an error is of a kind and has no further message.
fn is_without_reason(error: &io::Error, kind: io::ErrorKind) -> bool {
    error.kind() == kind && irreplaceable(error).is_none()
}

fn irreplaceable(error: &io::Error) -> Option<Irreplaceable> {
    error.get_ref()?.downcast_ref().copied()
}

/// Code and advice for files that are not read or written.
fn file_advice(error: &io::Error) -> (&'static str, Option<&'static str>) {
    match irreplaceable(error) {
        Some(Irreplaceable::SecretKey) => (
            "pic::file::secret_key",
            Some(
                "choose another name; if the key is to go, and with it everything that was encrypted, remove it first",
            ),
        ),
        Some(_) => ("pic::file::in_use", Some("choose another name")),
        None => ("pic::file", None),
    }
}

const TRANSFER: &str = "copy or make the file again";

fn container_advice(error: &ContainerError) -> (&'static str, Option<&'static str>) {
    match error {
        ContainerError::Io(_) => ("pic::file", None),
        ContainerError::Version { found, known } if found < known => (
            "pic::file::version",
            Some(
                "compile the model again with this version of pic, and make keys and ciphertexts again",
            ),
        ),
        ContainerError::Version { .. } => {
            ("pic::file::version", Some("use the version of pic that wrote the file"))
        }
        ContainerError::Magic
        | ContainerError::Kind { .. }
        | ContainerError::UnknownKind { .. } => {
            ("pic::file::kind", Some("check which file goes to which option: see --help"))
        }
        _ => ("pic::file::damaged", Some(TRANSFER)),
    }
}

/// Code and advice for models that are not compiled.
fn compile_advice(error: &CompileError) -> (&'static str, Option<&'static str>) {
    use CompileError as E;
    match error {
        E::Import(_) => ("pic::compile::import", None),
        E::Preprocessing(_) => {
            ("pic::compile::preprocessing", Some("see --scale, --mean and --std"))
        }
        E::Dataset(_) | E::Profile(_) => (
            "pic::compile::calibration",
            Some("calibrate with a few hundred samples of what the network will see"),
        ),
        E::TooDeep { .. } => (
            "pic::compile::depth",
            Some("allow a larger --max-accuracy-drop, or use a network with fewer layers"),
        ),
        E::Accuracy { .. } => {
            ("pic::compile::accuracy", Some("allow that drop with --max-accuracy-drop"))
        }
        E::Latency { .. } => {
            ("pic::compile::latency", Some("allow that time with --latency-budget"))
        }
        E::Precision { .. } => {
            ("pic::compile::precision", Some("ask for less with --min-precision or --shareable"))
        }
        E::Memory { .. } => (
            "pic::compile::memory",
            Some("allow more with --memory-limit, or a larger accuracy drop"),
        ),
        E::Program(_) | E::Allocation(AllocationError::Instance(_)) => {
            ("pic::compile::internal", Some("please report this with the model"))
        }
        _ => ("pic::compile", None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn causes_are_told_once() {
        let cause = || io::Error::other("no space left");
        // Quotes its cause.
        let quoting = pic::Error::Write { path: PathBuf::from("m.pic"), source: cause() };
        assert_eq!(message(&quoting), "cannot write m.pic: no space left");
        // Does not.
        let plain = pic::CompilerError::Read { path: PathBuf::from("m.onnx"), source: cause() };
        assert_eq!(message(&plain), "cannot read `m.onnx`: no space left");
    }
}
