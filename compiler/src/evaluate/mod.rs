//! Plaintext evaluation of a network over batches of samples.
//!
//! This is what profiling, sensitivity and accuracy predictions run on. Linear nodes are evaluated
//! from the same [`pic_ir::matrix::Matrix::row`] that the encrypted lowering reads: `repeated` lists
//! one row for all outputs of a position, other matrices are evaluated row by row. What is listed
//! serves [`LANES`] samples. Nothing here knows of ciphertexts.

mod repeated;

use multiversion::multiversion;
use petgraph::graph::NodeIndex;
use pic_ir::activations::Approximation;
use pic_ir::function::Function;
use pic_ir::matrix::{Entry, Matrix};
use pic_ir::network::{Network, Op};
use rayon::prelude::*;

pub(crate) use repeated::Repeated;

/// Number of samples that are evaluated together.
pub const LANES: usize = 64;

/// One tensor for up to [`LANES`] samples: for each element, its value in every sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of samples in use; the lanes beyond hold the values that an all-zero sample produces.
    pub samples: usize,
    /// One row of lanes per tensor element.
    pub values: Vec<[f32; LANES]>,
}

impl Batch {
    /// Gathers up to [`LANES`] flattened samples of equal length.
    pub fn from_samples(samples: &[&[f32]]) -> Self {
        assert!((1..=LANES).contains(&samples.len()), "1 to {LANES} samples make a batch");
        let mut values = vec![[0.0; LANES]; samples[0].len()];
        for (lane, sample) in samples.iter().enumerate() {
            for (value, &x) in values.iter_mut().zip(*sample) {
                value[lane] = x;
            }
        }
        Self { samples: samples.len(), values }
    }

    /// Flattened tensor of one sample.
    pub fn sample(&self, lane: usize) -> Vec<f32> {
        self.values.iter().map(|v| v[lane]).collect()
    }

    /// The values of the samples in use, element by element.
    pub fn used(&self) -> impl Iterator<Item = &[f32]> {
        self.values.iter().map(|v| &v[..self.samples])
    }
}

/// Function in use at an activation layer: the exact activation or its polynomial.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// The exact activation.
    Exact(Function),
    /// A polynomial in place of the activation.
    Approximate(&'a Approximation),
}

/// The exact activations of a network, in order of evaluation.
pub fn exact_layers(network: &Network) -> Vec<Layer<'static>> {
    network.activations().into_iter().map(|(_, f)| Layer::Exact(f)).collect()
}

/// A network evaluated on one batch. The values of all nodes are kept, so that the effect of a change at one layer
/// can be computed from that layer on.
#[derive(Clone)]
pub struct Evaluation<'a> {
    network: &'a Network,
    values: Vec<Batch>,
}

impl<'a> Evaluation<'a> {
    /// Evaluates the whole network with `layers[k]` as activation layer `k`.
    pub fn new(network: &'a Network, input: Batch, layers: &[Layer]) -> Self {
        let mut evaluation = Self { network, values: vec![input] };
        evaluation.evaluate_from(NodeIndex::new(1), layers);
        evaluation
    }

    /// The value of a node.
    pub fn value(&self, node: NodeIndex) -> &Batch {
        &self.values[node.index()]
    }

    /// Value of the output node.
    pub fn output(&self) -> &Batch {
        self.value(self.network.output)
    }

    /// Replaces the value of `node` and recomputes every later node.
    pub fn restart(&mut self, node: NodeIndex, value: Batch, layers: &[Layer]) {
        self.values[node.index()] = value;
        self.evaluate_from(NodeIndex::new(node.index() + 1), layers);
    }

    fn evaluate_from(&mut self, first: NodeIndex, layers: &[Layer]) {
        self.values.truncate(first.index());
        let is_activation = |n: &NodeIndex| matches!(self.network.graph[*n].op, Op::Activation(_));
        let mut layer =
            self.network.graph.node_indices().take(first.index()).filter(is_activation).count();
        for node in self.network.graph.node_indices().skip(first.index()) {
            let operands = self.network.operands(node);
            let operands: Vec<_> = operands.iter().map(|o| &self.values[o.index()]).collect();
            let is_activation = is_activation(&node);
            let value = value(self.network, node, &operands, is_activation.then(|| layers[layer]));
            layer += usize::from(is_activation);
            self.values.push(value);
        }
    }
}

