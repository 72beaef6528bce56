//! The text forms of networks, matrices and activations.
//!
//! The form `{}` is short: structure without constants. The alternate form `{:#}` is complete: it has every constant, the
//! provenance and quoted names besides, so that the text alone determines what it shows, bit by bit. Numbers are the
//! shortest decimals that read back as the same number; names are Rust string literals. `pic-ir-text` reads complete texts
//! and has the grammar.

use std::fmt::{self, Formatter};

use crate::activations::Activations;
use crate::escape::Escaped;
use crate::matrix::Matrix;
use crate::network::{Network, Node, Op};

/// One line per node: `%index: shape = operator(operands) ; name`.
///
/// The alternate form (`{:#}`) is complete: it has the constants and origins, and `pic-ir-text`
/// reads it.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return network(self, f);
        }
        for index in self.graph.node_indices() {
            let node = &self.graph[index];
            let operands = self.operands(index);
            write!(f, "%{}: {:?} = ", index.index(), node.shape)?;
            match &node.op {
                Op::Input => f.write_str("input")?,
                Op::Activation(function) => write!(f, "{function} %{}", operands[0].index())?,
                Op::Product => {
                    write!(f, "product %{} %{}", operands[0].index(), operands[1].index())?
                }
                Op::Linear { matrices, bias } => {
                    f.write_str("linear")?;
                    for (matrix, operand) in matrices.iter().zip(&operands) {
                        write!(f, " {matrix}·%{}", operand.index())?;
                    }
                    if bias.is_some() {
                        f.write_str(" + bias")?;
                    }
                }
            }
            write!(f, " ; {}", Escaped(&node.name))?;
            f.write_str(if index == self.output { " (output)\n" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Kind and geometry; the alternate form (`{:#}`) has the constants, too.
impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return matrix(self, f);
        }
        match self {
            Self::Scalar { value: 1.0, .. } => f.write_str("identity"),
            Self::Scalar { value, .. } => write!(f, "scalar({value})"),
            Self::Diagonal(_) => f.write_str("diagonal"),
            Self::Gather { cols, sources } => write!(f, "gather({}x{cols})", sources.len()),
            Self::Dense { outer, rows, cols, inner, .. } => {
                write!(f, "dense({rows}x{cols}")?;
                if (*outer, *inner) != (1, 1) {
                    write!(f, ", outer {outer}, inner {inner}")?;
                }
                f.write_str(")")
            }
            Self::Conv(conv) => {
                write!(f, "conv({}→{}", conv.in_channels, conv.out_channels)?;
                for axis in &conv.axes {
                    write!(f, ", {}→{} kernel {}", axis.input, axis.output, axis.kernel)?;
                    for (name, value, default) in [
                        ("stride", axis.stride, 1),
                        ("dilation", axis.dilation, 1),
                        ("pad", axis.pad, 0),
                    ] {
                        if value != default {
                            write!(f, " {name} {value}")?;
                        }
                    }
                }
                if conv.groups != 1 {
                    write!(f, ", groups {}", conv.groups)?;
                }
                f.write_str(")")
            }
            Self::Sparse { cols, offsets, values, .. } => {
                write!(f, "sparse({}x{cols}, {} entries)", offsets.len() - 1, values.len())
            }
            Self::Product(factors) => {
                f.write_str("(")?;
                for (k, factor) in factors.iter().enumerate() {
                    write!(f, "{}{factor}", if k == 0 { "" } else { "·" })?;
                }
                f.write_str(")")
            }
        }
    }
}

/// One line per layer. The alternate form (`{:#}`) is complete, and `pic-ir-text` reads it.
impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return activations(self, f);
        }
        for layer in &self.layers {
            writeln!(
                f,
                "{}: {} ≈ degree {} on [{:.3}, {:.3}], r {:.2}, error {:.3e}, loss {:.3e}",
                Escaped(&layer.name),
                layer.function,
                layer.degree(),
                layer.center - layer.half_width,
                layer.center + layer.half_width,
                layer.stretch,
                layer.error,
                layer.loss
            )?;
        }
        Ok(())
    }
}

/// One statement per node, then the output.
fn network(network: &Network, f: &mut Formatter<'_>) -> fmt::Result {
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
fn matrix(matrix: &Matrix, f: &mut Formatter<'_>) -> fmt::Result {
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
fn activations(activations: &Activations, f: &mut Formatter<'_>) -> fmt::Result {
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
