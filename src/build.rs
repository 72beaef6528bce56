//! Compilation of a model in a build script.
//!
//! Dependencies of build scripts are compiled without optimisation, so the compiler is not linked
//! in: the installed `pic` command is run. It is found by the environment variable `PIC`, then on
//! the `PATH`, and must have the version of this crate. The result is kept until the model, the
//! calibration data, the options, `PIC_KERNELS` or the command change.
//!
//! Programs are chosen for a machine: name with [`Model::target`] the kind that will run them. Without, it is the
//! one that builds, and other machines build other programs.
//!
//! ```no_run
//! // build.rs; the program then says `pic::include_artifact!("digits")`.
//! fn main() -> Result<(), pic::build::Error> {
//!     pic::build::Model::new("models/digits.onnx")
//!         .calibration("models/x.npy")
//!         .labels("models/y.npy")
//!         .target("ifma:2")
//!         .option("--max-accuracy-drop", "1%")
//!         .compile()?;
//!     Ok(())
//! }
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, io};

/// Compiles `DIR/NAME.onnx` to `$OUT_DIR/NAME.pic`, calibrated with `DIR/NAME_x.npy` and, where
/// there is one, the labels `DIR/NAME_y.npy`.
///
/// # Errors
/// The errors of [`Model::compile`].
pub fn compile(model: impl Into<PathBuf>) -> Result<PathBuf, Error> {
    let model = model.into();
    let beside = |suffix: &str| {
        let mut name = model.file_stem().unwrap_or_default().to_owned();
        name.push(suffix);
        model.with_file_name(name)
    };
    let labels = beside("_y.npy");
    let compilation = Model::new(&model).calibration(beside("_x.npy"));
    if labels.is_file() { compilation.labels(labels) } else { compilation }.compile()
}

/// Environment variable that names the kernel set of the command, and so its default target.
const KERNELS: &str = "PIC_KERNELS";

/// A model to compile: ONNX file, calibration data and options.
#[derive(Clone, Debug)]
pub struct Model {
    onnx: PathBuf,
    files: Vec<(&'static str, PathBuf)>,
    options: Vec<OsString>,
    command: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl Model {
    /// A model in an ONNX file, with default options.
    pub fn new(onnx: impl Into<PathBuf>) -> Self {
        Self {
            onnx: onnx.into(),
            files: Vec::new(),
            options: Vec::new(),
            command: None,
            folder: None,
        }
    }

    /// Sets the file of calibration samples, `.npy` or `.npz`.
    pub fn calibration(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(("--calibration", file.into()));
        self
    }

    /// Sets the file of the calibration samples' labels.
    pub fn labels(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(("--labels", file.into()));
        self
    }

    /// Sets the machine that will run the program: kernel set and number of threads, such as `ifma:2`. The same
    /// target gives the same artifact on every machine that builds.
    pub fn target(self, target: &str) -> Self {
        self.option("--target", target)
    }

    /// Sets any other option of `pic compile`.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// Sets the `pic` command to run, in place of the one that the environment names.
    pub fn command(mut self, path: impl Into<PathBuf>) -> Self {
        self.command = Some(path.into());
        self
    }

    /// Sets the folder of the artifact, in place of `OUT_DIR`.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// Compiles, unless the artifact of an earlier build is still valid, and tells cargo which files to watch.
    /// Returns the artifact's path.
    ///
    /// # Errors
    /// Every variant of [`Error`].
    pub fn compile(&self) -> Result<PathBuf, Error> {
        let out_dir = || env::var_os("OUT_DIR").map(PathBuf::from).ok_or(Error::NoOutDir);
        let folder = self.folder.clone().map_or_else(out_dir, Ok)?;
        let command = self.command.clone().map_or_else(find_command, Ok)?;
        for name in ["PIC", KERNELS] {
            println!("cargo::rerun-if-env-changed={name}");
        }
        for file in self.inputs(&command) {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        check_version(&command)?;

        let name = self.onnx.file_stem().unwrap_or_default();
        let artifact = folder.join(name).with_extension("pic");
        let record = folder.join(name).with_extension("pic.inputs");
        let key = self.key(&command)?;
        if artifact.is_file() && fs::read_to_string(&record).is_ok_and(|found| found == key) {
            return Ok(artifact);
        }
        let mut arguments: Vec<OsString> = vec!["compile".into(), (&self.onnx).into()];
        for (option, file) in &self.files {
            arguments.extend([(*option).into(), file.into()]);
        }
        arguments.extend(self.options.iter().cloned());
        arguments.extend(["--output".into(), (&artifact).into()]);
        let output = run(&command, &arguments)?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Compile { model: self.onnx.clone(), message });
        }
        fs::write(&record, key).map_err(|source| Error::File { path: record, source })?;
        Ok(artifact)
    }

    fn inputs<'a>(&'a self, command: &'a Path) -> impl Iterator<Item = &'a Path> {
        let files = self.files.iter().map(|(_, file)| &**file);
        [&*self.onnx, command].into_iter().chain(files)
    }

    /// Digest of everything that the artifact depends on.
    fn key(&self, command: &Path) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for path in self.inputs(command) {
            let bytes = fs::read(path)
                .map_err(|source| Error::File { path: path.to_path_buf(), source })?;
            part(&bytes);
        }
        for (option, _) in &self.files {
            part(option.as_bytes());
        }
        for option in &self.options {
            part(option.as_encoded_bytes());
        }
        part(env::var_os(KERNELS).unwrap_or_default().as_encoded_bytes());
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn find_command() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os("PIC") {
        return Ok(path.into());
    }
    let name = format!("pic{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .find(|p| p.is_file())
        .ok_or(Error::NoCommand)
}

fn check_version(command: &Path) -> Result<(), Error> {
    let output = run(command, &["--version".into()])?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let expected = concat!("pic ", env!("CARGO_PKG_VERSION"));
    if found == expected {
        return Ok(());
    }
    Err(Error::Version { command: command.into(), found, expected })
}

fn run(command: &Path, arguments: &[OsString]) -> Result<Output, Error> {
    Command::new(command)
        .args(arguments)
        .output()
        .map_err(|source| Error::File { path: command.into(), source })
}

/// Reason why a model was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No folder was given, and this is not a build script.
    #[error("OUT_DIR is not set: call this from a build script, or name a folder")]
    NoOutDir,
    /// No `pic` command was found.
    #[error("the command `pic` is neither named by PIC nor on the PATH: run `cargo install pic`")]
    NoCommand,
    /// The command and this crate have different versions.
    #[error("`{}` is `{found}`, this crate needs `{expected}`: install that version", command.display())]
    Version {
        /// Path of the command.
        command: PathBuf,
        /// Version that the command states.
        found: String,
        /// Version of this crate.
        expected: &'static str,
    },
    /// A file cannot be read, written or run.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The compiler refused the model.
    #[error("`{}` was not compiled:\n{message}", model.display())]
    Compile {
        /// Path of the model.
        model: PathBuf,
        /// Error output of `pic compile`.
        message: String,
    },
}

#[cfg(all(test, unix))]
mod tests {

