//! Largest and smallest of several elements, two at a time: `max(a, b) = b + relu(a − b)`.

use pic_ir::function::Function;
use pic_ir::matrix::{ConvAxis, Matrix};
use tract_onnx::prelude::tract_ndarray::Axis;

use super::super::context::{Context, Encrypted, volume};
use super::super::error::Fault;
use super::arithmetic::{Operand, operands, spread};
use super::contraction::{reduced_axes, reduced_shape, spatial_axes};
use super::convolution::pool_window;
use super::movement::{gather_matrix, indices};

/// Which extremum is wanted. `min(a, b) = b − relu(b − a)`.
#[derive(Clone, Copy, PartialEq)]
enum Extremum {
    Max,
    Min,
}

impl Extremum {
    fn sign(self) -> f32 {
        if self == Self::Max { 1.0 } else { -1.0 }
    }

    fn of_operator(op_type: &str) -> Self {
        if op_type.contains("Max") { Self::Max } else { Self::Min }
    }
}

/// `Max` and `Min` of any number of operands. The constants among them are one.
pub(super) fn extremum(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (operands, shape) = operands(context)?;
    let wanted = Extremum::of_operator(&context.proto.op_type);
    let (mut terms, mut constant) = (Vec::new(), None::<Vec<f32>>);
    for operand in operands {
        match (operand, &mut constant) {
            (Operand::Encrypted(x, m), _) => terms.push((x, m)),
            (Operand::Constant(c), None) => constant = Some(c),
            (Operand::Constant(c), Some(bound)) => {
                let further =
                    |a: f32, b: f32| if wanted == Extremum::Max { a.max(b) } else { a.min(b) };
                bound.iter_mut().zip(c).for_each(|(a, b)| *a = further(*a, b));
            }
        }
    }
    let x = match terms.len() {
        1 => {
            let (x, m) = terms.pop().expect("one");
            spread(context, x, m, &shape)?
        }
        count => {
            // One behind the other.
            let len = volume(&shape);
            let place = |k: usize| -> Vec<u32> {
                let sources = (0..count * len).map(|i| match i / len == k {
                    true => (i % len) as u32,
                    false => Matrix::ZERO,
                });
                sources.collect()
            };
            context.builder.charge(count.saturating_mul(count).saturating_mul(len))?;
            let all = terms.into_iter().enumerate();
            let all = all.map(|(k, (x, m))| (x.node, gather_matrix(len, place(k)).compose(m)));
            let all = context.linear(all.collect(), None, vec![1, count * len])?;
            let candidates = (0..count * len).map(|i| i as u32).collect::<Vec<_>>();
            let candidates = candidates.chunks(len).map(<[u32]>::to_vec).collect();
            among(context, &all, candidates, shape.clone(), wanted)?
        }
    };
    match constant {
        None => Ok(vec![x]),
        Some(bounds) => Ok(vec![bounded(context, &x, bounds, wanted)?]),
    }
}

/// The extremum of each element and a constant.
fn bounded(
    context: &mut Context,
    x: &Encrypted,
    bounds: Vec<f32>,
    wanted: Extremum,
) -> Result<Encrypted, Fault> {
    let bound = bounds[0];
    if bound.is_finite() && bounds.iter().all(|&other| other == bound) {
        let function = match wanted {
            Extremum::Max => Function::clipped(bound, f32::INFINITY),
            Extremum::Min => Function::clipped(f32::NEG_INFINITY, bound),
        };
        return context.activation(x, function);
    }
    let sign = wanted.sign();
    let scalar = Matrix::Scalar { len: x.len(), value: sign };
    let offset = bounds.iter().map(|c| -sign * c).collect();
    let above = context.linear(vec![(x.node, scalar.clone())], Some(offset), x.shape.clone())?;
    let above = context.activation(&above, Function::Relu)?;
    context.linear(vec![(above.node, scalar)], Some(bounds), x.shape.clone())
}

/// `MaxPool` over any number of spatial axes, one axis after the other. Padding takes no part.
pub(super) fn max_pool(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    if context.proto.output.iter().skip(1).any(|name| !name.is_empty()) {
        return Err(Fault::Unsupported {
            reason: "it also yields the positions of the largest elements".into(),
            help: "export the pool without its second output",
        });
    }
    let (mut x, axes) = pool_window(context)?;
    for (k, axis) in axes.iter().enumerate() {
        x = along(context, &x, k + 2, axis)?;
    }
    Ok(vec![x])
}

