//! The first representation: a network as a graph of tensors.
//!
//! # How a network evaluates
//! Every node yields one real tensor for one sample (the batch axis is not part of the shapes).
//! Nodes are visited in index order. [`Op::Linear`] sums `matrix · operand` over its operands and
//! adds its bias, on row-major flattened tensors; [`Op::Activation`] applies a scalar function
//! elementwise; [`Op::Product`] multiplies its two operands elementwise. There is no other
//! arithmetic: convolutions, pools, normalisations, residual sums and data movement are all
//! matrices ([`crate::matrix::Matrix`]), which is what lets one lowering serve them all. The ONNX
//! identity of what a node came from is kept in [`Node::provenance`].
//!
//! # Invariants ([`Network::verify`])
//! - exactly one input node; it is the first node, and the only one without operands;
//! - operands are older than users, and operand positions are `0..arity` without gaps;
//! - arities: input 0, linear ≥ 1 and one matrix per operand, activation 1, product 2;
//! - every matrix is well formed, its columns match its operand and its rows the node;
//! - biases have the node's length; all constants are finite;
//! - shapes are non-empty and node names are unique;
//! - the output is a node of the graph.

use petgraph::Direction::Incoming;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use crate::escape::Escaped;
use crate::function::Function;
use crate::matrix::{Matrix, MatrixError};

/// A network with one encrypted input and one output. Edge weights are operand positions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Nodes in an order of evaluation; an edge runs from operand to user.
    pub graph: DiGraph<Node, u32>,
    /// The node whose value is the answer.
    pub output: NodeIndex,
}

/// A tensor and the operation that computes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name: that of the ONNX node or value it came from.
    pub name: String,
    /// The ONNX nodes merged into this one, as `name (OpType)`, in order of evaluation.
    pub provenance: Vec<String>,
    /// Operation that computes the tensor from the operands.
    pub op: Op,
    /// Extents of the result, without the batch axis.
    pub shape: Vec<usize>,
}

/// Operation of a node on its operands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The sample that the client encrypts.
    Input,
    /// `Σ matrices[k] · operand[k] + bias`.
    Linear {
        /// One matrix per operand.
        matrices: Vec<Matrix>,
        /// One constant per output element.
        bias: Option<Vec<f32>>,
    },
    /// A scalar function applied elementwise.
    Activation(Function),
    /// The elementwise product of two operands (which may be the same node).
    Product,
}

impl Node {
    /// Number of elements of the result.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if the result has no elements; never the case in a verified network.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Network {
    /// A network that returns its input unchanged, to which nodes are then pushed.
    pub fn with_input(name: impl Into<String>, shape: Vec<usize>) -> Self {
        let mut graph = DiGraph::new();
        let output =
            graph.add_node(Node { name: name.into(), provenance: vec![], op: Op::Input, shape });
        Self { graph, output }
    }

    /// Appends a node, makes it the output, and returns its index.
    pub fn push(&mut self, node: Node, operands: &[NodeIndex]) -> NodeIndex {
        let index = self.graph.add_node(node);
        for (position, &operand) in operands.iter().enumerate() {
            self.graph.add_edge(operand, index, position as u32);
        }
        self.output = index;
        index
    }

    /// The input node.
    pub fn input(&self) -> NodeIndex {
        NodeIndex::new(0)
    }

    /// The operands of a node in order of position.
    pub fn operands(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut edges: Vec<_> =
            self.graph.edges_directed(node, Incoming).map(|e| (*e.weight(), e.source())).collect();
        edges.sort_unstable();
        edges.into_iter().map(|(_, source)| source).collect()
    }

    /// True if the node has users and all of them are linear. The value may then be stored at any scale, because
    /// constants of linear nodes absorb it.
    pub fn takes_any_scale(&self, node: NodeIndex) -> bool {
        let mut users = self.graph.neighbors(node).peekable();
        users.peek().is_some() && users.all(|u| matches!(self.graph[u].op, Op::Linear { .. }))
    }

    /// The activation nodes in order of evaluation: the *layers* of the later products.
    pub fn activations(&self) -> Vec<(NodeIndex, Function)> {
        let activation = |n| match self.graph[n] {
            Node { op: Op::Activation(f), .. } => Some((n, f)),
            _ => None,
        };
        self.graph.node_indices().filter_map(activation).collect()
    }