/// Computes the value of one node from the values of its operands, in order of position. For an activation node,
/// `layer` is the function to apply, by default the exact activation; other nodes ignore it.
///
/// # Panics
/// If the node is the input.
pub fn value(
    network: &Network,
    node: NodeIndex,
    operands: &[&Batch],
    layer: Option<Layer>,
) -> Batch {
    match &network.graph[node].op {
        Op::Input => unreachable!("a verified network has one input, its first node"),
        Op::Linear { matrices, bias } => linear(matrices, operands, bias.as_deref()),
        Op::Product => product(operands[0], operands[1]),
        Op::Activation(function) => apply(layer.unwrap_or(Layer::Exact(*function)), operands[0]),
    }
}

/// Evaluates a network on any number of samples and returns the flattened outputs.
pub fn outputs(network: &Network, samples: &[&[f32]], layers: &[Layer]) -> Vec<Vec<f32>> {
    let batches: Vec<Vec<Vec<f32>>> = samples
        .par_chunks(LANES)
        .map(|chunk| {
            let evaluation = Evaluation::new(network, Batch::from_samples(chunk), layers);
            (0..chunk.len()).map(|lane| evaluation.output().sample(lane)).collect()
        })
        .collect();
    batches.into_iter().flatten().collect()
}

/// Applies the function of a layer to every value.
pub fn apply(layer: Layer, input: &Batch) -> Batch {
    let values = input.values.par_iter().map(|lanes| match layer {
        Layer::Exact(Function::Relu) => lanes.map(|x| x.max(0.0)),
        Layer::Exact(function) => lanes.map(|x| function.evaluate(f64::from(x)) as f32),
        Layer::Approximate(polynomial) => clenshaw(polynomial, lanes),
    });
    Batch { samples: input.samples, values: values.collect() }
}

fn product(a: &Batch, b: &Batch) -> Batch {
    let values = a.values.iter().zip(&b.values).map(|(a, b)| std::array::from_fn(|k| a[k] * b[k]));
    Batch { samples: a.samples, values: values.collect() }
}

fn linear(matrices: &[Matrix], operands: &[&Batch], bias: Option<&[f32]>) -> Batch {
    let rows = matrices[0].rows();
    let mut values = match bias {
        Some(bias) => bias.iter().map(|&b| [b; LANES]).collect(),
        None => vec![[0.0; LANES]; rows],
    };
    for (matrix, operand) in matrices.iter().zip(operands) {
        match Repeated::of(matrix) {
            Some(repeated) => repeated.add(&operand.values, &mut values),
            None => add_rows(matrix, operand, &mut values),
        }
    }
    Batch { samples: operands[0].samples, values }
}

fn add_rows(matrix: &Matrix, operand: &Batch, values: &mut [[f32; LANES]]) {
    values.par_iter_mut().enumerate().for_each_init(Vec::new, |entries, (row, value)| {
        add_row(matrix, operand, row, entries, value);
    });
}

