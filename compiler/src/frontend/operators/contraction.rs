//! Products of matrices, and sums along axes.

use std::collections::BTreeSet;

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{Array2, ArrayD, Axis, Ix2, IxDyn};

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::arithmetic::common_shape;
use super::einsum;
use super::movement::{gather_matrix, indices};

/// `Gemm` of an encrypted row with constant weights: `alpha·x·B + beta·C`.
pub(super) fn gemm(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let weights = matrix(&tensor::float_array(&*context.constant(1, "B")?)?)?;
    let (alpha, beta) = (context.float("alpha", 1.0)?, context.float("beta", 1.0)?);
    if context.int("transA", 0)? != 0 {
        return Err(Fault::MixesSamples { how: "transA contracts the batch axis" });
    }
    // As rows of outputs.
    let weights = if context.int("transB", 0)? != 0 { weights } else { weights.reversed_axes() };
    let (rows, cols) = weights.dim();
    if x.shape != [1, cols] {
        return Err(unexpected(&format!("[1, {cols}]"), &x.shape));
    }
    let bias = match context.optional(2, "C")? {
        None => None,
        Some(c) => {
            let c = tensor::broadcast(&tensor::float_array(&c)?, &[1, rows])?;
            Some(c.iter().map(|c| beta * c).collect())
        }
    };
    let weights = weights.iter().map(|w| alpha * w).collect();
    let dense = Matrix::Dense { outer: 1, rows, cols, inner: 1, weights };
    Ok(vec![context.linear(vec![(x.node, dense)], bias, vec![1, rows])?])
}

/// `MatMul`: a vector, a matrix or a stack of matrices, with a constant on either side or of two encrypted tensors.
pub(super) fn matmul(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (x, w, is_left) = match (context.required(0)?, context.required(1)?) {
        (Value::Encrypted(x), Value::Constant(w)) => (x.clone(), w.clone(), false),
        (Value::Constant(w), Value::Encrypted(x)) => (x.clone(), w.clone(), true),
        _ => {
            let (x, y) = (context.encrypted(0)?, context.encrypted(1)?);
            return Ok(vec![einsum::matrix_product(context, &x, &y)?]);
        }
    };
    let rank = x.shape.len();
    // The contracted axis.
    let axis = if is_left { rank.saturating_sub(2) } else { rank - 1 };
    if axis == 0 {
        return Err(Fault::MixesSamples { how: "it contracts the batch axis" });
    }
    let w = tensor::float_array(&w)?;
    let is_vector = w.ndim() == 1;
    let w = match (is_vector, is_left) {
        (true, true) => w.insert_axis(Axis(0)),
        (true, false) => w.insert_axis(Axis(1)),
        _ => w,
    };
    if w.ndim() < 2 || w.ndim() > rank {
        return Err(unexpected(&format!("a constant of rank 1 to {rank}"), w.shape()));
    }
    let (stack, last) = w.shape().split_at(w.ndim() - 2);
    let (rows, cols) = if is_left { (last[0], last[1]) } else { (last[1], last[0]) };
    if x.shape[axis] != cols {
        return Err(unexpected(&format!("{cols} elements along axis {axis}"), &x.shape));
    }
    let (dense, mut shape) = if stack.iter().all(|&e| e == 1) {
        let w = w.to_shape((last[0], last[1])).expect("the stack is of one");
        let weights =
            if is_left { w.iter().copied().collect() } else { w.t().iter().copied().collect() };
        let mut shape = x.shape.clone();
        shape[axis] = rows;
        (along_axis(&x.shape, axis, rows, weights), shape)
    } else {
        stacked(context, &x, &w, is_left)?
    };
    if is_vector {
        shape.remove(axis);
    }
    Ok(vec![context.linear(vec![(x.node, dense)], None, shape)?])
}

/// The matrix of a product with a stack of matrices, one for each leading index, and the shape
/// of its result.
fn stacked(
    context: &mut Context,
    x: &Encrypted,
    w: &ArrayD<f32>,
    is_left: bool,
) -> Result<(Matrix, Vec<usize>), Fault> {
    let [(x_stack, x_last), (w_stack, w_last)] =
        [x.shape.as_slice(), w.shape()].map(|s| s.split_at(s.len() - 2));
    let stack = common_shape(x_stack, w_stack)?;
    let (left, right) = if is_left { (w_last, x_last) } else { (x_last, w_last) };
    let (rows, middle, cols) = (left[0], left[1], right[1]);
    let shape = [stack.as_slice(), &[rows, cols]].concat();
    let terms = volume(&shape).saturating_mul(middle);
    context.builder.charge(terms)?;
    let spread = |last: &[usize]| IxDyn(&[stack.as_slice(), last].concat());
    let sources = indices(x);
    let sources: Vec<u32> = sources
        .broadcast(spread(x_last))
        .expect("part of the common shape")
        .iter()
        .copied()
        .collect();
    let weights: Vec<f32> =
        w.broadcast(spread(w_last)).expect("part of the common shape").iter().copied().collect();
    let (mut columns, mut values) = (Vec::with_capacity(terms), Vec::with_capacity(terms));
    let count = stack.iter().product::<usize>();
    let outputs = (0..count * rows * cols).map(|o| (o / cols / rows, o / cols % rows, o % cols));
    for (s, i, j) in outputs {
        for k in 0..middle {
            let (l, r) = ((s * rows + i) * middle + k, (s * middle + k) * cols + j);
            let (source, weight) = if is_left { (r, l) } else { (l, r) };
            columns.push(sources[source]);
            values.push(weights[weight]);
        }
    }
    let offsets = (0..=count * rows * cols).map(|row| (row * middle) as u32).collect();
    Ok((Matrix::Sparse { cols: x.len(), offsets, indices: columns, values }, shape))
}