    /// Checks every invariant listed in the module documentation.
    ///
    /// # Errors
    /// [`NetworkError`], with the first node that breaks an invariant, in order of evaluation.
    pub fn verify(&self) -> Result<(), NetworkError> {
        if self.output.index() >= self.graph.node_count() {
            return Err(NetworkError::Output { index: self.output.index() });
        }
        let mut names = std::collections::HashSet::new();
        for index in self.graph.node_indices() {
            let node = &self.graph[index];
            let fail = |fault| Err(NetworkError::Node { name: node.name.clone(), fault });
            let positions: Vec<u32> = {
                let mut p: Vec<_> =
                    self.graph.edges_directed(index, Incoming).map(|e| *e.weight()).collect();
                p.sort_unstable();
                p
            };
            if !positions.iter().copied().eq(0..positions.len() as u32) {
                return fail(Fault::Positions { found: positions });
            }
            let operands = self.operands(index);
            if operands.iter().any(|&o| o >= index) {
                return fail(Fault::Order);
            }
            if !names.insert(node.name.as_str()) {
                return fail(Fault::DuplicateName);
            }
            let len = node.shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
            let Some(len) = len.filter(|&n| n > 0 && n < u32::MAX as usize) else {
                return fail(Fault::Shape { shape: node.shape.clone() });
            };
            let lengths: Vec<usize> = operands.iter().map(|&o| self.graph[o].len()).collect();
            let arity = |expected: usize| match operands.len() {
                found if found == expected => Ok(()),
                found => Err(Fault::Arity { expected, found }),
            };
            let same_length = || match lengths.iter().find(|&&l| l != len) {
                Some(&found) => Err(Fault::Length { expected: len, found }),
                None => Ok(()),
            };
            let check = match &node.op {
                Op::Input if index.index() != 0 => Err(Fault::SecondInput),
                Op::Input => arity(0),
                Op::Activation(_) => arity(1).and_then(|()| same_length()),
                Op::Product => arity(2).and_then(|()| same_length()),
                Op::Linear { matrices, bias } => arity(matrices.len().max(1))
                    .and_then(|()| verify_linear(matrices, bias, &lengths, len)),
            };
            if let Err(fault) = check {
                return fail(fault);
            }
        }
        Ok(())
    }
}

fn verify_linear(
    matrices: &[Matrix],
    bias: &Option<Vec<f32>>,
    lengths: &[usize],
    len: usize,
) -> Result<(), Fault> {
    for (matrix, &cols) in matrices.iter().zip(lengths) {
        matrix.verify()?;
        if (matrix.rows(), matrix.cols()) != (len, cols) {
            return Err(Fault::MatrixShape {
                expected: (len, cols),
                found: (matrix.rows(), matrix.cols()),
            });
        }
        if !matrix.is_finite() {
            return Err(Fault::NotFinite);
        }
    }
    match bias {
        Some(bias) if bias.len() != len => Err(Fault::Length { expected: len, found: bias.len() }),
        Some(bias) if !bias.iter().all(|b| b.is_finite()) => Err(Fault::NotFinite),
        _ => Ok(()),
    }
}

/// Reason why a [`Network`] is not well formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// A node breaks an invariant.
    #[error("node `{}`: {fault}", Escaped(name))]
    Node {
        /// Name of the node.
        name: String,
        /// The invariant that the node breaks.
        #[source]
        fault: Fault,
    },
    /// The output is not a node.
    #[error("output index {index} is not a node")]
    Output {
        /// The index.
        index: usize,
    },
}