/// Adds one row of the product of a matrix and a batch.
pub(crate) fn add_row(
    matrix: &Matrix,
    operand: &Batch,
    row: usize,
    entries: &mut Vec<Entry>,
    value: &mut [f32; LANES],
) {
    matrix.row(row, entries);
    accumulate(value, entries, &operand.values);
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn accumulate(sum: &mut [f32; LANES], entries: &[Entry], values: &[[f32; LANES]]) {
    let mut local = *sum;
    for &(column, weight) in entries {
        let (weight, lanes) = (weight as f32, &values[column as usize]);
        for k in 0..LANES {
            local[k] += weight * lanes[k];
        }
    }
    *sum = local;
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn clenshaw(polynomial: &Approximation, lanes: &[f32; LANES]) -> [f32; LANES] {
    let (center, scale) = (polynomial.center as f32, (1.0 / polynomial.half_width) as f32);
    let u = lanes.map(|x| (x - center) * scale);
    let (mut b1, mut b2) = ([0.0f32; LANES], [0.0f32; LANES]);
    for &c in polynomial.coefficients[1..].iter().rev() {
        let c = c as f32;
        for k in 0..LANES {
            (b1[k], b2[k]) = (c + 2.0 * u[k] * b1[k] - b2[k], b1[k]);
        }
    }
    let c = polynomial.coefficients[0] as f32;
    std::array::from_fn(|k| c + u[k] * b1[k] - b2[k])
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ir::matrix::{Conv, ConvAxis};
    use pic_ir::network::Node;

    fn network() -> Network {
        let mut network = Network::with_input("x", vec![3]);
        let x = network.input();
        let node = |name: &str, op, len| Node {
            name: name.into(),
            provenance: vec![],
            op,
            shape: vec![len],
        };
        let weights = vec![1.0, -2.0, 0.5, 0.25, 3.0, -1.0];
        let dense = Matrix::Dense { outer: 1, rows: 2, cols: 3, inner: 1, weights };
        let fc = node("fc", Op::Linear { matrices: vec![dense], bias: Some(vec![0.5, -0.5]) }, 2);
        let y = network.push(fc, &[x]);
        let a = network.push(node("gelu", Op::Activation(Function::Gelu), 2), &[y]);
        network.push(node("mul", Op::Product, 2), &[a, y]);
        network.verify().unwrap();
        network
    }

    #[test]
    fn agrees_with_hand_evaluation_over_several_batches() {
        let network = network();
        let samples: Vec<Vec<f32>> = (0..150)
            .map(|i| (0..3).map(|j| ((i * 7 + j * 5) % 11) as f32 / 4.0 - 1.0).collect())
            .collect();
        let views: Vec<&[f32]> = samples.iter().map(|s| &s[..]).collect();
        let found = outputs(&network, &views, &exact_layers(&network));
        for (x, out) in samples.iter().zip(&found) {
            let y = [x[0] - 2.0 * x[1] + 0.5 * x[2] + 0.5, 0.25 * x[0] + 3.0 * x[1] - x[2] - 0.5];
            for (y, out) in y.iter().zip(out) {
                let expected = Function::Gelu.evaluate(f64::from(*y)) as f32 * y;
                assert!((expected - out).abs() < 1e-5 * (1.0 + expected.abs()));
            }
        }
    }

    /// To the last bit, with all outputs of a block in use and not, and padding on one side.
    #[test]
    fn repeated_matrices_agree_with_their_rows() {
        let axis = |input, output, kernel, stride, dilation, pad: usize| ConvAxis {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
        };
        let numbers = |len: usize| (0..len).map(|k| ((k * 37) % 23) as f32 / 7.0 - 1.3).collect();
        let axes = vec![axis(5, 3, 3, 2, 1, 1), axis(6, 6, 2, 1, 2, 1)];
        let conv = Conv { out_channels: 6, in_channels: 3, groups: 1, axes, weights: numbers(108) };
        let dense = Matrix::Dense { outer: 2, rows: 5, cols: 3, inner: 4, weights: numbers(15) };
        for matrix in [Matrix::Conv(conv), dense] {
            matrix.verify().unwrap();
            let lanes = |k: usize| std::array::from_fn(|lane| libm::sinf((k * 64 + lane) as f32));
            let operand = Batch { samples: LANES, values: (0..matrix.cols()).map(lanes).collect() };
            let mut expected = vec![[0.25; LANES]; matrix.rows()];
            add_rows(&matrix, &operand, &mut expected);
            let mut found = vec![[0.25; LANES]; matrix.rows()];
            Repeated::of(&matrix).unwrap().add(&operand.values, &mut found);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn restarting_equals_evaluating_with_the_changed_layer() {
        let network = network();
        let polynomial = Approximation {
            name: "gelu".into(),
            function: Function::Gelu,
            center: 0.25,
            half_width: 6.0,
            stretch: 1.0,
            coefficients: vec![1.0, 2.0, 0.5, -0.25],
            error: 0.0,
            loss: 0.0,
        };
        let input = Batch::from_samples(&[&[1.0, -0.5, 2.0], &[0.0, 1.0, -1.0]]);
        let changed = [Layer::Approximate(&polynomial)];
        let expected = Evaluation::new(&network, input.clone(), &changed);
        let mut restarted = Evaluation::new(&network, input, &exact_layers(&network));
        let value = apply(changed[0], restarted.value(NodeIndex::new(1)));
        restarted.restart(NodeIndex::new(2), value, &changed);
        assert_eq!(expected.output(), restarted.output());
        let y = f64::from(expected.value(NodeIndex::new(1)).values[0][1]);
        let p = f64::from(expected.value(NodeIndex::new(2)).values[0][1]);
        assert!((p - polynomial.evaluate(y)).abs() < 1e-5);
    }
}
