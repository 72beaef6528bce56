//! Movement of data along axes: every operator here only picks, repeats or drops elements.
//!
//! Each acts on the array of the operand's own indices, and so yields its gather matrix.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn};

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::arithmetic::common_shape;
use super::pad::pad_axis;

/// The index of each element of a tensor, in its shape.
pub(super) fn indices(x: &Encrypted) -> ArrayD<u32> {
    numbered(&x.shape)
}

/// A tensor of the given shape whose elements are their own indices.
pub(super) fn numbered(shape: &[usize]) -> ArrayD<u32> {
    let flat = (0..volume(shape) as u32).collect();
    ArrayD::from_shape_vec(IxDyn(shape), flat).expect("as many indices as elements")
}

/// The matrix that gathers `sources` from `cols` elements.
pub(super) fn gather_matrix(cols: usize, sources: Vec<u32>) -> Matrix {
    match sources.iter().copied().eq(0..cols as u32) {
        true => Matrix::identity(cols),
        false => Matrix::Gather { cols, sources },
    }
}

/// The index of the element that stands at each place of a larger shape to which a tensor broadcasts.
pub(super) fn broadcast_indices(x: &Encrypted, shape: &[usize]) -> Result<ArrayD<u32>, Fault> {
    if x.shape.len() < shape.len() {
        return Err(Fault::MixesSamples { how: "it broadcasts a tensor to a higher rank" });
    }
    let index = indices(x);
    match index.broadcast(IxDyn(shape)) {
        Some(spread) => Ok(spread.to_owned()),
        None => Err(unexpected(&format!("one that broadcasts to {shape:?}"), &x.shape)),
    }
}

/// The tensor that `x` broadcasts to: `x` itself if it has the shape.
pub(super) fn broadcast(
    context: &mut Context,
    x: &Encrypted,
    shape: &[usize],
) -> Result<Encrypted, Fault> {
    if x.shape == shape {
        return Ok(x.clone());
    }
    context.builder.charge(volume(shape))?;
    moved(context, x, &broadcast_indices(x, shape)?)
}

/// Appends the tensor that has the elements of `x` with the given indices.
pub(super) fn moved(
    context: &mut Context,
    x: &Encrypted,
    index: &ArrayD<u32>,
) -> Result<Encrypted, Fault> {
    let matrix = gather_matrix(x.len(), index.iter().copied().collect());
    context.linear(vec![(x.node, matrix)], None, index.shape().to_vec())
}

/// `Transpose` of axes other than the batch.
pub(super) fn transpose(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let rank = x.shape.len();
    let order = context.ints("perm")?.unwrap_or((0..rank as i64).rev().collect());
    let order = order.iter().map(|&a| context.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        let reason = format!("{order:?} is not a permutation of {rank} axes");
        return Err(Fault::Attribute { name: "perm", reason });
    }
    if order[0] != 0 {
        return Err(Fault::MixesSamples { how: "it moves the batch axis" });
    }
    let index = indices(&x).permuted_axes(order);
    Ok(vec![moved(context, &x, &index)?])
}

/// `Slice`, with steps of either sign.
pub(super) fn slice(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let starts = context.list("starts", 1)?.ok_or(Fault::Missing { position: 1 })?;
    let ends = context.list("ends", 2)?.ok_or(Fault::Missing { position: 2 })?;
    let axes = context.list("axes", 3)?.unwrap_or((0..starts.len() as i64).collect());
    let steps = match context.optional(4, "steps")? {
        Some(steps) => tensor::integers(&steps)?,
        None => vec![1; starts.len()],
    };
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        let reason = "starts, ends, axes and steps differ in length".into();
        return Err(Fault::Shape { reason });
    }
    let mut index = indices(&x);
    for (k, &axis) in axes.iter().enumerate() {
        let axis = context.axis(axis, x.shape.len())?;
        if axis == 0 {
            let batch = context.builder.batch;
            if !positions(batch, starts[k], ends[k], steps[k])?.into_iter().eq(0..batch) {
                return Err(Fault::MixesSamples { how: "it slices the batch axis" });
            }
            continue;
        }
        let positions = positions(index.shape()[axis], starts[k], ends[k], steps[k])?;
        index = index.select(Axis(axis), &positions);
    }
    Ok(vec![moved(context, &x, &index)?])
}

