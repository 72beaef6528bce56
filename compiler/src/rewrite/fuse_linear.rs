//! Composition of linear nodes with the linear nodes that they read.
//!
//! `M·(A·x + b) + c = (M·A)·x + (M·b + c)`: one level of the modulus chain instead of two, and one
//! set of rotations instead of two. Batch normalisation, pooling, reshapes, residual sums and
//! classifiers meet here.
//!
//! A node is composed into its reader if nothing else reads it, or if it is cheap to repeat (it
//! only scales or moves elements). The composed matrix must not be much larger than its factors
//! ([`affordable_product`]); otherwise both nodes stay.

use petgraph::Direction::Outgoing;
use petgraph::graph::NodeIndex;
use pic_ir::matrix::Matrix;
use pic_ir::network::{Network, Op};

use super::eliminate_dead::eliminate_dead;
use super::matrices::{add, longest_row, multiply, non_zeros};

/// Number of non-zeros that a composed matrix may always have: those of four full diagonals of 2^15 slots, which
/// cost less than the level that is saved.
const SMALL: usize = 1 << 17;

/// Composes adjacent linear nodes, operands before readers, and drops the nodes left unused.
pub(crate) fn fuse_linear(network: &Network) -> Network {
    let mut composed = Network { graph: Default::default(), output: network.output };
    // Nodes keep their indices until unused ones are swept away.
    for index in network.graph.node_indices() {
        let mut node = network.graph[index].clone();
        let mut operands = network.operands(index);
        if let Op::Linear { matrices, bias } = node.op {
            let mut linear =
                Composition { terms: vec![], bias, name: node.name, provenance: vec![] };
            linear.absorb(merged(operands.into_iter().zip(matrices)), &composed, network);
            linear.provenance.append(&mut node.provenance);
            let (nodes, matrices) = merged(linear.terms).into_iter().unzip();
            operands = nodes;
            node.op = Op::Linear { matrices, bias: linear.bias };
            (node.name, node.provenance) = (linear.name, linear.provenance);
        }
        composed.push(node, &operands);
    }
    composed.output = network.output;
    eliminate_dead(&composed)
}

/// A summand `matrix · operand` of a linear node.
type Term = (NodeIndex, Matrix);

/// A linear node under composition.
struct Composition {
    terms: Vec<Term>,
    bias: Option<Vec<f32>>,
    name: String,
    provenance: Vec<String>,
}

impl Composition {
    /// Adds `terms`. If the operand of a term is linear and the product affordable, its own terms are added
    /// instead. `composed` holds the operands, whose own operands have been absorbed already; `original` tells who
    /// reads them.
    fn absorb(&mut self, terms: Vec<Term>, composed: &Network, original: &Network) {
        let only_moves = terms.iter().all(|(_, m)| is_monomial(m));
        let mut is_named = false;
        let operands: Vec<NodeIndex> = terms.iter().map(|(operand, _)| *operand).collect();
        for (operand, matrix) in terms {
            let node = &composed.graph[operand];
            let is_only_read_here = operand != original.output
                && readers(original, operand) == 1
                && operands.iter().filter(|o| **o == operand).count() == 1;
            let product = product(&matrix, &node.op, self.bias.as_deref(), is_only_read_here);
            let Some(product) = product else {
                self.terms.push((operand, matrix));
                continue;
            };
            self.terms.extend(composed.operands(operand).into_iter().zip(product.matrices));
            self.bias = product.bias;
            // The name that says most is that of the first node here that does more than move
            // elements. It is free again, since its node has no other reader.
            if only_moves && is_only_read_here && !product.is_cheap && !is_named {
                self.name = node.name.clone();
                is_named = true;
            }
            self.provenance.extend(node.provenance.iter().cloned());
        }
    }
}

/// `m · (Σ aₖ·xₖ + b) + c`
struct ComposedTerm {
    /// `m · aₖ`
    matrices: Vec<Matrix>,
    /// `m · b + c`
    bias: Option<Vec<f32>>,
    /// True if every `aₖ` only scales and moves elements.
    is_cheap: bool,
}

/// The product of `m` with a linear node, plus `c`; none if it costs more than it saves, or is not finite in f32.
fn product(
    m: &Matrix,
    op: &Op,
    c: Option<&[f32]>,
    is_only_read_here: bool,
) -> Option<ComposedTerm> {
    let Op::Linear { matrices, bias: b } = op else {
        return None;
    };
    let is_cheap = matrices.iter().all(is_monomial);
    if !is_only_read_here && !is_cheap {
        return None;
    }
    let mut bias = c.map(<[f32]>::to_vec);
    if let Some(b) = b {
        let mut entries = Vec::new();
        for (r, sum) in bias.get_or_insert_with(|| vec![0.0; m.rows()]).iter_mut().enumerate() {
            m.row(r, &mut entries);
            let product: f64 = entries.iter().map(|&(k, w)| w * f64::from(b[k as usize])).sum();
            *sum = (f64::from(*sum) + product) as f32;
        }
    }
    if !bias.iter().flatten().all(|b| b.is_finite()) {
        return None;
    }
    let matrices: Option<_> = matrices.iter().map(|a| affordable_product(m, a)).collect();
    Some(ComposedTerm { matrices: matrices?, bias, is_cheap })
}

/// Adds up the matrices of equal operands where the sum is one matrix.
fn merged(terms: impl IntoIterator<Item = Term>) -> Vec<Term> {
    let mut merged: Vec<Term> = Vec::new();
    for (operand, matrix) in terms {
        let sum = merged.iter().enumerate().filter(|(_, (o, _))| *o == operand);
        let sum = sum.map(|(k, (_, m))| Some((k, add(m, &matrix)?))).next().flatten();
        match sum {
            Some((k, sum)) => merged[k].1 = sum,
            None => merged.push((operand, matrix)),
        }
    }
    merged
}

fn readers(network: &Network, node: NodeIndex) -> usize {
    let mut readers: Vec<_> = network.graph.neighbors_directed(node, Outgoing).collect();
    readers.sort_unstable();
    readers.dedup();
    readers.len()
}

/// Returns whether every row has at most one non-zero: the matrix scales or moves elements.
fn is_monomial(m: &Matrix) -> bool {
    longest_row(m) <= 1
}

/// `m · a`; none if it has more than twice as many non-zeros as both together, and more than [`SMALL`].
fn affordable_product(m: &Matrix, a: &Matrix) -> Option<Matrix> {
    let product = Some(multiply(m.clone(), a.clone())).filter(Matrix::is_finite)?;
    // Each row of a monomial `m` takes one row of `a`, each non-zero before a monomial `a` one of
    // its own; a convolution comes of scaling another.
    let stays_small = is_monomial(a)
        || is_monomial(m) && m.rows() <= 2 * a.rows()
        || matches!(product, Matrix::Conv(_));
    if stays_small {
        return Some(product);
    }
    let both = non_zeros(m, usize::MAX)?.saturating_add(non_zeros(a, usize::MAX)?);
    non_zeros(&product, (2 * both).max(SMALL)).map(|_| product)
}