/// Largest elements of the windows along one axis.
fn along(
    context: &mut Context,
    x: &Encrypted,
    axis: usize,
    window: &ConvAxis,
) -> Result<Encrypted, Fault> {
    let mut shape = x.shape.clone();
    shape[axis] = window.output;
    // Taps of a window that lie in the tensor.
    let taps = |output: usize| -> Vec<usize> {
        let places = (0..window.kernel).map(|tap| output * window.stride + tap * window.dilation);
        let inside = |place: usize| place.checked_sub(window.pad).filter(|&p| p < window.input);
        places.filter_map(inside).collect()
    };
    context.builder.charge(window.output.saturating_mul(window.kernel))?;
    let windows: Vec<Vec<usize>> = (0..window.output).map(taps).collect();
    if windows.iter().any(Vec::is_empty) {
        return Err(Fault::Attribute { name: "pads", reason: "hold a whole window".into() });
    }
    let longest = windows.iter().map(Vec::len).max().unwrap_or(1);
    context.builder.charge(volume(&shape).saturating_mul(longest))?;
    let from = indices(x);
    // Shorter windows repeat their last tap.
    let candidate = |k: usize| -> Vec<u32> {
        let places: Vec<usize> = windows.iter().map(|w| w[k.min(w.len() - 1)]).collect();
        from.select(Axis(axis), &places).iter().copied().collect()
    };
    let candidates = (0..longest).map(candidate).collect();
    among(context, x, candidates, shape, Extremum::Max)
}

/// `ReduceMax`, `ReduceMin` and `GlobalMaxPool`.
pub(super) fn reduce_extremum(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let is_pool = context.proto.op_type == "GlobalMaxPool";
    let (axes, keep) = match is_pool {
        true => (spatial_axes(&x)?, true),
        false => match reduced_axes(context, &x)? {
            None => return Ok(vec![x]),
            Some(axes) => (axes, context.int("keepdims", 1)? != 0),
        },
    };
    let rank = x.shape.len();
    let (reduced, kept): (Vec<usize>, Vec<usize>) = (0..rank).partition(|a| axes.contains(a));
    let shape = reduced_shape(&x.shape, &axes, keep);
    let len = volume(&shape);
    context.builder.charge(x.len())?;
    let order = [reduced, kept].concat();
    let together: Vec<u32> = indices(&x).permuted_axes(order).iter().copied().collect();
    let candidates = together.chunks(len).map(<[u32]>::to_vec).collect();
    let wanted = Extremum::of_operator(&context.proto.op_type);
    Ok(vec![among(context, &x, candidates, shape, wanted)?])
}

/// Element by element the extremum of several choices of elements of one tensor, in rounds that halve their number. All
/// pairs of a round are one activation.
fn among(
    context: &mut Context,
    x: &Encrypted,
    mut candidates: Vec<Vec<u32>>,
    shape: Vec<usize>,
    wanted: Extremum,
) -> Result<Encrypted, Fault> {
    let (len, sign) = (volume(&shape), wanted.sign());
    let mut x = x.clone();
    while candidates.len() > 1 {
        let chunks = candidates.chunks_exact(2);
        let single = chunks.remainder().concat();
        let [left, right] =
            [0, 1].map(|k| chunks.clone().flat_map(|pair| pair[k].clone()).collect::<Vec<_>>());
        let compared = left.len();
        let all = compared + single.len();
        let signed = |sign: f32, sources: Vec<u32>, cols: usize| {
            Matrix::Scalar { len: sources.len(), value: sign }.compose(gather_matrix(cols, sources))
        };
        let difference = vec![
            (x.node, signed(sign, left, x.len())),
            (x.node, signed(-sign, right.clone(), x.len())),
        ];
        let difference = context.linear(difference, None, vec![1, compared])?;
        let above = context.activation(&difference, Function::Relu)?;
        let place = |i: usize| if i < compared { i as u32 } else { Matrix::ZERO };
        let sum = vec![
            (above.node, signed(sign, (0..all).map(place).collect(), compared)),
            (x.node, gather_matrix(x.len(), [right, single].concat())),
        ];
        x = context.linear(sum, None, vec![1, all])?;
        candidates = (0..all as u32).collect::<Vec<_>>().chunks(len).map(<[u32]>::to_vec).collect();
    }
    let last = candidates.pop().unwrap_or_default();
    context.linear(vec![(x.node, gather_matrix(x.len(), last))], None, shape)
}
