//! Elements chosen by constants: `Gather` and its kind, `Compress` and `Where`.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::Tensor;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn};

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::arithmetic::common_shape;
use super::comparison;
use super::movement::{broadcast_indices, gather_matrix, indices, moved, numbered};

/// `Gather` of constant positions along an axis.
pub(super) fn gather(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axis = context.int("axis", 0)?;
    let axis = context.sample_axis(axis, x.shape.len(), "it gathers along the batch axis")?;
    let chosen = context.constant(1, "indices")?;
    let positions = positions(&tensor::integers(&chosen)?, x.shape[axis])?;
    let rest = x.len() / x.shape[axis];
    context.builder.charge(rest.saturating_mul(positions.len()))?;
    let index = indices(&x).select(Axis(axis), &positions);
    let shape = [&x.shape[..axis], chosen.shape(), &x.shape[axis + 1..]].concat();
    let index = ArrayD::from_shape_vec(IxDyn(&shape), index.iter().copied().collect());
    Ok(vec![moved(context, &x, &index.expect("the indices replace their axis"))?])
}

/// `GatherElements`: at every place the element whose position along one axis the indices give.
pub(super) fn gather_elements(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axis = context.int("axis", 0)?;
    let axis = context.sample_axis(axis, x.shape.len(), "it gathers along the batch axis")?;
    context.single_sample("its indices belong to single samples")?;
    let chosen = context.constant(1, "indices")?;
    context.builder.charge(chosen.len())?;
    let index = elements_along(&x.shape, axis, &chosen)?;
    Ok(vec![moved(context, &x, &index)?])
}

/// The elements of a tensor that constant positions along an axis name, each at its place along the other axes.
pub(super) fn elements_along(
    shape: &[usize],
    axis: usize,
    chosen: &Tensor,
) -> Result<ArrayD<u32>, Fault> {
    let (rank, places) = (shape.len(), chosen.shape());
    if places.len() != rank || (0..rank).any(|a| a != axis && places[a] > shape[a]) {
        let expected = format!("indices within {shape:?} outside axis {axis}");
        return Err(unexpected(&expected, places));
    }
    let mut positions = positions(&tensor::integers(chosen)?, shape[axis])?.into_iter();
    let from = numbered(shape);
    Ok(ArrayD::from_shape_fn(IxDyn(places), |mut place| {
        place[axis] = positions.next().expect("one for each place, in their order");
        from[place]
    }))
}

/// `GatherND`: parts of the tensor that the last axis of the indices names.
pub(super) fn gather_nd(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let chosen = context.constant(1, "indices")?;
    let shared = usize::try_from(context.int("batch_dims", 0)?).unwrap_or(usize::MAX);
    context.single_sample("its indices belong to single samples")?;
    let parts = named_parts(context, &x.shape, shared, &chosen)?;
    let matrix = gather_matrix(x.len(), parts.places);
    Ok(vec![context.linear(vec![(x.node, matrix)], None, parts.shape)?])
}

/// Parts of a tensor, one behind the other.
pub(super) struct Parts {
    /// Extents of all parts together.
    pub shape: Vec<usize>,
    /// Index in the tensor of each of their elements.
    pub places: Vec<u32>,
}

/// The parts of a tensor that the last axis of constant indices names, behind `shared` axes that both have.
pub(super) fn named_parts(
    context: &mut Context,
    shape: &[usize],
    shared: usize,
    chosen: &Tensor,
) -> Result<Parts, Fault> {
    let (outer, named) = match chosen.shape() {
        [outer @ .., named] if shared <= outer.len() => (outer, *named),
        found => return Err(unexpected(&format!("indices behind {shared} axes"), found)),
    };
    let last = shared.saturating_add(named);
    if last > shape.len() || outer[..shared] != shape[..shared] {
        let expected = format!("indices that name a part of {shape:?}");
        return Err(unexpected(&expected, chosen.shape()));
    }
    let result = [outer, &shape[last..]].concat();
    context.builder.charge(volume(&result).saturating_add(chosen.len()))?;
    let names = tensor::integers(chosen)?;
    let (count, part) = (volume(outer), volume(&shape[last..]));
    // Parts for each place of the axes that both share.
    let group = count / volume(&shape[..shared]);
    let mut places = Vec::with_capacity(volume(&result));
    for k in 0..count {
        let mut flat = k / group;
        for (&name, &extent) in names[k * named..][..named].iter().zip(&shape[shared..]) {
            flat = flat * extent + position(name, extent)?;
        }
        places.extend((flat * part..(flat + 1) * part).map(|place| place as u32));
    }
    Ok(Parts { shape: result, places })
}

fn positions(chosen: &[i64], extent: usize) -> Result<Vec<usize>, Fault> {
    chosen.iter().map(|&p| position(p, extent)).collect()
}

/// A position along an axis, which counts from the end if it is negative.
fn position(chosen: i64, extent: usize) -> Result<usize, Fault> {
    let position = if chosen < 0 { chosen.saturating_add(extent as i64) } else { chosen };
    usize::try_from(position).ok().filter(|&p| p < extent).ok_or_else(|| Fault::Shape {
        reason: format!("index {chosen} is outside an axis of {extent} elements"),
    })
}

/// `Compress`: the positions along an axis at which a constant is true.
pub(super) fn compress(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let how = "it chooses among the samples";
    let axis = context.sample_axis(context.int("axis", 0)?, x.shape.len(), how)?;
    let chosen = context.integers(1, "condition")?;
    let positions: Vec<usize> = (0..chosen.len()).filter(|&k| chosen[k] != 0).collect();
    if positions.last().is_some_and(|&last| last >= x.shape[axis]) {
        return Err(unexpected(&format!("{} positions along axis {axis}", chosen.len()), &x.shape));
    }
    let index = indices(&x).select(Axis(axis), &positions);
    Ok(vec![moved(context, &x, &index)?])
}

/// `Where`: by [`comparison::select`] if its condition is encrypted, a choice of elements if it is constant. Constant
/// elements are the bias then.
pub(super) fn choose(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    if let Some(Value::Encrypted(_)) = context.operand(0) {
        return comparison::select(context);
    }
    let condition = context.constant(0, "condition")?;
    let mut values = context.all()?;
    if values.len() != 3 {
        return Err(Fault::Missing { position: values.len() });
    }
    let mut shape = vec![];
    for value in &values {
        shape = common_shape(&shape, value.shape())?;
    }
    context.builder.charge(volume(&shape).saturating_mul(values.len()))?;
    let condition = tensor::broadcast(&tensor::float_array(&condition)?, &shape)?;
    let (mut operands, mut bias) = (Vec::new(), vec![0f32; condition.len()]);
    for (value, is_chosen) in values.drain(1..).zip([true, false]) {
        let places = condition.iter().map(|&c| (c != 0.0) == is_chosen);
        match value {
            Value::Encrypted(x) => {
                let index = broadcast_indices(&x, &shape)?;
                let sources = index.iter().zip(places);
                let sources = sources.map(|(&i, here)| if here { i } else { Matrix::ZERO });
                operands.push((x.node, gather_matrix(x.len(), sources.collect())));
            }
            Value::Constant(t) => {
                let constant = tensor::broadcast(&tensor::float_array(&t)?, &shape)?;
                let chosen = bias.iter_mut().zip(constant).zip(places).filter(|(_, here)| *here);
                chosen.for_each(|((bias, constant), _)| *bias = constant);
            }
            _ => unreachable!("nodes with operands that are not known are not lowered"),
        }
    }
    Ok(vec![context.linear(operands, Some(bias), shape)?])
}
