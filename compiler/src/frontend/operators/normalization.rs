//! Normalisation by statistics of the sample itself. `BatchNormalization`, whose statistics are constants, is
//! arithmetic.

use std::collections::BTreeSet;

use pic_ir::function::Function;
use pic_ir::matrix::{Conv, ConvAxis, Matrix};

use super::super::context::{Context, Encrypted, unexpected, volume};
use super::super::error::Fault;
use super::super::tensor;
use super::contraction::{mean, sum};
use super::movement::broadcast;
use super::reductions::{centered, unsupported_norm};

const INVERSE_ROOT: Function = Function::Power { exponent: -0.5 };

/// `LayerNormalization` and `RMSNormalization`: over all axes from one on. The further outputs of the first are the mean
/// and the inverse of the standard deviation.
pub(super) fn layer_normalization(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let rank = x.shape.len();
    let axis = context.sample_axis(context.int("axis", -1)?, rank, "it normalises the batch")?;
    let axes: Vec<usize> = (axis..rank).collect();
    let epsilon = context.float("epsilon", 1e-5)?;
    let is_centered = context.proto.op_type == "LayerNormalization";
    let (x, mean) = match is_centered {
        true => centered(context, &x, &axes).map(|(x, mean)| (x, Some(mean)))?,
        false => (x, None),
    };
    let (normal, inverse) = divided_by_deviation(context, &x, &axes, epsilon)?;
    let parameter = |context: &Context, position, what| match context.optional(position, what)? {
        None => Ok(None),
        Some(t) => tensor::broadcast(&tensor::float_array(&t)?, &x.shape).map(Some),
    };
    let gamma = parameter(context, 1, "scale")?;
    let beta = if is_centered { parameter(context, 2, "bias")? } else { None };
    let mut outputs = vec![scaled(context, &normal, gamma, beta)?];
    outputs.extend(mean.map(|mean| [mean, inverse]).into_iter().flatten());
    Ok(outputs)
}

/// `InstanceNormalization` and `GroupNormalization`: over all pixels of a channel or of a group of channels.
pub(super) fn group_normalization(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let [_, channels, ref pixels @ ..] = x.shape[..] else {
        return Err(unexpected("channels", &x.shape));
    };
    let groups = match &*context.proto.op_type {
        "InstanceNormalization" => channels,
        _ => usize::try_from(context.int("num_groups", 0)?).unwrap_or(0),
    };
    if groups == 0 || channels % groups != 0 {
        let reason = format!("is {groups}, which does not divide {channels} channels");
        return Err(Fault::Attribute { name: "num_groups", reason });
    }
    let epsilon = context.float("epsilon", 1e-5)?;
    let area = volume(pixels);
    // The first version of GroupNormalization has one parameter for each group, the second one for each channel.
    let parameter = |position, what| {
        let values = tensor::floats(&*context.constant(position, what)?)?;
        let repeated = x.len().checked_div(values.len()).unwrap_or(0);
        match values.len() == channels || values.len() == groups {
            true => Ok(values.iter().flat_map(|&v| std::iter::repeat_n(v, repeated)).collect()),
            false => Err(Fault::Shape {
                reason: format!("its {what} has {} elements for {channels} channels", values.len()),
            }),
        }
    };
    let (gamma, beta): (Vec<f32>, Vec<f32>) = (parameter(1, "scale")?, parameter(2, "bias")?);
    let grouped = vec![1, groups, channels / groups * area];
    let flat = reshaped(context, &x, grouped)?;
    let (flat, _) = centered(context, &flat, &[2])?;
    let (normal, _) = divided_by_deviation(context, &flat, &[2], epsilon)?;
    let normal = reshaped(context, &normal, x.shape.clone())?;
    Ok(vec![scaled(context, &normal, Some(gamma), Some(beta))?])
}

/// `LpNormalization`: division by the norm along one axis.
pub(super) fn lp_normalization(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axis = context.int("axis", -1)?;
    let axis = context.sample_axis(axis, x.shape.len(), "it normalises the batch")?;
    let (powers, function) = match context.int("p", 2)? {
        1 => (context.activation(&x, Function::Abs)?, Function::Power { exponent: -1.0 }),
        2 => (context.product(&x, &x)?, INVERSE_ROOT),
        p => return Err(unsupported_norm(p)),
    };
    let norm = sum(context, &powers, &[axis], true, 1.0)?;
    // What is zero everywhere stays zero.
    let norm = context.combination(&[(&norm, 1.0)], f32::MIN_POSITIVE)?;
    Ok(vec![multiplied(context, &x, &norm, function)?.0])
}

