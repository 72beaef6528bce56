//! Output files that are not the runtime's own: arrays and JSON. Whole or absent, as the runtime's.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::WriteNpyExt;
use pic_runtime::output_file::{Access, write_whole};
use serde::Serialize;

use super::error::Failure;

/// Writes a `.npy` file of `[rows, shape…]`.
pub fn write_npy(path: &Path, rows: &[Vec<f32>], shape: &[usize]) -> Result<(), Failure> {
    let extents = [&[rows.len()], shape].concat();
    let array = ArrayD::from_shape_vec(IxDyn(&extents), rows.concat())
        .expect("every row has the elements of the shape");
    write(path, |writer| array.write_npy(writer).map_err(io::Error::other))
}

/// Writes a `.json` file.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    write(path, |writer| serde_json::to_writer_pretty(writer, value).map_err(io::Error::from))
}

fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&mut std::fs::File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let whole = write_whole(path, Access::Shared, |file| {
        let mut writer = BufWriter::new(file);
        content(&mut writer)?;
        writer.flush()
    });
    whole.map_err(|e| Failure::file("write", path, &e))
}
