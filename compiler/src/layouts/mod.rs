//! Choice of a layout for every tensor, and of a schedule for every linear node.
//!
//! Nodes joined by activations and products share one layout (a *class*). The cost of a linear node
//! depends on its own class and those of its operands; [`search`] minimises their sum over
//! the [`candidates`] of each class. Levels are not known yet, so costs are taken at one level.

mod candidates;
mod pricing;
mod search;

use std::collections::{BTreeSet, HashMap};

use petgraph::graph::NodeIndex;
use petgraph::unionfind::UnionFind;
use pic_ckks_model::Parameters;
use pic_ckks_model::op_counts::TransformSteps;
use pic_ir::cost::CostModel;
use pic_ir::layout::Layout;
use pic_ir::matrix::{Conv, Matrix};
use pic_ir::network::{Network, Op};
use pic_ir::transform::Steps;

use pricing::Pricing;
use search::Search;

/// Layouts of all nodes and transforms of the linear ones, by node index.
#[derive(Clone, Debug)]
pub struct Layouts {
    /// The layout of each node.
    pub of: Vec<Layout>,
    /// Transform of each linear node; none for other nodes.
    pub transforms: Vec<Option<Transform>>,
}

/// Evaluation of a linear node between its layouts, as counts of operations.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Giant and baby steps.
    pub steps: Steps,
    /// Number of output ciphertexts.
    pub outputs: usize,
    /// Number of slots after which diagonals repeat.
    pub period: usize,
    /// Number of rotations that fold each output.
    pub folds: usize,
}

impl Transform {
    /// Number of operations of each kind, without folds.
    pub fn counts(&self) -> TransformSteps {
        self.steps.counts(self.outputs, self.period)
    }
}

/// Chooses layouts for one network, for any number of rings.
pub struct LayoutPlanner {
    cost: CostModel,
    classes: Vec<Class>,
    /// Class of each node.
    class_of: Vec<usize>,
    linears: Vec<LinearNode>,
    /// Distinct matrices; convolutions that differ in their weights only count as one.
    matrices: Vec<Matrix>,
}

/// Nodes that share a layout.
struct Class {
    shape: Vec<usize>,
    /// Linear nodes whose cost depends on the class, as indices of [`LayoutPlanner::linears`].
    linears: Vec<usize>,
}

/// Matrices and classes on which the cost of a linear node depends.
struct LinearNode {
    node: NodeIndex,
    /// Index of each matrix among the distinct ones, and class of its operand.
    terms: Vec<(usize, usize)>,
    /// The class of the node.
    class: usize,
}

impl LayoutPlanner {
    /// Prepares a network.
    pub fn new(network: &Network, cost: &CostModel) -> Self {
        let (mut classes, class_of) = classes(network);
        let (mut linears, mut distinct) = (Vec::new(), Vec::new());
        for node in network.graph.node_indices() {
            let Op::Linear { matrices, .. } = &network.graph[node].op else {
                continue;
            };
            let operands = network.operands(node).into_iter().map(|o| class_of[o.index()]);
            let matrices = matrices.iter().map(|matrix| intern(&mut distinct, matrix));
            let terms: Vec<(usize, usize)> = matrices.zip(operands).collect();
            let class = class_of[node.index()];
            let touched = terms.iter().map(|&(_, operand)| operand).chain([class]);
            for class in touched.collect::<BTreeSet<_>>() {
                classes[class].linears.push(linears.len());
            }
            linears.push(LinearNode { node, terms, class });
        }
        Self { cost: *cost, classes, class_of, linears, matrices: distinct }
    }

    /// Pairs of classes that a linear node reads and writes.
    fn neighbours(&self) -> BTreeSet<(usize, usize)> {
        let pairs = |l: &LinearNode| l.terms.iter().map(|t| (t.1, l.class)).collect::<Vec<_>>();
        self.linears.iter().flat_map(pairs).filter(|(a, b)| a != b).collect()
    }

