//! The complete text forms of networks and activations: the alternate forms (`{:#}`) of their
//! `Display`.
//!
//! They have what the short forms have and every constant, the origins and quoted names besides, so
//! that the text alone determines what it shows, bit by bit. Numbers are the shortest decimals that read
//! back as the same number; names are Rust string literals. `pic-ir-text` reads them and
//! has the grammar.

use std::fmt::{self, Formatter};

use crate::activations::Activations;
use crate::matrix::Matrix;
use crate::network::{Network, Node, Op};

/// One statement per node, then the output.
pub(crate) fn network(network: &Network, f: &mut Formatter<'_>) -> fmt::Result {
    for index in network.graph.node_indices() {
        let node = &network.graph[index];
        let operands: Vec<usize> = network.operands(index).iter().map(|o| o.index()).collect();
        write!(f, "%{}: {:?} = ", index.index(), node.shape)?;
        operation(&node.op, &operands, f)?;
        provenance(node, f)?;
        f.write_str("\n")?;
    }
    writeln!(f, "output %{}", network.output.index())
}

fn operation(op: &Op, operands: &[usize], f: &mut Formatter<'_>) -> fmt::Result {
    match op {
        Op::Input => f.write_str("input")?,
        Op::Activation(function) => write!(f, "{function}")?,
        Op::Product => f.write_str("product")?,
        Op::Linear { matrices, bias } => {
            f.write_str("linear")?;
            for (matrix, operand) in matrices.iter().zip(operands) {
                write!(f, " {matrix:#}·%{operand}")?;
            }
            return match bias {
                Some(bias) => write!(f, " + bias{bias:?}"),
                None => Ok(()),
            };
        }
    }
    operands.iter().try_for_each(|operand| write!(f, " %{operand}"))
}

fn provenance(node: &Node, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, " ; {:?}", node.name)?;
    if node.provenance.is_empty() {
        return Ok(());
    }
    write!(f, " from {}", joined(node.provenance.iter().map(|o| format!("{o:?}")), ", "))
}

/// Kind, geometry and constants. Only a sparse matrix with offsets that the verifier refuses is not
/// shown completely.
pub(crate) fn matrix(matrix: &Matrix, f: &mut Formatter<'_>) -> fmt::Result {
    match matrix {
        Matrix::Scalar { len, value: 1.0 } => write!(f, "identity({len})"),
        Matrix::Scalar { len, value } => write!(f, "scalar({len})[{value:?}]"),
        Matrix::Diagonal(values) => write!(f, "{matrix}{values:?}"),
        Matrix::Dense { weights, .. } => write!(f, "{matrix}{weights:?}"),
        Matrix::Conv(conv) => write!(f, "{matrix}{:?}", conv.weights),
        Matrix::Gather { sources, .. } => {
            let source = |&s: &u32| if s == Matrix::ZERO { "_".into() } else { s.to_string() };
            write!(f, "{matrix}[{}]", joined(sources.iter().map(source), ", "))
        }
        Matrix::Sparse { cols, offsets, indices, values } => {
            let row = |bounds: &[u32]| {
                let range = bounds[0] as usize..bounds[1] as usize;
                let columns = indices.get(range.clone()).into_iter().flatten();
                let entries = columns.zip(values.get(range).into_iter().flatten());
                format!("{{{}}}", joined(entries.map(|(c, v)| format!("{c}: {v:?}")), ", "))
            };
            let rows = offsets.len().saturating_sub(1);
            write!(f, "sparse({rows}x{cols})[{}]", joined(offsets.windows(2).map(row), ", "))
        }
        Matrix::Product(factors) => {
            write!(f, "({})", joined(factors.iter().map(|factor| format!("{factor:#}")), "·"))
        }
    }
}

/// One line per layer.
pub(crate) fn activations(activations: &Activations, f: &mut Formatter<'_>) -> fmt::Result {
    for layer in &activations.layers {
        write!(f, "{:?}: {} ≈ {:?}", layer.name, layer.function, layer.coefficients)?;
        write!(f, " on {:?} ± {:?}", layer.center, layer.half_width)?;
        let (stretch, error, loss) = (layer.stretch, layer.error, layer.loss);
        writeln!(f, " stretch {stretch:?} error {error:?} loss {loss:?}")?;
    }
    Ok(())
}

fn joined(items: impl Iterator<Item = String>, separator: &str) -> String {
    items.collect::<Vec<_>>().join(separator)
}
