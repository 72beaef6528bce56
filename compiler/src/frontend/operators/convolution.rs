//! Sliding windows: convolution and average pooling over any number of spatial axes.

use pic_ir::matrix::{Conv, ConvAxis, Matrix};

use super::super::context::{Context, Encrypted, reason};
use super::super::error::Fault;
use super::super::tensor;

/// `Conv`.
pub(super) fn conv(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let weights = context.constant(1, "weights")?;
    let rank = x.shape.len();
    let [out_channels, group_in, ref kernel @ ..] = *weights.shape() else {
        return Err(reason("weights with output and input channels", weights.shape()));
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
    let shape: Vec<usize> =
        [1, out_channels].into_iter().chain(axes.iter().map(|a| a.output)).collect();
    let area = shape[2..].iter().fold(1usize, |n, &e| n.saturating_mul(e));
    context.builder.charge(out_channels.saturating_mul(area))?;
    let bias = match context.optional(2, "bias")? {
        None => None,
        Some(bias) if bias.len() == out_channels => {
            let bias = tensor::floats(&bias)?;
            Some(bias.iter().flat_map(|&b| std::iter::repeat_n(b, area)).collect())
        }
        Some(bias) => {
            return Err(reason(&format!("a bias of {out_channels} elements"), bias.shape()));
        }
    };
    let weights = tensor::floats(&weights)?;
    let matrix = Matrix::Conv(Conv { out_channels, in_channels, groups, axes, weights });
    Ok(vec![context.linear(vec![(&x, matrix)], bias, shape)?])
}

/// `AveragePool`: a convolution of each channel with ones, divided by the number of elements
/// that each window counts.
pub(super) fn average_pool(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let kernel = context
        .ints("kernel_shape")?
        .ok_or_else(|| Fault::Attribute { name: "kernel_shape", reason: "is missing".into() })?;
    let kernel: Vec<usize> = kernel.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
    if x.shape.len() < 3 || kernel.len() != x.shape.len() - 2 {
        return Err(reason(&format!("{} spatial axes", kernel.len()), &x.shape));
    }
    let channels = x.shape[1];
    let (axes, end_pads) = window(context, &x.shape[2..], &kernel)?;
    let count_padding = context.int("count_include_pad", 0)? != 0;
    let taps = kernel.iter().fold(channels, |n, &k| n.saturating_mul(k));
    let area = axes.iter().fold(channels, |n, a| n.saturating_mul(a.output));
    let counted =
        axes.iter().fold(0usize, |n, a| n.saturating_add(a.output.saturating_mul(a.kernel)));
    context.builder.charge(taps.saturating_add(area).saturating_add(counted))?;
    let counts: Vec<Vec<usize>> = axes
        .iter()
        .zip(&end_pads)
        .map(|(axis, &end)| {
            let counted = match count_padding {
                true => 0..axis.pad + axis.input + end,
                false => axis.pad..axis.pad + axis.input,
            };
            let tap = |o: usize, t: usize| o * axis.stride + t * axis.dilation;
            let count = |o| (0..axis.kernel).filter(|&t| counted.contains(&tap(o, t))).count();
            (0..axis.output).map(count).collect()
        })
        .collect();
    let mut divisors = vec![1usize];
    for counts in &counts {
        divisors = divisors.iter().flat_map(|d| counts.iter().map(move |c| d * c)).collect();
    }
    if divisors.contains(&0) {
        return Err(Fault::Attribute { name: "pads", reason: "hold a whole window".into() });
    }
    let shape: Vec<usize> =
        [1, channels].into_iter().chain(axes.iter().map(|a| a.output)).collect();
    let uniform = divisors.iter().all(|&d| d == divisors[0]);
    let weight = if uniform { 1.0 / divisors[0] as f32 } else { 1.0 };
    let windows = Matrix::Conv(Conv {
        out_channels: channels,
        in_channels: channels,
        groups: channels,
        axes,
        weights: vec![weight; taps],
    });
    let matrix = match uniform {
        true => windows,
        false => {
            let inverse = divisors.iter().map(|&d| 1.0 / d as f32);
            Matrix::Diagonal((0..channels).flat_map(|_| inverse.clone()).collect()).compose(windows)
        }
    };
    Ok(vec![context.linear(vec![(&x, matrix)], None, shape)?])
}

/// The geometry of a window of the given kernel over spatial extents, from the attributes that
/// convolution and pooling share; with the padding declared after each axis.
fn window(
    context: &Context,
    extents: &[usize],
    kernel: &[usize],
) -> Result<(Vec<ConvAxis>, Vec<usize>), Fault> {
    let rank = kernel.len();
    let positive = |name: &'static str, least: i64, expected: usize, default: i64| {
        let values = context.ints(name)?.unwrap_or(vec![default; expected]);
        let sensible = |&v: &i64| (least..1 << 24).contains(&v);
        match values.len() == expected && values.iter().all(sensible) {
            true => Ok(values.into_iter().map(|v| v as usize).collect::<Vec<_>>()),
            false => Err(Fault::Attribute {
                name,
                reason: format!("is {values:?}, not {expected} numbers of at least {least}"),
            }),
        }
    };
    let declared = positive("kernel_shape", 1, rank, 0);
    if context.ints("kernel_shape")?.is_some() && declared? != kernel {
        let reason = format!("does not match the weights, whose kernel is {kernel:?}");
        return Err(Fault::Attribute { name: "kernel_shape", reason });
    }
    let strides = positive("strides", 1, rank, 1)?;
    let dilations = positive("dilations", 1, rank, 1)?;
    let pads = positive("pads", 0, 2 * rank, 0)?;
    let ceil = context.int("ceil_mode", 0)? != 0;
    let auto_pad = context.string("auto_pad")?;
    (0..rank)
        .map(|k| {
            let (input, kernel, stride, dilation) =
                (extents[k], kernel[k], strides[k], dilations[k]);
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
            let room = input
                .saturating_add(total)
                .checked_sub(span)
                .ok_or_else(|| reason(&format!("room for a kernel that spans {span}"), extents))?;
            let mut output = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
            // With ceil_mode no window starts in the padding after the input.
            if ceil && (output - 1) * stride >= input + pad {
                output -= 1;
            }
            Ok((ConvAxis { input, output, kernel, stride, dilation, pad }, total - pad))
        })
        .collect()
}
