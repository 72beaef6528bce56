//! The same bytes everywhere: what an artifact depends on is the network, the data, the options, the target and the
//! version, and not the machine that compiles.

use std::fs;

use pic_ckks::model::KernelSet;
use pic_ckks::ring::kernels_available;

use super::command::{command, finish};
use super::files::{compile, examples, fresh_folder};

/// BLAKE3 of the artifact of `cnn_relu` for `ifma:2`, on every machine.
///
/// A change of the compiler may change it, and so does another version. Where that is meant, put the hash here
/// that the failing test prints, and that of ResNet-20 into BENCHMARKS.md; where not, it shows that something follows
/// the machine or that a decision moved.
const CNN_RELU: &str = "c4a0931978f6abb43515cbf956f3bfc29b66b12b0f12273a8fffcc20a95bf62c";

/// Compiles `cnn_relu` in a folder of its own.
fn compiled(folder: &str, environment: (&str, &str), options: &str) -> Vec<u8> {
    let folder = fresh_folder(folder);
    fs::copy(examples().join("cnn_relu.onnx"), folder.join("cnn_relu.onnx")).unwrap();
    let mut command = command(&folder);
    command.env_remove("PIC_KERNELS").env_remove("RAYON_NUM_THREADS");
    command.env(environment.0, environment.1);
    let arguments = format!("{} --target ifma:2 {options}", compile("cnn_relu"));
    let run = finish(command.args(arguments.split_whitespace()));
    assert_eq!(run.code, Some(0), "{environment:?} {options}\n{run:#?}");
    fs::read(folder.join("cnn_relu.pic")).unwrap()
}

#[test]
fn an_artifact_does_not_follow_the_machine() {
    let expected = compiled("bytes", ("RAYON_NUM_THREADS", "1"), "");
    let same = |folder: &str, environment: (&str, &str), options: &str| {
        let found = compiled(folder, environment, options);
        assert!(found == expected, "other bytes with {environment:?} {options}");
    };
    for threads in ["2", "3"] {
        same("bytes-environment", ("RAYON_NUM_THREADS", threads), "");
        same("bytes-option", ("RAYON_NUM_THREADS", "1"), &format!("--threads {threads}"));
    }
    for kernels in KernelSet::ALL.into_iter().filter(|&set| kernels_available(set)) {
        same("bytes-kernels", ("PIC_KERNELS", kernels.name()), "");
    }
    assert_eq!(blake3::hash(&expected).to_string(), CNN_RELU);
}
