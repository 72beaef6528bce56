//! Correction of a linear node behind approximated activations.
//!
//! The operands of the node are no longer what its weights were trained for. Its weights and biases
//! are moved by ridge regression, so that on the calibration samples its value behind the
//! polynomials is as near as possible to that in the exact network (layerwise reconstruction, as
//! Nagel et al., *Up or Down?*, ICML 2020, §3, use it against rounding). That costs nothing
//! at run time, needs no labels, and the minimum is a linear system.
//!
//! Only weights that one small matrix shares between positions are moved: those of the first
//! ungrouped convolution or dense matrix of the node, if there are enough samples for them. Else
//! the biases alone are, by one number per channel. Zeros that the matrix has outside its weights
//! stay zeros: the cost of a node does not change.

use nalgebra::{DMatrix, DMatrixView};
use petgraph::graph::NodeIndex;
use pic_ir::matrix::{Conv, Matrix};
use pic_ir::network::{Network, Op};
use rayon::prelude::*;

use crate::evaluate::{Batch, LANES, linear_rows};

/// How weights are corrected.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Equations that are formed, about; one is a position of a sample.
    pub equations: usize,
    /// Weights are only moved if there are this many equations for each weight of a row.
    pub equations_per_weight: usize,
    /// Penalty on the square of a weight's change, relative to the second moment of what it
    /// multiplies.
    pub ridge: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { equations: 20_000, equations_per_weight: 10, ridge: 1e-3 }
    }
}

/// The operands of a node on one batch.
pub(super) struct Operands<'a> {
    /// In the exact network.
    pub exact: Vec<&'a Batch>,
    /// Behind the polynomials.
    pub found: Vec<&'a Batch>,
}

/// Moves weights and biases of the linear `node` of `network`, which are those of the exact network
/// before.
pub(super) fn correct(
    network: &mut Network,
    node: NodeIndex,
    batches: &[Operands],
    options: &Options,
) {
    let shape = network.graph[node].shape.clone();
    let Op::Linear { matrices, bias } = &mut network.graph[node].op else { return };
    let rows = |found: &Operands| found.found[0].samples;
    let samples: usize = batches.iter().map(rows).sum();
    let shared = matrices.iter().position(|m| Positions::of(m).is_some());
    let positions = shared.and_then(|k| Positions::of(&matrices[k]));
    let enough = |p: &Positions| {
        (samples * p.count).min(options.equations) >= p.features * options.equations_per_weight
    };
    let positions = positions.filter(enough).unwrap_or_else(|| Positions::biases(&shape));
    let per_sample = options.equations.div_ceil(samples).clamp(1, positions.count);
    let moments = |(k, operands): (usize, &Operands)| {
        // Other positions in every batch.
        let shift = |p: usize| p * positions.count + k * positions.count / batches.len();
        let chosen: Vec<usize> = (0..per_sample).map(|p| shift(p) / per_sample).collect();
        let term = shared.filter(|_| positions.features > 0);
        let system = System {
            matrices,
            bias: bias.as_deref(),
            positions: &positions,
            term,
            chosen: &chosen,
        };
        system.moments(operands).cast::<f64>()
    };
    let sum = batches.par_iter().enumerate().map(moments).reduce_with(|a, b| a + b);
    let Some(changes) = sum.and_then(|sum| solve(&sum, &positions, options.ridge)) else { return };
    if positions.features > 0 {
        let k = shared.expect("features are those of a shared matrix");
        let (Matrix::Conv(Conv { weights, .. }) | Matrix::Dense { weights, .. }) = &mut matrices[k]
        else {
            unreachable!("convolutions and dense matrices are shared")
        };
        for (index, weight) in weights.iter_mut().enumerate() {
            let change = changes[(index % positions.features, index / positions.features)];
            *weight = (f64::from(*weight) + change) as f32;
        }
    }
    let bias = bias.get_or_insert_with(|| vec![0.0; shape.iter().product()]);
    for position in 0..positions.count {
        for output in 0..positions.outputs {
            let b = &mut bias[positions.row(position, output)];
            *b = (f64::from(*b) + changes[(positions.features, output)]) as f32;
        }
    }
}

