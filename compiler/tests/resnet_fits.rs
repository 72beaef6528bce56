//! Low degrees in a trained ResNet-20. The model and its images are not part of the project: without
//! the folder that `PIC_DATA` names, this test says so and passes. Test images are not touched.

use std::path::Path;

use ndarray::{Array1, Array4};
use ndarray_npy::read_npy;
use pic_compiler::dataset::Dataset;
use pic_compiler::frontend::import;
use pic_compiler::options::Task;

use pic_compiler::rewrite::{canonicalize, equalize, isolate};
use pic_compiler::{fit, layerwise, profile};
use pic_ir::prediction::Fidelity;
use pic_ir::profile::Profile;

/// Calibration images as the model wants them, and their labels.
fn images(folder: &Path) -> (Vec<Vec<f32>>, Vec<usize>) {
    let images: Array4<u8> = read_npy(folder.join("cifar10_calibration_x.npy")).unwrap();
    let labels: Array1<i64> = read_npy(folder.join("cifar10_calibration_y.npy")).unwrap();
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]);
    let normalise = |(k, &v): (usize, &u8)| (f32::from(v) / 255.0 - mean[k / 1024]) / std[k / 1024];
    let images = images.outer_iter().map(|i| i.iter().enumerate().map(normalise).collect());
    (images.collect(), labels.iter().map(|&label| label as usize).collect())
}

#[test]
fn degree_8_everywhere_keeps_most_answers() {
    let Some(folder) = std::env::var_os("PIC_DATA") else {
        eprintln!("skipped: PIC_DATA does not name the folder with the ResNets");
        return;
    };
    let folder = Path::new(&folder);
    let bytes = std::fs::read(folder.join("resnet20.onnx")).unwrap();
    let network = isolate(&canonicalize(&import(&bytes).unwrap().network));
    let (images, labels) = images(folder);
    let views: Vec<&[f32]> = images.iter().map(|image| &image[..]).collect();
    let data = |range: std::ops::Range<usize>| {
        Dataset::new(&network, &views[range.clone()], Some(&labels[range])).unwrap()
    };
    let (fitting, held) = (data(0..640), data(1000..1384));

    let inputs = |network| {
        profile::inputs(network, &fitting, &profile::ProfileOptions::default(), &|_, _| {}).unwrap()
    };
    let rescaled = equalize(&network, &inputs(&network));
    let profile = Profile { samples: fitting.len(), layers: inputs(&rescaled) };
    let options = layerwise::RefitOptions {
        fit: fit::FitOptions { degrees: vec![8], ..fit::FitOptions::default() },
        ..layerwise::RefitOptions::default()
    };
    let candidates = layerwise::candidates(&rescaled, &profile, &options.fit).unwrap();
    let chosen = layerwise::uniform(&candidates, 8).unwrap();
    let chosen: Vec<_> = candidates.iter().zip(chosen).map(|(list, k)| &list[k]).collect();
    let refit =
        layerwise::refit(&rescaled, &fitting, &fitting, &profile, &chosen, &options, &|_, _| {});
    let measured = layerwise::Reference::of_validation(&rescaled, held, Task::Classification)
        .measure(&refit.unwrap());
    println!("{measured:?}");
    let Fidelity::Accuracy { drop, .. } = measured.fidelity else { panic!("labels") };
    assert!(drop <= 0.03, "{measured:?}");
    // A single image that leaves the polynomials' intervals makes this huge or infinite.
    assert!(measured.classification.unwrap().margin_deviation <= 0.3, "{measured:?}");
}
