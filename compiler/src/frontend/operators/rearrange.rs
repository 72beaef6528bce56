//! Movement of data between axes: blocks of pixels and channels, repetition, triangles, sequences.

use pic_ir::matrix::Matrix;
use tract_onnx::prelude::tract_ndarray::{ArrayD, Axis, IxDyn};

use super::super::context::{Context, Encrypted, unexpected, volume};
use super::super::error::Fault;
use super::movement::{indices, moved};

/// `DepthToSpace` of both modes.
pub(super) fn depth_to_space(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let block = block_size(context)?;
    let [_, c, h, w] = image(&x)?;
    let area = block.saturating_mul(block);
    if c % area != 0 {
        return Err(unexpected(&format!("channels in groups of {area}"), &x.shape));
    }
    let channels = c / area;
    let (split, order) = match depth_first(context)? {
        true => ([1, block, block, channels, h, w], [0, 3, 4, 1, 5, 2]),
        false => ([1, channels, block, block, h, w], [0, 1, 4, 2, 5, 3]),
    };
    rearranged(context, &x, split, order, [1, channels, h * block, w * block])
}

/// `SpaceToDepth` of both modes.
pub(super) fn space_to_depth(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let block = block_size(context)?;
    let [_, c, h, w] = image(&x)?;
    if h % block != 0 || w % block != 0 {
        return Err(unexpected(&format!("an image in blocks of {block}"), &x.shape));
    }
    let (rows, cols) = (h / block, w / block);
    let split = [1, c, rows, block, cols, block];
    let order = if depth_first(context)? { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
    rearranged(context, &x, split, order, [1, c * block * block, rows, cols])
}

/// True if positions in a block come before channels in the order of the deeper tensor's channels.
fn depth_first(context: &Context) -> Result<bool, Fault> {
    match &*context.string("mode")? {
        "" | "DCR" => Ok(true),
        "CRD" => Ok(false),
        other => {
            let reason = format!("is `{other}`, not `DCR` or `CRD`");
            Err(Fault::Attribute { name: "mode", reason })
        }
    }
}

fn block_size(context: &Context) -> Result<usize, Fault> {
    let size = context.int("blocksize", 0)?;
    usize::try_from(size)
        .ok()
        .filter(|&b| b > 0)
        .ok_or_else(|| Fault::Attribute { name: "blocksize", reason: format!("is {size}") })
}

fn image(x: &Encrypted) -> Result<[usize; 4], Fault> {
    x.shape[..].try_into().map_err(|_| unexpected("channels, rows and columns", &x.shape))
}

/// A tensor seen with the axes `split`, which are then put into another order and joined to `shape`.
fn rearranged(
    context: &mut Context,
    x: &Encrypted,
    split: [usize; 6],
    order: [usize; 6],
    shape: [usize; 4],
) -> Result<Vec<Encrypted>, Fault> {
    let index = indices(x).into_shape_with_order(IxDyn(&split)).expect("axes are split evenly");
    let index = index.permuted_axes(IxDyn(&order));
    let index = ArrayD::from_shape_vec(IxDyn(&shape), index.iter().copied().collect());
    Ok(vec![moved(context, x, &index.expect("axes are joined"))?])
}

/// `Tile` with constant counts.
pub(super) fn tile(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let counts = context.integers(1, "repeats")?;
    let counts: Vec<usize> = counts.iter().map(|&c| usize::try_from(c).unwrap_or(0)).collect();
    if counts.len() != x.shape.len() || counts.contains(&0) {
        return Err(unexpected(&format!("an axis for each count of {counts:?}"), &x.shape));
    }
    if counts[0] != 1 {
        return Err(Fault::MixesSamples { how: "it repeats the samples" });
    }
    context.builder.charge(volume(&counts).saturating_mul(x.len()))?;
    let mut index = indices(&x);
    for (axis, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 1) {
        let extent = x.shape[axis];
        let positions: Vec<usize> = (0..extent * count).map(|p| p % extent).collect();
        index = index.select(Axis(axis), &positions);
    }
    Ok(vec![moved(context, &x, &index)?])
}

/// `Trilu`: one triangle of the last two axes; zeros fill the other.
pub(super) fn triangle(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let is_upper = context.int("upper", 1)? != 0;
    let diagonal = match context.optional(1, "diagonal")? {
        Some(_) => context.integers(1, "diagonal")?.first().copied().unwrap_or(0),
        None => 0,
    };
    let [_, .., rows, cols] = x.shape[..] else {
        return Err(Fault::MixesSamples { how: "its triangle has the batch as an axis" });
    };
    let mut index = indices(&x);
    for (k, source) in index.iter_mut().enumerate() {
        let offset = (k % cols) as i64 - (k / cols % rows) as i64;
        if (is_upper && offset < diagonal) || (!is_upper && offset > diagonal) {
            *source = Matrix::ZERO;
        }
    }
    Ok(vec![moved(context, &x, &index)?])
}

/// `ReverseSequence`: the first elements along an axis in reverse, as many as a constant says.
pub(super) fn reverse_sequence(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let rank = x.shape.len();
    let time = context.int("time_axis", 0)?;
    let time = context.sample_axis(time, rank, "it reverses the order of the samples")?;
    let batch = context.axis(context.int("batch_axis", 1)?, rank)?;
    context.single_sample("its lengths belong to single samples")?;
    let lengths = context.integers(1, "lengths")?;
    let fits = |&l: &i64| (0..=x.shape[time] as i64).contains(&l);
    if lengths.len() != x.shape[batch] || !lengths.iter().all(fits) {
        return Err(unexpected(&format!("sequences of lengths {lengths:?}"), &x.shape));
    }
    let from = indices(&x);
    let index = ArrayD::from_shape_fn(IxDyn(&x.shape), |mut place| {
        let length = lengths[place[batch]] as usize;
        if place[time] < length {
            place[time] = length - 1 - place[time];
        }
        from[place]
    });
    Ok(vec![moved(context, &x, &index)?])
}
