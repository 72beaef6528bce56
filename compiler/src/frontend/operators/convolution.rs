//! Sliding windows: convolution and average pooling over any number of spatial axes.

use pic_ir::matrix::{Conv, ConvAxis, Matrix};

use super::super::context::{Context, Encrypted, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;

/// `Conv`.
pub(super) fn conv(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let weights = context.constant(1, "weights")?;
    let rank = x.shape.len();
    let [out_channels, group_in, ref kernel @ ..] = *weights.shape() else {
        return Err(unexpected("weights with output and input channels", weights.shape()));
    };
    let groups = usize::try_from(context.int("group", 1)?).unwrap_or(0);
    let in_channels = x.shape.get(1).copied().unwrap_or(0);
    let fits = rank >= 3
        && weights.rank() == rank
        && group_in.checked_mul(groups) == Some(in_channels)
        && groups > 0
        && out_channels % groups == 0;
    if !fits || weights.len() == 0 {
        return Err(Fault::Shape {
            reason: format!(
                "weights of shape {:?} in {groups} groups do not fit an input of shape {:?}",
                weights.shape(),
                x.shape
            ),
        });
    }
    let (axes, _) = window(context, &x.shape[2..], kernel)?;
    let shape =
        [&[1, out_channels], &axes.iter().map(|a| a.output).collect::<Vec<_>>()[..]].concat();
    context.builder.charge(volume(&shape))?;
    let bias = channel_bias(context, out_channels, volume(&shape[2..]))?;
    let weights = tensor::floats(&weights)?;
    let matrix = Matrix::Conv(Conv { out_channels, in_channels, groups, axes, weights });
    Ok(vec![context.linear(vec![(x.node, matrix)], bias, shape)?])
}

/// The operand of a pool, and the geometry of its windows.
pub(super) fn pool_window(context: &Context) -> Result<(Encrypted, Vec<ConvAxis>), Fault> {
    let (x, axes, _) = padded_pool(context)?;
    Ok((x, axes))
}

/// As [`pool_window`], with the padding declared after each axis.
fn padded_pool(context: &Context) -> Result<(Encrypted, Vec<ConvAxis>, Vec<usize>), Fault> {
    let x = context.encrypted(0)?;
    let kernel = context
        .ints("kernel_shape")?
        .ok_or_else(|| Fault::Attribute { name: "kernel_shape", reason: "is missing".into() })?;
    let kernel: Vec<usize> = kernel.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
    if x.shape.len() < 3 || kernel.len() != x.shape.len() - 2 {
        return Err(unexpected(&format!("{} spatial axes", kernel.len()), &x.shape));
    }
    let (axes, end_pads) = window(context, &x.shape[2..], &kernel)?;
    Ok((x, axes, end_pads))
}

/// The sums of a pool's windows times `weight`, channel by channel.
pub(super) fn window_sums(
    context: &mut Context,
    x: &Encrypted,
    axes: Vec<ConvAxis>,
    weight: f32,
) -> Result<(Matrix, Vec<usize>), Fault> {
    let channels = x.shape[1];
    let shape = [&[1, channels], &axes.iter().map(|a| a.output).collect::<Vec<_>>()[..]].concat();
    let taps = axes.iter().fold(channels, |n, a| n.saturating_mul(a.kernel));
    let steps = axes.iter().map(|a| a.output.saturating_mul(a.kernel));
    let steps = steps.fold(volume(&shape).saturating_add(taps), usize::saturating_add);
    context.builder.charge(steps)?;
    let matrix = Matrix::Conv(Conv {
        out_channels: channels,
        in_channels: channels,
        groups: channels,
        axes,
        weights: vec![weight; taps],
    });
    Ok((matrix, shape))
}

/// `AveragePool`: a convolution of each channel with ones, divided by the number of elements
/// that each window counts.
pub(super) fn average_pool(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let (x, axes, end_pads) = padded_pool(context)?;
    let counted = axes.iter().map(|a| a.output.saturating_mul(a.kernel));
    context.builder.charge(counted.fold(0, usize::saturating_add))?;
    let divisors = window_counts(&axes, &end_pads, context.int("count_include_pad", 0)? != 0);
    if divisors.contains(&0) {
        return Err(Fault::Attribute { name: "pads", reason: "hold a whole window".into() });
    }
    let is_uniform = divisors.iter().all(|&d| d == divisors[0]);
    let weight = if is_uniform { 1.0 / divisors[0] as f32 } else { 1.0 };
    let (mut matrix, shape) = window_sums(context, &x, axes, weight)?;
    if !is_uniform {
        let inverse: Vec<f32> = divisors.iter().map(|&d| 1.0 / d as f32).collect();
        matrix = Matrix::Diagonal(inverse.repeat(x.shape[1])).compose(matrix);
    }
    Ok(vec![context.linear(vec![(x.node, matrix)], None, shape)?])
}

/// Number of elements in each window, with or without the declared padding.
fn window_counts(axes: &[ConvAxis], end_pads: &[usize], count_padding: bool) -> Vec<usize> {
    let mut counts = vec![1];
    for (axis, &end) in axes.iter().zip(end_pads) {
        let counted = match count_padding {
            true => 0..axis.pad + axis.input + end,
            false => axis.pad..axis.pad + axis.input,
        };
        let tap = |o: usize, t: usize| o * axis.stride + t * axis.dilation;
        let count = |o| (0..axis.kernel).filter(|&t| counted.contains(&tap(o, t))).count();
        let along: Vec<usize> = (0..axis.output).map(count).collect();
        counts = counts.iter().flat_map(|c| along.iter().map(move |a| c * a)).collect();
    }
    counts
}

/// Refuses an empty kernel, and a declared shape that is not the kernel's.
pub(super) fn check_kernel(context: &Context, kernel: &[usize]) -> Result<(), Fault> {
    let declared = context.ints("kernel_shape")?;
    let is_kernel = |d: &Vec<i64>| d.iter().copied().eq(kernel.iter().map(|&k| k as i64));
    if !kernel.contains(&0) && declared.as_ref().is_none_or(is_kernel) {
        return Ok(());
    }
    let reason = format!("is {:?}, the kernel is {kernel:?}", declared.unwrap_or_default());
    Err(Fault::Attribute { name: "kernel_shape", reason })
}

/// One constant for each channel, repeated over its pixels.
pub(super) fn channel_bias(
    context: &Context,
    channels: usize,
    area: usize,
) -> Result<Option<Vec<f32>>, Fault> {
    let Some(bias) = context.optional(2, "bias")? else { return Ok(None) };
    if bias.len() != channels {
        return Err(unexpected(&format!("a bias of {channels} elements"), bias.shape()));
    }
    let bias = tensor::floats(&bias)?;
    Ok(Some(bias.iter().flat_map(|&b| std::iter::repeat_n(b, area)).collect()))
}

/// The geometry of a window of the given kernel over spatial extents, from the attributes that
/// convolution and pooling share; with the padding declared after each axis.
fn window(
    context: &Context,
    extents: &[usize],
    kernel: &[usize],
) -> Result<(Vec<ConvAxis>, Vec<usize>), Fault> {
    let rank = kernel.len();
    check_kernel(context, kernel)?;
    let (strides, dilations) =
        (context.sizes("strides", 1, rank)?, context.sizes("dilations", 1, rank)?);
    let pads = context.sizes("pads", 0, 2 * rank)?;
    let ceil = context.int("ceil_mode", 0)? != 0;
    let auto_pad = context.string("auto_pad")?;
    let axis = |k: usize| {
        let (input, kernel, stride, dilation) = (extents[k], kernel[k], strides[k], dilations[k]);
        let span = (kernel - 1).saturating_mul(dilation).saturating_add(1);
        let (pad, total) = match &*auto_pad {
            "" | "NOTSET" => (pads[k], pads[k] + pads[rank + k]),
            "VALID" => (0, 0),
            "SAME_UPPER" | "SAME_LOWER" => {
                let covered = (input.div_ceil(stride) - 1) * stride;
                let total = covered.saturating_add(span).saturating_sub(input);
                (if auto_pad == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) }, total)
            }
            other => {
                let reason = format!("is `{other}`");
                return Err(Fault::Attribute { name: "auto_pad", reason });
            }
        };
        let room = input.saturating_add(total).checked_sub(span);
        let room =
            room.ok_or_else(|| unexpected(&format!("room for a span of {span}"), extents))?;
        let mut output = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        // With ceil_mode no window starts in the padding after the input.
        if ceil && (output - 1) * stride >= input + pad {
            output -= 1;
        }
        Ok((ConvAxis { input, output, kernel, stride, dilation, pad }, total - pad))
    };
    (0..rank).map(axis).collect()
}