/// The changes of weights, one column per output, that of the bias last; none if they are not
/// determined.
fn solve(sums: &DMatrix<f64>, positions: &Positions, ridge: f64) -> Option<DMatrix<f64>> {
    let (features, unknowns) = (positions.features, positions.features + 1);
    let mut gram = sums.columns(0, unknowns).into_owned();
    let mean = gram.diagonal().mean();
    for k in 0..features {
        gram[(k, k)] += ridge * gram[(k, k)] + 1e-9 * mean;
    }
    let right = sums.columns(unknowns, positions.outputs).into_owned();
    let changes = gram.cholesky()?.solve(&right);
    changes.iter().all(|c| c.is_finite()).then_some(changes)
}

/// The equations of one batch.
struct System<'a> {
    matrices: &'a [Matrix],
    bias: Option<&'a [f32]>,
    positions: &'a Positions,
    /// The matrix whose weights are moved, if any.
    term: Option<usize>,
    chosen: &'a [usize],
}

impl System<'_> {
    /// `Xᵀ·[X, R]`, where a row of X is what the weights multiply, and a one for the bias, and R is
    /// what the node lacks.
    fn moments(&self, operands: &Operands) -> DMatrix<f32> {
        let Positions { features, outputs, .. } = *self.positions;
        let used = operands.found[0].samples;
        // Column-major: the samples of one position are adjacent.
        let equations = used * self.chosen.len();
        let mut system = vec![0.0f32; equations * (features + 1 + outputs)];
        let mut set = |column: usize, k: usize, lanes: &[f32; LANES]| {
            system[column * equations + k * used..][..used].copy_from_slice(&lanes[..used]);
        };
        for (k, &position) in self.chosen.iter().enumerate() {
            if let Some(term) = self.term {
                for (feature, column) in self.positions.columns(&self.matrices[term], position) {
                    set(feature, k, &operands.found[term].values[column]);
                }
            }
            set(features, k, &[1.0; LANES]);
            let rows: Vec<usize> =
                (0..outputs).map(|output| self.positions.row(position, output)).collect();
            let value = |of: &[&Batch]| linear_rows(self.matrices, of, self.bias, &rows);
            let pairs = value(&operands.exact).into_iter().zip(value(&operands.found));
            for (output, (exact, found)) in pairs.enumerate() {
                let lacks = std::array::from_fn(|lane| exact[lane] - found[lane]);
                set(features + 1 + output, k, &lacks);
            }
        }
        let all = DMatrixView::from_slice(&system, equations, features + 1 + outputs);
        all.columns(0, features + 1).transpose() * all
    }
}

/// How a node repeats the same small matrix, or only the same biases, at many positions.
#[derive(Clone, Debug, PartialEq)]
struct Positions {
    count: usize,
    outputs: usize,
    features: usize,
    /// Elements of the result between two outputs of a position.
    inner: usize,
}

impl Positions {
    /// None for matrices without shared weights.
    fn of(matrix: &Matrix) -> Option<Self> {
        match matrix {
            Matrix::Conv(conv) if conv.groups == 1 => {
                let count: usize = conv.axes.iter().map(|a| a.output).product();
                let features = conv.weights.len() / conv.out_channels;
                Some(Self { count, outputs: conv.out_channels, features, inner: count })
            }
            Matrix::Dense { outer, rows, cols, inner, .. } => {
                Some(Self { count: outer * inner, outputs: *rows, features: *cols, inner: *inner })
            }
            _ => None,
        }
    }

    /// One bias per channel, the first axis of the tensor.
    fn biases(shape: &[usize]) -> Self {
        let outputs = shape.first().copied().unwrap_or(1);
        let count = shape.iter().product::<usize>() / outputs;
        Self { count, outputs, features: 0, inner: count }
    }

    /// The element of the node.
    fn row(&self, position: usize, output: usize) -> usize {
        let (outer, inner) = (position / self.inner, position % self.inner);
        (outer * self.outputs + output) * self.inner + inner
    }

