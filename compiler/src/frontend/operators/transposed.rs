//! `ConvTranspose`: a convolution with the mirrored kernel over an image whose pixels were moved apart.

use pic_ir::matrix::{Conv, ConvAxis, Matrix};

use super::super::context::{Context, Encrypted, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::convolution::{channel_bias, check_kernel};
use super::movement::{gather_matrix, indices};
use super::pad::pad_axis;

/// A spatial axis: how pixels are moved apart, and the convolution behind it.
struct Axis {
    /// Step between pixels.
    stride: usize,
    /// Number of elements cut off in front, once pixels are apart.
    cut: usize,
    conv: ConvAxis,
}

/// `ConvTranspose`.
pub(super) fn conv_transpose(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let weights = context.constant(1, "weights")?;
    let rank = x.shape.len();
    let [in_channels, group_out, ref kernel @ ..] = *weights.shape() else {
        return Err(unexpected("weights with input and output channels", weights.shape()));
    };
    let groups = usize::try_from(context.int("group", 1)?).unwrap_or(0);
    let fits = rank >= 3
        && weights.rank() == rank
        && x.shape[1] == in_channels
        && groups > 0
        && in_channels % groups == 0;
    if !fits || weights.len() == 0 {
        return Err(Fault::Shape {
            reason: format!(
                "weights of shape {:?} in {groups} groups do not fit an input of shape {:?}",
                weights.shape(),
                x.shape
            ),
        });
    }
    let out_channels = groups.saturating_mul(group_out);
    let axes = geometry(context, &x.shape[2..], kernel)?;
    let outputs: Vec<usize> = axes.iter().map(|a| a.conv.output).collect();
    let apart: Vec<usize> = axes.iter().map(|a| a.conv.input).collect();
    let shape = [&[1, out_channels], &outputs[..]].concat();
    context.builder.charge(volume(&shape))?;
    context.builder.charge(volume(&apart).saturating_mul(in_channels))?;
    let bias = channel_bias(context, out_channels, volume(&outputs))?;
    let weights = mirrored(&tensor::floats(&weights)?, groups, in_channels / groups, group_out);
    let conv_axes = axes.iter().map(|a| a.conv).collect();
    let conv = Conv { out_channels, in_channels, groups, axes: conv_axes, weights };
    let matrix = Matrix::Conv(conv).compose(moved_apart(&x, &axes));
    Ok(vec![context.linear(vec![(x.node, matrix)], bias, shape)?])
}

/// Weights `[groups, inputs, outputs, kernel…]` of a group as `[groups, outputs, inputs, mirrored kernel…]`.
fn mirrored(weights: &[f32], groups: usize, inputs: usize, outputs: usize) -> Vec<f32> {
    let taps = weights.len() / (groups * inputs * outputs);
    let mut mirrored = Vec::with_capacity(weights.len());
    for group in 0..groups {
        for (o, i) in (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))) {
            let kernel = &weights[((group * inputs + i) * outputs + o) * taps..][..taps];
            mirrored.extend(kernel.iter().rev());
        }
    }
    mirrored
}

/// Puts zeros between the pixels.
fn moved_apart(x: &Encrypted, axes: &[Axis]) -> Matrix {
    let mut index = indices(x);
    for (k, axis) in axes.iter().enumerate() {
        let source = |p: usize| {
            let place = p + axis.cut;
            place.is_multiple_of(axis.stride).then_some(place / axis.stride)
        };
        let source = |p| source(p).filter(|&s| s < x.shape[2 + k]);
        index = pad_axis(&index, 2 + k, &(0..axis.conv.input).map(source).collect::<Vec<_>>());
    }
    gather_matrix(x.len(), index.iter().copied().collect())
}

fn geometry(context: &Context, extents: &[usize], kernel: &[usize]) -> Result<Vec<Axis>, Fault> {
    let rank = kernel.len();
    check_kernel(context, kernel)?;
    let (strides, dilations) =
        (context.sizes("strides", 1, rank)?, context.sizes("dilations", 1, rank)?);
    let extra = context.sizes("output_padding", 0, rank)?;
    let pads = context.sizes("pads", 0, 2 * rank)?;
    let mut asked = context.ints("output_shape")?.unwrap_or_default();
    // Some exporters name the batch and the channels, too.
    asked.drain(..asked.len().saturating_sub(rank));
    if asked.len() != rank && !asked.is_empty() {
        let reason = format!("is {asked:?} for {rank} spatial axes");
        return Err(Fault::Attribute { name: "output_shape", reason });
    }
    let auto_pad = context.string("auto_pad")?;
    let is_same = matches!(&*auto_pad, "SAME_UPPER" | "SAME_LOWER");
    if !is_same && !matches!(&*auto_pad, "" | "NOTSET" | "VALID") {
        return Err(Fault::Attribute { name: "auto_pad", reason: format!("is `{auto_pad}`") });
    }
    let axis = |k: usize| {
        let reach = (kernel[k] - 1).saturating_mul(dilations[k]);
        // Extents once pixels are apart, and of everything that a pixel reaches.
        let apart = (extents[k] - 1).saturating_mul(strides[k]).saturating_add(1);
        let full = apart.saturating_add(reach).saturating_add(extra[k]);
        let wanted = match asked.get(k) {
            Some(&wanted) => Some(usize::try_from(wanted).unwrap_or(0)),
            None => is_same.then(|| extents[k].saturating_mul(strides[k])),
        };
        let (output, before) = match wanted {
            Some(wanted) => {
                let total = full.saturating_sub(wanted);
                let half = if auto_pad == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) };
                (wanted, half)
            }
            None if auto_pad == "VALID" => (full, 0),
            None => (full.saturating_sub(pads[k] + pads[rank + k]), pads[k]),
        };
        if output == 0 {
            return Err(unexpected("an image larger than its pads", extents));
        }
        let cut = before.saturating_sub(reach);
        let conv = ConvAxis {
            input: apart.saturating_sub(cut).max(1),
            output,
            kernel: kernel[k],
            stride: 1,
            dilation: dilations[k],
            pad: reach.saturating_sub(before),
        };
        Ok(Axis { stride: strides[k], cut, conv })
    };
    (0..rank).map(axis).collect()
}
