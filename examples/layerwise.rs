//! Layerwise degrees against uniform ones, on an example network: a table of BENCHMARKS.md.
//!
//! For every degree that all activations could share, the best layerwise choice that is predicted
//! to be no slower. Losses are the compiler's objective; margins are measured on the test images:
//! how far the difference between the two highest outputs moves, relative to its mean.
//!
//! ```text
//! cargo run --release --example layerwise -- examples/digits/cnn_relu.onnx
//! ```

use std::error::Error;
use std::path::PathBuf;

use ndarray_npy::read_npy;
use pic_compiler::compile::{Compiled, compile};
use pic_compiler::dataset::{Dataset, RawSamples};
use pic_compiler::options::{Options, Task};
use pic_compiler::point_summary::PointSummary;
use pic_compiler::{fit, layerwise};

/// Samples, flattened, and their labels.
type Data = (Vec<Vec<f32>>, Vec<usize>);

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1).unwrap_or("examples/digits/cnn_relu.onnx".into());
    let folder = PathBuf::from(&model).parent().ok_or("the model has no folder")?.to_path_buf();
    let read = |split: &str| -> Result<Data, Box<dyn Error>> {
        let x: ndarray::Array4<u8> = read_npy(folder.join(format!("{split}_x.npy")))?;
        let y: ndarray::Array1<i64> = read_npy(folder.join(format!("{split}_y.npy")))?;
        let samples = x.outer_iter().map(|s| s.iter().map(|&v| f32::from(v)).collect());
        Ok((samples.collect(), y.iter().map(|&label| label as usize).collect()))
    };
    let (calibration, test) = (read("calibration")?, read("test")?);
    let (seen, unseen) = (views(&calibration), views(&test));
    let onnx = std::fs::read(&model)?;
    let raw = RawSamples { samples: &seen, labels: Some(&calibration.1) };
    let compiled = compile(&onnx, raw, None, &Options::default(), &())?;
    let seen = Dataset::new(&compiled.network, &seen, Some(&calibration.1))?;
    let unseen = Dataset::new(&compiled.network, &unseen, Some(&test.1))?;

    println!(
        "| uniform degree | predicted | loss | margins | layerwise | predicted | loss | margins |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for uniform in &compiled.uniform {
        let no_slower = compiled.front.iter().take_while(|p| p.seconds <= uniform.seconds);
        let Some(best) = no_slower.last() else { continue };
        let row = |point: &PointSummary| -> Result<String, Box<dyn Error>> {
            let margins = measure(&compiled, &seen, &unseen, point)?;
            let (ms, loss) = (1e3 * point.seconds, point.loss);
            Ok(format!("{:?} | {ms:.1} ms | {loss:.1e} | {:.2} %", point.degrees, 100.0 * margins))
        };
        println!("| {} | {} |", row(uniform)?, row(best)?);
    }
    Ok(())
}

fn views(data: &Data) -> Vec<&[f32]> {
    data.0.iter().map(|s| &s[..]).collect()
}

/// The deviation of margins on new samples with the degrees of a point.
fn measure(
    compiled: &Compiled,
    seen: &Dataset,
    unseen: &Dataset,
    point: &PointSummary,
) -> Result<f64, Box<dyn Error>> {
    let Compiled { network, profile, .. } = compiled;
    let candidates = layerwise::candidates(network, profile, &fit::FitOptions::default())?;
    let mut chosen = Vec::new();
    for (list, &degree) in candidates.iter().zip(&point.degrees) {
        let of_degree = list.iter().find(|c| c.approximation.degree() == degree);
        chosen.push(of_degree.ok_or("a degree without a candidate")?);
    }
    let options = layerwise::RefitOptions::default();
    let refitted = layerwise::refit(network, seen, seen, profile, &chosen, &options, &|_, _| {})?;
    let measured = layerwise::Reference::of_validation(network, *unseen, Task::Classification)
        .measure(&refitted);
    Ok(measured.classification.ok_or("the network does not classify")?.margin_deviation)
}