    /// Feature and element of the operand, without those in the padding.
    fn columns(&self, matrix: &Matrix, position: usize) -> Vec<(usize, usize)> {
        // Values are counted, so that weights that are zero have a column, too.
        let counted = match matrix {
            Matrix::Conv(conv) => {
                let weights = (0..self.features).map(|k| (k + 1) as f32).collect();
                Matrix::Conv(Conv { out_channels: 1, weights, ..conv.clone() })
            }
            Matrix::Dense { outer, cols, inner, .. } => {
                let weights = (0..*cols).map(|k| (k + 1) as f32).collect();
                Matrix::Dense { outer: *outer, rows: 1, cols: *cols, inner: *inner, weights }
            }
            _ => unreachable!("convolutions and dense matrices have positions"),
        };
        let mut entries = vec![];
        counted.row(position, &mut entries);
        entries.into_iter().map(|(column, k)| (k as usize - 1, column as usize)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_networks::{normal_samples, views};
    use pic_ir::matrix::ConvAxis;
    use pic_ir::network::Node;

    fn linear(input: Vec<usize>, matrix: Matrix, shape: Vec<usize>) -> (Network, NodeIndex) {
        let mut network = Network::with_input("x", input);
        let op = Op::Linear { matrices: vec![matrix], bias: None };
        let x = network.input();
        let node = network.push(Node { name: "y".into(), origin: vec![], op, shape }, &[x]);
        network.verify().unwrap();
        (network, node)
    }

    fn constants(network: &Network, node: NodeIndex) -> (Vec<f32>, Vec<f32>) {
        let Op::Linear { matrices, bias } = &network.graph[node].op else { panic!("linear") };
        let (Matrix::Conv(Conv { weights, .. }) | Matrix::Dense { weights, .. }) = &matrices[0]
        else {
            panic!("shared")
        };
        (weights.clone(), bias.clone().unwrap())
    }

    fn corrected(
        (mut network, node): (Network, NodeIndex),
        exact: &[Vec<f32>],
        found: &[Vec<f32>],
        options: &Options,
    ) -> (Vec<f32>, Vec<f32>) {
        let batches = |samples: &[Vec<f32>]| -> Vec<Batch> {
            views(samples).chunks(LANES).map(Batch::from_samples).collect()
        };
        let (exact, found) = (batches(exact), batches(found));
        let pair = |(exact, found)| Operands { exact: vec![exact], found: vec![found] };
        let operands: Vec<_> = exact.iter().zip(&found).map(pair).collect();
        correct(&mut network, node, &operands, options);
        network.verify().unwrap();
        constants(&network, node)
    }

    fn convolution() -> (Network, NodeIndex) {
        let axis = |input, output, stride| ConvAxis {
            input,
            output,
            kernel: 3,
            stride,
            dilation: 1,
            pad: 1,
        };
        // One weight is zero and must be free to move all the same.
        let weights = (0..36).map(|k| ((k * 7) % 11) as f32 / 4.0 - 1.0).collect();
        let axes = vec![axis(5, 3, 2), axis(4, 4, 1)];
        let conv = Conv { out_channels: 2, in_channels: 2, groups: 1, axes, weights };
        linear(vec![2, 5, 4], Matrix::Conv(conv), vec![2, 3, 4])
    }

    /// Each channel arrives as an affine function of what it was. Weights divided by the factors
    /// and, away from the padding, biases that take off the offsets, undo that exactly.
    #[test]
    fn affine_distortions_are_undone() {
        let exact = normal_samples(300, 6, 3);
        let distort = |(k, x): (usize, &f32)| (1.0 + k as f32) * x - 0.5;
        let found: Vec<Vec<f32>> =
            exact.iter().map(|x| x.iter().enumerate().map(distort).collect()).collect();
        let weights: Vec<f32> = (0..12).map(|k| k as f32 - 5.0).collect();
        let dense =
            Matrix::Dense { outer: 1, rows: 2, cols: 6, inner: 1, weights: weights.clone() };
        let options = Options { ridge: 0.0, ..Options::default() };
        let node = linear(vec![6], dense, vec![2]);
        let (moved, bias) = corrected(node, &exact, &found, &options);
        let expected: Vec<f32> =
            weights.iter().enumerate().map(|(k, w)| w / (1 + k % 6) as f32).collect();
        let offset = |row: usize| expected[row * 6..][..6].iter().map(|w| 0.5 * w).sum::<f32>();
        for (found, expected) in moved.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
        assert!((bias[0] - offset(0)).abs() < 1e-3 && (bias[1] - offset(1)).abs() < 1e-3);
    }

    /// At the ridge's minimum the gradient vanishes. It is formed from every row of the matrix as
    /// the evaluation reads it, not from positions.
    #[test]
    fn corrected_convolutions_are_stationary() {
        let exact = normal_samples(150, 40, 4);
        let noise = normal_samples(150, 40, 5);
        let mix = |(x, n): (&Vec<f32>, &Vec<f32>)| {
            x.iter().zip(n).map(|(x, n)| 0.7 * x * x + 0.5 * n).collect::<Vec<f32>>()
        };
        let found: Vec<Vec<f32>> = exact.iter().zip(&noise).map(mix).collect();
        let (network, node) = convolution();
        let Op::Linear { matrices, .. } = &network.graph[node].op else { panic!("linear") };
        let Matrix::Conv(conv) = matrices[0].clone() else { panic!("convolution") };
        // As many equations as there are: every position of every sample.
        let options = Options { equations: 150 * 12, ridge: 0.1, ..Options::default() };
        let (weights, bias) = corrected((network, node), &exact, &found, &options);
        assert!(weights[..].iter().zip(&conv.weights).any(|(a, b)| (a - b).abs() > 0.05));
        let row = |weights: Vec<f32>, row: usize, x: &[f32]| -> f64 {
            let mut entries = vec![];
            Matrix::Conv(Conv { weights, ..conv.clone() }).row(row, &mut entries);
            entries.iter().map(|&(c, w)| w * f64::from(x[c as usize])).sum()
        };
        for weight in [0, 5, 11, 17, 22, 35] {
            let unit: Vec<f32> = (0..36).map(|k| f32::from(u8::from(k == weight))).collect();
            let (mut gradient, mut square) = (0.0, 0.0);
            for (exact, found) in exact.iter().zip(&found) {
                for (element, bias) in bias.iter().enumerate() {
                    let feature = row(unit.clone(), element, found);
                    let residual = row(conv.weights.clone(), element, exact)
                        - row(weights.clone(), element, found)
                        - f64::from(*bias);
                    gradient += feature * residual;
                    square += feature * feature;
                }
            }
            let penalty = 0.1 * square * f64::from(weights[weight] - conv.weights[weight]);
            assert!((gradient - penalty).abs() < 2e-3 * square, "{gradient} {penalty} {square}");
        }
    }

    #[test]
    fn with_few_samples_only_the_means_are_restored() {
        let exact = normal_samples(4, 40, 4);
        let found: Vec<Vec<f32>> =
            exact.iter().map(|x| x.iter().map(|x| x * x).collect()).collect();
        let (network, node) = convolution();
        let Op::Linear { matrices, .. } = &network.graph[node].op else { panic!("linear") };
        let matrix = matrices[0].clone();
        let options = Options { equations_per_weight: 100, ..Options::default() };
        let (_, bias) = corrected((network, node), &exact, &found, &options);
        let mut entries = vec![];
        let mut sums = [0.0; 2];
        for (exact, found) in exact.iter().zip(&found) {
            for element in 0..24 {
                matrix.row(element, &mut entries);
                let value = |x: &[f32]| -> f64 {
                    entries.iter().map(|&(c, w)| w * f64::from(x[c as usize])).sum()
                };
                sums[element / 12] += (value(exact) - value(found)) / 48.0;
            }
        }
        for (element, bias) in bias.iter().enumerate() {
            assert!((f64::from(*bias) - sums[element / 12]).abs() < 1e-4);
        }
    }
}
