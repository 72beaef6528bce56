//! Random verified networks, for tests.

use petgraph::graph::NodeIndex;
use pic_ir::function::Function;
use pic_ir::matrix::{Conv, ConvAxis, Matrix};
use pic_ir::network::{Network, Node, Op};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A verified network of at most 8 nodes, the same for the same seed. All seeds together have every
/// kind of node, matrix and function, names that need quotes, and nodes that the output does not
/// need. Constants are some of `constants`, of which there must be one, all finite.
pub fn network(seed: u64, constants: &[f32]) -> Network {
    Random { generator: ChaCha8Rng::seed_from_u64(seed), constants }.network()
}

struct Random<'a> {
    generator: ChaCha8Rng,
    constants: &'a [f32],
}

impl Random<'_> {
    fn below(&mut self, bound: usize) -> usize {
        (self.generator.next_u64() % bound as u64) as usize
    }

    /// A number from 1 to `most`.
    fn one_to(&mut self, most: usize) -> usize {
        1 + self.below(most)
    }

    fn one<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn divisor(&mut self, number: usize) -> usize {
        self.one(&(1..=number).filter(|d| number.is_multiple_of(*d)).collect::<Vec<_>>())
    }

    fn real(&mut self) -> f32 {
        self.one(self.constants)
    }

    fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.real()).collect()
    }

    fn name(&mut self, prefix: usize) -> String {
        let part =
            ["conv1/w", "\"", "\\", "//", ";", "%0", "\n", "größe 卷积", "\u{202e}", "\0", "'"];
        (0..self.below(4)).fold(prefix.to_string(), |name, _| name + self.one(&part))
    }

    fn network(&mut self) -> Network {
        let mut network = Network::with_input(self.name(0), vec![self.one_to(4), 2, 3]);
        for index in 1..=self.below(8) {
            let operand = self.one(&network.graph.node_indices().collect::<Vec<_>>());
            let shape = network.graph[operand].shape.clone();
            let (op, shape, operands) = match self.below(4) {
                0 => (Op::Product, shape, vec![operand, self.equally_long(&network, operand)]),
                1 => (Op::Activation(self.function()), shape, vec![operand]),
                _ => self.linear(&network),
            };
            let provenance = (0..self.below(3)).map(|k| self.name(k)).collect();
            network.push(Node { name: self.name(index), provenance, op, shape }, &operands);
        }
        network.output = self.one(&network.graph.node_indices().collect::<Vec<_>>());
        network
    }

    fn equally_long(&mut self, network: &Network, operand: NodeIndex) -> NodeIndex {
        let len = |node: &NodeIndex| network.graph[*node].len();
        let nodes = network.graph.node_indices().filter(|node| len(node) == len(&operand));
        self.one(&nodes.collect::<Vec<_>>())
    }

    fn linear(&mut self, network: &Network) -> (Op, Vec<usize>, Vec<NodeIndex>) {
        let nodes: Vec<_> = network.graph.node_indices().collect();
        let operands: Vec<_> = (0..self.one_to(3)).map(|_| self.one(&nodes)).collect();
        let first = self.matrix(network.graph[operands[0]].len());
        let rows = first.rows();
        let others = operands[1..].iter().map(|&o| self.matrix_of(rows, network.graph[o].len()));
        let matrices = std::iter::once(first).chain(others.collect::<Vec<_>>()).collect();
        let bias = (self.below(2) == 0).then(|| self.reals(rows));
        (Op::Linear { matrices, bias }, vec![1, rows], operands)
    }

    fn function(&mut self) -> Function {
        let (a, b) = (self.real(), self.real());
        self.one(&[
            Function::Relu,
            Function::LeakyRelu { alpha: a },
            Function::Sigmoid,
            Function::Tanh,
            Function::Gelu,
            Function::GeluTanh,
            Function::Silu,
            Function::HardSwish,
            Function::HardSigmoid { alpha: a, beta: b },
            Function::Elu { alpha: a },
            Function::Softplus,
            Function::Erf,
            Function::Clip { min: f32::NEG_INFINITY, max: a },
            Function::Clip { min: a, max: f32::INFINITY },
            Function::Sign,
            // Those without a value for some numbers, or that overflow, would be all that is left of many networks.
            Function::Step,
            Function::Abs,
            Function::Sin,
            Function::Cos,
            Function::Atan,
            Function::Asinh,
            Function::Mish,
            Function::Softsign,
            Function::ThresholdedRelu { alpha: a },
            Function::Shrink { lambda: a, bias: b },
        ])
    }

    fn matrix(&mut self, cols: usize) -> Matrix {
        match self.below(7) {
            0 => Matrix::identity(cols),
            1 => Matrix::Scalar { len: cols, value: self.real() },
            2 => Matrix::Diagonal(self.reals(cols)),
            3 => Matrix::Conv(self.conv(cols)),
            4 => {
                let inner = self.matrix(cols);
                let outer = self.matrix(inner.rows());
                let factors = |m| if let Matrix::Product(factors) = m { factors } else { vec![m] };
                Matrix::Product([factors(outer), factors(inner)].concat())
            }
            5 => {
                let outer = self.divisor(cols);
                let inner = self.divisor(cols / outer);
                let (rows, cols) = (self.one_to(3), cols / outer / inner);
                Matrix::Dense { outer, rows, cols, inner, weights: self.reals(rows * cols) }
            }
            _ => {
                let rows = self.one_to(5);
                self.matrix_of(rows, cols)
            }
        }
    }

    fn matrix_of(&mut self, rows: usize, cols: usize) -> Matrix {
        if self.below(2) == 0 {
            let columns: Vec<u32> = (0..cols as u32).chain([Matrix::ZERO]).collect();
            return Matrix::Gather {
                cols,
                sources: (0..rows).map(|_| self.one(&columns)).collect(),
            };
        }
        let (mut offsets, mut indices) = (vec![0], vec![]);
        for _ in 0..rows {
            indices.extend((0..cols as u32).filter(|_| self.below(3) == 0));
            offsets.push(indices.len() as u32);
        }
        let values = self.reals(indices.len());
        Matrix::Sparse { cols, offsets, indices, values }
    }

    fn conv(&mut self, cols: usize) -> Conv {
        let in_channels = self.divisor(cols);
        let first = self.divisor(cols / in_channels);
        let axis = |random: &mut Self, input| ConvAxis {
            input,
            output: random.one_to(3),
            kernel: random.one_to(3),
            stride: random.one_to(2),
            dilation: random.one_to(2),
            pad: random.below(2),
        };
        let axes = vec![axis(self, first), axis(self, cols / in_channels / first)];
        let groups = self.divisor(in_channels);
        let out_channels = groups * self.one_to(2);
        let taps: usize = axes.iter().map(|a| a.kernel).product();
        let weights = self.reals(out_channels * in_channels / groups * taps);
        Conv { out_channels, in_channels, groups, axes, weights }
    }
}
