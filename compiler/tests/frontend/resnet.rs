//! Trained CIFAR-10 ResNets against tract. The models are not part of the project: without the
//! folder that `PIC_DATA` names, these tests say so and pass.

use std::path::PathBuf;

use ndarray::Array4;
use ndarray_npy::read_npy;
use pic_compiler::frontend::import;
use pic_compiler::reference::Reference;
use pic_compiler::rewrite::canonicalize;
use pic_ir::network::{Network, Op};

use crate::{difference, evaluate};

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("PIC_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: PIC_DATA does not name the folder with the ResNets");
    }
    folder
}

/// The first test images as the models want them.
fn images(folder: &std::path::Path, count: usize) -> Vec<Vec<f32>> {
    let images: Array4<u8> = read_npy(folder.join("cifar10_test1000_x.npy")).unwrap();
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]);
    let normalise = |(k, &v): (usize, &u8)| (f32::from(v) / 255.0 - mean[k / 1024]) / std[k / 1024];
    images.outer_iter().take(count).map(|i| i.iter().enumerate().map(normalise).collect()).collect()
}

fn agrees_with_tract(name: &str, blocks: usize) {
    let Some(folder) = data() else { return };
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let imported = import(&bytes).unwrap().network;
    let simplified = canonicalize(&imported);
    // A convolution before the blocks, two in each, and the classifier with the pooling.
    let (linear, activations) = (2 * blocks + 2, 2 * blocks + 1);
    let count = |is: fn(&Op) -> bool| simplified.graph.node_weights().filter(|n| is(&n.op)).count();
    assert_eq!(count(|op| matches!(op, Op::Linear { .. })), linear, "{simplified}");
    assert_eq!(count(|op| matches!(op, Op::Activation(_))), activations, "{simplified}");
    assert_eq!(simplified.graph.node_count(), 1 + linear + activations);
    let reference = Reference::new(&bytes).unwrap();
    for image in images(&folder, 3) {
        let expected = reference.run(&image).unwrap();
        for network in [&imported, &simplified] {
            let error = difference(&evaluate(network, &image), &expected);
            assert!(error <= 1e-4, "{name} differs by {error}");
        }
    }
}

#[test]
fn resnet_20_agrees_with_tract() {
    agrees_with_tract("resnet20.onnx", 9);
}

#[test]
fn resnet_32_agrees_with_tract() {
    agrees_with_tract("resnet32.onnx", 15);
}

#[test]
fn resnet_20_has_the_expected_form() {
    let Some(folder) = data() else { return };
    let import = import(&std::fs::read(folder.join("resnet20.onnx")).unwrap()).unwrap();
    let network: Network = canonicalize(&import.network);
    insta::assert_snapshot!(network.to_string());
}
