//! Small random networks and samples for the tests of this crate.

use pic_ir::function::Function;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Node, Op};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Standard normal numbers, by sums of uniform ones.
fn normals(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let uniform = |rng: &mut ChaCha8Rng| f64::from(rng.next_u32()) / libm::exp2(32.0) - 0.5;
    (0..count).map(|_| (0..12).map(|_| uniform(rng)).sum::<f64>() as f32).collect()
}

/// `count` samples of `len` elements each, independent and nearly standard normal, drawn from `seed`.
pub fn normal_samples(count: usize, len: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| normals(len, &mut rng)).collect()
}

/// Borrows samples, as [`crate::dataset::Dataset::new`] takes them.
pub fn views(samples: &[Vec<f32>]) -> Vec<&[f32]> {
    samples.iter().map(|s| &s[..]).collect()
}

/// A network of dense layers with an activation between any two and none after the last. `widths` are the length of the
/// input and that of each layer's output. Weights and biases are drawn from `seed`.
pub fn dense(widths: &[usize], function: Function, seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut network = Network::with_input("x", vec![widths[0]]);
    let mut value = network.input();
    for (k, pair) in widths.windows(2).enumerate() {
        if k > 0 {
            let op = Op::Activation(function);
            let name = format!("act{}", k - 1);
            let node = Node { name, provenance: vec![], op, shape: vec![pair[0]] };
            value = network.push(node, &[value]);
        }
        let scale = 1.5 / (pair[0] as f32).sqrt();
        let weights = normals(pair[0] * pair[1], &mut rng).iter().map(|w| w * scale).collect();
        let matrix = Matrix::Dense { outer: 1, rows: pair[1], cols: pair[0], inner: 1, weights };
        let bias = normals(pair[1], &mut rng).iter().map(|b| 0.3 * b).collect();
        let op = Op::Linear { matrices: vec![matrix], bias: Some(bias) };
        let node = Node { name: format!("fc{k}"), provenance: vec![], op, shape: vec![pair[1]] };
        value = network.push(node, &[value]);
    }
    network.verify().expect("well formed");
    network
}

/// A network of 6 inputs, two layers of 8 GELUs and 4 outputs ([`dense`]).
pub fn two_layers(seed: u64) -> Network {
    dense(&[6, 8, 8, 4], Function::Gelu, seed)
}
