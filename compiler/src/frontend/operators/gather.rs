//! Elements chosen by constants: `Gather` and its kind, `Compress` and `Where`.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn};

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::arithmetic::common_shape;
use super::movement::{broadcast_indices, gather_matrix, indices, moved};

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
    let rank = x.shape.len();
    let axis = context.int("axis", 0)?;
    let axis = context.sample_axis(axis, rank, "it gathers along the batch axis")?;
    context.single_sample("its indices belong to single samples")?;
    let chosen = context.constant(1, "indices")?;
    let shape = chosen.shape().to_vec();
    if shape.len() != rank || (0..rank).any(|a| a != axis && shape[a] > x.shape[a]) {
        return Err(unexpected(
            &format!("indices within {:?} outside axis {axis}", x.shape),
            &shape,
        ));
    }
    context.builder.charge(chosen.len())?;
    let positions = positions(&tensor::integers(&chosen)?, x.shape[axis])?;
    let from = indices(&x);
    let mut positions = positions.into_iter();
    let index = ArrayD::from_shape_fn(IxDyn(&shape), |mut place| {
        place[axis] = positions.next().expect("one for each place, in their order");
        from[place]
    });
    Ok(vec![moved(context, &x, &index)?])
}

/// `GatherND`: parts of the tensor that the last axis of the indices names.
pub(super) fn gather_nd(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let chosen = context.constant(1, "indices")?;
    let shared = usize::try_from(context.int("batch_dims", 0)?).unwrap_or(usize::MAX);
    context.single_sample("its indices belong to single samples")?;
    let (places, named) = match chosen.shape() {
        [places @ .., named] if shared <= places.len() => (places, *named),
        shape => return Err(unexpected(&format!("indices behind {shared} axes"), shape)),
    };
    let last = shared.saturating_add(named);
    if last > x.shape.len() || places[..shared] != x.shape[..shared] {
        let expected = format!("indices that name a part of {:?}", x.shape);
        return Err(unexpected(&expected, chosen.shape()));
    }
    let shape = [places, &x.shape[last..]].concat();
    context.builder.charge(volume(&shape).saturating_add(chosen.len()))?;
    let names = tensor::integers(&chosen)?;
    let (count, part) = (volume(places), volume(&x.shape[last..]));
    // Parts for each place of the axes that both share.
    let group = count / volume(&x.shape[..shared]);
    let mut sources = Vec::with_capacity(volume(&shape));
    for k in 0..count {
        let mut flat = k / group;
        for (&name, &extent) in names[k * named..][..named].iter().zip(&x.shape[shared..]) {
            flat = flat * extent + position(name, extent)?;
        }
        sources.extend((flat * part..(flat + 1) * part).map(|source| source as u32));
    }
    let matrix = gather_matrix(x.len(), sources);
    Ok(vec![context.linear(vec![(x.node, matrix)], None, shape)?])
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

/// `Where` with a constant condition; constant elements are the bias.
pub(super) fn choose(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
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
