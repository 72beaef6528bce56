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

use nalgebra::DMatrix;
use petgraph::graph::NodeIndex;
use pic_ir::matrix::{Conv, Matrix};
use pic_ir::network::{Network, Op};
use rayon::prelude::*;

use super::products::Panels;
use crate::evaluate::{Batch, LANES, Repeated, add_row};

/// Parameters of the ridge regression.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrectionOptions {
    /// Approximate number of equations that are formed; one is a position of a sample.
    pub equations: usize,
    /// Smallest number of equations for each weight of a row with which weights are moved.
    pub equations_per_weight: usize,
    /// Penalty on the square of a weight's change, relative to the second moment of the feature that it multiplies.
    pub ridge: f64,
}

impl Default for CorrectionOptions {
    fn default() -> Self {
        Self { equations: 20_000, equations_per_weight: 10, ridge: 1e-2 }
    }
}

/// Data of one batch for the regression of a node.
pub(super) struct Equations<'a> {
    /// Values of the operands in the network with polynomials.
    pub operands: Vec<&'a Batch>,
    /// Value of the node in the exact network.
    pub exact: &'a Batch,
}

/// Corrects weights and biases of the linear `node` of `network`, which are still those of the exact network.
pub(super) fn correct(
    network: &mut Network,
    node: NodeIndex,
    batches: &[Equations],
    options: &CorrectionOptions,
) {
    let shape = network.graph[node].shape.clone();
    let Op::Linear { matrices, bias } = &mut network.graph[node].op else { return };
    let samples: usize = batches.iter().map(|batch| batch.exact.samples).sum();
    let enough = |r: &Repeated| {
        (samples * r.count).min(options.equations) >= r.features * options.equations_per_weight
    };
    let repeated = matrices.iter().enumerate().find_map(|(k, m)| Some((k, Repeated::of(m)?)));
    let moved = repeated.filter(|(_, repeated)| enough(repeated));
    let system = System::new(matrices, bias.as_deref(), moved.as_ref(), &shape);
    let per_sample = options.equations.div_ceil(samples).clamp(1, system.positions);
    let moments = |(k, batch): (usize, &Equations)| {
        // Other positions in every batch.
        let shift = |p: usize| p * system.positions + k * system.positions / batches.len();
        let chosen: Vec<usize> = (0..per_sample).map(|p| shift(p) / per_sample).collect();
        system.moments(batch, &chosen)
    };
    let moments: Vec<DMatrix<f32>> = batches.par_iter().enumerate().map(moments).collect();
    // In the order of the batches: that of a parallel reduction depends on the threads.
    let sum = moments.into_iter().map(|m| m.cast::<f64>()).reduce(|a, b| a + b);
    let Some(changes) = sum.and_then(|sum| solve(&sum, &system, options.ridge)) else { return };
    let System { positions, outputs, features, .. } = system;
    let rows: Vec<Vec<usize>> = (0..positions)
        .map(|p| (0..outputs).map(|output| system.row(p, output)).collect())
        .collect();
    if let Some((k, _)) = moved {
        let (Matrix::Conv(Conv { weights, .. }) | Matrix::Dense { weights, .. }) = &mut matrices[k]
        else {
            unreachable!("convolutions and dense matrices repeat their weights")
        };
        for (index, weight) in weights.iter_mut().enumerate() {
            let change = changes[(index % features, index / features)];
            *weight = (f64::from(*weight) + change) as f32;
        }
    }
    let bias = bias.get_or_insert_with(|| vec![0.0; shape.iter().product()]);
    for rows in rows {
        for (output, row) in rows.into_iter().enumerate() {
            bias[row] = (f64::from(bias[row]) + changes[(features, output)]) as f32;
        }
    }
}

/// Changes of weights and, last, of the bias, one column per output; none if the equations do not determine them.
fn solve(sums: &DMatrix<f64>, system: &System, ridge: f64) -> Option<DMatrix<f64>> {
    let (features, unknowns) = (system.features, system.features + 1);
    let mut gram = sums.columns(0, unknowns).into_owned();
    let mean = gram.diagonal().mean();
    for k in 0..features {
        gram[(k, k)] += ridge * gram[(k, k)] + 1e-9 * mean;
    }
    let right = sums.columns(unknowns, system.outputs).into_owned();
    let changes = gram.cholesky()?.solve(&right);
    changes.iter().all(|c| c.is_finite()).then_some(changes)
}