    /// Chooses layouts for ciphertexts of the given parameters. Linear nodes are priced as if all
    /// their operands were at `level`.
    pub fn choose(&self, parameters: &Parameters, level: usize) -> Layouts {
        let pricing = Pricing::new(self.cost, parameters, level);
        let chosen = Search::new(self, &pricing).best();
        let of = self.class_of.iter().map(|&class| chosen[class].clone()).collect();
        let mut transforms = vec![None; self.class_of.len()];
        for linear in &self.linears {
            let terms: Vec<_> =
                linear.terms.iter().map(|&(m, o)| (&self.matrices[m], &chosen[o])).collect();
            transforms[linear.node.index()] =
                Some(pricing.transform(&terms, &chosen[linear.class]));
        }
        Layouts { of, transforms }
    }
}

/// Classes of a network, and the class of each node.
fn classes(network: &Network) -> (Vec<Class>, Vec<usize>) {
    let mut union = UnionFind::new(network.graph.node_count());
    for node in network.graph.node_indices() {
        if matches!(network.graph[node].op, Op::Activation(_) | Op::Product) {
            for operand in network.operands(node) {
                union.union(node.index(), operand.index());
            }
        }
    }
    let mut index = HashMap::new();
    let mut classes: Vec<Class> = Vec::new();
    let mut class_of = Vec::new();
    for (node, label) in network.graph.node_weights().zip(union.into_labeling()) {
        class_of.push(*index.entry(label).or_insert_with(|| {
            classes.push(Class { shape: node.shape.clone(), linears: vec![] });
            classes.len() - 1
        }));
    }
    (classes, class_of)
}

/// Index of a matrix that has the same structural non-zeros, added if none is known.
fn intern(distinct: &mut Vec<Matrix>, matrix: &Matrix) -> usize {
    let geometry = |c: &Conv| (c.out_channels, c.in_channels, c.groups, c.axes.clone());
    // Rows of other matrices are visited for every candidate.
    let matrix = match matrix {
        Matrix::Conv(_) => matrix.clone(),
        _ => matrix.to_sparse(),
    };
    let is_same = |known: &Matrix| match (known, &matrix) {
        (Matrix::Conv(a), Matrix::Conv(b)) => geometry(a) == geometry(b),
        (a, b) => a == b,
    };
    distinct.iter().position(is_same).unwrap_or_else(|| {
        distinct.push(matrix);
        distinct.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pic_ckks_model::SecurityLevel;
    use pic_ir::cost::Target;
    use pic_ir::function::Function;
    use pic_ir::matrix::{Conv, ConvAxis};
    use pic_ir::network::Node;

    #[test]
    fn a_strided_convolution_keeps_its_taps_as_diagonals() {
        let mut network = Network::with_input("x", vec![4, 8, 8]);
        let axis = ConvAxis { input: 8, output: 4, kernel: 3, stride: 2, dilation: 1, pad: 1 };
        let conv = Conv {
            out_channels: 4,
            in_channels: 4,
            groups: 1,
            axes: vec![axis; 2],
            weights: vec![1.0; 144],
        };
        let op = Op::Linear { matrices: vec![Matrix::Conv(conv)], bias: None };
        let x = network.input();
        let y = network
            .push(Node { name: "conv".into(), provenance: vec![], op, shape: vec![4, 4, 4] }, &[x]);
        let relu = Op::Activation(Function::Relu);
        network.push(
            Node { name: "relu".into(), provenance: vec![], op: relu, shape: vec![4, 4, 4] },
            &[y],
        );
        let parameters =
            Parameters::from_bits(12, &[40.0, 30.0], &[45.0], 2, SecurityLevel::Insecure).unwrap();
        let layouts =
            LayoutPlanner::new(&network, &CostModel::of(Target::REFERENCE)).choose(&parameters, 1);
        // 9 taps × 4 rotations of the channels; row-major output would need far more.
        let transform = layouts.transforms[1].as_ref().unwrap();
        assert!(transform.steps.products <= 36, "{} diagonals", transform.steps.products);
        assert_eq!(layouts.of[1], layouts.of[2]);
    }
}
