//! Products with constant matrices, and sums along axes.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{Array2, ArrayD, Ix2, IxDyn};

use super::super::context::{Context, Encrypted, Value, reason};
use super::super::error::Fault;
use super::super::tensor;
use super::arithmetic::broadcast;
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
        return Err(reason(&format!("[1, {cols}]"), &x.shape));
    }
    let bias = match context.optional(2, "C")? {
        None => None,
        Some(c) => {
            let c = broadcast(&tensor::float_array(&c)?, &[1, rows])?;
            Some(c.iter().map(|c| beta * c).collect())
        }
    };
    let weights = weights.iter().map(|w| alpha * w).collect();
    let dense = Matrix::Dense { outer: 1, rows, cols, inner: 1, weights };
    Ok(vec![context.linear(vec![(&x, dense)], bias, vec![1, rows])?])
}

/// `MatMul` with a constant on either side.
pub(super) fn matmul(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    match (context.required(0)?.clone(), context.required(1)?.clone()) {
        (Value::Encrypted(x), Value::Constant(w)) => {
            let rank = x.shape.len();
            let w = tensor::float_array(&w)?;
            let is_vector = w.ndim() == 1;
            let column = IxDyn(&[w.len(), 1]);
            let w =
                if is_vector { w.into_shape_with_order(column).expect("same length") } else { w };
            let weights = matrix(&stripped(w, rank)?)?.reversed_axes();
            let ((rows, cols), kept) = (weights.dim(), &x.shape[..rank - 1]);
            if x.shape[rank - 1] != cols || rank < 2 {
                return Err(reason(&format!("{cols} elements along the last axis"), &x.shape));
            }
            let shape = match is_vector {
                true => kept.to_vec(),
                false => [kept, &[rows]].concat(),
            };
            let weights = weights.iter().copied().collect();
            let outer = kept.iter().product();
            let dense = Matrix::Dense { outer, rows, cols, inner: 1, weights };
            Ok(vec![context.linear(vec![(&x, dense)], None, shape)?])
        }
        (Value::Constant(w), Value::Encrypted(x)) => {
            let rank = x.shape.len();
            if rank < 3 {
                return Err(Fault::MixesSamples { how: "it contracts the batch axis" });
            }
            let weights = matrix(&stripped(tensor::float_array(&w)?, rank)?)?;
            let ((rows, cols), inner) = (weights.dim(), x.shape[rank - 1]);
            if x.shape[rank - 2] != cols {
                return Err(reason(
                    &format!("{cols} elements along the last axis but one"),
                    &x.shape,
                ));
            }
            let shape = [&x.shape[..rank - 2], &[rows, inner]].concat();
            let outer = x.shape[..rank - 2].iter().product();
            let weights = weights.iter().copied().collect();
            let dense = Matrix::Dense { outer, rows, cols, inner, weights };
            Ok(vec![context.linear(vec![(&x, dense)], None, shape)?])
        }
        _ => Err(Fault::Operator {
            help: "a product of two encrypted matrices (attention) is not supported: use constant weights",
        }),
    }
}

/// Drops leading extents of 1.
fn stripped(w: ArrayD<f32>, rank: usize) -> Result<ArrayD<f32>, Fault> {
    let shape = w.shape().to_vec();
    let leading = shape.len().saturating_sub(2);
    if shape.len() < 2 || shape.len() > rank || shape[..leading].iter().any(|&e| e != 1) {
        return Err(reason("one constant matrix, not a vector or a stack", &shape));
    }
    Ok(w.into_shape_with_order(IxDyn(&shape[leading..])).expect("same elements"))
}

fn matrix(w: &ArrayD<f32>) -> Result<Array2<f32>, Fault> {
    w.clone().into_dimensionality::<Ix2>().map_err(|_| reason("a matrix", w.shape()))
}

/// `GlobalAveragePool`: the mean over all spatial axes.
pub(super) fn global_average_pool(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    if x.shape.len() < 3 {
        return Err(reason("spatial axes", &x.shape));
    }
    let axes: Vec<usize> = (2..x.shape.len()).collect();
    reduced(context, &x, &axes, true, true)
}

/// `ReduceMean` and `ReduceSum` over axes other than the batch.
pub(super) fn reduce(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let keep = context.int("keepdims", 1)? != 0;
    let axes = context.list("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && context.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(vec![x]);
    }
    let axes =
        axes.iter().map(|&a| context.axis(a, x.shape.len())).collect::<Result<Vec<_>, _>>()?;
    if axes.is_empty() || axes.contains(&0) {
        return Err(Fault::MixesSamples { how: "it reduces the batch axis" });
    }
    let mean = context.proto.op_type == "ReduceMean";
    reduced(context, &x, &axes, keep, mean)
}

fn reduced(
    context: &mut Context,
    x: &Encrypted,
    axes: &[usize],
    keep: bool,
    mean: bool,
) -> Result<Vec<Encrypted>, Fault> {
    let rank = x.shape.len();
    let (first, last) = (axes.iter().min(), axes.iter().max());
    let (first, last) = (*first.expect("not empty"), *last.expect("not empty"));
    // Reduced axes apart from each other are first brought together.
    let before = (0..=last).filter(|a| !axes.contains(a));
    let order: Vec<usize> =
        before.chain((first..=last).filter(|a| axes.contains(a))).chain(last + 1..rank).collect();
    let together = indices(x).permuted_axes(order);
    let together = gather_matrix(x.len(), together.iter().copied().collect());
    let extent = |a: &usize| x.shape[*a];
    let cols: usize = (first..=last).filter(|a| axes.contains(a)).map(|a| x.shape[a]).product();
    let inner: usize = x.shape[last + 1..].iter().product();
    let outer = x.len() / cols / inner;
    let weight = if mean { 1.0 / cols as f32 } else { 1.0 };
    let dense = Matrix::Dense { outer, rows: 1, cols, inner, weights: vec![weight; cols] };
    let kept = |a: usize| if axes.contains(&a) { keep.then_some(1) } else { Some(extent(&a)) };
    let shape = (0..rank).filter_map(kept).collect();
    Ok(vec![context.linear(vec![(x, dense.compose(together))], None, shape)?])
}