/// The regression problem. A row is a position of a sample: the features that weights multiply, with a one for the
/// bias, and as right-hand side the difference between the node's outputs in both networks. If no weights are
/// moved, there is one output for each channel, the first axis of the tensor.
struct System<'a> {
    matrices: &'a [Matrix],
    bias: Option<&'a [f32]>,
    /// Position among the node's matrices, and repeated form, of the matrix whose weights are moved, if any.
    moved: Option<(usize, &'a Repeated)>,
    positions: usize,
    outputs: usize,
    features: usize,
}

impl<'a> System<'a> {
    fn new(
        matrices: &'a [Matrix],
        bias: Option<&'a [f32]>,
        moved: Option<&'a (usize, Repeated)>,
        shape: &[usize],
    ) -> Self {
        let moved = moved.map(|(k, repeated)| (*k, repeated));
        let channels = shape.first().copied().unwrap_or(1);
        let (positions, outputs, features) = match moved {
            Some((_, r)) => (r.count, r.outputs, r.features),
            None => (shape.iter().product::<usize>() / channels, channels, 0),
        };
        Self { matrices, bias, moved, positions, outputs, features }
    }

    /// Element of the node's value for an output at a position.
    fn row(&self, position: usize, output: usize) -> usize {
        match self.moved {
            Some((_, repeated)) => repeated.row(position, output),
            None => output * self.positions + position,
        }
    }

    /// Outputs of the node at a position with the weights and biases of the exact network.
    fn values(&self, operands: &[&Batch], position: usize) -> Vec<[f32; LANES]> {
        let rows: Vec<usize> = (0..self.outputs).map(|o| self.row(position, o)).collect();
        let mut values: Vec<_> =
            rows.iter().map(|&row| [self.bias.map_or(0.0, |b| b[row]); LANES]).collect();
        let (mut entries, mut gathered) = (vec![], vec![]);
        for (k, (matrix, operand)) in self.matrices.iter().zip(operands).enumerate() {
            match self.moved {
                Some((moved, repeated)) if moved == k => {
                    repeated.add_at(position, &operand.values, &mut gathered, &mut values);
                }
                _ => rows.iter().zip(&mut values).for_each(|(&row, value)| {
                    add_row(matrix, operand, row, &mut entries, value);
                }),
            }
        }
        values
    }

    /// Moments `Xᵀ·[X, R]` of the regression. A row of X has the features and a one for the bias, a row of R the
    /// right-hand side.
    fn moments(&self, batch: &Equations, chosen: &[usize]) -> DMatrix<f32> {
        let Self { features, outputs, .. } = *self;
        let used = batch.exact.samples;
        let mut system = Panels::zeros(used * chosen.len(), features + 1 + outputs);
        let mut set = |column: usize, k: usize, lanes: &[f32; LANES]| {
            system.set(k * used, column, &lanes[..used]);
        };
        for (k, &position) in chosen.iter().enumerate() {
            if let Some((term, repeated)) = self.moved {
                for (feature, column) in repeated.columns(position) {
                    set(feature, k, &batch.operands[term].values[column]);
                }
            }
            set(features, k, &[1.0; LANES]);
            for (output, found) in self.values(&batch.operands, position).iter().enumerate() {
                let exact = &batch.exact.values[self.row(position, output)];
                let lacks = std::array::from_fn(|lane| exact[lane] - found[lane]);
                set(features + 1 + output, k, &lacks);
            }
        }
        system.products(features + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::value;
    use crate::sample_networks::{normal_samples, views};
    use pic_ir::matrix::ConvAxis;
    use pic_ir::network::Node;

    fn linear(input: Vec<usize>, matrix: Matrix, shape: Vec<usize>) -> (Network, NodeIndex) {
        let mut network = Network::with_input("x", input);
        let op = Op::Linear { matrices: vec![matrix], bias: None };
        let x = network.input();
        let node = network.push(Node { name: "y".into(), provenance: vec![], op, shape }, &[x]);
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
        options: &CorrectionOptions,
    ) -> (Vec<f32>, Vec<f32>) {
        let batches = |samples: &[Vec<f32>]| -> Vec<Batch> {
            views(samples).chunks(LANES).map(Batch::from_samples).collect()
        };
        let (exact, found) = (batches(exact), batches(found));
        let exact: Vec<_> = exact.iter().map(|x| value(&network, node, &[x], None)).collect();
        let pair = |(exact, found)| Equations { operands: vec![found], exact };
        let equations: Vec<_> = exact.iter().zip(&found).map(pair).collect();
        correct(&mut network, node, &equations, options);
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
        let options = CorrectionOptions { ridge: 0.0, ..CorrectionOptions::default() };
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
        let options =
            CorrectionOptions { equations: 150 * 12, ridge: 0.1, ..CorrectionOptions::default() };
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
        let options =
            CorrectionOptions { equations_per_weight: 100, ..CorrectionOptions::default() };
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
