//! Files that many tests read: made once, by the command itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::command::succeed;

/// The example networks and arrays of the repository.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits")
}

/// The arguments that compile `NAME.onnx` with the examples' calibration arrays.
pub fn compile(name: &str) -> String {
    let arrays = examples().display().to_string();
    format!(
        "compile {name}.onnx --calibration {arrays}/calibration_x.npy --labels {arrays}/calibration_y.npy"
    )
}

/// A folder with `model.onnx`, its artifact, what `compile` printed, keys, a ciphertext of two
/// samples and the answer; artifact and keys of another network under `other.*`. Not to be
/// written to.
pub fn shared() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = fresh_folder("shared");
        for (name, onnx) in [("model", "cnn_relu.onnx"), ("other", "mlp_sigmoid.onnx")] {
            fs::copy(examples().join(onnx), folder.join(format!("{name}.onnx"))).unwrap();
            let arguments = format!(
                "{} --client-output {name}.client --server-output {name}.server --pareto --json",
                compile(name)
            );
            let compiled = succeed(&folder, &arguments).stdout;
            fs::write(folder.join(format!("{name}.json")), compiled).unwrap();
            let keygen = format!(
                "keygen {name}.client --secret-key {name}.secret --evaluation-keys {name}.keys"
            );
            succeed(&folder, &keygen);
        }
        let test = fs::read(examples().join("test_x.npy")).unwrap();
        let two = npy(&[2, 1, 8, 8], &images(&test)[..2].concat());
        fs::write(folder.join("two.npy"), two).unwrap();
        succeed(&folder, "encrypt model.client --secret-key model.secret --input two.npy -o x.ct");
        succeed(&folder, "run model.pic --evaluation-keys model.keys --input x.ct -o y.ct");
        folder
    })
}

/// An empty folder of this name.
pub fn fresh_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Copies of shared files in a fresh folder.
pub fn copies(folder: &str, names: &[&str]) -> PathBuf {
    let folder = fresh_folder(folder);
    for name in names {
        fs::copy(shared().join(name), folder.join(name)).unwrap();
    }
    folder
}

/// The samples of the examples' images, u8 `[n, 1, 8, 8]`.
pub fn images(npy: &[u8]) -> Vec<Vec<f32>> {
    let (_, data) = npy.split_at(header_length(npy));
    data.chunks(64).map(|image| image.iter().map(|&pixel| pixel.into()).collect()).collect()
}

/// A `.npy` file of f32 samples.
pub fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({extents}), }}");
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

fn header_length(npy: &[u8]) -> usize {
    assert_eq!(npy[6], 1, "version 1 of the format");
    10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]))
}