fn matrix(w: &ArrayD<f32>) -> Result<Array2<f32>, Fault> {
    w.clone().into_dimensionality::<Ix2>().map_err(|_| unexpected("a matrix", w.shape()))
}

/// `GlobalAveragePool`: the mean over all spatial axes.
pub(super) fn global_average_pool(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axes = spatial_axes(&x)?;
    Ok(vec![mean(context, &x, &axes)?])
}

/// The axes behind those of the batch and of the channels, of which there must be some.
pub(super) fn spatial_axes(x: &Encrypted) -> Result<Vec<usize>, Fault> {
    match x.shape.len() {
        rank @ 3.. => Ok((2..rank).collect()),
        _ => Err(unexpected("spatial axes", &x.shape)),
    }
}

/// `CumSum` along an axis other than the batch: a triangular matrix of ones.
pub(super) fn cumulative_sum(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axis = match context.integers(1, "axis")?[..] {
        [axis] => axis,
        ref axes => return Err(Fault::Shape { reason: format!("its axis is {axes:?}") }),
    };
    let axis = context.sample_axis(axis, x.shape.len(), "it sums along the batch axis")?;
    let exclusive = context.int("exclusive", 0)? != 0;
    let reverse = context.int("reverse", 0)? != 0;
    let extent = x.shape[axis];
    context.builder.charge(extent.saturating_mul(extent))?;
    let is_summed = |row: usize, col: usize| match reverse {
        false => col < row || (col == row && !exclusive),
        true => col > row || (col == row && !exclusive),
    };
    let weights = (0..extent * extent).map(|k| f32::from(is_summed(k / extent, k % extent)));
    let weights = weights.collect();
    let matrix = along_axis(&x.shape, axis, extent, weights);
    Ok(vec![context.linear(vec![(x.node, matrix)], None, x.shape.clone())?])
}

/// The matrix with `rows` rows that is applied along one axis of a tensor.
pub(super) fn along_axis(shape: &[usize], axis: usize, rows: usize, weights: Vec<f32>) -> Matrix {
    let outer = shape[..axis].iter().product();
    let inner = shape[axis + 1..].iter().product();
    Matrix::Dense { outer, rows, cols: shape[axis], inner, weights }
}

/// The axes that a reduction names, none of which may be the batch; none if it reduces nothing.
pub(super) fn reduced_axes(context: &Context, x: &Encrypted) -> Result<Option<Vec<usize>>, Fault> {
    let axes = context.list("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && context.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(None);
    }
    let axes =
        axes.iter().map(|&a| context.axis(a, x.shape.len())).collect::<Result<Vec<_>, _>>()?;
    if axes.is_empty() || axes.contains(&0) {
        return Err(Fault::MixesSamples { how: "it reduces the batch axis" });
    }
    // An axis that is named twice is reduced once.
    Ok(Some(axes.into_iter().collect::<BTreeSet<_>>().into_iter().collect()))
}

/// The shape that is left when axes are reduced, which are kept with extent 1 or dropped.
pub(super) fn reduced_shape(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let kept = |a: usize| if axes.contains(&a) { keep.then_some(1) } else { Some(shape[a]) };
    (0..shape.len()).filter_map(kept).collect()
}

/// `weight` times the sum over axes.
pub(super) fn sum(
    context: &mut Context,
    x: &Encrypted,
    axes: &[usize],
    keep: bool,
    weight: f32,
) -> Result<Encrypted, Fault> {
    let rank = x.shape.len();
    let last = *axes.iter().max().expect("not empty");
    // Reduced axes apart from each other are first brought together.
    let (reduced, others): (Vec<usize>, Vec<usize>) = (0..=last).partition(|a| axes.contains(a));
    let cols: usize = reduced.iter().map(|&a| x.shape[a]).product();
    let order: Vec<usize> = [others, reduced, (last + 1..rank).collect()].concat();
    let together = indices(x).permuted_axes(order);
    let together = gather_matrix(x.len(), together.iter().copied().collect());
    let inner: usize = x.shape[last + 1..].iter().product();
    let outer = x.len() / cols / inner;
    let dense = Matrix::Dense { outer, rows: 1, cols, inner, weights: vec![weight; cols] };
    let shape = reduced_shape(&x.shape, axes, keep);
    context.linear(vec![(x.node, dense.compose(together))], None, shape)
}

/// The mean over axes, which are kept with extent 1.
pub(super) fn mean(
    context: &mut Context,
    x: &Encrypted,
    axes: &[usize],
) -> Result<Encrypted, Fault> {
    let count: usize = axes.iter().map(|&a| x.shape[a]).product();
    sum(context, x, axes, true, 1.0 / count as f32)
}
