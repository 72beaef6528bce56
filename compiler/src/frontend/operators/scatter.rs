//! `ScatterElements` and `ScatterND` at constant places: elements of one tensor stand in, or are added to, another.

use pic_ir::matrix::Matrix;

use super::super::context::{Context, Encrypted, Value, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::gather::{elements_along, named_parts};
use super::movement::gather_matrix;

/// `ScatterElements`, and `Scatter` of older operator sets.
pub(super) fn scatter_elements(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let shape = context.required(0)?.shape().to_vec();
    let axis = context.int("axis", 0)?;
    let axis = context.sample_axis(axis, shape.len(), "it scatters along the batch axis")?;
    context.single_sample("its indices belong to single samples")?;
    let chosen = context.constant(1, "indices")?;
    context.builder.charge(volume(&shape))?;
    let places = elements_along(&shape, axis, &chosen)?;
    scattered(context, shape, places.shape(), places.iter().copied().collect())
}

/// `ScatterND`.
pub(super) fn scatter_nd(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let shape = context.required(0)?.shape().to_vec();
    context.single_sample("its indices belong to single samples")?;
    let chosen = context.constant(1, "indices")?;
    let parts = named_parts(context, &shape, 0, &chosen)?;
    scattered(context, shape, &parts.shape, parts.places)
}

/// The first operand, of the given shape, with the elements of the third at `places`.
fn scattered(
    context: &mut Context,
    shape: Vec<usize>,
    expected: &[usize],
    places: Vec<u32>,
) -> Result<Vec<Encrypted>, Fault> {
    let [data, _, updates] = &context.all()?[..] else {
        return Err(Fault::Missing { position: 2 });
    };
    if updates.shape() != expected {
        return Err(unexpected(&format!("updates of shape {expected:?}"), updates.shape()));
    }
    let adds = match &*context.string("reduction")? {
        "" | "none" => false,
        "add" => true,
        other => {
            return Err(Fault::Unsupported {
                reason: format!("it combines elements by `{other}`"),
                help: "scatter without reduction, or with `add`",
            });
        }
    };
    let rows = volume(&shape);
    context.builder.charge(rows.saturating_mul(2).saturating_add(places.len()))?;
    // Without a sum the last update of a place counts.
    let mut entries: Vec<Vec<u32>> = vec![vec![]; rows];
    for (update, &place) in places.iter().enumerate() {
        let entry = &mut entries[place as usize];
        if !adds {
            entry.clear();
        }
        entry.push(update as u32);
    }
    let keeps = |row: usize| adds || entries[row].is_empty();
    let kept = (0..rows).map(|row| if keeps(row) { row as u32 } else { Matrix::ZERO }).collect();
    let (mut operands, mut bias) = (Vec::new(), vec![0f32; rows]);
    for (value, matrix) in
        [(data, gather_matrix(rows, kept)), (updates, sums(&entries, places.len()))]
    {
        match value {
            Value::Encrypted(x) => operands.push((x.node, matrix)),
            Value::Constant(constant) => {
                let elements = tensor::floats(constant)?;
                let mut row = Vec::new();
                for (k, bias) in bias.iter_mut().enumerate() {
                    matrix.row(k, &mut row);
                    *bias += row.iter().map(|&(c, _)| elements[c as usize]).sum::<f32>();
                }
            }
            _ => unreachable!("nodes with operands that are not known are not lowered"),
        }
    }
    Ok(vec![context.linear(operands, Some(bias), shape)?])
}

/// The matrix whose rows each sum the columns of a list.
fn sums(lists: &[Vec<u32>], cols: usize) -> Matrix {
    let mut offsets = vec![0];
    for list in lists {
        offsets.push(offsets[offsets.len() - 1] + list.len() as u32);
    }
    let indices = lists.concat();
    Matrix::Sparse { cols, offsets, values: vec![1.0; indices.len()], indices }
}