/// `MeanVarianceNormalization` over axes other than the batch.
pub(super) fn mean_variance_normalization(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axes = context.ints("axes")?.unwrap_or(vec![0, 2, 3]);
    let axis = |&a: &i64| context.sample_axis(a, x.shape.len(), "it normalises over the batch");
    let axes = axes.iter().map(axis).collect::<Result<BTreeSet<_>, _>>()?;
    let axes: Vec<usize> = axes.into_iter().collect();
    if axes.is_empty() {
        return Err(Fault::Attribute { name: "axes", reason: "is empty".into() });
    }
    let (x, _) = centered(context, &x, &axes)?;
    Ok(vec![divided_by_deviation(context, &x, &axes, f32::MIN_POSITIVE)?.0])
}

/// `LRN`: division by a power of the sum of squares over neighbouring channels.
pub(super) fn local_response_normalization(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let size = context.int("size", 0)?;
    let rank = x.shape.len();
    if size < 1 || rank < 2 {
        let reason = format!("is {size} for a tensor of rank {rank}");
        return Err(Fault::Attribute { name: "size", reason });
    }
    let (alpha, beta) = (context.float("alpha", 1e-4)?, context.float("beta", 0.75)?);
    let bias = context.float("bias", 1.0)?;
    let (channels, area) = (x.shape[1], volume(&x.shape[2..]));
    // Neighbours beyond the first and the last channel are none, however many the file asks for.
    let reach = |neighbours: i64| (neighbours as usize).min(channels - 1);
    let (before, behind) = (reach((size - 1) / 2), reach(size / 2));
    let kernel = before + 1 + behind;
    context.builder.charge(x.len())?;
    let across =
        |input, kernel, pad| ConvAxis { input, output: input, kernel, stride: 1, dilation: 1, pad };
    let neighbours = Matrix::Conv(Conv {
        out_channels: 1,
        in_channels: 1,
        groups: 1,
        axes: vec![across(channels, kernel, before), across(area, 1, 0)],
        weights: vec![alpha / size as f32; kernel],
    });
    let squares = context.product(&x, &x)?;
    let sums = context.linear(
        vec![(squares.node, neighbours)],
        Some(vec![bias; x.len()]),
        x.shape.clone(),
    )?;
    let inverse = context.activation(&sums, Function::Power { exponent: -beta })?;
    Ok(vec![context.product(&x, &inverse)?])
}

/// `x / √(mean of x² over axes + epsilon)`, and the inverse of the root with the axes kept.
fn divided_by_deviation(
    context: &mut Context,
    x: &Encrypted,
    axes: &[usize],
    epsilon: f32,
) -> Result<(Encrypted, Encrypted), Fault> {
    let squares = context.product(x, x)?;
    let variance = mean(context, &squares, axes)?;
    let variance = context.combination(&[(&variance, 1.0)], epsilon)?;
    multiplied(context, x, &variance, INVERSE_ROOT)
}

/// `x · function(y)`, with `y` broadcast after the function, because what is equal is computed once; and `function(y)`.
fn multiplied(
    context: &mut Context,
    x: &Encrypted,
    y: &Encrypted,
    function: Function,
) -> Result<(Encrypted, Encrypted), Fault> {
    let factor = context.activation(y, function)?;
    let spread = broadcast(context, &factor, &x.shape)?;
    Ok((context.product(x, &spread)?, factor))
}

/// `gamma ⊙ x + beta`
fn scaled(
    context: &mut Context,
    x: &Encrypted,
    gamma: Option<Vec<f32>>,
    beta: Option<Vec<f32>>,
) -> Result<Encrypted, Fault> {
    let matrix = gamma.map_or(Matrix::identity(x.len()), Matrix::Diagonal);
    context.linear(vec![(x.node, matrix)], beta, x.shape.clone())
}

fn reshaped(context: &mut Context, x: &Encrypted, shape: Vec<usize>) -> Result<Encrypted, Fault> {
    context.linear(vec![(x.node, Matrix::identity(x.len()))], None, shape)
}
