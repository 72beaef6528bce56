//! Sums of functions along axes or in windows, and functions of such sums.

use std::ops::Range;

use pic_ir::function::Function;

use super::super::context::{Context, Encrypted};
use super::super::error::Fault;
use super::contraction::{mean, reduced_axes, spatial_axes, sum};
use super::convolution::{pool_window, window_sums};
use super::movement::broadcast;

/// What is summed, and what is made of the sum.
struct Reduction {
    inner: Inner,
    outer: Option<Function>,
}

enum Inner {
    Identity,
    Magnitude,
    Square,
}

const ROOT: Function = Function::Power { exponent: 0.5 };

/// `ReduceMean`, `ReduceSum`, `ReduceL1`, `ReduceL2`, `ReduceSumSquare`, `ReduceLogSum` and `ReduceLogSumExp` over axes
/// other than the batch.
pub(super) fn reduce(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let op_type = &*context.proto.op_type;
    let Reduction { inner, outer } = match op_type {
        "ReduceL1" => Reduction { inner: Inner::Magnitude, outer: None },
        "ReduceL2" => Reduction { inner: Inner::Square, outer: Some(ROOT) },
        "ReduceSumSquare" => Reduction { inner: Inner::Square, outer: None },
        "ReduceLogSum" => Reduction { inner: Inner::Identity, outer: Some(Function::Log) },
        _ => Reduction { inner: Inner::Identity, outer: None },
    };
    let Some(axes) = reduced_axes(context, &x)? else {
        // Each element is a sum of its own.
        return Ok(vec![match (inner, outer) {
            (Inner::Square, Some(_)) => context.activation(&x, Function::Abs)?,
            (_, Some(function)) => context.activation(&x, function)?,
            (inner, None) => inner.of(context, &x)?,
        }]);
    };
    let keep = context.int("keepdims", 1)? != 0;
    let weight = match op_type {
        "ReduceMean" => 1.0 / axes.iter().map(|&a| x.shape[a]).product::<usize>() as f32,
        "ReduceLogSumExp" => {
            let (_, logarithm) = log_sum_exp(context, &x, &axes)?;
            return Ok(vec![sum(context, &logarithm, &axes, keep, 1.0)?]);
        }
        _ => 1.0,
    };
    let x = inner.of(context, &x)?;
    let sum = sum(context, &x, &axes, keep, weight)?;
    match outer {
        Some(function) => Ok(vec![context.activation(&sum, function)?]),
        None => Ok(vec![sum]),
    }
}

impl Inner {
    fn of(&self, context: &mut Context, x: &Encrypted) -> Result<Encrypted, Fault> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Magnitude => context.activation(x, Function::Abs),
            Self::Square => context.product(x, x),
        }
    }
}

/// `LpPool` and `GlobalLpPool`: `(Σ |x|^p)^(1/p)` for p = 1 and 2.
pub(super) fn lp_pool(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let inner = match context.int("p", 2)? {
        1 => Inner::Magnitude,
        2 => Inner::Square,
        p => return Err(unsupported_norm(p)),
    };
    let is_root = matches!(inner, Inner::Square);
    let sums = if context.proto.op_type == "GlobalLpPool" {
        let x = context.encrypted(0)?;
        let axes = spatial_axes(&x)?;
        let x = inner.of(context, &x)?;
        sum(context, &x, &axes, true, 1.0)?
    } else {
        let (x, axes) = pool_window(context)?;
        let x = inner.of(context, &x)?;
        let (matrix, shape) = window_sums(context, &x, axes, 1.0)?;
        context.linear(vec![(x.node, matrix)], None, shape)?
    };
    Ok(vec![if is_root { context.activation(&sums, ROOT)? } else { sums }])
}

/// The fault of norms of other orders.
pub(super) fn unsupported_norm(p: i64) -> Fault {
    Fault::Attribute { name: "p", reason: format!("is {p}; norms of order 1 and 2 are supported") }
}

/// `Softmax` and `LogSoftmax` within a network. They do not change if the mean is subtracted, which keeps the sums of
/// exponentials near their number.
pub(super) fn softmax(context: &mut Context) -> Result<Vec<Encrypted>, Fault> {
    let x = context.encrypted(0)?;
    let axes: Vec<usize> = softmax_axes(context, x.shape.len())?.collect();
    let count: usize = axes.iter().map(|&a| x.shape[a]).product();
    if context.proto.op_type == "LogSoftmax" {
        let (_, logarithm) = log_sum_exp(context, &x, &axes)?;
        let logarithm = broadcast(context, &logarithm, &x.shape)?;
        return Ok(vec![context.combination(&[(&x, 1.0), (&logarithm, -1.0)], 0.0)?]);
    }
    let (centered, _) = centered(context, &x, &axes)?;
    if count == 2 {
        // e^a / (e^a + e^b) = sigmoid(a − b), and a − b is twice the distance from the mean.
        let difference = context.combination(&[(&centered, 2.0)], 0.0)?;
        return Ok(vec![context.activation(&difference, Function::Sigmoid)?]);
    }
    let powers = context.activation(&centered, Function::Exp)?;
    let sums = sum(context, &powers, &axes, true, 1.0)?;
    let inverse = context.activation(&sums, Function::Power { exponent: -1.0 })?;
    let inverse = broadcast(context, &inverse, &x.shape)?;
    Ok(vec![context.product(&powers, &inverse)?])
}

/// The axes over which a softmax of a tensor normalises. Before operator set 13 it sees a matrix, whose rows begin at the
/// axis.
pub(in crate::frontend) fn softmax_axes(
    context: &Context,
    rank: usize,
) -> Result<Range<usize>, Fault> {
    let of_matrix = context.opset < 13;
    let axis = context.int("axis", if of_matrix { 1 } else { -1 })?;
    let first = context.sample_axis(axis, rank, "it normalises over the batch axis")?;
    Ok(first..if of_matrix { rank } else { first + 1 })
}

/// `x` minus its mean over axes, and the mean, which keeps the axes with extent 1.
pub(super) fn centered(
    context: &mut Context,
    x: &Encrypted,
    axes: &[usize],
) -> Result<(Encrypted, Encrypted), Fault> {
    let mean = mean(context, x, axes)?;
    let spread = broadcast(context, &mean, &x.shape)?;
    Ok((context.combination(&[(x, 1.0), (&spread, -1.0)], 0.0)?, mean))
}

/// `e^(x − mean)`, and `ln Σ e^x` with the axes kept.
fn log_sum_exp(
    context: &mut Context,
    x: &Encrypted,
    axes: &[usize],
) -> Result<(Encrypted, Encrypted), Fault> {
    let (centered, mean) = centered(context, x, axes)?;
    let powers = context.activation(&centered, Function::Exp)?;
    let sums = sum(context, &powers, axes, true, 1.0)?;
    let logarithm = context.activation(&sums, Function::Log)?;
    Ok((powers, context.combination(&[(&logarithm, 1.0), (&mean, 1.0)], 0.0)?))
}
