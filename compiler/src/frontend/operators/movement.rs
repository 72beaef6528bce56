//! Movement of data: every operator here only picks, repeats or drops elements.
//!
//! Each acts on the array of the operand's own indices, and so yields its gather matrix.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn};

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;

/// The index of each element of a tensor, in its shape.
pub(super) fn indices(x: &Encrypted) -> ArrayD<u32> {
    let flat = (0..x.len() as u32).collect();
    ArrayD::from_shape_vec(IxDyn(&x.shape), flat).expect("as many indices as elements")
}

/// The matrix that gathers `sources` from `cols` elements.
pub(super) fn gather_matrix(cols: usize, sources: Vec<u32>) -> Matrix {
    match sources.iter().copied().eq(0..cols as u32) {
        true => Matrix::identity(cols),
        false => Matrix::Gather { cols, sources },
    }
}

fn moved(context: &mut Context, x: &Encrypted, index: &ArrayD<u32>) -> Result<Encrypted, Fault> {
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
        let positions = positions(index.shape()[axis], starts[k], ends[k], steps[k])?;
        if axis == 0 && positions != [0] {
            return Err(Fault::MixesSamples { how: "it slices the batch axis" });
        }
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
    let axis = context.axis(context.int("axis", 0)?, x.shape.len())?;
    if axis == 0 {
        return Err(Fault::MixesSamples { how: "it splits the batch axis" });
    }
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

/// `Gather` of constant positions along an axis.
pub(super) fn gather(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axis = context.axis(context.int("axis", 0)?, x.shape.len())?;
    if axis == 0 {
        return Err(Fault::MixesSamples { how: "it gathers along the batch axis" });
    }
    let chosen = context.constant(1, "indices")?;
    let positions = tensor::integers(&chosen)?;
    let positions = positions.iter().map(|&p| context.axis(p, x.shape[axis]));
    let positions = positions.collect::<Result<Vec<_>, _>>()?;
    let rest = x.len() / x.shape[axis];
    context.builder.charge(rest.saturating_mul(positions.len()))?;
    let index = indices(&x).select(Axis(axis), &positions);
    let shape = [&x.shape[..axis], chosen.shape(), &x.shape[axis + 1..]].concat();
    let index = ArrayD::from_shape_vec(IxDyn(&shape), index.iter().copied().collect());
    Ok(vec![moved(context, &x, &index.expect("the indices replace their axis"))?])
}

/// `Expand` by broadcasting.
pub(super) fn expand(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let target = tensor::integers(&*context.constant(1, "shape")?)?;
    if target.len() > x.shape.len() {
        return Err(Fault::MixesSamples { how: "it broadcasts a tensor to a higher rank" });
    }
    let kept = x.shape.len() - target.len();
    let mut shape = x.shape.clone();
    for (extent, &wanted) in shape[kept..].iter_mut().zip(&target) {
        match usize::try_from(wanted) {
            Ok(wanted) if *extent == 1 => *extent = wanted,
            Ok(wanted) if wanted == 1 || wanted == *extent => {}
            _ => {
                return Err(unexpected(
                    &format!("a shape that broadcasts to {target:?}"),
                    &x.shape,
                ));
            }
        }
    }
    context.builder.charge(volume(&shape))?;
    let index = indices(&x);
    let spread = index.broadcast(IxDyn(&shape)).expect("only extents of 1 change").to_owned();
    Ok(vec![moved(context, &x, &spread)?])
}

/// `Pad` of mode `constant`; the value is the bias.
pub(super) fn pad(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let rank = x.shape.len();
    let pads = context.list("pads", 1)?.ok_or(Fault::Missing { position: 1 })?;
    let value = match context.optional(2, "value")? {
        Some(value) => tensor::floats(&value)?.first().copied().unwrap_or(0.0),
        None => context.float("value", 0.0)?,
    };
    let axes = match context.optional(3, "axes")? {
        Some(axes) => tensor::integers(&axes)?,
        None => (0..rank as i64).collect(),
    };
    let mode = context.string("mode")?;
    if !matches!(&*mode, "" | "constant") {
        let reason = format!("is `{mode}`, only `constant` is supported");
        return Err(Fault::Attribute { name: "mode", reason });
    }
    if pads.len() != 2 * axes.len() {
        let reason = format!("{} pads for {} axes", pads.len(), axes.len());
        return Err(Fault::Shape { reason });
    }
    let mut index = indices(&x);
    for (k, &axis) in axes.iter().enumerate() {
        let axis = context.axis(axis, rank)?;
        let (before, after) = (pads[k], pads[axes.len() + k]);
        if (before, after) == (0, 0) {
            continue;
        }
        if axis == 0 {
            return Err(Fault::MixesSamples { how: "it pads the batch axis" });
        }
        let extent = index.shape()[axis] as i64;
        let length = before.checked_add(after).and_then(|p| p.checked_add(extent));
        let length =
            length.filter(|&l| l > 0).ok_or_else(|| unexpected("pads that fit", &x.shape))?;
        let rest = index.len() / extent as usize;
        context.builder.charge(rest.saturating_mul(length as usize))?;
        let inside = |p: i64| Some(p.saturating_sub(before)).filter(|p| (0..extent).contains(p));
        let sources: Vec<_> = (0..length).map(|p| inside(p).map(|p| p as usize)).collect();
        index = pad_axis(&index, axis, &sources);
    }
    let bias = (value != 0.0)
        .then(|| index.iter().map(|&i| if i == Matrix::ZERO { value } else { 0.0 }).collect());
    let matrix = gather_matrix(x.len(), index.iter().copied().collect());
    Ok(vec![context.linear(vec![(x.node, matrix)], bias, index.shape().to_vec())?])
}

fn pad_axis(index: &ArrayD<u32>, axis: usize, sources: &[Option<usize>]) -> ArrayD<u32> {
    let mut shape = index.shape().to_vec();
    shape[axis] = sources.len();
    let mut result = ArrayD::from_elem(IxDyn(&shape), Matrix::ZERO);
    for (position, source) in sources.iter().enumerate() {
        if let Some(source) = *source {
            let from = index.index_axis(Axis(axis), source);
            result.index_axis_mut(Axis(axis), position).assign(&from);
        }
    }
    result
}

/// `Concat` along an axis other than the batch; constant parts become the bias.
pub(super) fn concat(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let mut values = Vec::new();
    for position in 0..context.proto.input.len() {
        values.push(context.required(position)?.clone());
    }
    let first = values.first().ok_or(Fault::Missing { position: 0 })?;
    let mut shape = first.shape().to_vec();
    let axis = context.axis(context.int("axis", 1)?, shape.len())?;
    if axis == 0 {
        return Err(Fault::MixesSamples { how: "it concatenates along the batch axis" });
    }
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
