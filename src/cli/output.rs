//! Output files that are not the runtime's own: arrays, JSON and manual pages. Like the runtime's, each is written
//! whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::WriteNpyExt;
use pic_runtime::output_file::{self, Access, Irreplaceable, write_whole};
use serde::Serialize;

use super::error::Failure;

/// Refuses, before anything is computed, outputs that would destroy a secret key, an input or each other, or whose
/// folder cannot be written to.
pub fn check(outputs: &[&Path], inputs: &[&Path]) -> Result<(), Failure> {
    for (index, output) in outputs.iter().enumerate() {
        let fail = |error: io::Error| Failure::file("write", output, &error);
        output_file::check(output, Access::Shared).map_err(fail)?;
        check_folder(output)?;
        if is_among(output, &outputs[..index]) {
            return Err(fail(Irreplaceable::Output.into()));
        }
        check_no_input(output, inputs)?;
    }
    Ok(())
}

/// Refuses an output whose folder cannot be written to: a file is first written there under a temporary name.
pub fn check_folder(output: &Path) -> Result<(), Failure> {
    let allowed = rustix::fs::access(folder(output), rustix::fs::Access::WRITE_OK);
    allowed.map_err(|e| {
        let error = io::Error::from(e);
        let error =
            io::Error::new(error.kind(), format!("its folder cannot be written to: {error}"));
        Failure::file("write", output, &error)
    })
}

/// Refuses an output that would destroy an input.
pub fn check_no_input(output: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    if is_among(output, inputs) {
        return Err(Failure::file("write", output, &Irreplaceable::Input.into()));
    }
    Ok(())
}

/// Returns whether an output is one of several paths. Faults of the others are reported where they are used.
fn is_among(output: &Path, others: &[&Path]) -> bool {
    others.iter().any(|other| output_file::same_file(output, other).unwrap_or(false))
}

/// Writes decrypted values as a `.npy` array of shape `[rows.len(), shape…]`, in a file that its owner alone can read.
pub fn write_npy(path: &Path, rows: &[Vec<f32>], shape: &[usize]) -> Result<(), Failure> {
    let extents = [&[rows.len()], shape].concat();
    let array = ArrayD::from_shape_vec(IxDyn(&extents), rows.concat())
        .expect("every row has the elements of the shape");
    write(path, PRIVATE, |writer| array.write_npy(writer).map_err(io::Error::other))
}

/// Writes the trace of a run as a JSON file that its owner alone can read, because the trace tells when each of a
/// client's samples was computed, and for how long.
pub fn write_trace(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    json(path, PRIVATE, value)
}

/// Writes text made by this program, such as a manual page, to a file with the usual access rights
/// ([`Access::Shared`]).
pub fn write_text(path: &Path, text: &[u8]) -> Result<(), Failure> {
    write(path, Access::Shared, |writer| writer.write_all(text))
}

/// Writes measurements of this machine to a JSON file with the usual access rights ([`Access::Shared`]).
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    json(path, Access::Shared, value)
}

/// Number of free bytes on the file system on which a file is to be written; none if the operating system does not
/// tell.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder(path)).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Folder of a file.
fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

const PRIVATE: Access = Access::Private { overwrite: true };

fn json(path: &Path, access: Access, value: &impl Serialize) -> Result<(), Failure> {
    write(path, access, |writer| {
        serde_json::to_writer_pretty(writer, value).map_err(io::Error::from)
    })
}

fn write(
    path: &Path,
    access: Access,
    content: impl FnOnce(&mut BufWriter<&mut std::fs::File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let whole = write_whole(path, access, |file| {
        let mut writer = BufWriter::new(file);
        content(&mut writer)?;
        writer.flush()
    });
    whole.map_err(|e| Failure::file("write", path, &e))
}