    use super::*;

    /// A `pic` that writes its arguments to the artifact, and a line to `runs`.
    fn fake_command(folder: &Path, version: &str) -> PathBuf {
        let path = folder.join("pic");
        let script = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = --version ]; then echo pic {version}; exit; fi\n\
             echo run >> {folder}/runs\n\
             for last; do :; done\n\
             grep -q broken \"$2\" && {{ echo why >&2; exit 1; }}\n\
             echo \"$@\" > \"$last\"\n",
            folder = folder.display()
        );
        // Written by another process: a file that this one has open for writing is busy in whatever another test starts
        // meanwhile, and cannot be run.
        let mut writer = Command::new("sh");
        writer.args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(&path).arg(script);
        assert!(writer.status().unwrap().success());
        path
    }

    #[test]
    fn runs_once_until_something_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let command = fake_command(folder.path(), env!("CARGO_PKG_VERSION"));
        let model = Model::new(file("m.onnx", "onnx"))
            .calibration(file("x.npy", "x"))
            .target("ifma:4")
            .option("--seed", "7")
            .command(&command)
            .folder(folder.path());
        let runs = || fs::read_to_string(folder.path().join("runs")).unwrap().lines().count();

        let artifact = model.compile().unwrap();
        assert_eq!(artifact, folder.path().join("m.pic"));
        let arguments = fs::read_to_string(&artifact).unwrap();
        assert!(arguments.contains("--calibration"), "{arguments}");
        assert!(arguments.contains("--target ifma:4 --seed 7"), "{arguments}");
        model.compile().unwrap();
        assert_eq!(runs(), 1);
        file("x.npy", "other");
        model.compile().unwrap();
        assert_eq!(runs(), 2);
        model.clone().option("--seed", "8").compile().unwrap();
        assert_eq!(runs(), 3);
        file("m.onnx", "broken");
        assert!(
            matches!(model.compile(), Err(Error::Compile { message, .. }) if message == "why\n")
        );
    }

    #[test]
    fn another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::new("m.onnx").folder(folder.path());
        let old = fake_command(folder.path(), "0.0.0");
        assert!(matches!(model.clone().command(old).compile(), Err(Error::Version { .. })));
        let missing = model.command(folder.path().join("missing")).compile();
        assert!(matches!(missing, Err(Error::File { .. })));
    }
}