/// Invariant that a node breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Wrong number of operands.
    #[error("expected {expected} operands, found {found}")]
    Arity {
        /// Operands the operator takes.
        expected: usize,
        /// Operands found.
        found: usize,
    },
    /// Operand positions have gaps or duplicates.
    #[error("operand positions {found:?} are not 0, 1, …")]
    Positions {
        /// The positions found, sorted.
        found: Vec<u32>,
    },
    /// An operand does not come before its user in order of evaluation.
    #[error("an operand is not older than the node")]
    Order,
    /// Two nodes share a name.
    #[error("another node has the same name")]
    DuplicateName,
    /// A shape with no elements or too many.
    #[error("shape {shape:?} is empty or too large")]
    Shape {
        /// The shape.
        shape: Vec<usize>,
    },
    /// A second input.
    #[error("an input that is not the first node")]
    SecondInput,
    /// An operand or bias has the wrong number of elements.
    #[error("expected {expected} elements, found {found}")]
    Length {
        /// Elements of the node.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A matrix does not fit between its operand and the node.
    #[error("expected a matrix of {expected:?} rows and columns, found {found:?}")]
    MatrixShape {
        /// Rows and columns expected.
        expected: (usize, usize),
        /// Rows and columns found.
        found: (usize, usize),
    },
    /// A matrix is malformed.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// A constant is infinite or not a number.
    #[error("a constant is infinite or not a number")]
    NotFinite,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(name: &str, matrix: Matrix) -> Node {
        let shape = vec![matrix.rows()];
        Node {
            name: name.into(),
            provenance: vec![],
            op: Op::Linear { matrices: vec![matrix], bias: None },
            shape,
        }
    }

    fn small() -> Network {
        let mut network = Network::with_input("x", vec![2, 2]);
        let x = network.input();
        let y = network.push(
            linear(
                "fc",
                Matrix::Dense { outer: 1, rows: 3, cols: 4, inner: 1, weights: vec![0.5; 12] },
            ),
            &[x],
        );
        let relu = Node {
            name: "relu".into(),
            provenance: vec![],
            op: Op::Activation(Function::Relu),
            shape: vec![3],
        };
        let r = network.push(relu, &[y]);
        let product =
            Node { name: "mul".into(), provenance: vec![], op: Op::Product, shape: vec![3] };
        network.push(product, &[r, y]);
        network
    }

    #[test]
    fn text_form() {
        assert_eq!(
            small().to_string(),
            "%0: [2, 2] = input ; x\n%1: [3] = linear dense(3x4)·%0 ; fc\n%2: [3] = relu %1 ; relu\n%3: [3] = product %2 %1 ; mul (output)\n"
        );
    }

    #[test]
    fn serialisation_round_trip_keeps_the_text() {
        let network = small();
        let bytes = postcard::to_stdvec(&network).unwrap();
        let back: Network = postcard::from_bytes(&bytes).unwrap();
        back.verify().unwrap();
        assert_eq!(back.to_string(), network.to_string());
    }

    #[test]
    fn verifier_refuses_each_broken_invariant() {
        small().verify().unwrap();
        let fault = |change: &dyn Fn(&mut Network)| {
            let mut network = small();
            change(&mut network);
            match network.verify() {
                Err(NetworkError::Node { fault, .. }) => fault,
                other => panic!("{other:?}"),
            }
        };
        let (x, y, r) = (NodeIndex::new(0), NodeIndex::new(1), NodeIndex::new(2));
        assert_eq!(fault(&|n| n.graph[y].name = "x".into()), Fault::DuplicateName);
        assert_eq!(fault(&|n| n.graph[y].shape = vec![0]), Fault::Shape { shape: vec![0] });
        assert_eq!(fault(&|n| n.graph[r].op = Op::Input), Fault::SecondInput);
        assert_eq!(fault(&|n| n.graph[r].shape = vec![4]), Fault::Length { expected: 4, found: 3 });
        assert_eq!(fault(&|n| n.graph[r].op = Op::Product), Fault::Arity { expected: 2, found: 1 });
        assert_eq!(
            fault(&|n| _ = n.graph.add_edge(x, r, 2)),
            Fault::Positions { found: vec![0, 2] }
        );
        assert_eq!(fault(&|n| _ = n.graph.add_edge(r, y, 1)), Fault::Order);
        let set = |matrix: Matrix| {
            move |n: &mut Network| {
                n.graph[y].op = Op::Linear { matrices: vec![matrix.clone()], bias: None }
            }
        };
        assert_eq!(
            fault(&set(Matrix::identity(4))),
            Fault::MatrixShape { expected: (3, 4), found: (4, 4) }
        );
        assert_eq!(
            fault(&set(Matrix::Dense {
                outer: 1,
                rows: 3,
                cols: 4,
                inner: 1,
                weights: vec![f32::NAN; 12]
            })),
            Fault::NotFinite
        );
        let mut network = small();
        network.output = NodeIndex::new(9);
        assert_eq!(network.verify(), Err(NetworkError::Output { index: 9 }));
    }
}