/// The positions that a slice of an axis visits, as ONNX clamps them.
fn positions(extent: usize, start: i64, end: i64, step: i64) -> Result<Vec<usize>, Fault> {
    let extent = extent as i64;
    let wrap = |v: i64| if v < 0 { v.saturating_add(extent) } else { v };
    let mut positions = Vec::new();
    match step {
        0 => return Err(Fault::Attribute { name: "steps", reason: "holds a zero".into() }),
        1.. => {
            let (start, end) = (wrap(start).clamp(0, extent), wrap(end).clamp(0, extent));
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            positions.extend((start as usize..end as usize).step_by(step));
        }
        _ => {
            let (start, end) = (wrap(start).clamp(-1, extent - 1), wrap(end).clamp(-1, extent - 1));
            let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
            let downwards = (end + 1..start + 1).rev().step_by(step);
            positions.extend(downwards.map(|p| p as usize));
        }
    }
    Ok(positions)
}

/// `Split` into parts along an axis.
pub(super) fn split(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axis = context.int("axis", 0)?;
    let axis = context.sample_axis(axis, x.shape.len(), "it splits the batch axis")?;
    let extent = x.shape[axis];
    let count = context.proto.output.len();
    let sizes = match context.list("split", 1)? {
        Some(sizes) => sizes.iter().map(|&s| usize::try_from(s).unwrap_or(usize::MAX)).collect(),
        None => {
            // Equal parts, the last one smaller.
            let part = extent.div_ceil(count);
            (0..count).map(|k| part.min(extent.saturating_sub(k * part))).collect::<Vec<_>>()
        }
    };
    let total = sizes.iter().fold(0usize, |n, &s| n.saturating_add(s));
    if sizes.len() != count || total != extent {
        return Err(Fault::Shape {
            reason: format!("parts {sizes:?} for {count} outputs do not add up to {extent}"),
        });
    }
    let index = indices(&x);
    let mut start = 0;
    let mut parts = Vec::with_capacity(count);
    for size in sizes {
        let positions: Vec<usize> = (start..start + size).collect();
        parts.push(moved(context, &x, &index.select(Axis(axis), &positions))?);
        start += size;
    }
    Ok(parts)
}

/// `Expand` by broadcasting.
pub(super) fn expand(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let mut target = context.integers(1, "shape")?;
    if target.len() == x.shape.len() {
        target[0] = context.of_one_sample(target[0]);
    }
    let misfit = |_| unexpected(&format!("one that broadcasts to {target:?}"), &x.shape);
    let extents = target.iter().map(|&e| usize::try_from(e)).collect::<Result<Vec<_>, _>>();
    let shape = common_shape(&x.shape, &extents.map_err(misfit)?)?;
    context.builder.charge(volume(&shape))?;
    let index = broadcast_indices(&x, &shape)?;
    Ok(vec![moved(context, &x, &index)?])
}

/// `Concat` along an axis other than the batch; constant parts become the bias.
pub(super) fn concat(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let values = context.all()?;
    let first = values.first().ok_or(Fault::Missing { position: 0 })?;
    let mut shape = first.shape().to_vec();
    let axis = context.int("axis", 1)?;
    let axis = context.sample_axis(axis, shape.len(), "it concatenates along the batch axis")?;
    shape[axis] = 0;
    for value in &values {
        let part = value.shape();
        let fits =
            part.len() == shape.len() && (0..part.len()).all(|a| a == axis || part[a] == shape[a]);
        if !fits {
            return Err(unexpected(&format!("{shape:?} outside axis {axis}"), part));
        }
        shape[axis] = shape[axis].saturating_add(part[axis]);
    }
    context.builder.charge(volume(&shape).saturating_mul(values.len()))?;
    let (mut operands, mut bias) = (Vec::new(), ArrayD::<f32>::zeros(IxDyn(&shape)));
    let mut start = 0;
    for value in &values {
        let end = start + value.shape()[axis];
        match value {
            Value::Encrypted(x) => {
                let place = |p: usize| (start..end).contains(&p).then(|| p - start);
                let sources: Vec<_> = (0..shape[axis]).map(place).collect();
                let index = pad_axis(&indices(x), axis, &sources);
                operands.push((x.node, gather_matrix(x.len(), index.iter().copied().collect())));
            }
            Value::Constant(t) => {
                let part = tensor::float_array(t)?;
                for p in start..end {
                    let from = part.index_axis(Axis(axis), p - start);
                    bias.index_axis_mut(Axis(axis), p).assign(&from);
                }
            }
            _ => unreachable!("nodes with operands that are not known are not lowered"),
        }
        start = end;
    }
    let bias = bias.iter().copied().collect();
    Ok(vec![context.linear(operands, Some(bias), shape)?])
}
