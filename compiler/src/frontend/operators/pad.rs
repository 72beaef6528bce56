//! `Pad`: constants, or elements of the tensor, before and behind an axis.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn};

use super::super::context::{Context, Encrypted, unexpected};
use super::super::error::Fault;
use super::super::tensor;
use super::movement::{gather_matrix, indices};

/// What stands outside a tensor.
#[derive(Clone, Copy)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

impl Mode {
    /// The element that stands `position` behind the first of `extent`.
    fn source(self, position: i64, extent: i64) -> Option<usize> {
        let source = match self {
            Self::Constant => Some(position).filter(|p| (0..extent).contains(p))?,
            Self::Edge => position.clamp(0, extent - 1),
            Self::Wrap => position.rem_euclid(extent),
            Self::Reflect => {
                let period = (2 * (extent - 1)).max(1);
                let folded = position.rem_euclid(period);
                folded.min(period - folded).min(extent - 1)
            }
        };
        Some(source as usize)
    }
}

/// `Pad`; a constant is the bias. Negative pads cut off elements.
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
    let mode = match &*context.string("mode")? {
        "" | "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" => Mode::Wrap,
        other => {
            let reason = format!("is `{other}`, not `constant`, `reflect`, `edge` or `wrap`");
            return Err(Fault::Attribute { name: "mode", reason });
        }
    };
    if pads.len() != 2 * axes.len() {
        let reason = format!("{} pads for {} axes", pads.len(), axes.len());
        return Err(Fault::Shape { reason });
    }
    let mut index = indices(&x);
    for (k, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[k], pads[axes.len() + k]);
        if (before, after) == (0, 0) {
            continue;
        }
        let axis = context.sample_axis(axis, rank, "it pads the batch axis")?;
        let extent = index.shape()[axis] as i64;
        let cut = before.min(0).saturating_add(after.min(0));
        let kept = extent.saturating_add(cut);
        let length = before.checked_add(after).and_then(|p| p.checked_add(extent));
        let length = length.filter(|&l| l > 0 && kept > 0);
        let length = length.ok_or_else(|| unexpected("pads that fit", &x.shape))?;
        let rest = index.len() / extent as usize;
        context.builder.charge(rest.saturating_mul(length as usize))?;
        let first = before.saturating_neg().max(0) as usize;
        let source = |p: i64| mode.source(p - before.max(0), kept).map(|s| first + s);
        index = pad_axis(&index, axis, &(0..length).map(source).collect::<Vec<_>>());
    }
    let bias = (value != 0.0)
        .then(|| index.iter().map(|&i| if i == Matrix::ZERO { value } else { 0.0 }).collect());
    let matrix = gather_matrix(x.len(), index.iter().copied().collect());
    Ok(vec![context.linear(vec![(x.node, matrix)], bias, index.shape().to_vec())?])
}

/// The positions along an axis that `sources` name; zero where there is none.
pub(super) fn pad_axis(index: &ArrayD<u32>, axis: usize, sources: &[Option<usize>]) -> ArrayD<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_continue_a_tensor() {
        let along = |mode: Mode| (-4..7).map(|p| mode.source(p, 3).unwrap()).collect::<Vec<_>>();
        assert_eq!(along(Mode::Edge), [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
        assert_eq!(along(Mode::Wrap), [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(along(Mode::Reflect), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(Mode::Reflect.source(-5, 1), Some(0));
        assert_eq!(Mode::Constant.source(3, 3), None);
    }
}
